//! A process's pool of reusable buffers: each slot holds one batch. Fresh memory costs ten times what a copy into it
//! does, so slots are kept and used again.
//!
//! After a fork the child has the parent's slots, private and as they were, and may read them. Its parent's pool may be
//! locked by a thread that the child does not have, so the child never touches it, and makes one of its own.

use std::mem::ManuallyDrop;
use std::process;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use memmap2::{Advice, MmapMut, MmapOptions};

use crate::{Code, Error, PageLock, Result};

/// Slots are multiples of a huge page.
const SLOT_STEP_BYTES: usize = 2 << 20;

pub struct Ring {
    budget_bytes: usize,
    /// One strong count of an `Arc`. Replaced, and the count leaked, in a child that finds its parent's.
    pool: AtomicPtr<Pool>,
}

struct Pool {
    process: u32,
    budget_bytes: usize,
    state: Mutex<State>,
    freed: Condvar,
    page_lock: OnceLock<PageLock>,
}

#[derive(Default)]
struct State {
    free: Vec<Memory>,
    /// Of all slots, free ones too.
    bytes: usize,
    held: usize,
    waiting: usize,
}

impl Ring {
    /// A ring whose slots, held and free, take at most `budget_bytes` together, in whole huge pages.
    pub fn new(budget_bytes: usize) -> Arc<Ring> {
        let budget_bytes = budget_bytes.next_multiple_of(SLOT_STEP_BYTES);
        Arc::new(Ring { budget_bytes, pool: AtomicPtr::new(Pool::create(budget_bytes)) })
    }

    /// Memory taken, held and free.
    pub fn bytes(&self) -> usize {
        self.pool().state().bytes
    }

    /// Somebody waits for a slot.
    pub fn is_waited_for(&self) -> bool {
        self.pool().state().waiting > 0
    }

    /// The part of it that is in slots which somebody holds.
    pub fn held_bytes(&self) -> usize {
        let pool = self.pool();
        let state = pool.state();
        state.bytes - state.free.iter().map(|slot| slot.len()).sum::<usize>()
    }

    /// A slot of at least `bytes`, nobody else's until it is dropped. Waits for one while the budget is held by others;
    /// `Timeout` says so, `Full` that it can never be had.
    pub fn lease(&self, bytes: usize, deadline: Instant) -> Result<Slot> {
        let budget = self.budget_bytes;
        if bytes > budget {
            let message =
                format!("a batch of {bytes} bytes is larger than the ring of {budget} bytes");
            return Err(Error::new(Code::Full, message));
        }
        let size = bytes.max(1).next_multiple_of(SLOT_STEP_BYTES);
        let pool = self.pool();
        let mut memory = pool.take(size, deadline)?;
        if let Some(page_lock) = pool.page_lock.get() {
            memory.lock(page_lock);
        }
        Ok(Slot { memory: ManuallyDrop::new(memory), pool: ManuallyDrop::new(pool) })
    }

    /// From now on each slot is page-locked before it is handed out, and as long as its memory lasts; one that cannot
    /// be serves as it is. The first call decides. A forked child's own slots are not: CUDA does not outlive a fork.
    pub fn lock_pages(&self, page_lock: PageLock) {
        let _ = self.pool().page_lock.set(page_lock);
    }

    /// This process's own.
    fn pool(&self) -> Arc<Pool> {
        let mut pool = self.pool.load(Ordering::Acquire);
        // SAFETY: it is released by `drop` only, which nothing outlives; a parent's is never released here.
        if !unsafe { &*pool }.is_here() {
            let own = Pool::create(self.budget_bytes);
            match self.pool.compare_exchange(pool, own, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => pool = own,
                Err(other) => {
                    // SAFETY: made above, and seen by nobody.
                    drop(unsafe { Arc::from_raw(own) });
                    pool = other;
                }
            }
        }
        // SAFETY: the ring's own count keeps it alive meanwhile.
        unsafe {
            Arc::increment_strong_count(pool);
            Arc::from_raw(pool)
        }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        let pool = *self.pool.get_mut();
        // SAFETY: the count that `new` or `pool` made; a parent's is leaked, since it is not this process's to change.
        unsafe {
            if (*pool).is_here() {
                drop(Arc::from_raw(pool));
            }
        }
    }
}

impl Pool {
    fn create(budget_bytes: usize) -> *mut Pool {
        let pool = Pool {
            process: process::id(),
            budget_bytes,
            state: Mutex::default(),
            freed: Condvar::new(),
            page_lock: OnceLock::new(),
        };
        Arc::into_raw(Arc::new(pool)).cast_mut()
    }

    fn is_here(&self) -> bool {
        self.process == process::id()
    }

    fn take(&self, size: usize, deadline: Instant) -> Result<Memory> {
        let mut state = self.state();
        loop {
            if let Some(memory) = state.take(size, self.budget_bytes)? {
                state.held += 1;
                return Ok(memory);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left == Duration::ZERO {
                let held = state.held;
                let message = format!(
                    "waited for a slot of the ring: {held} batches hold all of it; release some"
                );
                return Err(Error::new(Code::Timeout, message));
            }
            state.waiting += 1;
            state = self.freed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
            state.waiting -= 1;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The smallest free slot that fits and does not waste half of itself, of several the one that came back last,
    /// which the processor may still have in its caches; else a new one, for which free ones may go.
    fn take(&mut self, size: usize, budget: usize) -> Result<Option<Memory>> {
        let fits = |slot: &Memory| (size..=2 * size).contains(&slot.len());
        let best = self
            .free
            .iter()
            .enumerate()
            .rev()
            .filter(|(_, slot)| fits(slot))
            .min_by_key(|(_, slot)| slot.len());
        if let Some((index, _)) = best {
            return Ok(Some(self.free.remove(index)));
        }
        while self.bytes + size > budget {
            let Some(dropped) = self.free.pop() else { return Ok(None) };
            self.bytes -= dropped.len();
        }
        let memory = Memory::new(size)?;
        self.bytes += size;
        Ok(Some(memory))
    }
}

/// What a slot is made of.
struct Memory {
    map: MmapMut,
    /// It was tried.
    lock_tried: bool,
    /// What is to be undone before the memory goes.
    locked: Option<PageLock>,
}

impl Memory {
    fn new(len: usize) -> Result<Memory> {
        let map = MmapOptions::new().len(len).map_anon();
        let map = map.map_err(|error| Error::io("making a slot of the ring", &error))?;
        // Where huge pages are not allowed, small ones serve.
        let _ = map.advise(Advice::HugePage);
        Ok(Memory { map, lock_tried: false, locked: None })
    }

    fn len(&self) -> usize {
        self.map.len()
    }

    fn as_ptr(&self) -> *mut u8 {
        self.map.as_ptr().cast_mut()
    }

    fn lock(&mut self, page_lock: &PageLock) {
        if !self.lock_tried {
            self.lock_tried = true;
            self.locked = page_lock.lock(self.as_ptr(), self.len()).then_some(*page_lock);
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if let Some(page_lock) = self.locked {
            page_lock.unlock(self.as_ptr());
        }
    }
}

/// Memory for one batch, which goes back to its ring when this is dropped, or to the system when the ring is gone.
pub struct Slot {
    memory: ManuallyDrop<Memory>,
    pool: ManuallyDrop<Arc<Pool>>,
}

impl Slot {
    pub fn as_ptr(&self) -> *mut u8 {
        self.memory.as_ptr()
    }

    pub fn len(&self) -> usize {
        self.memory.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if !self.pool.is_here() {
            return;
        }
        // SAFETY: neither is used again.
        let (memory, pool) =
            unsafe { (ManuallyDrop::take(&mut self.memory), ManuallyDrop::take(&mut self.pool)) };
        let mut state = pool.state();
        state.held -= 1;
        state.free.push(memory);
        let is_waited_for = state.waiting > 0;
        drop(state);
        // Waiters want different sizes: the first of them may have no use for this one.
        if is_waited_for {
            pool.freed.notify_all();
        }
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
        assert_eq!(ring.held_bytes(), 4 << 20);
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

    #[test]
    fn a_slot_outlives_its_ring() {
        let ring = Ring::new(2 << 20);
        let slot = ring.lease(5, soon()).unwrap();
        drop(ring);
        // SAFETY: the slot is held, and as long as that.
        unsafe { slot.as_ptr().add(slot.len() - 1).write(7) };
    }

    /// Stands for the CUDA runtime, which is not on every machine: it keeps account.
    mod runtime {
        use std::collections::HashSet;
        use std::ffi::{c_int, c_uint, c_void};
        use std::sync::Mutex;
        use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};

        use super::super::PageLock;

        const OWN_DEVICE: c_int = 3;
        const REFUSED_BYTES: usize = 6 << 20;
        static REGISTERED: Mutex<Option<HashSet<usize>>> = Mutex::new(None);
        static DEVICE: AtomicI32 = AtomicI32::new(OWN_DEVICE);
        static ERRORS: AtomicI32 = AtomicI32::new(0);
        static CALLS: AtomicUsize = AtomicUsize::new(0);

        pub const PAGE_LOCK: PageLock =
            PageLock { device: 1, get_device, set_device, register, unregister, take_error };

        pub fn calls() -> usize {
            CALLS.load(Ordering::SeqCst)
        }

        pub fn is_registered(memory: *const u8) -> bool {
            let registered = REGISTERED.lock().unwrap();
            registered.as_ref().is_some_and(|all| all.contains(&(memory as usize)))
        }

        pub fn is_as_it_was() -> bool {
            let (device, errors) = (DEVICE.load(Ordering::SeqCst), ERRORS.load(Ordering::SeqCst));
            (device, errors) == (OWN_DEVICE, 0)
        }

        unsafe extern "C" fn get_device(device: *mut c_int) -> c_int {
            // SAFETY: the caller's own number.
            unsafe { *device = DEVICE.load(Ordering::SeqCst) };
            0
        }

        unsafe extern "C" fn set_device(device: c_int) -> c_int {
            DEVICE.store(device, Ordering::SeqCst);
            0
        }

        unsafe extern "C" fn register(memory: *mut c_void, len: usize, _flags: c_uint) -> c_int {
            CALLS.fetch_add(1, Ordering::SeqCst);
            assert_eq!(DEVICE.load(Ordering::SeqCst), PAGE_LOCK.device);
            let is_new = len != REFUSED_BYTES
                && REGISTERED.lock().unwrap().get_or_insert_default().insert(memory as usize);
            ERRORS.fetch_add(i32::from(!is_new), Ordering::SeqCst);
            i32::from(!is_new)
        }

        unsafe extern "C" fn unregister(memory: *mut c_void) -> c_int {
            // SAFETY: what is unregistered is still mapped.
            unsafe { memory.cast::<u8>().write_volatile(1) };
            let mut registered = REGISTERED.lock().unwrap();
            i32::from(!registered.get_or_insert_default().remove(&(memory as usize)))
        }

        unsafe extern "C" fn take_error() -> c_int {
            ERRORS.swap(0, Ordering::SeqCst)
        }
    }

    #[test]
    fn slots_are_page_locked_once_and_as_long_as_their_memory_lasts() {
        let ring = Ring::new(8 << 20);
        let before = ring.lease(4 << 20, soon()).unwrap();
        ring.lock_pages(runtime::PAGE_LOCK);
        let place = before.as_ptr();
        assert!(!runtime::is_registered(place));
        drop(before);
        for _ in 0..3 {
            let slot = ring.lease(4 << 20, soon()).unwrap();
            assert!(slot.as_ptr() == place && runtime::is_registered(place));
        }
        assert_eq!(runtime::calls(), 1);
        // It needs the room of the free one, and cannot be locked itself.
        for _ in 0..2 {
            let refused = ring.lease(6 << 20, soon()).unwrap();
            assert!(!runtime::is_registered(refused.as_ptr()) && !runtime::is_registered(place));
        }
        assert_eq!(runtime::calls(), 2);
        let last = ring.lease(2 << 20, soon()).unwrap();
        let place = last.as_ptr();
        drop(ring);
        assert!(runtime::is_registered(place));
        drop(last);
        assert!(!runtime::is_registered(place) && runtime::is_as_it_was());
    }
}
