//! The key table: record key to location, in memory that one daemon writes and any process reads without locks. It is
//! a hint, never the truth: a miss is asked for again at the daemon, and a location counts only with its generation.
//! Layout and protocol: docs/formats.md, "Key table".

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use memmap2::{MmapOptions, MmapRaw};
use rustix::fs::{MemfdFlags, SealFlags};

use crate::bucket::{Bucket, Entry, key_of, key_words};
use crate::cuckoo::{Cuckoo, Inserted, TableFull};
use crate::random::random_bytes;
use crate::{Code, Error, Location, RecordKey, Result};

pub(crate) const MAGIC: u64 = u64::from_le_bytes(*b"MPKEYTAB");
pub(crate) const VERSION: u64 = 1;
pub(crate) const HEADER_BYTES: usize = 4096;
pub(crate) const BUCKET_BYTES: usize = size_of::<Bucket>();
pub(crate) const ENTRIES_A_BUCKET: usize = 3;
/// Two choices of buckets of three fill to 95 % (0.959 in the limit); above this, paths grow long.
const MAX_LOAD_PERCENT: usize = 90;
const MIN_BUCKETS: usize = 64;
/// 2^36 records: 3 TiB of table.
const MAX_CAPACITY: usize = 1 << 36;

/// First words of the file. All but `retired` are written once, before anybody else sees the file.
#[repr(C)]
pub(crate) struct Header {
    magic: AtomicU64,
    version: AtomicU64,
    incarnation: AtomicU64,
    bucket_count: AtomicU64,
    /// CRC32C of the words above.
    pub checksum: AtomicU64,
    unused: [AtomicU64; 11],
    /// Not 0: a newer table took this one's place. On a cache line of its own.
    pub retired: AtomicU64,
}

impl Header {
    pub fn constants(&self) -> [u64; 4] {
        [&self.magic, &self.version, &self.incarnation, &self.bucket_count]
            .map(|word| word.load(Ordering::Relaxed))
    }
}

pub(crate) fn checksum_of(constants: &[u64; 4]) -> u64 {
    u64::from(crc_fast::crc32_iscsi(&constants.map(u64::to_le_bytes).concat()))
}

/// What a reader is given: the memory file, sealed, and the number that tells it from the tables before it.
#[derive(Clone, Debug)]
pub struct TableHandle {
    pub file: Arc<File>,
    pub incarnation: u64,
}

/// The only one who changes the table.
pub struct TableWriter {
    memory: MmapRaw,
    handle: TableHandle,
    bucket_count: usize,
    len: usize,
}

impl TableWriter {
    /// A table for `record_capacity` records, in a new memory file that nobody can resize, nor map for writing.
    pub fn create(record_capacity: usize) -> Result<TableWriter> {
        if record_capacity > MAX_CAPACITY {
            let message =
                format!("a key table of {record_capacity} records is above {MAX_CAPACITY}");
            return Err(Error::new(Code::Invalid, message));
        }
        let bucket_count =
            (record_capacity * 100).div_ceil(ENTRIES_A_BUCKET * MAX_LOAD_PERCENT).max(MIN_BUCKETS);
        let size = HEADER_BYTES + bucket_count * BUCKET_BYTES;
        let io = |error: std::io::Error| Error::io("making the key table's memory", &error);
        let fd = rustix::fs::memfd_create(
            "millpool-table",
            MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING,
        )
        .map_err(|error| io(error.into()))?;
        rustix::fs::ftruncate(&fd, size as u64).map_err(|error| io(error.into()))?;
        let file = File::from(fd);
        let memory = MmapOptions::new().len(size).map_raw(&file).map_err(io)?;
        let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::FUTURE_WRITE | SealFlags::SEAL;
        rustix::fs::fcntl_add_seals(&file, seals).map_err(|error| io(error.into()))?;
        let incarnation = u64::from_le_bytes(random_bytes().map_err(io)?).max(1);
        let handle = TableHandle { file: Arc::new(file), incarnation };
        let writer = TableWriter { memory, handle, bucket_count, len: 0 };
        writer.write_header();
        Ok(writer)
    }

    fn write_header(&self) {
        let header = self.header();
        let constants = [MAGIC, VERSION, self.handle.incarnation, self.bucket_count as u64];
        header.magic.store(constants[0], Ordering::Relaxed);
        header.version.store(constants[1], Ordering::Relaxed);
        header.incarnation.store(constants[2], Ordering::Relaxed);
        header.bucket_count.store(constants[3], Ordering::Relaxed);
        header.checksum.store(checksum_of(&constants), Ordering::Release);
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
        if cuckoo.insert(entry)? == Inserted::New {
            self.len += 1;
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
        true
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

    /// All keys and their locations, in no order.
    pub fn entries(&self) -> impl Iterator<Item = (RecordKey, Location)> {
        let cuckoo = self.cuckoo();
        let places = (0..self.bucket_count)
            .flat_map(|bucket| (0..ENTRIES_A_BUCKET).map(move |slot| (bucket, slot)));
        places.filter_map(move |place| {
            let entry = cuckoo.at(place);
            entry
                .occupied()
                .then(|| entry.location())
                .flatten()
                .map(|location| (key_of(entry.key()), location))
        })
    }

    /// Tells every reader to ask for the table that takes this one's place.
    pub fn retire(&self) {
        self.header().retired.store(1, Ordering::Release);
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
        self.bucket_count * ENTRIES_A_BUCKET * MAX_LOAD_PERCENT / 100
    }

    /// Memory that the table takes when all of it has been touched.
    pub fn bytes(&self) -> u64 {
        self.memory.len() as u64
    }

    fn header(&self) -> &Header {
        // SAFETY: the mapping is page-aligned, larger than a header, and lives as long as self; all fields are atomic.
        unsafe { &*self.memory.as_ptr().cast() }
    }

    fn cuckoo(&self) -> Cuckoo<'_, AtomicU64, ENTRIES_A_BUCKET> {
        // SAFETY: the mapping holds a header page and `bucket_count` buckets behind it; all of a bucket is atomic.
        Cuckoo::new(unsafe { buckets_at(self.memory.as_ptr(), self.bucket_count) })
    }
}

/// # Safety
/// `memory` is page-aligned and holds a header page and `count` buckets, for as long as the result is used.
pub(crate) unsafe fn buckets_at<'a>(memory: *const u8, count: usize) -> &'a [Bucket] {
    unsafe { std::slice::from_raw_parts(memory.add(HEADER_BYTES).cast(), count) }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;
    use crate::{Identity, ObjectKey, TableReader};

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
            verified: n % 2 == 1,
        }
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
        // SAFETY: nobody writes meanwhile.
        unsafe { std::slice::from_raw_parts(table.memory.as_ptr(), table.memory.len()) }.to_vec()
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
