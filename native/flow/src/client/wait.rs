//! Waiting with a deadline and a name, for something that can be given up.

use std::fmt::Display;
use std::sync::{Condvar, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use millpool_core::{Code, Error};

/// Something that is waited for, and can be given up.
pub trait Abandon: Send + Sync {
    /// What came before stays; what did not come fails with this.
    fn abandon(&self, error: &Error);
}

/// Of a wait that began at `since`.
pub fn timed_out(what: &dyn Display, since: Instant) -> Error {
    let seconds = since.elapsed().as_secs_f32();
    Error::new(Code::Timeout, format!("waited {seconds:.1} s for {what}"))
}

/// Waits for a change until the deadline; `None` when it has passed.
pub fn wait<'a, T>(
    changed: &Condvar,
    guard: MutexGuard<'a, T>,
    deadline: Instant,
) -> Option<MutexGuard<'a, T>> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left == Duration::ZERO {
        return None;
    }
    Some(changed.wait_timeout(guard, left).unwrap_or_else(PoisonError::into_inner).0)
}
