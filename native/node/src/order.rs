//! Order and schedule. Positions and samples are numbers: exact up to 2^53, and no BigInt a sample.

use millpool_core::{MAX_SAMPLES, Permutation, Schedule, ScheduleConfig};
use napi::Result;
use napi::bindgen_prelude::Float64Array;
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

    /// A position at or past the end wraps to the start.
    #[napi(catch_unwind)]
    pub fn samples(&self, position: f64, count: u32) -> Result<Float64Array> {
        let (position, len) = (whole("position", position)?, self.0.len());
        if len == 0 {
            return Err(invalid("an order of 0 samples has no positions"));
        }
        let samples: Vec<f64> =
            (0..u64::from(count)).map(|i| self.0.at((position + i) % len) as f64).collect();
        Ok(Float64Array::new(samples))
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

#[napi(object)]
pub struct NativeStep {
    pub from: f64,
    pub count: f64,
    pub padded: f64,
    pub position: f64,
    pub next_position: f64,
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

    #[napi(catch_unwind)]
    pub fn next(&mut self) -> Option<NativeStep> {
        self.0.next().map(|step| NativeStep {
            from: step.from as f64,
            count: step.count as f64,
            padded: step.padded as f64,
            position: step.position as f64,
            next_position: step.next_position as f64,
        })
    }
}
