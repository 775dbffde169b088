//! How fast one load may go, over all its fetches.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use napi::Result;
use napi_derive::napi;

use crate::failure::invalid;

/// What may be given out ahead of time: a load that is woken less often than this loses nothing.
const AHEAD_SECONDS: f64 = 0.05;

/// A leaky bucket: what was given out flows off at the rate, and there is no more while it is full. In any window
/// at most `rate * window + rate * AHEAD_SECONDS` bytes and one record are given out.
pub(crate) struct Pace {
    bytes_per_second: Option<f64>,
    pub records_at_once: Option<usize>,
    bucket: Mutex<Bucket>,
}

struct Bucket {
    bytes: f64,
    at: Instant,
}

impl Pace {
    pub fn new(bytes_per_second: Option<f64>, records_at_once: Option<usize>) -> Pace {
        let bucket = Mutex::new(Bucket { bytes: 0.0, at: Instant::now() });
        Pace { bytes_per_second, records_at_once, bucket }
    }

    /// Takes room for `len` bytes; or says how long there is none.
    pub fn take(&self, len: u32, now: Instant) -> std::result::Result<(), Duration> {
        let Some(rate) = self.bytes_per_second else { return Ok(()) };
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let flowed = rate * now.saturating_duration_since(bucket.at).as_secs_f64();
        bucket.bytes = (bucket.bytes - flowed).max(0.0);
        bucket.at = now.max(bucket.at);
        if bucket.bytes >= rate * AHEAD_SECONDS {
            let over = bucket.bytes - rate * AHEAD_SECONDS / 2.0;
            return Err(Duration::from_secs_f64(over / rate));
        }
        bucket.bytes += f64::from(len);
        Ok(())
    }

    /// These needed no GET after all.
    pub fn give_back(&self, len: u32) {
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        bucket.bytes = (bucket.bytes - f64::from(len)).max(0.0);
    }
}

#[napi]
pub struct NativePace(pub(crate) Arc<Pace>);

#[napi]
impl NativePace {
    /// Null: no limit. `bytes_per_second` from 1, `records_at_once` from 1.
    #[napi(constructor)]
    pub fn new(bytes_per_second: Option<f64>, records_at_once: Option<u32>) -> Result<NativePace> {
        if bytes_per_second.is_some_and(|rate| !(rate >= 1.0 && rate.is_finite())) {
            return Err(invalid("a rate is at least 1 byte a second"));
        }
        if records_at_once == Some(0) {
            return Err(invalid("at least one record is fetched at once"));
        }
        Ok(NativePace(Arc::new(Pace::new(bytes_per_second, records_at_once.map(|n| n as usize)))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEN: u32 = 10_000;

    /// Bytes given out in `seconds` to somebody who takes all there is, and waits as long as told.
    fn given(pace: &Pace, from: Instant, seconds: f64) -> u64 {
        let end = from + Duration::from_secs_f64(seconds);
        let (mut now, mut bytes) = (from, 0);
        while now < end {
            match pace.take(LEN, now) {
                Ok(()) => bytes += u64::from(LEN),
                Err(wait) => now += wait,
            }
        }
        bytes
    }

    #[test]
    fn in_any_window_no_more_is_given_out_than_the_rate_allows_and_not_much_less() {
        let start = Instant::now();
        for rate in [50_000.0, 1e6, 1e9] {
            let pace = Pace::new(Some(rate), None);
            let mut now = start;
            for seconds in [0.1, 1.0, 7.0] {
                let most = rate * seconds + rate * AHEAD_SECONDS + f64::from(LEN);
                let bytes = given(&pace, now, seconds) as f64;
                assert!(bytes <= most, "{bytes} in {seconds} s at {rate}");
                assert!(bytes >= rate * seconds - rate * AHEAD_SECONDS - f64::from(LEN));
                now += Duration::from_secs_f64(seconds);
            }
        }
    }

    #[test]
    fn a_pause_saves_nothing_up_and_a_record_larger_than_the_rate_is_waited_for() {
        let start = Instant::now();
        let pace = Pace::new(Some(1_000.0), None);
        let late = start + Duration::from_secs(3_600);
        assert!(pace.take(LEN, late).is_ok());
        let wait = pace.take(LEN, late).expect_err("ten seconds of bytes are under way");
        assert!(wait > Duration::from_secs(9) && wait <= Duration::from_secs(10));
        pace.give_back(LEN);
        assert!(pace.take(LEN, late).is_ok());
    }
}
