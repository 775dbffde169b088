//! How a measured program is driven: a line on stdin is one lap, and is answered by one line of JSON.

use std::fs;
use std::io::{BufRead, Write, stdin, stdout};
use std::time::Instant;

use rustix::time::{ClockId, clock_gettime};

use crate::failure::{Failure, at, refused};

/// Says that it is ready, then for each line prepares a lap and runs it; `lap` returns the samples that it read.
pub fn drive<T>(
    mut prepare: impl FnMut(&str) -> Result<T, Failure>,
    mut lap: impl FnMut(T) -> Result<u64, Failure>,
) -> Result<(), Failure> {
    println!("{{\"ready\":true}}");
    for line in stdin().lock().lines() {
        let prepared = prepare(&line?)?;
        let (started, cpu_before) = (Instant::now(), cpu_seconds());
        let samples = lap(prepared)?;
        let seconds = started.elapsed().as_secs_f64();
        let cpu = cpu_seconds() - cpu_before;
        println!("{{\"samples\":{samples},\"seconds\":{seconds},\"cpuSeconds\":{cpu}}}");
        stdout().flush()?;
    }
    Ok(())
}

/// Of this process, so far.
pub fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// The sample numbers of a file of little-endian u32, all below `count`.
pub fn read_order(path: &str, count: u64) -> Result<Vec<u32>, Failure> {
    let bytes = fs::read(path).map_err(at(path))?;
    let (words, rest) = bytes.as_chunks::<4>();
    let order: Vec<u32> = words.iter().map(|word| u32::from_le_bytes(*word)).collect();
    if !rest.is_empty() || order.iter().any(|number| u64::from(*number) >= count) {
        return Err(refused(format!("{path} is not an order of {count} samples")));
    }
    Ok(order)
}
