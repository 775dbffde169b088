//! One process's look at the key table (`table.rs`).

use std::fs::File;
use std::num::NonZeroU64;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};

use memmap2::{MmapOptions, MmapRaw};
use rustix::fs::SealFlags;

use crate::bucket::key_words;
use crate::cuckoo::Cuckoo;
use crate::prefetch::prefetch;
use crate::table_memory::{
    BUCKET_BYTES, ENTRIES_A_BUCKET, HEADER_BYTES, Header, MAGIC, VERSION, buckets_at, checksum_of,
};
use crate::{Code, Error, Location, RecordKey, Result};

/// How far ahead of the look-up `get_many` asks for buckets; two of them are four cache lines.
const PREFETCH_KEYS: usize = 8;

/// One process's view of a table: read-only.
pub struct TableReader {
    memory: MmapRaw,
    incarnation: u64,
    bucket_count: usize,
}

impl TableReader {
    /// Maps what a daemon sent, after checking that it is a table, whole, and can no longer shrink: past here nothing
    /// in the file can make a look-up go out of bounds or fault.
    pub fn map(file: &File) -> Result<TableReader> {
        let refuse = |what: &str| {
            Error::new(Code::Corrupt, format!("the key table that was received {what}"))
        };
        let seals = rustix::fs::fcntl_get_seals(file.as_fd())
            .map_err(|_| refuse("is not a memory file"))?;
        if !seals.contains(SealFlags::SHRINK) {
            return Err(refuse("can still be cut short"));
        }
        let io = |error: std::io::Error| Error::io("mapping the key table", &error);
        let size = usize::try_from(file.metadata().map_err(io)?.len())
            .map_err(|_| refuse("is too large"))?;
        if size < HEADER_BYTES {
            return Err(refuse("is shorter than its header"));
        }
        let memory = MmapOptions::new().len(size).map_raw_read_only(file).map_err(io)?;
        let reader = TableReader { memory, incarnation: 0, bucket_count: 0 };
        let header = reader.header();
        let constants = header.constants();
        let [magic, version, incarnation, bucket_count] = constants;
        if magic != MAGIC {
            return Err(refuse("does not begin like one"));
        }
        if version != VERSION {
            let message =
                format!("the key table has version {version}, this program reads {VERSION}");
            return Err(Error::new(Code::Unsupported, message));
        }
        if header.checksum.load(Ordering::Acquire) != checksum_of(&constants) {
            return Err(refuse("has a damaged header"));
        }
        let bucket_count = usize::try_from(bucket_count).map_err(|_| refuse("is too large"))?;
        if bucket_count == 0 || bucket_count != (size - HEADER_BYTES) / BUCKET_BYTES {
            return Err(refuse("is not of the size that it states"));
        }
        Ok(TableReader { incarnation, bucket_count, ..reader })
    }

    pub fn get(&self, key: &RecordKey) -> Option<Location> {
        self.cuckoo().find(key_words(key))?.location()
    }

    /// A location or a miss for each key, in order, into `found`, whose old content goes. Buckets are asked for ahead
    /// of their look-up, which halves its time in a table larger than the caches.
    pub fn get_many(&self, keys: &[RecordKey], found: &mut Vec<Option<Location>>) {
        let cuckoo = self.cuckoo();
        found.clear();
        found.reserve(keys.len());
        for key in keys.iter().take(PREFETCH_KEYS) {
            self.prefetch(&cuckoo, key);
        }
        for (n, key) in keys.iter().enumerate() {
            if let Some(ahead) = keys.get(n + PREFETCH_KEYS) {
                self.prefetch(&cuckoo, ahead);
            }
            found.push(cuckoo.find(key_words(key)).and_then(|entry| entry.location()));
        }
    }

    /// A newer table took this one's place: what is found here may be old, and is checked by its generation.
    pub fn retired(&self) -> bool {
        self.header().retired.load(Ordering::Acquire) != 0
    }

    pub fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// As long as it stays the same, what was found after it was read lies where it was found. `None`: nobody counts.
    pub fn changes(&self) -> Option<NonZeroU64> {
        NonZeroU64::new(self.header().changes.load(Ordering::Acquire))
    }

    fn prefetch(&self, cuckoo: &Cuckoo<'_, AtomicU64, ENTRIES_A_BUCKET>, key: &RecordKey) {
        for bucket in cuckoo.homes(key_words(key)) {
            let start = self.memory.as_ptr().wrapping_add(HEADER_BYTES + bucket * BUCKET_BYTES);
            prefetch(start);
            prefetch(start.wrapping_add(BUCKET_BYTES / 2));
        }
    }

    fn header(&self) -> &Header {
        // SAFETY: as in the writer; loads of at most 8 bytes are allowed on read-only memory.
        unsafe { &*self.memory.as_ptr().cast() }
    }

    fn cuckoo(&self) -> Cuckoo<'_, AtomicU64, ENTRIES_A_BUCKET> {
        // SAFETY: `bucket_count` was checked against the size of the mapping.
        Cuckoo::new(unsafe { buckets_at(self.memory.as_ptr(), self.bucket_count) })
    }
}
