//! Values of which each process has its own. A forked child finds its parent's value, whose threads do not run there
//! and whose locks may be held for ever: it leaks that one untouched and makes another.

use std::sync::atomic::{AtomicPtr, Ordering};

pub struct PerProcess<T> {
    current: AtomicPtr<Owned<T>>,
}

struct Owned<T> {
    pid: u32,
    value: T,
}

impl<T> PerProcess<T> {
    pub fn new(value: T) -> Self {
        let owned = Box::new(Owned { pid: std::process::id(), value });
        PerProcess { current: AtomicPtr::new(Box::into_raw(owned)) }
    }

    /// This process's value. In a child that has none yet, the one that `renew` makes, given its parent's, of which it
    /// may read atomics only.
    pub fn get(&self, renew: impl FnOnce(&T) -> T) -> &T {
        let inherited = self.current.load(Ordering::Acquire);
        // SAFETY: the pointer is from Box::into_raw, and what it points to is never freed while self is borrowed.
        let owned = unsafe { &*inherited };
        let pid = std::process::id();
        if owned.pid == pid {
            return &owned.value;
        }
        let renewed = Box::into_raw(Box::new(Owned { pid, value: renew(&owned.value) }));
        match self.current.compare_exchange(inherited, renewed, Ordering::AcqRel, Ordering::Acquire)
        {
            // SAFETY: as above; it is the current one now.
            Ok(_) => unsafe { &(*renewed).value },
            // SAFETY: another thread of this child was first: its value holds, and nobody has seen ours.
            Err(first) => unsafe {
                drop(Box::from_raw(renewed));
                &(*first).value
            },
        }
    }

    /// For the last words to a value that this process made; an inherited one is left alone.
    pub fn with_own(&self, last: impl FnOnce(&T)) {
        // SAFETY: as in `get`.
        let owned = unsafe { &*self.current.load(Ordering::Acquire) };
        if owned.pid == std::process::id() {
            last(&owned.value);
        }
    }
}

impl<T> Drop for PerProcess<T> {
    fn drop(&mut self) {
        let current = *self.current.get_mut();
        // SAFETY: from Box::into_raw, and nobody borrows it any more.
        unsafe {
            if (*current).pid == std::process::id() {
                drop(Box::from_raw(current));
            }
        }
    }
}

// SAFETY: hands out only shared references to a T.
unsafe impl<T: Send + Sync> Send for PerProcess<T> {}
unsafe impl<T: Send + Sync> Sync for PerProcess<T> {}
