//! What the key table may take of the daemon's memory, and what it takes.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::table_memory::{buckets_within, table_bytes};
use crate::{Code, Error, Result};

/// A table of which so many eighths are used will grow soon.
const SOON_EIGHTHS: usize = 7;

/// Growth needs the old table and the new one at once. What the next growth takes is counted before it comes, so that
/// whoever shares the memory has given it back by then.
pub struct TableRoom {
    most_bytes: u64,
    taken_bytes: AtomicU64,
    is_full: AtomicBool,
}

impl TableRoom {
    pub(crate) fn new(most_bytes: u64) -> TableRoom {
        TableRoom { most_bytes, taken_bytes: AtomicU64::new(0), is_full: AtomicBool::new(false) }
    }

    /// Of memory, with what the next growth will take, if it comes soon.
    pub fn taken_bytes(&self) -> u64 {
        self.taken_bytes.load(Ordering::Relaxed)
    }

    pub fn most_bytes(&self) -> u64 {
        self.most_bytes
    }

    /// Of a table that has no other beside it.
    pub(crate) fn most_buckets(&self) -> usize {
        buckets_within(self.most_bytes)
    }

    /// Records are declined until some are forgotten.
    pub fn is_full(&self) -> bool {
        self.is_full.load(Ordering::Relaxed)
    }

    /// Some records were forgotten.
    pub(crate) fn freed(&self) {
        self.is_full.store(false, Ordering::Relaxed);
    }

    /// Whether a table of so many buckets fits beside one of `old_bytes`.
    pub(crate) fn fits(&self, old_bytes: u64, buckets: usize) -> bool {
        old_bytes.saturating_add(table_bytes(buckets)) <= self.most_bytes
    }

    /// Before a new table of so many buckets is made beside one of `old_bytes`. `Full` where both have no room.
    pub(crate) fn grow(&self, old_bytes: u64, buckets: usize) -> Result<()> {
        if self.fits(old_bytes, buckets) {
            self.taken_bytes.store(old_bytes + table_bytes(buckets), Ordering::Relaxed);
            return Ok(());
        }
        self.is_full.store(true, Ordering::Relaxed);
        let message = format!(
            "the key table of {old_bytes} bytes is full, and has {} bytes of the memory budget for itself and a larger \
             one; give the daemon more memory (MILLPOOL_BUDGET)",
            self.most_bytes
        );
        Err(Error::new(Code::Full, message))
    }

    /// A table that has `used` of the records that fit; `next` is how many buckets it would grow to.
    pub(crate) fn settle(&self, bytes: u64, (used, capacity): (usize, usize), next: usize) {
        let grows_soon = used >= capacity / 8 * SOON_EIGHTHS && self.fits(bytes, next);
        let growth = if grows_soon { table_bytes(next) } else { 0 };
        self.taken_bytes.store(bytes + growth, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_next_growth_takes_is_counted_before_it_comes() {
        let room = TableRoom::new(table_bytes(100) + table_bytes(190));
        room.settle(table_bytes(100), (10, 270), 190);
        assert_eq!(room.taken_bytes(), table_bytes(100));
        room.settle(table_bytes(100), (250, 270), 190);
        assert_eq!(room.taken_bytes(), table_bytes(100) + table_bytes(190));
        room.grow(table_bytes(100), 190).unwrap();
        assert!(!room.is_full());
        // A growth that has no room is neither counted nor made.
        room.settle(table_bytes(190), (500, 513), 380);
        assert_eq!(room.taken_bytes(), table_bytes(190));
        assert_eq!(room.grow(table_bytes(190), 380).unwrap_err().code, Code::Full);
        assert!(room.is_full());
        room.freed();
        assert!(!room.is_full());
    }
}
