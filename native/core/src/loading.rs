//! The time from the opening of a store until its key table has all that earlier runs left. Records are found one by
//! one meanwhile, in what is still to be read; whoever needs more than that waits.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use crate::RecordKey;
use crate::unloaded::{Sought, Unloaded};

const OVER: u8 = 0;
const UNDER_WAY: u8 = 1;
const FAILED: u8 = 2;

#[derive(Default)]
pub(crate) struct Loading {
    phase: AtomicU8,
    /// While it is under way.
    unloaded: Mutex<Option<Arc<Unloaded>>>,
    ended: Condvar,
}

impl Loading {
    pub fn begin(&self, unloaded: Unloaded) {
        *self.unloaded.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(unloaded));
        self.phase.store(UNDER_WAY, Ordering::Release);
    }

    /// The table has all of it; or will never have, and does not know what the devices hold.
    fn end(&self, is_whole: bool) {
        let mut unloaded = self.unloaded.lock().unwrap_or_else(PoisonError::into_inner);
        *unloaded = None;
        self.phase.store(if is_whole { OVER } else { FAILED }, Ordering::Release);
        self.ended.notify_all();
    }

    pub fn is_under_way(&self) -> bool {
        self.phase.load(Ordering::Acquire) == UNDER_WAY
    }

    pub fn has_failed(&self) -> bool {
        self.phase.load(Ordering::Acquire) == FAILED
    }

    #[inline]
    pub fn wait(&self) {
        if self.is_under_way() {
            let unloaded = self.unloaded.lock().unwrap_or_else(PoisonError::into_inner);
            let is_under_way = |unloaded: &mut Option<_>| unloaded.is_some();
            drop(self.ended.wait_while(unloaded, is_under_way));
        }
    }

    /// `Unknown` where the table itself must be asked.
    #[inline]
    pub fn seek(&self, key: &RecordKey) -> Sought {
        if !self.is_under_way() {
            return Sought::Unknown;
        }
        let unloaded = self.unloaded.lock().unwrap_or_else(PoisonError::into_inner).clone();
        unloaded.map_or(Sought::Unknown, |unloaded| unloaded.seek(key))
    }
}

/// Of a loading, however it ends: nobody waits for it in vain.
pub(crate) struct Ending<'a> {
    loading: &'a Loading,
    is_whole: bool,
}

impl<'a> Ending<'a> {
    pub fn of(loading: &'a Loading) -> Ending<'a> {
        Ending { loading, is_whole: false }
    }

    /// The table has all that is there.
    pub fn is_whole(&mut self) {
        self.is_whole = true;
    }
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.loading.end(self.is_whole);
    }
}
