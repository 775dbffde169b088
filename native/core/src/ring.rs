//! A process's pool of reusable buffers: each slot holds one batch. Fresh memory costs ten times what a copy into it
//! does, so slots are kept and used again.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use memmap2::{MmapMut, MmapOptions};

use crate::{Code, Error, Result};

/// Slots are multiples of a huge page.
const SLOT_STEP_BYTES: usize = 2 << 20;

pub struct Ring {
    budget_bytes: usize,
    state: Mutex<State>,
    freed: Condvar,
}

#[derive(Default)]
struct State {
    free: Vec<MmapMut>,
    /// Of all slots, free ones too.
    bytes: usize,
    held: usize,
}

impl Ring {
    pub fn new(budget_bytes: usize) -> Arc<Ring> {
        Arc::new(Ring { budget_bytes, state: Mutex::default(), freed: Condvar::new() })
    }

    /// Memory taken, held and free.
    pub fn bytes(&self) -> usize {
        self.state().bytes
    }

    /// A slot of at least `bytes`, nobody else's until it is dropped. Waits for one while the budget is held by others;
    /// `Timeout` says so, `Full` that it can never be had.
    pub fn lease(self: &Arc<Ring>, bytes: usize, deadline: Instant) -> Result<Slot> {
        let size = bytes.max(1).next_multiple_of(SLOT_STEP_BYTES);
        if size > self.budget_bytes.next_multiple_of(SLOT_STEP_BYTES) {
            let message = format!(
                "a batch of {bytes} bytes is larger than the ring of {} bytes",
                self.budget_bytes
            );
            return Err(Error::new(Code::Full, message));
        }
        let mut state = self.state();
        loop {
            if let Some(memory) = state.take(size, self.budget_bytes)? {
                state.held += 1;
                return Ok(Slot { memory: Some(memory), ring: self.clone() });
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left == Duration::ZERO {
                let held = state.held;
                let message = format!(
                    "waited for a slot of the ring: {held} batches hold all of it; release some"
                );
                return Err(Error::new(Code::Timeout, message));
            }
            state = self.freed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The smallest free slot that fits and does not waste half of itself; else a new one, for which free ones may go.
    fn take(&mut self, size: usize, budget: usize) -> Result<Option<MmapMut>> {
        let fits = |slot: &MmapMut| (size..=2 * size).contains(&slot.len());
        let best = self
            .free
            .iter()
            .enumerate()
            .filter(|(_, slot)| fits(slot))
            .min_by_key(|(_, slot)| slot.len());
        if let Some((index, _)) = best {
            return Ok(Some(self.free.swap_remove(index)));
        }
        while self.bytes + size > budget.next_multiple_of(SLOT_STEP_BYTES) {
            let Some(dropped) = self.free.pop() else { return Ok(None) };
            self.bytes -= dropped.len();
        }
        let memory = MmapOptions::new().len(size).map_anon();
        let memory = memory.map_err(|error| Error::io("making a slot of the ring", &error))?;
        // Where huge pages are not allowed, small ones serve.
        let _ = memory.advise(memmap2::Advice::HugePage);
        self.bytes += size;
        Ok(Some(memory))
    }
}

/// Memory for one batch.
pub struct Slot {
    memory: Option<MmapMut>,
    ring: Arc<Ring>,
}

impl Slot {
    pub fn as_ptr(&self) -> *mut u8 {
        self.memory.as_ref().map_or(std::ptr::null_mut(), |memory| memory.as_ptr().cast_mut())
    }

    pub fn len(&self) -> usize {
        self.memory.as_ref().map_or(0, |memory| memory.len())
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut state = self.ring.state();
        state.held -= 1;
        state.free.extend(self.memory.take());
        drop(state);
        self.ring.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(20)
    }

    #[test]
    fn a_slot_is_reused_and_never_held_twice() {
        let ring = Ring::new(8 << 20);
        let first = ring.lease(3 << 20, soon()).unwrap();
        let second = ring.lease(3 << 20, soon()).unwrap();
        assert_ne!(first.as_ptr(), second.as_ptr());
        let place = first.as_ptr();
        drop(first);
        assert_eq!(ring.lease(3 << 20, soon()).unwrap().as_ptr(), place);
        assert_eq!(ring.bytes(), 8 << 20);
    }

    #[test]
    fn a_ring_that_is_held_says_so_after_the_deadline() {
        let ring = Ring::new(4 << 20);
        let _held = ring.lease(4 << 20, soon()).unwrap();
        let error = ring.lease(1, soon()).err().unwrap();
        assert_eq!(error.code, Code::Timeout);
        assert!(error.message.contains("1 batches hold"), "{error}");
        assert_eq!(ring.lease(5 << 20, soon()).err().unwrap().code, Code::Full);
    }

    #[test]
    fn a_waiter_gets_the_slot_that_another_gives_back() {
        let ring = Ring::new(2 << 20);
        let held = ring.lease(1, soon()).unwrap();
        let waiter = std::thread::spawn({
            let ring = ring.clone();
            move || ring.lease(1, Instant::now() + Duration::from_secs(20)).map(|slot| slot.len())
        });
        drop(held);
        assert_eq!(waiter.join().unwrap().unwrap(), 2 << 20);
    }
}
