//! What a request waits in: filled by the connection's reader thread, or failed when the connection or the caller ends.

use std::fmt::Display;
use std::fs::File;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use millpool_core::{Code, Error, Result};

use super::delivery::Delivery;
use crate::message::Described;

/// Something that is waited for, and can be given up.
pub trait Abandon: Send + Sync {
    /// What came before stays; what did not come fails with this.
    fn abandon(&self, error: &Error);
}

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

#[derive(Clone)]
pub enum Pending {
    Control(Arc<Mailbox<Vec<u8>>>),
    Described(Arc<Mailbox<(Described, Option<File>)>>),
    Read(Arc<Delivery>),
}

impl Abandon for Pending {
    fn abandon(&self, error: &Error) {
        match self {
            Pending::Control(mailbox) => mailbox.abandon(error),
            Pending::Described(mailbox) => mailbox.abandon(error),
            Pending::Read(delivery) => delivery.abandon(error),
        }
    }
}

/// By which a caller gives a call up, from any thread.
#[derive(Clone, Default)]
pub struct Cancel(Arc<CancelState>);

#[derive(Default)]
struct CancelState {
    cancelled: AtomicBool,
    waiting: Mutex<Option<Weak<dyn Abandon>>>,
}

impl Cancel {
    pub fn cancel(&self) {
        self.0.cancelled.store(true, Ordering::SeqCst);
        let waiting = self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(waiting) = waiting.and_then(|waiting| waiting.upgrade()) {
            waiting.abandon(&cancelled());
        }
    }

    pub fn check(&self) -> Result<()> {
        if self.0.cancelled.load(Ordering::SeqCst) { Err(cancelled()) } else { Ok(()) }
    }

    /// The call waits for this from now on.
    pub(super) fn watch(&self, waiting: Arc<dyn Abandon>) {
        *self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Arc::downgrade(&waiting));
        if let Err(error) = self.check() {
            waiting.abandon(&error);
        }
    }
}

fn cancelled() -> Error {
    Error::new(Code::Cancelled, "the caller gave up")
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
