//! Memory of the messages of all connections together. A piece is not one: it lies in a segment, or in a buffer of the
//! filler, which counts it.

use std::sync::Arc;
use std::time::Duration;

use millpool_core::{Code, Error, Result};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Of how many bytes a unit is; no message is less.
const UNIT_BYTES: usize = 1024;

/// Memory of a message, until it is dropped.
pub(super) type Held = OwnedSemaphorePermit;

pub(super) struct MessageRoom {
    /// Completes the sentence "no room for …".
    what: &'static str,
    units: Arc<Semaphore>,
    capacity: usize,
}

impl MessageRoom {
    pub fn new(what: &'static str, bytes: usize) -> MessageRoom {
        let capacity = (bytes / UNIT_BYTES).clamp(1, u32::MAX as usize);
        let units = Arc::new(Semaphore::new(capacity));
        MessageRoom { what, units, capacity }
    }

    /// In turn. A message larger than all of the room takes all of it. `Full` after `patience`.
    pub async fn take(&self, bytes: usize, patience: Duration) -> Result<Held> {
        if let Some(held) = self.take_now(bytes) {
            return Ok(held);
        }
        let taken = self.units.clone().acquire_many_owned(self.units_of(bytes));
        match tokio::time::timeout(patience, taken).await {
            Ok(held) => Ok(held.expect("the semaphore is never closed")),
            Err(_) => Err(self.full(bytes)),
        }
    }

    /// `None` where it would have to wait.
    pub fn take_now(&self, bytes: usize) -> Option<Held> {
        self.units.clone().try_acquire_many_owned(self.units_of(bytes)).ok()
    }

    /// Three quarters of it are taken.
    pub fn is_short(&self) -> bool {
        self.units.available_permits() < self.capacity / 4
    }

    pub fn held_bytes(&self) -> usize {
        (self.capacity - self.units.available_permits().min(self.capacity)) * UNIT_BYTES
    }

    pub fn full(&self, bytes: usize) -> Error {
        let (held, all) = (self.held_bytes(), self.capacity * UNIT_BYTES);
        let message = format!(
            "the daemon has no room for {} of {bytes} bytes: {held} of {all} bytes are taken; ask again, \
             for less at once",
            self.what
        );
        Error::new(Code::Full, message)
    }

    fn units_of(&self, bytes: usize) -> u32 {
        bytes.div_ceil(UNIT_BYTES).clamp(1, self.capacity) as u32
    }
}
