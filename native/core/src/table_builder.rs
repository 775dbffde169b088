//! A key table filled with many records at once, before anybody else knows it: no sequence, no checksum and no lock a
//! record; buckets are asked for ahead of their use, and made whole at the end.

use crate::bucket::{Entry, key_words};
use crate::cuckoo::Cuckoo;
use crate::fan_out::fan_out;
use crate::live::Live;
use crate::prefetch::prefetch;
use crate::record_entry::RecordEntry;
use crate::table_memory::{ENTRIES_A_BUCKET, TableMemory};
use crate::{Location, RecordKey, Result, TableWriter};

/// Entries whose buckets are asked for before the first of them is placed.
const GROUP: usize = 16;
/// Of entries that wait for others to be moved; above it there is no room for them anyway.
const CROWDED_MAX: usize = 1 << 20;
/// Buckets that a thread makes whole at once.
const CHUNK: usize = 1 << 15;

pub(crate) struct TableBuilder {
    memory: TableMemory,
    /// By the segment's number.
    live: Vec<Live>,
    /// Both of their buckets were full: they go in last, by moving others.
    crowded: Vec<Entry>,
    left_out: u64,
    len: usize,
}

/// A table that can be read, and what is still to go into it by its writer.
pub(crate) struct Built {
    pub table: TableWriter,
    pub live: Vec<Live>,
    pub crowded: Vec<(RecordKey, Location)>,
    /// Records that are nowhere.
    pub left_out: u64,
}

impl TableBuilder {
    /// For `records` of segments whose numbers are below `segments`.
    pub fn create(records: usize, segments: usize) -> Result<TableBuilder> {
        Ok(Self::over(TableMemory::create(records)?, segments))
    }

    /// One that is filled as it was before, bucket by bucket.
    pub fn with_buckets(buckets: usize, segments: usize) -> Result<TableBuilder> {
        Ok(Self::over(TableMemory::with_buckets(buckets)?, segments))
    }

    fn over(memory: TableMemory, segments: usize) -> TableBuilder {
        let (live, crowded) = (vec![Live::default(); segments], Vec::new());
        TableBuilder { memory, live, crowded, left_out: 0, len: 0 }
    }

    /// All buckets are written to soon, in no order.
    pub fn populate(&self) {
        let starts: Vec<_> = (0..self.memory.bucket_count).step_by(CHUNK).collect();
        fan_out(&starts, |start| self.memory.populate(*start..start + CHUNK));
    }

    /// Into a bucket that no other thread has; false where it is full. Not counted, and no older copy is looked for.
    #[inline]
    pub fn put(&self, bucket: usize, entry: Entry) -> bool {
        let bucket = &self.memory.buckets()[bucket];
        let free = (0..ENTRIES_A_BUCKET).find(|slot| !bucket.unsealed(*slot).occupied());
        free.inspect(|slot| bucket.put_unsealed(*slot, entry)).is_some()
    }

    /// What was put of the segment with this number.
    pub fn count(&mut self, number: u32, live: Live) {
        self.live[number as usize].merge(live);
        self.len += live.records as usize;
    }

    /// All records of a segment. Of two copies of a record that of the segment with the greater number counts.
    pub fn add_segment(
        &mut self,
        number: u32,
        generation: u32,
        entries: impl Iterator<Item = RecordEntry>,
    ) {
        self.add(entries.map(|entry| (entry.key, entry.location(number, generation))));
    }

    pub fn add(&mut self, mut records: impl Iterator<Item = (RecordKey, Location)>) {
        let mut group = Vec::with_capacity(GROUP);
        loop {
            group.clear();
            group.extend(records.by_ref().take(GROUP).map(|(key, location)| {
                let homes = self.cuckoo().homes(key_words(&key));
                self.prefetch(homes);
                (Entry::new(key_words(&key), &location), homes)
            }));
            if group.is_empty() {
                return;
            }
            for (entry, homes) in group.drain(..) {
                self.place(entry, homes);
            }
        }
    }

    fn prefetch(&self, homes: [usize; 2]) {
        for home in homes {
            let bucket: *const u8 = (&raw const self.memory.buckets()[home]).cast();
            prefetch(bucket);
            prefetch(bucket.wrapping_add(64));
        }
    }

    /// Into the emptier of its buckets, or in the place of an older copy.
    fn place(&mut self, entry: Entry, homes: [usize; 2]) {
        let mut best: Option<(usize, usize)> = None;
        for home in homes {
            let bucket = &self.memory.buckets()[home];
            let mut used = 0;
            for slot in 0..ENTRIES_A_BUCKET {
                let there = bucket.unsealed(slot);
                if !there.occupied() {
                    break;
                }
                if there.key() == entry.key() {
                    if there.segment() <= entry.segment() {
                        bucket.put_unsealed(slot, entry);
                        self.live_of(&there).take(there.stored_len());
                        self.live_of(&entry).add(entry.stored_len());
                    }
                    return;
                }
                used += 1;
            }
            if used < ENTRIES_A_BUCKET && best.is_none_or(|(_, least)| used < least) {
                best = Some((home, used));
            }
        }
        match best {
            Some((home, slot)) => {
                self.memory.buckets()[home].put_unsealed(slot, entry);
                self.live_of(&entry).add(entry.stored_len());
                self.len += 1;
            }
            None if self.crowded.len() < CROWDED_MAX => self.crowded.push(entry),
            None => self.left_out += 1,
        }
    }

    fn live_of(&mut self, entry: &Entry) -> &mut Live {
        &mut self.live[entry.segment() as usize]
    }

    /// Gives each bucket its checksum.
    pub fn finish(self) -> Result<Built> {
        let chunks: Vec<_> = self.memory.buckets().chunks(CHUNK).collect();
        fan_out(&chunks, |chunk| chunk.iter().for_each(|bucket| bucket.seal()));
        let mut crowded = self.crowded;
        // The copy that counts comes last.
        crowded.sort_by_key(Entry::segment);
        let crowded =
            crowded.iter().filter_map(|entry| Some((entry.record_key(), entry.location()?)));
        let crowded = crowded.collect();
        let table = TableWriter::over(self.memory, self.len)?;
        Ok(Built { table, live: self.live, crowded, left_out: self.left_out })
    }

    fn cuckoo(&self) -> Cuckoo<'_, std::sync::atomic::AtomicU64, ENTRIES_A_BUCKET> {
        Cuckoo::new(self.memory.buckets())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;
    use crate::{Codec, Identity, ObjectKey, TableReader};

    fn entry(key: u64, stored_len: u32) -> RecordEntry {
        let key = ObjectKey::new(&Identity([0; 16]), &key.to_le_bytes(), 0, b"").piece(0);
        let (offset, raw_len, crc, piece) = (4096, stored_len, stored_len ^ 5, 0);
        RecordEntry { key, offset, stored_len, raw_len, crc, piece, codec: Codec::Raw, flags: 0 }
    }

    /// What a catalog makes of it.
    fn finish(builder: TableBuilder) -> (TableWriter, Vec<Live>) {
        let Built { mut table, mut live, crowded, .. } = builder.finish().unwrap();
        for (key, location) in crowded {
            if let Some(before) = table.get(&key) {
                if before.segment > location.segment {
                    continue;
                }
                live[before.segment as usize].take(before.stored_len);
            }
            table.insert(&key, &location).unwrap();
            live[location.segment as usize].add(location.stored_len);
        }
        (table, live)
    }

    #[test]
    fn a_full_table_finds_everything() {
        let mut builder = TableBuilder::create(50_000, 1).unwrap();
        builder.add_segment(0, 9, (0..50_000).map(|n| entry(n, 100)));
        let (table, live) = finish(builder);
        let reader = TableReader::map(&table.handle().file).unwrap();
        for n in 0..50_000 {
            let wanted = entry(n, 100);
            assert_eq!(reader.get(&wanted.key), Some(wanted.location(0, 9)), "record {n}");
        }
        assert_eq!((table.len(), live), (50_000, vec![Live { records: 50_000, bytes: 5_000_000 }]));
    }

    proptest! {
        /// Whatever the order in which threads bring the segments, that with the greatest number has the record.
        #[test]
        fn behaves_like_a_map_in_which_later_segments_win(
            mut segments in prop::collection::vec(prop::collection::vec((0..170u64, 1..1000u32), 0..170), 1..6)
                .prop_map(|segments| segments.into_iter().enumerate().collect::<Vec<_>>())
                .prop_shuffle(),
        ) {
            let mut builder = TableBuilder::create(0, segments.len()).unwrap();
            for (number, records) in &segments {
                let entries = records.iter().map(|(key, len)| entry(*key, *len));
                builder.add_segment(*number as u32, 7, entries);
            }
            let (table, live) = finish(builder);
            segments.sort();
            let mut model = HashMap::new();
            for (number, records) in &segments {
                model.extend(records.iter().map(|(key, len)| (*key, (*number, *len))));
            }
            let mut wanted_live = vec![Live::default(); segments.len()];
            for (number, len) in model.values() {
                wanted_live[*number].add(*len);
            }
            for key in 0..170 {
                let wanted = model.get(&key).map(|(number, len)| entry(key, *len).location(*number as u32, 7));
                prop_assert_eq!(table.get(&entry(key, 1).key), wanted, "key {}", key);
            }
            prop_assert_eq!((table.len(), live), (model.len(), wanted_live));
        }
    }
}
