//! What a segment file holds, believed only as far as its checksums reach.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::extent::{Extent, ExtentBreak, SegmentLabel};
use crate::footer::{FooterBreak, Trailer};
use crate::record_entry::RecordEntry;

#[derive(Debug)]
pub(crate) struct Found {
    pub label: SegmentLabel,
    pub extents: u32,
    /// Where the last whole extent ends.
    pub data_end: u32,
    pub entries: Vec<RecordEntry>,
}

/// Why nothing of a file can be used.
#[derive(Debug)]
pub(crate) enum Unusable {
    /// No extent was ever written whole.
    Empty,
    /// Of another version of this program, which may still want it.
    Version(u16),
    /// Of another version too: it has a codec that is not known here.
    Codec(u8),
    Damaged,
    Unreadable(io::Error),
}

/// What the end of a file tells.
pub(crate) enum Glance {
    /// A trailer; whether the footer is whole too is seen when it is read.
    Sealed(Trailer),
    Unsealed(Found),
}

impl Glance {
    pub fn label(&self) -> SegmentLabel {
        match self {
            Glance::Sealed(trailer) => trailer.label,
            Glance::Unsealed(found) => found.label,
        }
    }
}

/// By the trailer where there is one, else extent by extent.
pub(crate) fn glance(file: &File) -> Result<Glance, Unusable> {
    let len = len_of(file)?;
    match Trailer::read(file, len) {
        Ok(trailer) => Ok(Glance::Sealed(trailer)),
        Err(FooterBreak::Version(version)) => Err(Unusable::Version(version)),
        Err(FooterBreak::Absent) => by_extents(file, len).map(Glance::Unsealed),
    }
}

/// By the footer where it is whole, else extent by extent up to the first break. No payloads are read but those of the
/// last extent without a footer: records are unverified, and checked against their CRC when they are first read.
pub(crate) fn examine(file: &File) -> Result<Found, Unusable> {
    let trailer = match glance(file)? {
        Glance::Unsealed(found) => return Ok(found),
        Glance::Sealed(trailer) => trailer,
    };
    let mut bytes = Vec::new();
    match trailer.entries(file, &mut bytes) {
        Some(footer) => Ok(Found {
            label: trailer.label,
            extents: trailer.extents,
            data_end: trailer.data_end,
            entries: footer.records().collect(),
        }),
        None => examine_extents(file),
    }
}

/// Without a look at its end.
pub(crate) fn examine_extents(file: &File) -> Result<Found, Unusable> {
    by_extents(file, len_of(file)?)
}

fn len_of(file: &File) -> Result<u32, Unusable> {
    let len = file.metadata().map_err(Unusable::Unreadable)?.len();
    u32::try_from(len).map_err(|_| Unusable::Damaged)
}

fn by_extents(file: &File, len: u32) -> Result<Found, Unusable> {
    let first = match Extent::read(file, 0, len) {
        Ok(extent) if extent.number == 0 => extent,
        Ok(_) | Err(ExtentBreak::Damaged) => return Err(Unusable::Damaged),
        Err(ExtentBreak::End) => return Err(Unusable::Empty),
        Err(ExtentBreak::Version(version)) => return Err(Unusable::Version(version)),
        Err(ExtentBreak::Codec(codec)) => return Err(Unusable::Codec(codec)),
        Err(ExtentBreak::Unreadable(error)) => return Err(Unusable::Unreadable(error)),
    };
    let mut found =
        Found { label: first.label, extents: 1, data_end: first.bytes, entries: first.entries };
    let mut last = 0;
    loop {
        match Extent::read(file, found.data_end, len) {
            Ok(next) if next.label == found.label && next.number == found.extents => {
                found.extents += 1;
                found.data_end += next.bytes;
                last = found.entries.len();
                found.entries.extend(next.entries);
            }
            // Whole, and not to be cut off as what was never published.
            Err(ExtentBreak::Codec(codec)) => return Err(Unusable::Codec(codec)),
            Ok(_) | Err(_) => break,
        }
    }
    let whole = found.entries.split_off(last).into_iter().filter(|entry| is_whole(file, entry));
    found.entries.extend(whole);
    Ok(found)
}

/// A kill can cut the write of the last extent short, whose header is there then. None of its records was published,
/// and a torn one would take the place of an older copy that is good.
fn is_whole(file: &File, entry: &RecordEntry) -> bool {
    let mut payload = vec![0; entry.stored_len as usize];
    let read = file.read_exact_at(&mut payload, u64::from(entry.offset));
    read.is_ok() && crc_fast::crc32_iscsi(&payload) == entry.crc
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;
    use std::ops::Range;

    use proptest::prelude::*;

    use super::*;
    use crate::field::{put, u32_at};
    use crate::golden::layout_vector::LayoutVector;
    use crate::record_entry::alignment;

    /// With records that have a codec, and without. Both have the same places.
    const NAMES: [&str; 2] = ["segment", "packed-segment"];

    fn segment(name: &str) -> Vec<u8> {
        LayoutVector::named(name).bytes
    }

    /// The footer of the vector, and what its records are in any order.
    const FOOTER_AT: usize = 20_480;
    const TRAILER_AT: usize = 24_576;

    fn file_of(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    fn true_entries(name: &str) -> Vec<RecordEntry> {
        examine(&file_of(&segment(name))).unwrap().entries
    }

    /// Nothing that is found leads out of the file, or into a header.
    fn assert_sound(found: &Found, len: usize) {
        assert!(found.data_end as usize <= len && found.data_end.is_multiple_of(4096));
        for entry in &found.entries {
            let Range { start, end } = entry.offset..entry.offset + entry.stored_len;
            assert!(start >= 4096 && end <= found.data_end, "{entry:?} of {found:?}");
            assert!(start.is_multiple_of(alignment(entry.stored_len)), "{entry:?}");
        }
    }

    /// Makes the checksums right again that cover what was changed.
    fn reseal(bytes: &mut [u8]) {
        for extent in [0, 12_288] {
            put(bytes, extent + 60, &[0; 4]);
            let crc = crc_fast::crc32_iscsi(&bytes[extent..extent + 4096]);
            put(bytes, extent + 60, &crc.to_le_bytes());
        }
        let records = (u32_at(bytes, TRAILER_AT + 68) as usize).min(64);
        let footer = crc_fast::crc32_iscsi(&bytes[FOOTER_AT..FOOTER_AT + records * 64]);
        put(bytes, TRAILER_AT + 92, &footer.to_le_bytes());
        let trailer = crc_fast::crc32_iscsi(&bytes[TRAILER_AT..TRAILER_AT + 4092]);
        put(bytes, TRAILER_AT + 4092, &trailer.to_le_bytes());
    }

    #[test]
    fn a_trailer_of_another_version_is_never_taken_for_an_unsealed_segment() {
        for name in NAMES {
            let mut bytes = segment(name);
            put(&mut bytes, TRAILER_AT + 4, &3u16.to_le_bytes());
            reseal(&mut bytes);
            assert!(matches!(examine(&file_of(&bytes)), Err(Unusable::Version(3))));
        }
    }

    #[test]
    fn a_codec_that_is_not_known_is_told_wherever_it_stands() {
        for at in [64 + 36, 128 + 36, 12_288 + 64 + 36] {
            let mut bytes = segment("packed-segment");
            bytes[at] = 7;
            reseal(&mut bytes);
            assert!(matches!(examine(&file_of(&bytes[..FOOTER_AT])), Err(Unusable::Codec(7))));
        }
        // The version before knew none.
        let mut bytes = segment("packed-segment");
        put(&mut bytes, 4, &1u16.to_le_bytes());
        reseal(&mut bytes);
        assert!(matches!(examine(&file_of(&bytes[..FOOTER_AT])), Err(Unusable::Damaged)));
    }

    #[test]
    fn an_extent_of_another_segment_ends_what_is_found() {
        for (at, change) in [(12_288 + 8, 1u8), (12_288 + 24, 1), (12_288 + 40, 1)] {
            let mut bytes = segment("segment");
            bytes[at] ^= change;
            reseal(&mut bytes);
            let found = examine(&file_of(&bytes[..FOOTER_AT])).unwrap();
            assert_eq!(
                (found.extents, found.data_end, found.entries.len()),
                (1, 12_288, 2),
                "{at}"
            );
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

        #[test]
        fn damage_leaves_true_entries_or_an_error(
            flips in prop::collection::vec((any::<prop::sample::Index>(), 1u8..), 0..4),
            len in prop::option::of(any::<prop::sample::Index>()),
            (sealed, name) in (any::<bool>(), prop::sample::select(&NAMES)),
        ) {
            let mut bytes = segment(name);
            bytes.truncate(if sealed { bytes.len() } else { FOOTER_AT });
            for (at, change) in flips {
                let at = at.index(bytes.len());
                bytes[at] ^= change;
            }
            bytes.truncate(len.map_or(bytes.len(), |len| len.index(bytes.len() + 1)));
            if let Ok(found) = examine(&file_of(&bytes)) {
                assert_sound(&found, bytes.len());
                let known = true_entries(name);
                prop_assert!(found.entries.iter().all(|entry| known.contains(entry)), "{found:?}");
            }
        }

        /// Numbers that lie, under checksums that hold: an error, or entries that lie inside the file.
        #[test]
        fn hostile_numbers_are_checked(
            changes in prop::collection::vec((prop::sample::select(vec![
                4, 6, 40, 44, 48, 80, 84, 88, 92, 96, 100, 128 + 16, 128 + 20, 128 + 24, 128 + 36,
                12_288 + 6, 12_288 + 40, 12_288 + 44,
                12_288 + 48, 12_288 + 80, 12_288 + 84, FOOTER_AT + 16, FOOTER_AT + 20, FOOTER_AT + 24, FOOTER_AT + 36,
                FOOTER_AT + 80, TRAILER_AT + 64, TRAILER_AT + 68, TRAILER_AT + 72, TRAILER_AT + 88,
            ]), any::<u32>(), 0..32u32), 1..4),
            (sealed, name) in (any::<bool>(), prop::sample::select(&NAMES)),
        ) {
            let mut bytes = segment(name);
            for (at, value, shift) in changes {
                put(&mut bytes, at, &(value >> shift).to_le_bytes());
            }
            reseal(&mut bytes);
            bytes.truncate(if sealed { bytes.len() } else { FOOTER_AT });
            if let Ok(found) = examine(&file_of(&bytes)) {
                assert_sound(&found, bytes.len());
            }
        }
    }
}
