//! What the stall report adds to a warm batch on the native side, call by call (`native/flow/src/client/read.rs`,
//! `native/node/src/batch.rs`).

use std::hint::black_box;
use std::time::{Duration, Instant};

use millpool_core::fault::major_faults;

use crate::failure::{Failure, refused};

/// Clock readings around the connection, the keys, the slot, the look-up and the copy.
const CLOCK_READINGS: usize = 12;
/// Looks whether the copy waited for the device: before it and after.
const FAULT_READINGS: usize = 2;

/// Prints what all of it takes for a batch of so many samples, the mean of many times.
pub fn run(batch: usize, times: u32) -> Result<(), Failure> {
    if batch == 0 || times == 0 {
        return Err(refused("BATCH and TIMES cannot be 0"));
    }
    let samples: Vec<(u8, usize)> = (0..batch).map(|n| ((n % 251) as u8, 4096 + n)).collect();
    let start = Instant::now();
    for _ in 0..times {
        let mut spent = Duration::ZERO;
        for _ in 0..CLOCK_READINGS / 2 {
            let began = Instant::now();
            spent += black_box(began).elapsed();
        }
        let faults: i64 = (0..FAULT_READINGS).map(|_| major_faults()).sum();
        black_box((spent, faults, tally(black_box(&samples))));
    }
    let micros = start.elapsed().as_secs_f64() * 1e6 / f64::from(times);
    println!("{{\"micros\":{micros}}}");
    Ok(())
}

/// Samples and bytes by where they came from.
fn tally(samples: &[(u8, usize)]) -> [f64; 6] {
    let mut sums = [0.0; 6];
    for (origin, len) in samples {
        let tier = usize::from(*origin % 3);
        sums[tier] += 1.0;
        sums[3 + tier] += *len as f64;
    }
    sums
}
