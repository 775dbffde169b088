//! The key table: record key to location, in memory that one daemon writes and any process reads without locks. It is
//! a hint, never the truth: a miss is asked for again at the daemon, and a location counts only with its generation.
//! Layout and protocol: docs/formats.md, "Key table".

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::bucket::{Bucket, Entry, key_of, key_words};
use crate::cuckoo::{Cuckoo, Inserted, TableFull};
use crate::table_memory::{ENTRIES_A_BUCKET, TableMemory, capacity_of};
use crate::{Error, Location, RecordKey, Result};

/// What a reader is given: the memory file, sealed, and the number that tells it from the tables before it.
#[derive(Clone, Debug)]
pub struct TableHandle {
    pub file: Arc<File>,
    pub incarnation: u64,
}

/// The only one who changes the table.
pub struct TableWriter {
    memory: TableMemory,
    handle: TableHandle,
    len: usize,
}

impl TableWriter {
    /// A table for `record_capacity` records, in a new memory file that nobody can resize, nor map for writing.
    pub fn create(record_capacity: usize) -> Result<TableWriter> {
        Self::over(TableMemory::create(record_capacity)?, 0)
    }

    /// Over memory whose buckets hold `len` records, each intact.
    pub(crate) fn over(memory: TableMemory, len: usize) -> Result<TableWriter> {
        memory.seal()?;
        let file = memory.file.try_clone();
        let file = file.map_err(|error| Error::io("handing out the key table's memory", &error))?;
        let handle = TableHandle { file: Arc::new(file), incarnation: memory.incarnation };
        Ok(TableWriter { memory, handle, len })
    }

    /// Puts or replaces. `TableFull` leaves the table as it was.
    pub fn insert(
        &mut self,
        key: &RecordKey,
        location: &Location,
    ) -> std::result::Result<(), TableFull> {
        let entry = Entry::new(key_words(key), location);
        let cuckoo = self.cuckoo();
        if self.len >= self.capacity() && cuckoo.place_of(entry.key()).is_none() {
            return Err(TableFull);
        }
        match cuckoo.insert(entry)? {
            Inserted::New => self.len += 1,
            Inserted::Replaced => self.changed(),
        }
        Ok(())
    }

    /// Removes `key` if its location is of `generation`: what came after it stays.
    pub fn remove(&mut self, key: &RecordKey, generation: u32) -> bool {
        let cuckoo = self.cuckoo();
        let Some(place) = cuckoo.place_of(key_words(key)) else { return false };
        if cuckoo.at(place).location().is_none_or(|location| location.generation != generation) {
            return false;
        }
        cuckoo.write(place, Entry::EMPTY);
        self.len -= 1;
        self.changed();
        true
    }

    /// Told after the change: who sees the number from before may have found the old location, who sees this one does
    /// not.
    fn changed(&self) {
        self.memory.header().changes.fetch_add(1, Ordering::Release);
    }

    pub fn get(&self, key: &RecordKey) -> Option<Location> {
        self.cuckoo().find(key_words(key))?.location()
    }

    /// Some reader found the record's bytes to match its CRC. False when the key is not there.
    pub fn set_verified(&mut self, key: &RecordKey) -> bool {
        let cuckoo = self.cuckoo();
        let Some(place) = cuckoo.place_of(key_words(key)) else { return false };
        let entry = cuckoo.at(place);
        if entry != entry.verified() {
            cuckoo.write(place, entry.verified());
        }
        true
    }

    /// All keys and their locations, in the order of their buckets.
    pub fn entries(&self) -> impl Iterator<Item = (RecordKey, Location)> {
        let entries = self.memory.buckets().iter().flat_map(|bucket| bucket.owned());
        entries
            .filter(Entry::occupied)
            .filter_map(|entry| Some((key_of(entry.key()), entry.location()?)))
    }

    /// For one who goes through all of it.
    pub(crate) fn buckets(&self) -> &[Bucket] {
        self.memory.buckets()
    }

    /// Tells every reader to ask for the table that takes this one's place.
    pub fn retire(&self) {
        self.memory.header().retired.store(1, Ordering::Release);
    }

    pub fn handle(&self) -> TableHandle {
        self.handle.clone()
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Records that fit; insertions of new keys beyond it are refused.
    pub fn capacity(&self) -> usize {
        capacity_of(self.memory.bucket_count)
    }

    /// Memory that the table takes when all of it has been touched.
    pub fn bytes(&self) -> u64 {
        self.memory.bytes()
    }

    fn cuckoo(&self) -> Cuckoo<'_, AtomicU64, ENTRIES_A_BUCKET> {
        Cuckoo::new(self.memory.buckets())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::io::Write;
    use std::os::unix::fs::FileExt;

    use proptest::prelude::*;

    use memmap2::MmapOptions;
    use rustix::fs::{MemfdFlags, SealFlags};

    use super::*;
    use crate::table_memory::{BUCKET_BYTES, HEADER_BYTES};
    use crate::{Code, Codec, Identity, ObjectKey, TableReader};

    fn key(n: u64) -> RecordKey {
        ObjectKey::new(&Identity([0; 16]), &n.to_le_bytes(), 0, b"").piece(0)
    }

    fn location(n: u32) -> Location {
        Location {
            segment: n,
            generation: n ^ 7,
            offset: (n % 4096) * 4096,
            stored_len: n.wrapping_mul(31),
            crc: !n,
            codec: if n.is_multiple_of(3) { Codec::Lz4 } else { Codec::Raw },
            verified: n % 2 == 1,
        }
    }

    #[test]
    fn what_is_taken_out_or_replaced_is_counted_for_readers_and_nothing_else() {
        let mut table = TableWriter::create(10).unwrap();
        let reader = TableReader::map(&table.handle().file).unwrap();
        let changes = || reader.changes().unwrap().get();
        table.insert(&key(1), &location(1)).unwrap();
        table.insert(&key(2), &location(2)).unwrap();
        table.set_verified(&key(1));
        assert_eq!((table.remove(&key(3), 0), changes()), (false, 1));
        table.insert(&key(1), &location(4)).unwrap();
        assert_eq!(changes(), 2);
        assert_eq!((table.remove(&key(2), location(2).generation), changes()), (true, 3));
    }

    #[test]
    fn a_full_table_finds_everything_and_then_refuses() {
        let mut table = TableWriter::create(10_000).unwrap();
        let reader = TableReader::map(&table.handle().file).unwrap();
        let capacity = table.capacity();
        assert!(capacity >= 10_000);
        for n in 0..capacity {
            table.insert(&key(n as u64), &location(n as u32)).unwrap();
        }
        assert_eq!(table.len(), capacity);
        assert_eq!(table.insert(&key(capacity as u64), &location(1)), Err(TableFull));
        table.insert(&key(5), &location(77)).unwrap();
        let keys: Vec<RecordKey> = (0..capacity as u64 + 10).map(key).collect();
        let mut found = vec![None; 3];
        reader.get_many(&keys, &mut found);
        for (n, found) in found.iter().enumerate() {
            let expected = match n {
                5 => Some(location(77)),
                n if n < capacity => Some(location(n as u32)),
                _ => None,
            };
            assert_eq!((*found, reader.get(&keys[n])), (expected, expected), "key {n}");
        }
    }

    #[test]
    fn a_removal_of_another_generation_changes_nothing() {
        let mut table = TableWriter::create(10).unwrap();
        table.insert(&key(1), &location(1)).unwrap();
        assert!(!table.remove(&key(1), location(1).generation + 1));
        assert!(!table.remove(&key(2), location(1).generation));
        assert_eq!(table.get(&key(1)), Some(location(1)));
        assert!(table.remove(&key(1), location(1).generation));
        assert_eq!((table.get(&key(1)), table.len()), (None, 0));
    }

    #[test]
    fn readers_see_verification_and_retirement() {
        let mut table = TableWriter::create(10).unwrap();
        let reader = TableReader::map(&table.handle().file).unwrap();
        table.insert(&key(1), &location(2)).unwrap();
        assert!(table.set_verified(&key(1)) && !table.set_verified(&key(9)));
        assert_eq!(reader.get(&key(1)), Some(Location { verified: true, ..location(2) }));
        assert!(!reader.retired());
        table.retire();
        assert!(reader.retired());
        assert_eq!(reader.incarnation(), table.handle().incarnation);
    }

    #[test]
    fn nobody_else_can_write_or_resize_the_table() {
        let table = TableWriter::create(10).unwrap();
        let file = table.handle().file;
        assert!(MmapOptions::new().map_raw(&*file).is_err());
        assert!((&*file).write_all(b"x").is_err());
        assert!(file.set_len(0).is_err() && file.set_len(1 << 30).is_err());
    }

    fn sealed(content: &[u8], seals: SealFlags) -> File {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let mut file = File::from(rustix::fs::memfd_create("test", flags).unwrap());
        file.write_all(content).unwrap();
        rustix::fs::fcntl_add_seals(&file, seals).unwrap();
        file
    }

    fn content_of(table: &TableWriter) -> Vec<u8> {
        let mut bytes = vec![0; table.bytes() as usize];
        table.handle().file.read_exact_at(&mut bytes, 0).unwrap();
        bytes
    }

    #[test]
    fn what_is_not_a_whole_sealed_table_is_an_error() {
        let good = content_of(&TableWriter::create(10).unwrap());
        let code = |file: &File| TableReader::map(file).err().map(|error| error.code);
        assert_eq!(code(&sealed(&good, SealFlags::SHRINK)), None);
        assert_eq!(code(&sealed(&good, SealFlags::GROW)), Some(Code::Corrupt));
        assert_eq!(code(&tempfile::tempfile().unwrap()), Some(Code::Corrupt));
        for len in [0, 1, HEADER_BYTES - 1, HEADER_BYTES, good.len() - BUCKET_BYTES] {
            assert_eq!(
                code(&sealed(&good[..len], SealFlags::SHRINK)),
                Some(Code::Corrupt),
                "{len}"
            );
        }
        for bit in 0..size_of::<[u64; 5]>() * 8 {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(TableReader::map(&sealed(&bytes, SealFlags::SHRINK)).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_flipped_bit_never_gives_a_wrong_location() {
        let mut table = TableWriter::create(0).unwrap();
        let keys: Vec<RecordKey> = (0..100).map(key).collect();
        for (n, key) in keys.iter().enumerate() {
            table.insert(key, &location(n as u32)).unwrap();
        }
        let zero = RecordKey([0; 16]);
        let good = content_of(&table);
        for bit in HEADER_BYTES * 8..(HEADER_BYTES + 8 * BUCKET_BYTES) * 8 {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let reader = TableReader::map(&sealed(&bytes, SealFlags::SHRINK)).unwrap();
            for (n, key) in keys.iter().enumerate() {
                let found = reader.get(key);
                assert!(
                    found.is_none_or(|found| found == location(n as u32)),
                    "bit {bit}, key {n}"
                );
            }
            assert_eq!(reader.get(&zero), None, "bit {bit}");
        }
    }

    proptest! {
        #[test]
        fn behaves_like_a_map(steps in prop::collection::vec((0..150u64, 0..4u8, 0..1000u32), 1..600)) {
            let mut table = TableWriter::create(0).unwrap();
            let mut model: HashMap<u64, Location> = HashMap::new();
            for (n, action, value) in steps {
                match action {
                    0 => {
                        let generation = model.get(&n).map_or(value, |location| location.generation);
                        prop_assert_eq!(table.remove(&key(n), generation), model.remove(&n).is_some());
                    }
                    1 => {
                        let known = model.get_mut(&n).map(|location| location.verified = true);
                        prop_assert_eq!(table.set_verified(&key(n)), known.is_some());
                    }
                    _ => if table.insert(&key(n), &location(value)).is_ok() {
                        model.insert(n, location(value));
                    },
                }
                prop_assert_eq!(table.len(), model.len());
            }
            for n in 0..150 {
                prop_assert_eq!(table.get(&key(n)), model.get(&n).copied());
            }
        }
    }
}
