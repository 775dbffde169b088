//! Batches that are read at once, on JavaScript's own thread.

use std::sync::Arc;

use millpool_core::Dataset;
use millpool_flow::{Client, KnownRequest, PlanPosition};
use napi::Result;
use napi::bindgen_prelude::Float64ArraySlice;
use napi_derive::napi;

use crate::batch::NativeBatch;
use crate::failure::{invalid, whole};

/// Of one dataset.
#[napi]
pub struct NativeKnown {
    pub(crate) client: Arc<Client>,
    pub(crate) dataset: Arc<Dataset>,
    /// Kept for its memory.
    pub(crate) samples: Vec<u64>,
}

#[napi]
impl NativeKnown {
    /// Whether `batch`, which holds nothing, now holds these samples. `row` has the plan and the position in it, and
    /// gets the batch's bytes, and nanoseconds of device and gather.
    #[napi(catch_unwind)]
    pub fn read(
        &mut self,
        samples: &[f64],
        batch: &mut NativeBatch,
        mut row: Float64ArraySlice<'_>,
    ) -> Result<bool> {
        // SAFETY: JavaScript waits for this call.
        let row = unsafe { row.as_mut() };
        let [plan, position, ..] = *row else { return Err(invalid("the row is too short")) };
        let plan = PlanPosition { plan: plan as u32, position: whole("position", position)? };
        if batch.holds_something() {
            return Err(invalid("the batch holds another read"));
        }
        self.samples.clear();
        for sample in samples {
            self.samples.push(whole("a sample", *sample)?);
        }
        let request = KnownRequest { dataset: &self.dataset, samples: &self.samples, plan };
        let Some(known) = self.client.read_known(&request) else { return Ok(false) };
        let waits = known.waits;
        let numbers =
            [known.bytes as f64, waits.device.as_nanos() as f64, waits.gather.as_nanos() as f64];
        row.iter_mut().zip(numbers).for_each(|(place, number)| *place = number);
        batch.renew(known);
        Ok(true)
    }
}
