//! What this machine allows.

use std::io;
use std::path::Path;

use std::time::Duration;

use millpool_core::{
    DeviceTrial, Rate, ReadEngine, copy_rate, device_rates, probe_direct, probe_io_uring,
};
use napi::bindgen_prelude::Object;
use napi::{Env, Result};
use napi_derive::napi;

use crate::work::promise;

#[napi(object)]
pub struct NativeRate {
    pub bytes: f64,
    pub requests: f64,
    pub seconds: f64,
}

#[napi(object)]
pub struct NativeDeviceTrial {
    pub file_bytes: f64,
    pub block_bytes: u32,
    pub seconds: f64,
}

#[napi(object)]
pub struct NativeDeviceRates {
    pub write: NativeRate,
    pub read: NativeRate,
    pub engine: String,
}

impl From<Rate> for NativeRate {
    fn from(rate: Rate) -> NativeRate {
        NativeRate {
            bytes: rate.bytes as f64,
            requests: rate.requests as f64,
            seconds: rate.seconds,
        }
    }
}

/// Copies in memory on so many threads for about so long.
#[napi(catch_unwind)]
pub fn measure_copy(env: &Env, threads: u32, seconds: f64) -> Result<Object<'_>> {
    let duration = Duration::from_secs_f64(seconds.clamp(0.0, 60.0));
    promise(env, move || copy_rate(threads as usize, duration).map(NativeRate::from))
}

/// Writes a file without a name in a directory, and reads blocks of it in random order.
#[napi(catch_unwind)]
pub fn measure_device(
    env: &Env,
    directory: String,
    trial: NativeDeviceTrial,
) -> Result<Object<'_>> {
    let trial = DeviceTrial {
        file_bytes: trial.file_bytes as u64,
        block_bytes: trial.block_bytes as usize,
        duration: Duration::from_secs_f64(trial.seconds.clamp(0.0, 60.0)),
    };
    promise(env, move || {
        let rates = device_rates(Path::new(&directory), trial)?;
        let engine = match rates.engine {
            ReadEngine::IoUring => "io_uring",
            ReadEngine::Threads => "threads",
        };
        Ok(NativeDeviceRates {
            write: rates.write.into(),
            read: rates.read.into(),
            engine: engine.into(),
        })
    })
}

/// Null where a ring of io_uring can be made, else why not.
#[napi(catch_unwind)]
pub fn io_uring_fault() -> Option<String> {
    fault(probe_io_uring())
}

/// Null where a directory's files can be written and read past the page cache, else why not.
#[napi(catch_unwind)]
pub fn direct_fault(directory: String) -> Option<String> {
    fault(probe_direct(Path::new(&directory)))
}

fn fault(outcome: io::Result<()>) -> Option<String> {
    outcome.err().map(|error| error.to_string())
}
