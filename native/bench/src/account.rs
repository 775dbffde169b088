//! What the stall report adds to a warm batch on the native side, call by call (`native/flow/src/client/read.rs`,
//! `known.rs`, `native/node/src/batch.rs`).

use std::hint::black_box;
use std::time::{Duration, Instant};

use millpool_core::fault::major_faults;

use crate::failure::{Failure, refused};
use crate::laps::cpu_seconds;

/// Of one batch: readings of the clock, looks whether the copy waited for the device, and whether its samples are added
/// up by where they came from.
struct Calls {
    clock: usize,
    faults: usize,
    tallies: bool,
}

/// Around the connection, the keys, the slot, the look-up and the copy.
const READ: Calls = Calls { clock: 12, faults: 2, tallies: true };
/// Of a batch that is read at once all of that is one time, and all its samples are hits.
const KNOWN: Calls = Calls { clock: 2, faults: 2, tallies: false };

/// Prints the CPU time of all of it for a batch of so many samples, the mean of many times; `way`: `read` or `known`.
pub fn run(batch: usize, times: u32, way: &str) -> Result<(), Failure> {
    let calls = match way {
        "read" => READ,
        "known" => KNOWN,
        _ => return Err(refused(format!("a batch is not read the way {way:?}"))),
    };
    if batch == 0 || times == 0 {
        return Err(refused("BATCH and TIMES cannot be 0"));
    }
    let samples: Vec<(u8, usize)> = (0..batch).map(|n| ((n % 251) as u8, 4096 + n)).collect();
    let before = cpu_seconds();
    for _ in 0..times {
        let mut spent = Duration::ZERO;
        for _ in 0..calls.clock / 2 {
            let began = Instant::now();
            spent += black_box(began).elapsed();
        }
        let faults: i64 = (0..calls.faults).map(|_| major_faults()).sum();
        let tally = calls.tallies.then(|| tally(black_box(&samples)));
        black_box((spent, faults, tally));
    }
    let micros = (cpu_seconds() - before) * 1e6 / f64::from(times);
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Readings of the clock and of faults in the functions of these names.
    fn calls_of(source: &str, functions: &[&str]) -> (usize, usize) {
        let body = |name: &&str| {
            let start = source.find(&format!("fn {name}(")).expect("the function is there");
            let rest = &source[start..];
            let indent = source[..start].rsplit('\n').next().unwrap_or_default();
            let indent = &indent[..indent.len() - indent.trim_start().len()];
            &rest[..rest.find(&format!("\n{indent}}}\n")).expect("it ends")]
        };
        let bodies: Vec<&str> = functions.iter().map(body).collect();
        let count =
            |what: &str| bodies.iter().map(|body| body.matches(what).count()).sum::<usize>();
        (
            count("Instant::now()") + count(".elapsed()") + 2 * count("timed("),
            count("major_faults()"),
        )
    }

    #[test]
    fn as_many_calls_are_counted_as_the_reads_make() {
        let read = include_str!("../../flow/src/client/read.rs");
        let found = calls_of(read, &["start", "locate", "gather", "copy"]);
        assert_eq!(found, (READ.clock, READ.faults));
        let known = include_str!("../../flow/src/client/known.rs");
        assert_eq!(calls_of(known, &["read_known"]), (KNOWN.clock, KNOWN.faults));
    }
}
