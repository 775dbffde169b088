//! Records that are to be read once and not kept: somebody knows that others here are read sooner.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::RecordKey;

/// More than any plan is ahead of its loader. When there are more, all are forgotten: they are kept then, as if nothing
/// had been known of them.
const MOST: usize = 1 << 20;

#[derive(Default)]
pub(crate) struct Passing(Mutex<HashSet<RecordKey>>);

impl Passing {
    pub fn add(&self, keys: &[RecordKey]) {
        let mut passing = self.passing();
        if passing.len() + keys.len() > MOST {
            passing.clear();
        }
        passing.extend(keys);
    }

    /// They are to be kept after all.
    pub fn remove(&self, keys: &[RecordKey]) {
        let mut passing = self.passing();
        keys.iter().for_each(|key| {
            passing.remove(key);
        });
    }

    /// Whether it only passes by, this once.
    pub fn take(&self, key: &RecordKey) -> bool {
        self.passing().remove(key)
    }

    fn passing(&self) -> MutexGuard<'_, HashSet<RecordKey>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
