//! Which records are never given up. A mark is the first half of a record's key, which tells it from all others that a
//! node has: of 10^9 marked records not one in 10^9 others is taken for one of them.

use std::collections::HashSet;

use crate::RecordKey;

/// Of records that are resident, and of those that are to be.
#[derive(Default)]
pub(crate) struct Pins(HashSet<u64>);

impl Pins {
    /// False where it was marked before.
    pub fn add(&mut self, key: &RecordKey) -> bool {
        self.0.insert(mark(key))
    }

    pub fn clear(&mut self) {
        self.0 = HashSet::new();
    }

    pub fn has(&self, key: &RecordKey) -> bool {
        !self.0.is_empty() && self.0.contains(&mark(key))
    }
}

/// Keys are hashes already.
fn mark(RecordKey(bytes): &RecordKey) -> u64 {
    u64::from_le_bytes(*bytes.first_chunk().expect("16 bytes have 8"))
}
