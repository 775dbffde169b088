//! A batch's samples in one external ArrayBuffer over its slot.

use std::ffi::c_void;
use std::ptr::null_mut;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use millpool_core::Slot;
use millpool_flow::{Batch, KnownBatch, Sample, Tally, Waits};
use napi::Unknown;
use napi::bindgen_prelude::{Float64Array, ObjectFinalize, Uint8Array};
use napi::{Env, Result, sys};
use napi_derive::napi;

use crate::failure::{NativeFailure, check, failure, invalid};

/// Shared by the batch and by the finalizer of its ArrayBuffer: whoever lets go of the slot first has let go of it.
type Held = Arc<Mutex<Option<Arc<Slot>>>>;

#[napi(custom_finalize)]
pub struct NativeBatch {
    layout: Vec<(usize, usize)>,
    /// Empty where all of them are hits.
    samples: Vec<Sample>,
    device: Tally,
    waits: [f64; 5],
    slot: Held,
    /// Of the ArrayBuffer, once it is made. Weak: a batch that nobody released goes with its last view.
    buffer: sys::napi_ref,
}

// SAFETY: the reference is only touched on JavaScript's thread, by the methods below.
unsafe impl Send for NativeBatch {}

impl From<Batch> for NativeBatch {
    fn from(batch: Batch) -> NativeBatch {
        NativeBatch {
            layout: batch.layout,
            samples: batch.samples,
            device: batch.device,
            waits: nanoseconds(&batch.waits),
            slot: Arc::new(Mutex::new(Some(batch.slot))),
            buffer: null_mut(),
        }
    }
}

/// Of source, peer, device, gather, queue.
fn nanoseconds(waits: &Waits) -> [f64; 5] {
    let ns = |duration: Duration| duration.as_nanos() as f64;
    [ns(waits.source), 0.0, ns(waits.device), ns(waits.gather), ns(waits.queue)]
}

impl NativeBatch {
    /// One that holds nothing holds these.
    pub fn renew(&mut self, known: KnownBatch) {
        self.layout = known.layout;
        self.slot = Arc::new(Mutex::new(Some(Arc::new(known.slot))));
    }

    pub fn holds_something(&self) -> bool {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }
}

#[napi]
impl NativeBatch {
    /// One that holds nothing, for `NativeKnown`.
    #[napi(constructor, catch_unwind)]
    #[allow(clippy::new_without_default)]
    pub fn new() -> NativeBatch {
        NativeBatch {
            layout: Vec::new(),
            samples: Vec::new(),
            device: Tally::default(),
            waits: [0.0; 5],
            slot: Arc::default(),
            buffer: null_mut(),
        }
    }

    /// Made by the first call. Users get slots, never mappings: those would let JavaScript write, and fault.
    #[napi(catch_unwind, ts_return_type = "ArrayBuffer")]
    pub fn buffer(&mut self, env: Env) -> Result<Unknown<'static>> {
        let Some(slot) = self.slot.lock().unwrap_or_else(PoisonError::into_inner).clone() else {
            return Err(invalid("the batch was released"));
        };
        // SAFETY: `env` is of this call.
        let mut value = unsafe { self.made(&env)? };
        if value.is_null() {
            let hint = Box::into_raw(Box::new(self.slot.clone())).cast::<c_void>();
            let (start, len) = (slot.as_ptr().cast::<c_void>(), slot.len());
            // SAFETY: the slot's memory stays while `hint` holds it; the reference is ours until `forget_buffer`.
            unsafe {
                self.forget_buffer(&env)?;
                check(sys::napi_create_external_arraybuffer(
                    env.raw(),
                    start,
                    len,
                    Some(let_go),
                    hint,
                    &mut value,
                ))?;
                check(sys::napi_create_reference(env.raw(), value, 0, &mut self.buffer))?;
            }
        }
        // SAFETY: a value of this call, handed straight to its caller.
        Ok(unsafe { Unknown::from_raw_unchecked(env.raw(), value) })
    }

    #[napi(catch_unwind)]
    pub fn layout(&self) -> Float64Array {
        Float64Array::new(
            self.layout.iter().flat_map(|(start, len)| [*start as f64, *len as f64]).collect(),
        )
    }

    #[napi(catch_unwind)]
    pub fn origins(&self) -> Uint8Array {
        if self.samples.is_empty() {
            return Uint8Array::new(vec![1; self.layout.len()]);
        }
        let origin = |sample: &Sample| match sample {
            Sample::Failed(_) => 0,
            Sample::Hit => 1,
            Sample::Fetched => 2,
            Sample::Joined => 3,
        };
        Uint8Array::new(self.samples.iter().map(origin).collect())
    }

    #[napi(catch_unwind)]
    pub fn failures(&self) -> Vec<NativeFailure> {
        let failed = |(index, sample): (usize, &Sample)| match sample {
            Sample::Failed(error) => Some(failure(index, error)),
            _ => None,
        };
        self.samples.iter().enumerate().filter_map(failed).collect()
    }

    /// What a loop needs of every batch, at once. Samples: all, failed, without a GET of their own, from the device.
    /// Bytes: all, fetched, from the device. Then waits, in ns.
    #[napi(catch_unwind)]
    pub fn totals(&self) -> Vec<f64> {
        let [mut failed, mut hits, mut bytes, mut fetched_bytes] = [0.0; 4];
        for (sample, (_, len)) in self.samples.iter().zip(&self.layout) {
            let len = *len as f64;
            match sample {
                Sample::Failed(_) => failed += 1.0,
                Sample::Hit | Sample::Joined => hits += 1.0,
                Sample::Fetched => fetched_bytes += len,
            }
            bytes += if matches!(sample, Sample::Failed(_)) { 0.0 } else { len };
        }
        let Tally { samples: device, bytes: device_bytes } = self.device;
        let samples = [self.samples.len() as f64, failed, hits, device as f64];
        let bytes = [bytes, fetched_bytes, device_bytes as f64];
        [&samples[..], &bytes[..], &self.waits[..]].concat()
    }

    #[napi(catch_unwind)]
    pub fn release(&mut self, env: Env) -> Result<bool> {
        // SAFETY: `env` is of this call.
        unsafe {
            let made = self.made(&env)?;
            if !made.is_null() {
                check(sys::napi_detach_arraybuffer(env.raw(), made))?;
            }
            self.forget_buffer(&env)?;
        }
        Ok(self.slot.lock().unwrap_or_else(PoisonError::into_inner).take().is_some())
    }

    /// The ArrayBuffer, or null where it was never made or is collected.
    ///
    /// # Safety
    /// Called on JavaScript's thread, with the environment of a call or finalizer.
    unsafe fn made(&self, env: &Env) -> Result<sys::napi_value> {
        let mut value = null_mut();
        if !self.buffer.is_null() {
            // SAFETY: a reference that was created and is not deleted.
            check(unsafe { sys::napi_get_reference_value(env.raw(), self.buffer, &mut value) })?;
        }
        Ok(value)
    }

    /// # Safety
    /// As for `made`.
    unsafe fn forget_buffer(&mut self, env: &Env) -> Result<()> {
        match std::mem::replace(&mut self.buffer, null_mut()) {
            buffer if buffer.is_null() => Ok(()),
            // SAFETY: a reference that was created, and is deleted here once.
            buffer => check(unsafe { sys::napi_delete_reference(env.raw(), buffer) }),
        }
    }
}

impl ObjectFinalize for NativeBatch {
    fn finalize(mut self, env: Env) -> Result<()> {
        // SAFETY: the environment of a finalizer.
        unsafe { self.forget_buffer(&env) }
    }
}

/// V8's last view of the slot is gone.
unsafe extern "C" fn let_go(_env: sys::napi_env, _data: *mut c_void, hint: *mut c_void) {
    // SAFETY: made by `buffer` for this call alone.
    drop(unsafe { Box::from_raw(hint.cast::<Held>()) });
}
