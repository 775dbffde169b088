//! How an attempt failed, and whether to make another one.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use millpool_core::Error;

/// What a failed attempt means for the next one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Again {
    /// The answer would be the same.
    Never,
    /// The source or the path to it had an accident.
    Later,
    /// The same, and it asks for less load: slow down, or no answer in time.
    Slower,
    /// The credentials had expired; once, with new ones.
    WithNewCredentials,
}

#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub error: Error,
    pub again: Again,
}

impl Failure {
    pub fn new(again: Again, error: Error) -> Self {
        Failure { error, again }
    }
}

/// Attempts for one record, the first included: with the pauses between them, enough for an outage of some seconds.
pub(crate) const ATTEMPTS: u32 = 10;
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A pause before attempt `attempt` (the first is 0): anything between nothing and a bound that doubles ("full jitter",
/// M. Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog 2015).
pub(crate) fn pause(attempt: u32) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(1 << attempt.saturating_sub(1).min(16));
    doubled.min(LONGEST_PAUSE).mul_f64(random_fraction())
}

/// In [0, 1]. When the kernel gives no random bytes the full pause is taken, which is safe.
fn random_fraction() -> f64 {
    let mut bytes = [0u8; 4];
    match ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut bytes) {
        Ok(()) => f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX),
        Err(_) => 1.0,
    }
}

/// Bounds the retries of all records of one endpoint, so that an outage is not multiplied by them: a retry costs
/// [`Self::COST`] tokens, a success gives one back. First attempts are always free.
pub(crate) struct RetryTokens {
    tokens: Mutex<u32>,
}

impl RetryTokens {
    const CAPACITY: u32 = 2000;
    const COST: u32 = 5;

    pub fn new() -> Self {
        RetryTokens { tokens: Mutex::new(Self::CAPACITY) }
    }

    pub fn take(&self) -> bool {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        match tokens.checked_sub(Self::COST) {
            Some(left) => {
                *tokens = left;
                true
            }
            None => false,
        }
    }

    pub fn succeeded(&self) {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        *tokens = (*tokens + 1).min(Self::CAPACITY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_stay_below_their_bound_and_spread() {
        for attempt in 1..40 {
            let bound = FIRST_PAUSE.saturating_mul(1 << (attempt - 1).min(16)).min(LONGEST_PAUSE);
            assert!(pause(attempt) <= bound);
        }
        let drawn: std::collections::HashSet<Duration> = (0..32).map(|_| pause(8)).collect();
        assert!(drawn.len() > 16);
    }

    #[test]
    fn tokens_run_out_and_come_back_with_successes() {
        let tokens = RetryTokens::new();
        let taken = (0..RetryTokens::CAPACITY).filter(|_| tokens.take()).count();
        assert_eq!(taken as u32, RetryTokens::CAPACITY / RetryTokens::COST);
        for _ in 0..RetryTokens::COST {
            assert!(!tokens.take());
            tokens.succeeded();
        }
        assert!(tokens.take());
    }
}
