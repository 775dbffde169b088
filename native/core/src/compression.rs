//! Whether compressing the records of one identity pays, as its own records show.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// What an attachment wants of its records that are written from now on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Compression {
    /// Each is stored as it is.
    #[default]
    Off,
    /// Where room is short, and as long as it pays.
    Auto,
    /// Each that shrinks.
    Lz4,
}

/// Records of which the mean decides.
const SAMPLES: u32 = 64;
/// Records that are passed over between two samples while it does not pay.
const PASSED_OVER: u32 = 64;
/// Five to four: less gains too little room for what reading it costs.
const LEAST_RATIO: (u64, u64) = (5, 4);

/// Written and read by the writers of all devices.
#[derive(Default)]
pub(crate) struct Trial(Mutex<Tried>);

#[derive(Default)]
struct Tried {
    /// `None` before the first samples are complete.
    pays: Option<bool>,
    samples: u32,
    raw_bytes: u64,
    stored_bytes: u64,
    passed_over: u32,
}

impl Trial {
    /// Whether the next record is to be compressed, be it as a sample.
    pub fn wants(&self) -> bool {
        let mut tried = self.tried();
        if tried.pays != Some(false) || tried.passed_over >= PASSED_OVER {
            tried.passed_over = 0;
            return true;
        }
        tried.passed_over += 1;
        false
    }

    /// A record was compressed; it is stored in `stored` bytes, which are as many as it has where it did not shrink.
    pub fn saw(&self, raw: u64, stored: u64) {
        let mut tried = self.tried();
        tried.samples += 1;
        tried.raw_bytes += raw;
        tried.stored_bytes += stored;
        if tried.samples == SAMPLES {
            let pays = tried.raw_bytes * LEAST_RATIO.1 >= tried.stored_bytes * LEAST_RATIO.0;
            *tried = Tried { pays: Some(pays), ..Tried::default() };
        }
    }

    fn tried(&self) -> MutexGuard<'_, Tried> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_decide_and_are_taken_again() {
        let trial = Trial::default();
        let pays = |trial: &Trial| trial.tried().pays;
        let see = |stored: u64, records: u32| {
            let mut compressed = 0;
            for _ in 0..records {
                if trial.wants() {
                    trial.saw(100, stored);
                    compressed += 1;
                }
            }
            compressed
        };
        assert_eq!((see(90, SAMPLES - 1), pays(&trial)), (SAMPLES - 1, None));
        assert_eq!((see(90, 1), pays(&trial)), (1, Some(false)));
        // One in so many is looked at, and what comes later may shrink.
        assert_eq!(see(50, SAMPLES * (PASSED_OVER + 1)), SAMPLES);
        assert_eq!(pays(&trial), Some(true));
        assert_eq!((see(80, SAMPLES), pays(&trial)), (SAMPLES, Some(true)));
        assert_eq!((see(81, SAMPLES), pays(&trial)), (SAMPLES, Some(false)));
    }
}
