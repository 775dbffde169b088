//! The pieces of one READ, on their way into a slot: the reader thread receives each of them where it belongs.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use millpool_core::{Code, Error, Result, Slot};

use super::wait::{Abandon, wait};
use crate::frame::broken;
use crate::piece::{Origin, PieceHead};

/// Where one item's bytes go.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Bytes from the slot's start.
    pub at: usize,
    pub len: u32,
    /// The item is a whole piece, so its checksum says whether it came well.
    pub whole: bool,
}

pub type Arrival = Result<Origin>;

pub struct Delivery {
    /// Held until the last piece has come or never will, so that nobody else's batch can be written into.
    slot: Arc<Slot>,
    targets: Vec<Target>,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    arrivals: Vec<Option<Arrival>>,
    left: usize,
    /// The answer is complete, or will never be.
    over: Option<Error>,
}

impl Delivery {
    /// Targets lie inside the slot and do not overlap.
    pub fn new(slot: Arc<Slot>, targets: Vec<Target>) -> Arc<Delivery> {
        debug_assert!(targets.iter().all(|target| target.at + target.len as usize <= slot.len()));
        let state = State { arrivals: vec![None; targets.len()], left: targets.len(), over: None };
        Arc::new(Delivery { slot, targets, state: Mutex::new(state), changed: Condvar::new() })
    }

    /// Where this piece goes; an error when it was never asked for, came before, or is of another length.
    /// Called by the one reader thread, which writes there before it calls `arrived`.
    pub fn target(&self, item: u32, len: usize) -> Result<*mut u8> {
        let Some(target) = self.targets.get(item as usize) else {
            return Err(broken(format!("piece {item} of {}", self.targets.len())));
        };
        if target.len as usize != len || self.state().arrivals[item as usize].is_some() {
            return Err(broken(format!(
                "piece {item} again, or of {len} bytes for {}",
                target.len
            )));
        }
        // SAFETY: `new`'s targets lie inside the slot, which self holds.
        Ok(unsafe { self.slot.as_ptr().add(target.at) })
    }

    /// The piece's bytes lie at its target.
    pub fn arrived(&self, head: &PieceHead) {
        let target = self.targets[head.item as usize];
        // SAFETY: as above; the reader thread alone writes there, and has done so.
        let bytes = unsafe {
            std::slice::from_raw_parts(self.slot.as_ptr().add(target.at), target.len as usize)
        };
        let good = !target.whole || crc_fast::crc32_iscsi(bytes) == head.crc;
        let wrong = || {
            Error::new(
                Code::Corrupt,
                "a piece came from the daemon with another checksum than it has",
            )
        };
        self.settle(head.item, if good { Ok(head.origin) } else { Err(wrong()) });
    }

    pub fn failed(&self, item: u32, error: Error) -> Result<()> {
        if item as usize >= self.targets.len() {
            return Err(broken(format!("piece {item} of {}", self.targets.len())));
        }
        self.settle(item, Err(error));
        Ok(())
    }

    /// The daemon has answered every item, or says so.
    pub fn ended(&self) {
        self.abandon(&broken("the answer ended before its last piece"));
    }

    fn settle(&self, item: u32, arrival: Arrival) {
        let mut state = self.state();
        let place = &mut state.arrivals[item as usize];
        if place.is_none() {
            *place = Some(arrival);
            state.left -= 1;
        }
        if state.left == 0 {
            self.changed.notify_all();
        }
    }

    /// Waits for all items. What came by the deadline, and why the others did not: `None` when the time was up.
    pub fn wait(&self, deadline: Instant) -> (Vec<Option<Arrival>>, Option<Error>) {
        let mut state = self.state();
        while state.over.is_none() && state.left > 0 {
            match wait(&self.changed, state, deadline) {
                Some(changed) => state = changed,
                None => {
                    state = self.state();
                    break;
                }
            }
        }
        (state.arrivals.clone(), state.over.clone())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Abandon for Delivery {
    fn abandon(&self, error: &Error) {
        self.state().over.get_or_insert_with(|| error.clone());
        self.changed.notify_all();
    }
}
