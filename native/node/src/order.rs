//! Order and schedule. Positions and samples are numbers: exact up to 2^53, and no BigInt a sample.

use millpool_core::{MAX_SAMPLES, Permutation, Schedule, ScheduleConfig, Step};
use napi::Result;
use napi::bindgen_prelude::Float64ArraySlice;
use napi_derive::napi;

use crate::failure::{invalid, thrown, whole};

#[napi]
pub struct NativeOrder(Permutation);

#[napi]
impl NativeOrder {
    #[napi(constructor, catch_unwind)]
    pub fn new(count: f64, seed: f64, epoch: f64) -> Result<NativeOrder> {
        let count = whole("count", count)?;
        if count > MAX_SAMPLES {
            return Err(invalid(format!("{count} samples are more than an order can hold")));
        }
        Ok(NativeOrder(Permutation::new(count, whole("seed", seed)?, whole("epoch", epoch)?)))
    }

    /// The samples from a position on, as many as there is room for. A position at or past the end wraps to the start.
    #[napi(catch_unwind)]
    pub fn fill(&self, position: f64, mut samples: Float64ArraySlice<'_>) -> Result<()> {
        let (position, len) = (whole("position", position)?, self.0.len());
        if len == 0 {
            return Err(invalid("an order of 0 samples has no positions"));
        }
        // SAFETY: JavaScript waits for this call.
        let samples = unsafe { samples.as_mut() };
        let mut numbers = vec![0; samples.len()];
        self.0.fill(position % len, &mut numbers);
        samples.iter_mut().zip(numbers).for_each(|(sample, number)| *sample = number as f64);
        Ok(())
    }

    #[napi(catch_unwind)]
    pub fn position_of(&self, sample: f64) -> Result<f64> {
        let sample = whole("sample", sample)?;
        if sample >= self.0.len() {
            return Err(invalid(format!("sample {sample} of {}", self.0.len())));
        }
        Ok(self.0.position_of(sample) as f64)
    }
}

#[napi(object)]
pub struct NativeScheduleConfig {
    pub count: f64,
    pub global_batch: f64,
    pub world: f64,
    pub rank: f64,
    pub drop_last: bool,
    pub position: f64,
}

#[napi]
pub struct NativeSchedule(Schedule);

#[napi]
impl NativeSchedule {
    #[napi(constructor, catch_unwind)]
    pub fn new(config: NativeScheduleConfig) -> Result<NativeSchedule> {
        let schedule = Schedule::new(ScheduleConfig {
            count: whole("count", config.count)?,
            global_batch: whole("globalBatch", config.global_batch)?,
            world: whole("world", config.world)?,
            rank: whole("rank", config.rank)?,
            drop_last: config.drop_last,
            position: whole("position", config.position)?,
        });
        Ok(NativeSchedule(schedule.map_err(thrown)?))
    }

    /// Whether there is a next step: then `row` gets its from, count, padded, position and next position.
    #[napi(catch_unwind)]
    pub fn next(&mut self, mut row: Float64ArraySlice<'_>) -> bool {
        let Some(Step { from, count, padded, position, next_position }) = self.0.next() else {
            return false;
        };
        let numbers = [from, count, padded, position, next_position];
        // SAFETY: JavaScript waits for this call.
        let row = unsafe { row.as_mut() };
        row.iter_mut().zip(numbers).for_each(|(place, number)| *place = number as f64);
        true
    }
}
