//! A place for one answer, filled by the connection's reader thread.

use std::fmt::Display;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Instant;

use millpool_core::{Error, Result};

use super::wait::{Abandon, timed_out, wait};

/// One answer. The first one counts.
pub struct Mailbox<T> {
    answer: Mutex<Option<Result<T>>>,
    filled: Condvar,
}

impl<T> Mailbox<T> {
    pub fn new() -> Arc<Mailbox<T>> {
        Arc::new(Mailbox { answer: Mutex::new(None), filled: Condvar::new() })
    }

    pub fn put(&self, answer: Result<T>) {
        let mut place = self.answer.lock().unwrap_or_else(PoisonError::into_inner);
        place.get_or_insert(answer);
        self.filled.notify_all();
    }

    /// Takes the answer; `Timeout` names `what` when none comes by the deadline.
    pub fn take(&self, deadline: Instant, what: &dyn Display) -> Result<T> {
        let since = Instant::now();
        let mut place = self.answer.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(answer) = place.take() {
                return answer;
            }
            place = wait(&self.filled, place, deadline).ok_or_else(|| timed_out(what, since))?;
        }
    }
}

impl<T: Send> Abandon for Mailbox<T> {
    fn abandon(&self, error: &Error) {
        self.put(Err(error.clone()));
    }
}
