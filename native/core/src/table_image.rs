//! The key table as a clean stop leaves it on each device, for its next start. Layout: docs/formats.md, "Saved table".

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::AtomicI64;
use std::time::SystemTime;

use crate::bucket::{Entry, key_words};
use crate::cuckoo::homes;
use crate::field::{bytes_at, put, u32_at, u64_at};
use crate::live::Live;
use crate::record_entry::{BLOCK_BYTES, UNIT_BYTES, alignment};
use crate::sorted_list::{Doubtful, SortedList};
use crate::table_memory::{ENTRIES_A_BUCKET, MIN_BUCKETS};
use crate::{Codec, Identity, Location, PIECE_BYTES, RecordKey};

const MAGIC: [u8; 8] = *b"MPTIMAGE";
const VERSION: u32 = 2;
const HEADER_BYTES: usize = BLOCK_BYTES as usize;
const HEADER_CRC_AT: usize = 4092;
const SEGMENT_BYTES: usize = 80;
const CHUNK_BYTES: usize = 8;
pub(crate) const IMAGED_BYTES: usize = 32;
/// Buckets whose records are read, checked and placed together.
pub(crate) const CHUNK_BUCKETS: usize = 1 << 15;
/// Of a record's place: it lies in the bucket of its key's second half.
const SECOND_HOME: u32 = 1 << 31;
/// Of its stored length: it is compressed. To who knows no codecs, a length that no record has.
const LZ4: u32 = 1 << 31;

/// A sealed segment as it was when the image was saved.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct ImagedSegment {
    pub id: [u8; 16],
    pub identity: Identity,
    pub bytes: u64,
    /// Nanoseconds since 1970: the file's last change.
    pub changed_ns: u64,
    /// Unix seconds.
    pub last_read: u64,
    /// By codecs, over all its records.
    pub saved_bytes: u64,
    /// What of it can be found.
    pub live: Live,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ImagedChunk {
    pub records: u32,
    pub crc: u32,
}

/// What an image says before its records.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct ImageHead {
    /// Random; the same on all devices of one stop.
    pub save: [u8; 16],
    /// Of the whole table, with the records of all devices.
    pub buckets: usize,
    pub segments: Vec<ImagedSegment>,
    pub chunks: Vec<ImagedChunk>,
}

pub(crate) fn chunk_count(buckets: usize) -> usize {
    buckets.div_ceil(CHUNK_BUCKETS)
}

/// Where records begin; `None` for more than a file can have.
fn records_at(segments: usize, chunks: usize) -> Option<u64> {
    let lists =
        segments.checked_mul(SEGMENT_BYTES)?.checked_add(chunks.checked_mul(CHUNK_BYTES)?)?;
    (HEADER_BYTES as u64).checked_add(lists as u64)?.checked_next_multiple_of(BLOCK_BYTES.into())
}

impl ImageHead {
    pub fn records(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.records as usize).sum()
    }

    pub fn records_at(&self) -> u64 {
        records_at(self.segments.len(), chunk_count(self.buckets)).expect("its lists are in memory")
    }

    /// Header and lists, up to where records begin.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![0u8; self.records_at() as usize];
        let (header, lists) = bytes.split_at_mut(HEADER_BYTES);
        let (segments, chunks) = lists.split_at_mut(self.segments.len() * SEGMENT_BYTES);
        for (segment, out) in self.segments.iter().zip(segments.chunks_exact_mut(SEGMENT_BYTES)) {
            put(out, 0, &segment.id);
            put(out, 16, &segment.identity.0);
            put(out, 32, &segment.bytes.to_le_bytes());
            put(out, 40, &segment.changed_ns.to_le_bytes());
            put(out, 48, &segment.last_read.to_le_bytes());
            put(out, 56, &segment.saved_bytes.to_le_bytes());
            put(out, 64, &segment.live.records.to_le_bytes());
            put(out, 72, &segment.live.bytes.to_le_bytes());
        }
        for (chunk, out) in self.chunks.iter().zip(chunks.chunks_exact_mut(CHUNK_BYTES)) {
            put(out, 0, &chunk.records.to_le_bytes());
            put(out, 4, &chunk.crc.to_le_bytes());
        }
        put(header, 0, &MAGIC);
        put(header, 8, &VERSION.to_le_bytes());
        put(header, 12, &(self.segments.len() as u32).to_le_bytes());
        put(header, 16, &self.save);
        put(header, 32, &(self.buckets as u64).to_le_bytes());
        put(header, 40, &(self.records() as u64).to_le_bytes());
        put(header, 48, &crc_fast::crc32_iscsi(lists).to_le_bytes());
        let crc = crc_fast::crc32_iscsi(&header[..HEADER_CRC_AT]);
        put(header, HEADER_CRC_AT, &crc.to_le_bytes());
        bytes
    }

    fn read(file: &File) -> Result<ImageHead, ImageBreak> {
        let len = file.metadata()?.len();
        let mut header = [0u8; HEADER_BYTES];
        file.read_exact_at(&mut header, 0)?;
        if header[..8] != MAGIC
            || u32_at(&header, HEADER_CRC_AT) != crc_fast::crc32_iscsi(&header[..HEADER_CRC_AT])
        {
            return Err(ImageBreak::Damaged);
        }
        if u32_at(&header, 8) != VERSION {
            return Err(ImageBreak::Version(u32_at(&header, 8)));
        }
        let segments = u32_at(&header, 12) as usize;
        let (buckets, records) = (u64_at(&header, 32), u64_at(&header, 40));
        let buckets = usize::try_from(buckets).map_err(|_| ImageBreak::Damaged)?;
        let chunks = chunk_count(buckets);
        let records_at = records_at(segments, chunks).ok_or(ImageBreak::Damaged)?;
        let records_bytes = records.checked_mul(IMAGED_BYTES as u64).ok_or(ImageBreak::Damaged)?;
        // No list is longer than the file, whatever the numbers say.
        if buckets < MIN_BUCKETS || records_at.checked_add(records_bytes) != Some(len) {
            return Err(ImageBreak::Damaged);
        }
        let mut lists = vec![0u8; records_at as usize - HEADER_BYTES];
        file.read_exact_at(&mut lists, HEADER_BYTES as u64)?;
        if crc_fast::crc32_iscsi(&lists) != u32_at(&header, 48) {
            return Err(ImageBreak::Damaged);
        }
        let head = ImageHead {
            save: bytes_at(&header, 16),
            buckets,
            segments: lists.chunks_exact(SEGMENT_BYTES).take(segments).map(segment_of).collect(),
            chunks: lists[segments * SEGMENT_BYTES..]
                .chunks_exact(CHUNK_BYTES)
                .take(chunks)
                .map(chunk_of)
                .collect(),
        };
        let is_sound = head
            .chunks
            .iter()
            .all(|chunk| chunk.records as usize <= CHUNK_BUCKETS * ENTRIES_A_BUCKET)
            && head.records() as u64 == records;
        if is_sound { Ok(head) } else { Err(ImageBreak::Damaged) }
    }
}

fn segment_of(bytes: &[u8]) -> ImagedSegment {
    ImagedSegment {
        id: bytes_at(bytes, 0),
        identity: Identity(bytes_at(bytes, 16)),
        bytes: u64_at(bytes, 32),
        changed_ns: u64_at(bytes, 40),
        last_read: u64_at(bytes, 48),
        saved_bytes: u64_at(bytes, 56),
        live: Live { records: u64_at(bytes, 64), bytes: u64_at(bytes, 72) },
    }
}

fn chunk_of(bytes: &[u8]) -> ImagedChunk {
    ImagedChunk { records: u32_at(bytes, 0), crc: u32_at(bytes, 4) }
}

/// A record of an image: where it lies, and in which of its key's two buckets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ImagedRecord {
    pub key: RecordKey,
    /// Index among the segments of the image.
    pub segment: u32,
    pub offset: u32,
    pub stored_len: u32,
    pub crc: u32,
    pub codec: Codec,
    pub in_second: bool,
}

impl ImagedRecord {
    pub fn encode(&self) -> [u8; IMAGED_BYTES] {
        let mut out = [0u8; IMAGED_BYTES];
        let home = if self.in_second { SECOND_HOME } else { 0 };
        let codec = match self.codec {
            Codec::Raw => 0,
            Codec::Lz4 => LZ4,
        };
        put(&mut out, 0, &self.key.0);
        put(&mut out, 16, &self.segment.to_le_bytes());
        put(&mut out, 20, &((self.offset / UNIT_BYTES) | home).to_le_bytes());
        put(&mut out, 24, &(self.stored_len | codec).to_le_bytes());
        put(&mut out, 28, &self.crc.to_le_bytes());
        out
    }

    /// `None` for what cannot be a place in a segment of these.
    #[inline]
    pub fn decode(bytes: &[u8], segments: &[ImagedSegment]) -> Option<ImagedRecord> {
        let (place, stored) = (u32_at(bytes, 20), u32_at(bytes, 24));
        let record = ImagedRecord {
            key: RecordKey(bytes_at(bytes, 0)),
            segment: u32_at(bytes, 16),
            offset: (place & !SECOND_HOME).checked_mul(UNIT_BYTES)?,
            stored_len: stored & !LZ4,
            crc: u32_at(bytes, 28),
            codec: if stored & LZ4 == 0 { Codec::Raw } else { Codec::Lz4 },
            in_second: place & SECOND_HOME != 0,
        };
        let end = u64::from(record.offset) + u64::from(record.stored_len);
        let is_sound = record.offset >= BLOCK_BYTES
            && record.offset.is_multiple_of(alignment(record.stored_len))
            && (1..=PIECE_BYTES).contains(&u64::from(record.stored_len))
            && end <= segments.get(record.segment as usize)?.bytes;
        is_sound.then_some(record)
    }

    /// As an entry of a table, of a segment that has this number and generation now.
    #[inline]
    pub fn entry(&self, name: (u32, u32)) -> Entry {
        Entry::new(key_words(&self.key), &self.location(name))
    }

    /// Nobody has verified it yet.
    #[inline]
    pub fn location(&self, (segment, generation): (u32, u32)) -> Location {
        let ImagedRecord { offset, stored_len, crc, codec, .. } = *self;
        let verified = false;
        Location { segment, generation, offset, stored_len, crc, codec, verified }
    }

    /// Where it was among `buckets`.
    #[inline]
    pub fn bucket(&self, buckets: usize) -> usize {
        homes(key_words(&self.key), buckets)[usize::from(self.in_second)]
    }
}

/// Why a file is no image that can be used.
#[derive(Debug)]
pub(crate) enum ImageBreak {
    Absent,
    Version(u32),
    Damaged,
    Unreadable(io::Error),
}

impl From<io::Error> for ImageBreak {
    fn from(error: io::Error) -> ImageBreak {
        match error.kind() {
            io::ErrorKind::NotFound => ImageBreak::Absent,
            io::ErrorKind::UnexpectedEof => ImageBreak::Damaged,
            _ => ImageBreak::Unreadable(error),
        }
    }
}

/// An image whose header and lists are whole; each chunk of records is checked when it is read.
pub(crate) struct TableImage {
    file: File,
    pub head: ImageHead,
    /// By chunk: where its records begin.
    chunks_at: Vec<u64>,
}

impl TableImage {
    pub fn open(path: &Path) -> Result<TableImage, ImageBreak> {
        let file = File::open(path)?;
        let head = ImageHead::read(&file)?;
        let mut at = head.records_at();
        let step = |chunk: &ImagedChunk| {
            let begins = at;
            at += u64::from(chunk.records) * IMAGED_BYTES as u64;
            begins
        };
        let chunks_at = head.chunks.iter().map(step).collect();
        Ok(TableImage { file, head, chunks_at })
    }

    /// The records of a chunk, into `bytes`; `None` where they are not what was saved.
    pub fn read_chunk<'a>(&self, chunk: usize, bytes: &'a mut Vec<u8>) -> Option<&'a [u8]> {
        let ImagedChunk { records, crc } = self.head.chunks[chunk];
        bytes.resize(records as usize * IMAGED_BYTES, 0);
        self.file.read_exact_at(bytes, self.chunks_at[chunk]).ok()?;
        (crc_fast::crc32_iscsi(bytes) == crc).then_some(bytes)
    }

    /// The record of one key, of which only its own soundness is checked.
    pub fn find(
        &self,
        key: &RecordKey,
        reads_left: &AtomicI64,
    ) -> Result<Option<ImagedRecord>, Doubtful> {
        let ImageHead { buckets, segments, chunks, .. } = &self.head;
        let decode = |bytes: &[u8]| ImagedRecord::decode(bytes, segments);
        for home in homes(key_words(key), *buckets) {
            let chunk = home / CHUNK_BUCKETS;
            let Range { start, end } = buckets_of(chunk, *buckets);
            let list = SortedList {
                file: &self.file,
                at: self.chunks_at[chunk],
                records: chunks[chunk].records as usize,
                record_bytes: IMAGED_BYTES,
                spread: start as u64..end as u64,
                reads_left,
            };
            let order = |bytes: &[u8]| Some(decode(bytes)?.bucket(*buckets) as u64);
            let is_it = |bytes: &[u8]| decode(bytes).filter(|record| record.key == *key);
            if let Some(found) = list.find(home as u64, order, is_it)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

/// The buckets of a chunk.
pub(crate) fn buckets_of(chunk: usize, buckets: usize) -> Range<usize> {
    let first = chunk * CHUNK_BUCKETS;
    first..buckets.min(first + CHUNK_BUCKETS)
}

/// Since 1970; 0 before.
pub(crate) fn nanoseconds(at: SystemTime) -> u64 {
    at.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}
