//! The end of a sealed segment: a footer with all entries sorted by key, and a trailer that says what the file is.
//! Layout: docs/formats.md, "Footer and trailer".

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::AtomicI64;

use crate::extent::{SegmentLabel, is_known, version_of};
use crate::field::{bytes_at, put, u16_at, u32_at, u64_at};
use crate::record_entry::{BLOCK_BYTES, ENTRY_BYTES, EntryBreak, RecordEntry, Totals};
use crate::sorted_list::{Doubtful, SortedList};
use crate::{Identity, RecordKey};

const MAGIC: [u8; 4] = *b"MPSG";
const TRAILER_BYTES: u32 = BLOCK_BYTES;
const TRAILER_CRC_AT: usize = 4092;

/// The place of a segment among those that were filled together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct StripePlace {
    /// Random; zero for a segment that recovery sealed.
    pub set: [u8; 16],
    pub device: u32,
    pub devices: u32,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Footer {
    pub label: SegmentLabel,
    pub stripe: StripePlace,
    pub extents: u32,
    /// Where the last extent ends and the footer begins.
    pub data_end: u32,
    /// Unix seconds, for people.
    pub sealed_at: u64,
    /// Sorted by key once encoded.
    pub entries: Vec<RecordEntry>,
}

/// Why a file does not end as a sealed segment of this version does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum FooterBreak {
    /// It was not sealed, or its end is damaged.
    Absent,
    /// Sealed by another version of this program, which may have written more than this one understands.
    Version(u16),
}

/// Bytes of footer and trailer for this many records.
pub(crate) fn footer_bytes(records: usize) -> u32 {
    ((records * ENTRY_BYTES) as u32).next_multiple_of(BLOCK_BYTES) + TRAILER_BYTES
}

impl Footer {
    /// Footer and trailer, to be written at `data_end`; they end the file.
    pub fn encode(&mut self) -> Vec<u8> {
        self.entries.sort_by_key(|entry| entry.key);
        let mut bytes = vec![0u8; footer_bytes(self.entries.len()) as usize];
        for (entry, out) in self.entries.iter().zip(bytes.chunks_exact_mut(ENTRY_BYTES)) {
            entry.encode(out);
        }
        let entries_len = self.entries.len() * ENTRY_BYTES;
        let footer_crc = crc_fast::crc32_iscsi(&bytes[..entries_len]);
        let totals = Totals::of(&self.entries);
        let trailer_at = bytes.len() - TRAILER_BYTES as usize;
        let trailer = &mut bytes[trailer_at..];
        put(trailer, 0, &MAGIC);
        put(trailer, 4, &version_of(&self.entries).to_le_bytes());
        put(trailer, 8, &self.label.id);
        put(trailer, 24, &self.label.identity.0);
        put(trailer, 40, &self.stripe.set);
        put(trailer, 56, &self.stripe.device.to_le_bytes());
        put(trailer, 60, &self.stripe.devices.to_le_bytes());
        put(trailer, 64, &self.extents.to_le_bytes());
        put(trailer, 68, &(self.entries.len() as u32).to_le_bytes());
        put(trailer, 72, &totals.stored_bytes.to_le_bytes());
        put(trailer, 80, &self.sealed_at.to_le_bytes());
        put(trailer, 88, &self.data_end.to_le_bytes());
        put(trailer, 92, &footer_crc.to_le_bytes());
        put(trailer, 96, &totals.saved_bytes.to_le_bytes());
        let crc = crc_fast::crc32_iscsi(&trailer[..TRAILER_CRC_AT]);
        put(trailer, TRAILER_CRC_AT, &crc.to_le_bytes());
        bytes
    }
}

/// The last block of a sealed segment, whose checksum and numbers are right: where its footer is and what it is of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Trailer {
    pub label: SegmentLabel,
    pub stripe: StripePlace,
    pub extents: u32,
    pub records: usize,
    pub data_end: u32,
    pub sealed_at: u64,
    pub totals: Totals,
    footer_crc: u32,
}

impl Trailer {
    pub fn read(file: &File, file_len: u32) -> Result<Trailer, FooterBreak> {
        let trailer_at = file_len.checked_sub(TRAILER_BYTES).ok_or(FooterBreak::Absent)?;
        let mut trailer = [0u8; TRAILER_BYTES as usize];
        file.read_exact_at(&mut trailer, trailer_at.into()).map_err(|_| FooterBreak::Absent)?;
        let crc = crc_fast::crc32_iscsi(&trailer[..TRAILER_CRC_AT]);
        if trailer[..4] != MAGIC || u32_at(&trailer, TRAILER_CRC_AT) != crc {
            return Err(FooterBreak::Absent);
        }
        if !is_known(u16_at(&trailer, 4)) {
            return Err(FooterBreak::Version(u16_at(&trailer, 4)));
        }
        let found = Trailer {
            label: SegmentLabel {
                id: bytes_at(&trailer, 8),
                identity: Identity(bytes_at(&trailer, 24)),
            },
            stripe: StripePlace {
                set: bytes_at(&trailer, 40),
                device: u32_at(&trailer, 56),
                devices: u32_at(&trailer, 60),
            },
            extents: u32_at(&trailer, 64),
            records: u32_at(&trailer, 68) as usize,
            data_end: u32_at(&trailer, 88),
            sealed_at: u64_at(&trailer, 80),
            footer_crc: u32_at(&trailer, 92),
            totals: Totals {
                stored_bytes: u64_at(&trailer, 72),
                saved_bytes: u64_at(&trailer, 96),
            },
        };
        let is_of_its_length = found.records <= file_len as usize / ENTRY_BYTES
            && found.data_end.checked_add(footer_bytes(found.records)) == Some(file_len);
        if is_of_its_length { Ok(found) } else { Err(FooterBreak::Absent) }
    }

    /// Bytes of all entries, which a reader of the footer holds at once.
    pub fn entries_bytes(&self) -> usize {
        self.records * ENTRY_BYTES
    }

    /// The entry of one key, of which only its own soundness is checked.
    pub fn find(
        &self,
        file: &File,
        key: &RecordKey,
        reads_left: &AtomicI64,
    ) -> Result<Option<RecordEntry>, Doubtful> {
        let footer = SortedList {
            file,
            at: self.data_end.into(),
            records: self.records,
            record_bytes: ENTRY_BYTES,
            spread: 0..u64::MAX,
            reads_left,
        };
        let order = |bytes: &[u8]| u64::from_be_bytes(bytes_at(bytes, 0));
        let entry = |bytes: &[u8]| {
            let is_it = bytes_at::<16>(bytes, 0) == key.0;
            let entry = is_it.then(|| RecordEntry::decode(bytes, BLOCK_BYTES..self.data_end));
            entry.and_then(Result::ok)
        };
        footer.find(order(&key.0), |bytes| Some(order(bytes)), entry)
    }

    /// Reads the footer into `bytes`, whose old content goes; `None` when it is not what was sealed.
    pub fn entries<'a>(&self, file: &File, bytes: &'a mut Vec<u8>) -> Option<FooterEntries<'a>> {
        bytes.resize(self.entries_bytes(), 0);
        file.read_exact_at(bytes, u64::from(self.data_end)).ok()?;
        if crc_fast::crc32_iscsi(bytes) != self.footer_crc {
            return None;
        }
        let entries = FooterEntries { bytes, data_end: self.data_end };
        let is_sound = entries.iter().all(|entry| entry.is_ok());
        is_sound.then_some(entries)
    }
}

/// The entries of a footer, every one of them sound.
pub(crate) struct FooterEntries<'a> {
    bytes: &'a [u8],
    data_end: u32,
}

impl FooterEntries<'_> {
    fn iter(&self) -> impl Iterator<Item = Result<RecordEntry, EntryBreak>> {
        let within = BLOCK_BYTES..self.data_end;
        let entries = self.bytes.chunks_exact(ENTRY_BYTES);
        entries.map(move |entry| RecordEntry::decode(entry, within.clone()))
    }

    pub fn records(&self) -> impl Iterator<Item = RecordEntry> {
        self.iter().flatten()
    }
}
