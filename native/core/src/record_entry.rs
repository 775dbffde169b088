//! What a segment says of one record. Extent headers and footers hold the same entries.

use crate::field::{bytes_at, put, u32_at};
use crate::{Codec, Location, PIECE_BYTES, RecordKey};

pub(crate) const ENTRY_BYTES: usize = 64;
/// Payloads start at multiples of this.
pub(crate) const UNIT_BYTES: u32 = 64;
pub(crate) const BLOCK_BYTES: u32 = 4096;
/// Payloads of this many bytes and more start on a block; smaller ones on a unit.
pub(crate) const BLOCK_ALIGNED_FROM: u32 = 2048;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct RecordEntry {
    pub key: RecordKey,
    /// From the start of the segment.
    pub offset: u32,
    pub stored_len: u32,
    pub raw_len: u32,
    /// CRC32C of the stored bytes.
    pub crc: u32,
    pub piece: u32,
    pub codec: Codec,
    pub flags: u8,
}

/// Why an entry is none that this version makes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum EntryBreak {
    /// Its numbers lie.
    Unsound,
    /// Its payload is stored in a way that is not known here.
    Codec(u8),
}

impl RecordEntry {
    pub fn encode(&self, out: &mut [u8]) {
        put(out, 0, &self.key.0);
        put(out, 16, &self.offset.to_le_bytes());
        put(out, 20, &self.stored_len.to_le_bytes());
        put(out, 24, &self.raw_len.to_le_bytes());
        put(out, 28, &self.crc.to_le_bytes());
        put(out, 32, &self.piece.to_le_bytes());
        out[36] = self.codec.number();
        out[37] = self.flags;
    }

    /// `within` is where its payload may lie.
    pub fn decode(
        bytes: &[u8],
        within: std::ops::Range<u32>,
    ) -> std::result::Result<RecordEntry, EntryBreak> {
        let codec = Codec::of_number(bytes[36]).ok_or(EntryBreak::Codec(bytes[36]))?;
        let entry = RecordEntry {
            key: RecordKey(bytes_at(bytes, 0)),
            offset: u32_at(bytes, 16),
            stored_len: u32_at(bytes, 20),
            raw_len: u32_at(bytes, 24),
            crc: u32_at(bytes, 28),
            piece: u32_at(bytes, 32),
            codec,
            flags: bytes[37],
        };
        let end = entry.offset.checked_add(entry.stored_len).ok_or(EntryBreak::Unsound)?;
        let sound = entry.offset >= within.start
            && end <= within.end
            && entry.offset.is_multiple_of(alignment(entry.stored_len))
            && (1..=PIECE_BYTES).contains(&u64::from(entry.stored_len))
            && u64::from(entry.raw_len) <= PIECE_BYTES
            && codec.fits(entry.stored_len, entry.raw_len);
        sound.then_some(entry).ok_or(EntryBreak::Unsound)
    }

    /// By its codec.
    pub fn saved_bytes(&self) -> u64 {
        (self.raw_len - self.stored_len).into()
    }

    pub fn location(&self, segment: u32, generation: u32) -> Location {
        Location {
            segment,
            generation,
            offset: self.offset,
            stored_len: self.stored_len,
            crc: self.crc,
            codec: self.codec,
            verified: false,
        }
    }
}

/// Of all records that were ever published of a segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Totals {
    /// As they are stored; or a little more.
    pub stored_bytes: u64,
    /// What codecs save of them.
    pub saved_bytes: u64,
}

impl Totals {
    pub fn of(entries: &[RecordEntry]) -> Totals {
        Totals {
            stored_bytes: entries.iter().map(|entry| u64::from(entry.stored_len)).sum(),
            saved_bytes: entries.iter().map(RecordEntry::saved_bytes).sum(),
        }
    }
}

/// Where a payload of `len` bytes may start: at multiples of this.
pub(crate) fn alignment(len: u32) -> u32 {
    if len >= BLOCK_ALIGNED_FROM { BLOCK_BYTES } else { UNIT_BYTES }
}
