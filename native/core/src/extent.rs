//! An extent: a header block or more with the entries of its records, then their payloads; written at once, and never
//! again. Layout: docs/formats.md, "Extent".

use std::fs::File;
use std::io::{self, IoSlice};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use crate::field::{bytes_at, put, u16_at, u32_at};
use crate::record_entry::{BLOCK_BYTES, ENTRY_BYTES, EntryBreak, RecordEntry, alignment};
use crate::{Codec, Compression, Identity, Location, RecordBytes, RecordKey};

/// The newest that is read; the one before it has no codecs.
pub(crate) const FORMAT_VERSION: u16 = 2;
const VERSION_WITHOUT_CODECS: u16 = 1;
const MAGIC: [u8; 4] = *b"MPEX";
const HEADER_BYTES: usize = 64;
const HEADER_CRC_AT: usize = 60;
/// Payload of one extent, gaps included.
pub(crate) const EXTENT_PAYLOAD_BYTES: u32 = 4 << 20;
/// What eight header blocks hold; with a gap behind each payload, as many slices as one pwritev takes (1,024).
pub(crate) const EXTENT_RECORDS: usize = 511;
const MAX_HEADER_BLOCKS: u32 = 8;
/// What the page cache holds in one piece, and a processor finds by one entry: a run of the file that begins at a
/// multiple of this, where one write covered all of it.
const FOLIO_BYTES: u32 = 2 << 20;
/// Left blank at most, so that the next extent begins where such a run does.
const BLANK_BYTES: u32 = 32 << 10;
static ZEROS: [u8; (BLANK_BYTES + BLOCK_BYTES) as usize] = [0; _];

/// Which segment an extent is part of; repeated in each, so that a stray block is never taken for one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SegmentLabel {
    pub id: [u8; 16],
    pub identity: Identity,
}

/// A record on its way to a device.
pub(crate) struct Record {
    pub key: RecordKey,
    pub piece: u32,
    /// Of a copy: as they are stored.
    pub bytes: Arc<dyn RecordBytes>,
    pub compression: Compression,
    /// Of a copy.
    pub original: Option<Original>,
    /// Devices that had no room for it when they came to it.
    pub refusals: u32,
}

/// The place that a record is copied from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Original {
    pub entry: RecordEntry,
    pub segment: u32,
    pub generation: u32,
}

impl Original {
    pub fn is_at(&self, location: &Location) -> bool {
        (location.segment, location.generation) == (self.segment, self.generation)
            && location.offset == self.entry.offset
    }
}

impl Record {
    /// At most [`crate::PIECE_BYTES`]: checked when it was appended.
    pub fn len(&self) -> u32 {
        self.bytes.bytes().len() as u32
    }
}

/// A record as it will lie in an extent.
pub(crate) struct Payload<'a> {
    pub key: RecordKey,
    pub piece: u32,
    pub stored: &'a [u8],
    /// CRC32C of `stored`.
    pub crc: u32,
    pub raw_len: u32,
    pub codec: Codec,
    /// Of a copy.
    pub original: Option<Original>,
}

impl<'a> Payload<'a> {
    /// As it came. A copy is stored as its original is.
    pub fn of(record: &'a Record) -> Payload<'a> {
        let Record { key, piece, bytes, original, .. } = record;
        let entry = original.map(|original| original.entry);
        Payload {
            key: *key,
            piece: *piece,
            stored: bytes.bytes(),
            crc: bytes.crc(),
            raw_len: entry.map_or(record.len(), |entry| entry.raw_len),
            codec: entry.map_or(Codec::Raw, |entry| entry.codec),
            original: *original,
        }
    }

    pub fn len(&self) -> u32 {
        self.stored.len() as u32
    }
}

/// Of what holds these: the oldest that can, so that who knows no codecs reads what has none.
pub(crate) fn version_of(entries: &[RecordEntry]) -> u16 {
    let has_codec = entries.iter().any(|entry| entry.codec != Codec::Raw);
    if has_codec { FORMAT_VERSION } else { VERSION_WITHOUT_CODECS }
}

/// Whether what says to be of this version can be read.
pub(crate) fn is_known(version: u16) -> bool {
    (VERSION_WITHOUT_CODECS..=FORMAT_VERSION).contains(&version)
}

/// The room that some records take, without their places.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct ExtentSize {
    pub records: usize,
    aligned_bytes: u32,
    small_bytes: u32,
}

impl ExtentSize {
    /// With one record more, or `None` when an extent holds no more.
    pub fn with(self, len: u32) -> Option<ExtentSize> {
        let room = len.next_multiple_of(alignment(len));
        let is_small = alignment(len) < BLOCK_BYTES;
        let larger = ExtentSize {
            records: self.records + 1,
            aligned_bytes: self.aligned_bytes + if is_small { 0 } else { room },
            small_bytes: self.small_bytes + if is_small { room } else { 0 },
        };
        (larger.records <= EXTENT_RECORDS && larger.payload_bytes() <= EXTENT_PAYLOAD_BYTES)
            .then_some(larger)
    }

    /// Of payloads of which one extent holds all.
    pub fn of(payloads: &[Payload<'_>]) -> ExtentSize {
        payloads.iter().fold(ExtentSize::default(), |size, payload| {
            size.with(payload.len()).expect("what was stored as it is fits, and nothing grew")
        })
    }

    fn payload_bytes(&self) -> u32 {
        self.aligned_bytes + self.small_bytes.next_multiple_of(BLOCK_BYTES)
    }

    pub fn bytes(&self) -> u32 {
        header_blocks(self.records) * BLOCK_BYTES + self.payload_bytes()
    }

    /// Where an extent of this size at `at` ends at most.
    pub fn end(&self, at: u32) -> u32 {
        let payloads = at + header_blocks(self.records) * BLOCK_BYTES;
        extent_end(payloads, payloads + self.payload_bytes())
    }

    /// Of an extent at `at`: whether it ends where a folio does, and would no more if it grew into `grown`.
    pub fn is_best(&self, grown: &ExtentSize, at: u32) -> bool {
        let end = self.end(at);
        self.records > 0 && end.is_multiple_of(FOLIO_BYTES) && at + grown.bytes() > end
    }
}

/// Where an extent ends whose payloads take what lies between these: where a folio does, if that is near.
fn extent_end(start: u32, end: u32) -> u32 {
    let folio_end = end.next_multiple_of(FOLIO_BYTES);
    let is_near = folio_end - end <= BLANK_BYTES && folio_end - start <= EXTENT_PAYLOAD_BYTES;
    if is_near { folio_end } else { end }
}

fn header_blocks(records: usize) -> u32 {
    ((HEADER_BYTES + records * ENTRY_BYTES) as u32).div_ceil(BLOCK_BYTES)
}

/// Why no extent could be read where one was looked for.
#[derive(Debug)]
pub(crate) enum ExtentBreak {
    /// Nothing was written here.
    End,
    /// Written by another version of this program.
    Version(u16),
    /// Whole, with a codec that this version does not know.
    Codec(u8),
    /// Something was, and its checksum or its numbers are wrong, or it is of another segment.
    Damaged,
    Unreadable(io::Error),
}

#[derive(Debug)]
pub(crate) struct Extent {
    pub label: SegmentLabel,
    pub number: u32,
    /// Unix seconds, for people.
    pub written_at: u32,
    /// Whole, header included; a multiple of a block.
    pub bytes: u32,
    pub entries: Vec<RecordEntry>,
}

impl Extent {
    /// Gives each of `payloads` its place in an extent at `at`. Block-aligned ones come first, whatever their order in
    /// `payloads`, so that small ones lie together.
    pub fn lay_out(
        label: SegmentLabel,
        number: u32,
        at: u32,
        payloads: &mut [Payload<'_>],
    ) -> Extent {
        payloads.sort_by_key(|payload| alignment(payload.len()) < BLOCK_BYTES);
        let start = at + header_blocks(payloads.len()) * BLOCK_BYTES;
        let mut offset = start;
        let mut entries = Vec::with_capacity(payloads.len());
        for payload in payloads {
            let stored_len = payload.len();
            offset = offset.next_multiple_of(alignment(stored_len));
            let Payload { key, crc, raw_len, piece, codec, .. } = *payload;
            let entry =
                RecordEntry { key, offset, stored_len, raw_len, crc, piece, codec, flags: 0 };
            entries.push(entry);
            offset += stored_len;
        }
        let bytes = extent_end(start, offset.next_multiple_of(BLOCK_BYTES)) - at;
        Extent { label, number, written_at: 0, bytes, entries }
    }

    pub fn encode_header(&self) -> Vec<u8> {
        let blocks = header_blocks(self.entries.len());
        let mut header = vec![0u8; (blocks * BLOCK_BYTES) as usize];
        put(&mut header, 0, &MAGIC);
        put(&mut header, 4, &version_of(&self.entries).to_le_bytes());
        put(&mut header, 6, &(blocks as u16).to_le_bytes());
        put(&mut header, 8, &self.label.id);
        put(&mut header, 24, &self.label.identity.0);
        put(&mut header, 40, &self.number.to_le_bytes());
        put(&mut header, 44, &(self.entries.len() as u32).to_le_bytes());
        put(&mut header, 48, &self.bytes.to_le_bytes());
        put(&mut header, 52, &self.written_at.to_le_bytes());
        for (entry, out) in
            self.entries.iter().zip(header[HEADER_BYTES..].chunks_exact_mut(ENTRY_BYTES))
        {
            entry.encode(out);
        }
        let crc = crc_fast::crc32_iscsi(&header);
        put(&mut header, HEADER_CRC_AT, &crc.to_le_bytes());
        header
    }

    /// Writes the header and `payloads`, laid out by `lay_out`, in one call where the kernel takes all of it.
    pub fn write(&self, file: &File, at: u32, payloads: &[Payload<'_>]) -> io::Result<()> {
        let header = self.encode_header();
        let mut slices = Vec::with_capacity(1 + 2 * payloads.len());
        slices.push(IoSlice::new(&header));
        let starts = self.entries.iter().skip(1).map(|entry| entry.offset).chain([at + self.bytes]);
        for ((payload, entry), next) in payloads.iter().zip(&self.entries).zip(starts) {
            slices.push(IoSlice::new(payload.stored));
            let gap = next - (entry.offset + entry.stored_len);
            if gap > 0 {
                slices.push(IoSlice::new(&ZEROS[..gap as usize]));
            }
        }
        write_all(file, u64::from(at), &mut slices)
    }

    /// The extent at `at`, with nothing believed that its checksum does not cover. Payloads are not looked at.
    pub fn read(file: &File, at: u32, file_len: u32) -> Result<Extent, ExtentBreak> {
        if file_len.saturating_sub(at) < BLOCK_BYTES {
            return Err(ExtentBreak::End);
        }
        let mut header = vec![0u8; BLOCK_BYTES as usize];
        file.read_exact_at(&mut header, u64::from(at)).map_err(ExtentBreak::Unreadable)?;
        if header[..4] != MAGIC {
            let is_blank = header.iter().all(|byte| *byte == 0);
            return Err(if is_blank { ExtentBreak::End } else { ExtentBreak::Damaged });
        }
        if !is_known(u16_at(&header, 4)) {
            return Err(ExtentBreak::Version(u16_at(&header, 4)));
        }
        let blocks = u32::from(u16_at(&header, 6));
        if !(1..=MAX_HEADER_BLOCKS).contains(&blocks) || blocks * BLOCK_BYTES > file_len - at {
            return Err(ExtentBreak::Damaged);
        }
        header.resize((blocks * BLOCK_BYTES) as usize, 0);
        let rest = &mut header[BLOCK_BYTES as usize..];
        file.read_exact_at(rest, u64::from(at + BLOCK_BYTES)).map_err(ExtentBreak::Unreadable)?;
        Self::decode(&mut header, at, file_len)
    }

    fn decode(header: &mut [u8], at: u32, file_len: u32) -> Result<Extent, ExtentBreak> {
        let crc = u32_at(header, HEADER_CRC_AT);
        put(header, HEADER_CRC_AT, &[0; 4]);
        if crc_fast::crc32_iscsi(header) != crc {
            return Err(ExtentBreak::Damaged);
        }
        let records = u32_at(header, 44) as usize;
        let bytes = u32_at(header, 48);
        let header_bytes = header.len() as u32;
        let is_sound = (1..=EXTENT_RECORDS).contains(&records)
            && header_blocks(records) * BLOCK_BYTES == header_bytes
            && bytes.is_multiple_of(BLOCK_BYTES)
            && (header_bytes..=header_bytes + EXTENT_PAYLOAD_BYTES).contains(&bytes)
            && bytes <= file_len - at;
        if !is_sound {
            return Err(ExtentBreak::Damaged);
        }
        let payload = at + header_bytes..at + bytes;
        let entries = header[HEADER_BYTES..].chunks_exact(ENTRY_BYTES).take(records);
        let entries: Vec<_> = entries
            .map(|entry| RecordEntry::decode(entry, payload.clone()))
            .collect::<Result<_, EntryBreak>>()?;
        if version_of(&entries) > u16_at(header, 4) {
            return Err(ExtentBreak::Damaged);
        }
        let label =
            SegmentLabel { id: bytes_at(header, 8), identity: Identity(bytes_at(header, 24)) };
        Ok(Extent {
            label,
            number: u32_at(header, 40),
            written_at: u32_at(header, 52),
            bytes,
            entries,
        })
    }
}

impl From<EntryBreak> for ExtentBreak {
    fn from(why: EntryBreak) -> ExtentBreak {
        match why {
            EntryBreak::Unsound => ExtentBreak::Damaged,
            EntryBreak::Codec(codec) => ExtentBreak::Codec(codec),
        }
    }
}

/// One pwritev, and more only where the kernel took less.
fn write_all(file: &File, mut at: u64, mut slices: &mut [IoSlice<'_>]) -> io::Result<()> {
    while !slices.is_empty() {
        match rustix::io::pwritev(file, slices, at) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                at += written as u64;
                IoSlice::advance_slices(&mut slices, written);
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn payload(stored: &[u8]) -> Payload<'_> {
        Payload {
            key: RecordKey([7; 16]),
            piece: 0,
            stored,
            crc: crc_fast::crc32_iscsi(stored),
            raw_len: stored.len() as u32,
            codec: Codec::Raw,
            original: None,
        }
    }

    #[test]
    fn extents_of_small_records_end_where_folios_do() {
        let record = BLOCK_BYTES - 100;
        let (mut at, mut size) = (12 * BLOCK_BYTES, ExtentSize::default());
        let mut ends = Vec::new();
        for _ in 0..4 * EXTENT_RECORDS {
            let grown = size.with(record).filter(|grown| !size.is_best(grown, at));
            size = grown.unwrap_or_else(|| {
                at = size.end(at);
                ends.push(at);
                ExtentSize::default().with(record).expect("one record fits")
            });
        }
        assert_eq!(ends, [1, 2, 3, 4].map(|folios| folios * FOLIO_BYTES));
    }

    proptest! {
        #[test]
        fn what_is_written_anywhere_is_read_back_and_ends_where_it_may(
            blocks in 0..3 * FOLIO_BYTES / BLOCK_BYTES,
            lens in proptest::collection::vec(prop_oneof![1..5000u32, 1..600_000u32], 1..60),
        ) {
            let (at, bytes) = (blocks * BLOCK_BYTES, vec![3; 600_000]);
            let mut size = ExtentSize::default();
            let mut payloads = Vec::new();
            for len in lens {
                let Some(grown) = size.with(len) else { break };
                size = grown;
                payloads.push(payload(&bytes[..len as usize]));
            }
            let label = SegmentLabel { id: [1; 16], identity: Identity([2; 16]) };
            let extent = Extent::lay_out(label, 0, at, &mut payloads);
            let file = tempfile::tempfile().unwrap();
            extent.write(&file, at, &payloads).unwrap();
            let end = at + extent.bytes;
            prop_assert!(end <= size.end(at));
            prop_assert_eq!(file.metadata().unwrap().len(), u64::from(end));
            let read = Extent::read(&file, at, end).unwrap();
            prop_assert_eq!((read.bytes, read.entries), (extent.bytes, extent.entries));
        }
    }
}
