//! The caller's way to give a call up.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use millpool_core::{Code, Error, Result};

use super::wait::Abandon;

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
