//! Live records moved out of segments that hold little else.

use std::time::Instant;

use millpool_core::{Copied, CopyForward, Destination};
use napi::bindgen_prelude::Object;
use napi::{Env, Result};
use napi_derive::napi;

use crate::client::milliseconds;
use crate::engine::NativeEngine;
use crate::failure::whole;
use crate::work::promise;

#[napi(object)]
pub struct NativeSegmentName {
    pub number: u32,
    pub generation: u32,
}

#[napi(object)]
pub struct NativeCopied {
    pub records: f64,
    pub bytes: f64,
    pub left: f64,
    pub damaged: f64,
    pub retired: bool,
}

impl From<Copied> for NativeCopied {
    fn from(copied: Copied) -> NativeCopied {
        NativeCopied {
            records: copied.records as f64,
            bytes: copied.bytes as f64,
            left: copied.left as f64,
            damaged: copied.damaged as f64,
            retired: copied.retired,
        }
    }
}

#[napi]
impl NativeEngine {
    /// Copies what is live of a segment to these devices, or to any; the segment goes when nothing is left in it.
    #[napi(catch_unwind)]
    pub fn copy_forward<'env>(
        &self,
        env: &'env Env,
        segment: NativeSegmentName,
        devices: Option<Vec<u32>>,
        timeout_ms: f64,
    ) -> Result<Object<'env>> {
        let (parts, timeout) = (self.parts(), milliseconds(timeout_ms)?);
        let to = devices.map_or(Destination::AnyDevice, Destination::OneOf);
        promise(env, move || {
            let deadline = Instant::now() + timeout;
            let copy = CopyForward::of(&parts.store, to);
            let copied = copy.copy(segment.number, segment.generation, deadline)?;
            parts.reap();
            Ok(NativeCopied::from(copied))
        })
    }

    /// What copies of a segment's live records would take; null where it is gone or open.
    #[napi(catch_unwind)]
    pub fn packed_bytes<'env>(
        &self,
        env: &'env Env,
        segment: NativeSegmentName,
    ) -> Result<Object<'env>> {
        let parts = self.parts();
        promise(env, move || {
            let copy = CopyForward::of(&parts.store, Destination::AnyDevice);
            let packed = copy.packed_bytes(segment.number, segment.generation);
            Ok(packed.map(|bytes| bytes as f64))
        })
    }

    /// So much of each device's room is for copies alone.
    #[napi(catch_unwind)]
    pub fn reserve_for_copies(&self, bytes: f64) -> Result<()> {
        self.parts().store.reserve_for_copies(whole("bytes", bytes)?);
        Ok(())
    }
}
