//! The memory that a key table lies in: a header page and buckets, in a memory file that readers map.

use std::fs::File;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use memmap2::{Advice, MmapOptions, MmapRaw};
use rustix::fs::{MemfdFlags, SealFlags};

use crate::bucket::Bucket;
use crate::random::random_bytes;
use crate::{Code, Error, Result};

pub(crate) const MAGIC: u64 = u64::from_le_bytes(*b"MPKEYTAB");
pub(crate) const VERSION: u64 = 1;
pub(crate) const HEADER_BYTES: usize = 4096;
const PAGE_BYTES: usize = 4096;
pub(crate) const BUCKET_BYTES: usize = size_of::<Bucket>();
pub(crate) const ENTRIES_A_BUCKET: usize = 3;
/// Two choices of buckets of three fill to 95 % (0.959 in the limit); above this, paths grow long.
pub(crate) const MAX_LOAD_PERCENT: usize = 90;
pub(crate) const MIN_BUCKETS: usize = 64;
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
    /// Not 0: a newer table took this one's place. On a cache line of its own, with the next.
    pub retired: AtomicU64,
    /// One more than how often a location was taken out or replaced; 0 in a table of a writer that does not count.
    pub changes: AtomicU64,
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

/// A memory file that nobody can resize. Whoever fills it is the only one who knows it until it is sealed.
pub(crate) struct TableMemory {
    map: MmapRaw,
    pub file: File,
    pub bucket_count: usize,
    pub incarnation: u64,
}

impl TableMemory {
    /// Room for `record_capacity` records, all of it zero: empty buckets.
    pub fn create(record_capacity: usize) -> Result<TableMemory> {
        if record_capacity > MAX_CAPACITY {
            let message =
                format!("a key table of {record_capacity} records is above {MAX_CAPACITY}");
            return Err(Error::new(Code::Invalid, message));
        }
        Self::with_buckets(buckets_for(record_capacity))
    }

    pub fn with_buckets(bucket_count: usize) -> Result<TableMemory> {
        let io = |error: std::io::Error| Error::io("making the key table's memory", &error);
        let fd = rustix::fs::memfd_create(
            "millpool-table",
            MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING,
        )
        .map_err(|error| io(error.into()))?;
        let size = table_bytes(bucket_count);
        rustix::fs::ftruncate(&fd, size).map_err(|error| io(error.into()))?;
        let file = File::from(fd);
        let map = MmapOptions::new().len(size as usize).map_raw(&file).map_err(io)?;
        // Where the machine gives none to memory files, small pages serve.
        let _ = map.advise(Advice::HugePage);
        let incarnation = u64::from_le_bytes(random_bytes().map_err(io)?).max(1);
        let memory = TableMemory { map, file, bucket_count, incarnation };
        memory.write_header();
        Ok(memory)
    }

    fn write_header(&self) {
        let header = self.header();
        let constants = [MAGIC, VERSION, self.incarnation, self.bucket_count as u64];
        header.magic.store(constants[0], Ordering::Relaxed);
        header.version.store(constants[1], Ordering::Relaxed);
        header.incarnation.store(constants[2], Ordering::Relaxed);
        header.bucket_count.store(constants[3], Ordering::Relaxed);
        header.changes.store(1, Ordering::Relaxed);
        header.checksum.store(checksum_of(&constants), Ordering::Release);
    }

    /// Takes the memory of these buckets at once, where the kernel can (since 5.14): a fault for each page of a large
    /// table costs more than filling it.
    pub fn populate(&self, buckets: Range<usize>) {
        let start = HEADER_BYTES + buckets.start * BUCKET_BYTES;
        let start = start - start % PAGE_BYTES;
        let end = HEADER_BYTES + buckets.end.min(self.bucket_count) * BUCKET_BYTES;
        let len = end.saturating_sub(start);
        // SAFETY: within the mapping, which lives as long as self; what is populated keeps its content.
        let populated = unsafe {
            let from = self.map.as_mut_ptr().add(start).cast();
            rustix::mm::madvise(from, len, rustix::mm::Advice::LinuxPopulateWrite)
        };
        // Without it each page is taken when it is written to.
        let _ = populated;
    }

    /// From now on nobody can resize it, nor map it for writing, nor write to the file.
    pub fn seal(&self) -> Result<()> {
        let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::FUTURE_WRITE | SealFlags::SEAL;
        rustix::fs::fcntl_add_seals(&self.file, seals)
            .map_err(|error| Error::io("sealing the key table's memory", &error.into()))
    }

    pub fn header(&self) -> &Header {
        // SAFETY: the mapping is page-aligned, larger than a header, and lives as long as self; all fields are atomic.
        unsafe { &*self.map.as_ptr().cast() }
    }

    pub fn buckets(&self) -> &[Bucket] {
        // SAFETY: the mapping holds a header page and `bucket_count` buckets behind it; all of a bucket is atomic.
        unsafe { buckets_at(self.map.as_ptr(), self.bucket_count) }
    }

    pub fn bytes(&self) -> u64 {
        self.map.len() as u64
    }
}

/// Buckets of a table for so many records.
pub(crate) fn buckets_for(record_capacity: usize) -> usize {
    (record_capacity * 100).div_ceil(ENTRIES_A_BUCKET * MAX_LOAD_PERCENT).max(MIN_BUCKETS)
}

/// Records that fit into so many buckets.
pub(crate) fn capacity_of(bucket_count: usize) -> usize {
    bucket_count * ENTRIES_A_BUCKET * MAX_LOAD_PERCENT / 100
}

/// Memory of a table of so many buckets when all of it has been touched.
pub(crate) fn table_bytes(bucket_count: usize) -> u64 {
    (HEADER_BYTES + bucket_count * BUCKET_BYTES) as u64
}

/// As many as this much memory holds, and never less than the fewest.
pub(crate) fn buckets_within(bytes: u64) -> usize {
    (bytes.saturating_sub(HEADER_BYTES as u64) as usize / BUCKET_BYTES).max(MIN_BUCKETS)
}

/// # Safety
/// `memory` is page-aligned and holds a header page and `count` buckets, for as long as the result is used.
pub(crate) unsafe fn buckets_at<'a>(memory: *const u8, count: usize) -> &'a [Bucket] {
    unsafe { std::slice::from_raw_parts(memory.add(HEADER_BYTES).cast(), count) }
}
