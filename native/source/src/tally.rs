//! What one attachment's source has done: how many fetches, how long they took, what failed last.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use millpool_core::{Error, Result};

/// Upper bounds, in seconds; what takes longer than the last is counted after them.
pub const FETCH_SECONDS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// A reading of the time since the source was attached.
#[derive(Clone, Debug, Default)]
pub struct SourceTally {
    /// Fetches that brought their record, with all that was tried again.
    pub fetches: u64,
    pub bytes: u64,
    /// Fetches that failed in the end.
    pub errors: u64,
    /// When a fetch failed last, and of what.
    pub last_error: Option<(SystemTime, Error)>,
    /// How many fetches took up to each of [`FETCH_SECONDS`] and more than the one before; those above all come last.
    pub durations: [u64; FETCH_SECONDS.len() + 1],
    /// Of all fetches together.
    pub seconds: f64,
    /// Requests that were sent a second time because the first was slow, and how often the second was first.
    pub hedges: u64,
    pub hedges_won: u64,
}

#[derive(Default)]
pub(crate) struct Tally {
    fetches: AtomicU64,
    bytes: AtomicU64,
    errors: AtomicU64,
    last_error: Mutex<Option<(SystemTime, Error)>>,
    durations: [AtomicU64; FETCH_SECONDS.len() + 1],
    micros: AtomicU64,
    hedges: AtomicU64,
    hedges_won: AtomicU64,
}

impl Tally {
    /// A fetch ended, with so many bytes.
    pub fn fetched(&self, outcome: &Result<u64>, took: Duration) {
        match outcome {
            Ok(bytes) => {
                self.fetches.fetch_add(1, Ordering::Relaxed);
                self.bytes.fetch_add(*bytes, Ordering::Relaxed);
                let seconds = took.as_secs_f64();
                let bucket = FETCH_SECONDS.partition_point(|bound| *bound < seconds);
                self.durations[bucket].fetch_add(1, Ordering::Relaxed);
                self.micros.fetch_add(took.as_micros() as u64, Ordering::Relaxed);
            }
            Err(error) => {
                self.errors.fetch_add(1, Ordering::Relaxed);
                let mut last = self.last_error.lock().unwrap_or_else(PoisonError::into_inner);
                *last = Some((SystemTime::now(), error.clone()));
            }
        }
    }

    /// A request was sent a second time.
    pub fn hedged(&self) {
        self.hedges.fetch_add(1, Ordering::Relaxed);
    }

    /// A second one was first.
    pub fn hedge_won(&self) {
        self.hedges_won.fetch_add(1, Ordering::Relaxed);
    }

    pub fn read(&self) -> SourceTally {
        SourceTally {
            fetches: self.fetches.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            errors: self.errors.load(Ordering::Relaxed),
            last_error: self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            durations: std::array::from_fn(|n| self.durations[n].load(Ordering::Relaxed)),
            seconds: self.micros.load(Ordering::Relaxed) as f64 / 1e6,
            hedges: self.hedges.load(Ordering::Relaxed),
            hedges_won: self.hedges_won.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millpool_core::Code;

    #[test]
    fn each_fetch_is_in_one_bucket_and_the_last_failure_is_kept() {
        let tally = Tally::default();
        for ms in [0, 1, 30, 60_000] {
            tally.fetched(&Ok(10), Duration::from_millis(ms));
        }
        tally.fetched(&Err(Error::new(Code::Timeout, "first")), Duration::ZERO);
        tally.fetched(&Err(Error::new(Code::Refused, "last")), Duration::ZERO);
        let read = tally.read();
        assert_eq!((read.fetches, read.bytes, read.errors), (4, 40, 2));
        assert_eq!(read.durations.iter().sum::<u64>(), 4);
        assert_eq!((read.durations[0], read.durations[5], read.durations[14]), (2, 1, 1));
        assert_eq!(read.last_error.map(|(_, error)| error.message), Some("last".to_owned()));
    }
}
