//! What is handed to a device's writer, and what those who handed it in wait for.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::Identity;
use crate::extent::Record;

#[derive(Default)]
pub(crate) struct Inbox {
    queue: Mutex<Queue>,
    arrived: Condvar,
    settled: Condvar,
}

#[derive(Default)]
struct Queue {
    records: VecDeque<(Identity, Record)>,
    seals: Vec<Identity>,
    /// Records ever taken in, and those of them that are published or dropped.
    submitted: u64,
    settled: u64,
    /// Somebody waits until `settled` gets here.
    flush_to: u64,
    closing: bool,
    /// The writer is gone, by `close` or by a fault.
    ended: bool,
}

/// What a writer finds to do.
pub(crate) struct Orders {
    pub records: VecDeque<(Identity, Record)>,
    pub seals: Vec<Identity>,
    /// Write all that is pending.
    pub flush: bool,
    /// Write and seal all; nothing comes any more.
    pub close: bool,
}

/// Why not all that was handed in is settled.
pub(crate) enum Unsettled {
    Late,
    Ended,
}

impl Inbox {
    /// False when nothing is taken in any more.
    pub fn push(&self, identity: Identity, record: Record) -> bool {
        let mut queue = self.queue();
        if queue.ended || queue.closing {
            return false;
        }
        queue.records.push_back((identity, record));
        queue.submitted += 1;
        self.arrived.notify_one();
        true
    }

    pub fn seal(&self, identity: Identity) {
        self.queue().seals.push(identity);
        self.arrived.notify_one();
    }

    pub fn close(&self) {
        self.queue().closing = true;
        self.arrived.notify_one();
    }

    /// Returns when all that was handed in before is settled.
    pub fn flush(&self, deadline: Instant) -> Result<(), Unsettled> {
        let mut queue = self.queue();
        let target = queue.submitted;
        queue.flush_to = queue.flush_to.max(target);
        self.arrived.notify_one();
        while queue.settled < target {
            let left = deadline.saturating_duration_since(Instant::now());
            if queue.ended {
                return Err(Unsettled::Ended);
            }
            if left.is_zero() {
                return Err(Unsettled::Late);
            }
            let waited = self.settled.wait_timeout(queue, left);
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(())
    }

    /// For the writer: sleeps until something is handed in, or `due`.
    pub fn wait(&self, due: Instant) -> Orders {
        let mut queue = self.queue();
        loop {
            let flush = queue.flush_to > queue.settled;
            let left = due.saturating_duration_since(Instant::now());
            let is_idle = queue.records.is_empty() && queue.seals.is_empty();
            if !is_idle || flush || queue.closing || left.is_zero() {
                return Orders {
                    records: std::mem::take(&mut queue.records),
                    seals: std::mem::take(&mut queue.seals),
                    flush,
                    close: queue.closing,
                };
            }
            let waited = self.arrived.wait_timeout(queue, left);
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// For the writer: so many records more are published, or were dropped.
    pub fn settle(&self, records: usize) {
        self.queue().settled += records as u64;
        self.settled.notify_all();
    }

    /// For the writer: it is gone, and nobody is to wait for it.
    pub fn end(&self) {
        self.queue().ended = true;
        self.settled.notify_all();
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
