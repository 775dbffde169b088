//! One record in a sorted list on a device, looked for where it should be: what a list is sorted by is spread evenly,
//! since keys are hashes. As a rule two reads find it, or that it is not there.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicI64, Ordering};

const WINDOW_BYTES: usize = 8 << 10;
/// A list that is as it was written takes far fewer.
const READS_MAX: usize = 16;

pub(crate) struct SortedList<'a> {
    pub file: &'a File,
    pub at: u64,
    pub records: usize,
    pub record_bytes: usize,
    /// What it is sorted by lies in here.
    pub spread: Range<u64>,
    /// One less with each read.
    pub reads_left: &'a AtomicI64,
}

/// The list is not what it should be, or its device does not give it: whether the record is in it is not known.
pub(crate) struct Doubtful;

impl SortedList<'_> {
    /// What `is_it` makes of the record at which the list has `target`; `order` is what it is sorted by. Nothing that
    /// is read here was checked.
    pub fn find<T>(
        &self,
        target: u64,
        order: impl Fn(&[u8]) -> Option<u64>,
        is_it: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<Option<T>, Doubtful> {
        let mut window = [0u8; WINDOW_BYTES];
        let mut within = 0..self.records;
        let mut spread = self.spread.clone();
        for _ in 0..READS_MAX {
            if within.is_empty() {
                return Ok(None);
            }
            let seen = self.around(target, &within, &spread);
            let bytes = &mut window[..seen.len() * self.record_bytes];
            self.reads_left.fetch_sub(1, Ordering::Relaxed);
            let at = self.at + (seen.start * self.record_bytes) as u64;
            self.file.read_exact_at(bytes, at).map_err(|_| Doubtful)?;
            let mut records = bytes.chunks_exact(self.record_bytes);
            // Of two copies the later one counts.
            if let Some(found) = records.clone().rev().find_map(&is_it) {
                return Ok(Some(found));
            }
            let first = records.next().and_then(&order).ok_or(Doubtful)?;
            let last = records.next_back().map_or(Some(first), &order).ok_or(Doubtful)?;
            if target < first || (target == first && seen.start > within.start) {
                (within.end, spread.end) = (seen.start, first);
            } else if target > last || (target == last && seen.end < within.end) {
                (within.start, spread.start) = (seen.end, last);
            } else {
                return Ok(None);
            }
        }
        Err(Doubtful)
    }

    /// The records to read next.
    fn around(&self, target: u64, within: &Range<usize>, spread: &Range<u64>) -> Range<usize> {
        let many = WINDOW_BYTES / self.record_bytes;
        let width = u128::from(spread.end.saturating_sub(spread.start)).max(1);
        let before = u128::from(target.saturating_sub(spread.start)) * within.len() as u128 / width;
        let guess = within.start + (before as usize).min(within.len() - 1);
        let start = guess.saturating_sub(many / 2).max(within.start);
        start..within.end.min(start + many)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    fn file_of(records: &[u64]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        let bytes: Vec<u8> = records.iter().flat_map(|record| record.to_le_bytes()).collect();
        file.write_all(&bytes).unwrap();
        file
    }

    fn order(bytes: &[u8]) -> Option<u64> {
        Some(u64::from_le_bytes(bytes.try_into().unwrap()))
    }

    /// What is found, and after how many reads.
    fn find(file: &File, records: usize, target: u64) -> (Result<Option<u64>, Doubtful>, i64) {
        let reads_left = AtomicI64::new(0);
        let (at, record_bytes, spread) = (0, 8, 0..u64::MAX);
        let list = SortedList { file, at, records, record_bytes, spread, reads_left: &reads_left };
        let found = list.find(target, order, |bytes| order(bytes).filter(|it| *it == target));
        (found, -reads_left.into_inner())
    }

    #[test]
    fn hashes_are_found_in_few_reads() {
        let mut hash = 1u64;
        let mut records: Vec<u64> = (0..200_000)
            .map(|_| {
                hash = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29) ^ 0x5851_f42d;
                hash
            })
            .collect();
        records.sort_unstable();
        records.dedup();
        let file = file_of(&records);
        let mut all_reads = 0;
        for target in records.iter().step_by(97) {
            let (found, reads) = find(&file, records.len(), *target);
            assert!(matches!(found, Ok(Some(it)) if it == *target), "{target}");
            let (absent, _) = find(&file, records.len(), target + 1);
            assert!(
                matches!(absent, Ok(found) if found.is_some() == records.contains(&(target + 1)))
            );
            all_reads += reads;
        }
        assert!(all_reads < 3 * (records.len() / 97) as i64, "{all_reads}");
    }

    proptest! {
        /// However uneven it is: found, or doubted.
        #[test]
        fn what_is_there_is_never_missed(
            mut records in prop::collection::vec(0..5_000u64, 1..4000),
            target in 0..5_000u64,
        ) {
            records.sort_unstable();
            let found = find(&file_of(&records), records.len(), target).0;
            prop_assert!(found.is_err() || found.ok().flatten().is_some() == records.contains(&target));
        }

        #[test]
        fn what_is_not_sorted_or_too_short_ends(
            records in prop::collection::vec(any::<u64>(), 0..4000),
            more in 0..3000usize,
            target in any::<u64>(),
        ) {
            let (found, reads) = find(&file_of(&records), records.len() + more, target);
            prop_assert!(reads <= READS_MAX as i64);
            prop_assert!(found.is_err() || found.ok().flatten().is_none() || records.contains(&target));
        }
    }
}
