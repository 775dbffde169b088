//! Entries as the blocks of the metadata store have them (docs/formats.md, `entry-block` and `entry-record`); checked
//! where they are read.

use crate::entry_blocks::{COUNT_BYTES, NAME_LENGTH_BYTES, PACKED_DIGITS, PACKED_TAG, START_BYTES};
use crate::error::{Code, Error, Result};

const TYPE_FILE: u8 = 0;
const TAG_AT: usize = 17;
const SIZE_MAX: f64 = (1u64 << 53) as f64;

pub(crate) struct StoredEntry<'a> {
    pub name: &'a [u8],
    pub record: &'a [u8],
}

/// A file, by its record.
pub(crate) struct StoredFile<'a> {
    pub size: u64,
    tag: &'a [u8],
    is_packed: bool,
}

/// The entries of a block, in the order of their names.
pub(crate) fn entries_of(block: &[u8]) -> Result<impl Iterator<Item = Result<StoredEntry<'_>>>> {
    let count = number(block, 0).ok_or_else(|| damaged("block"))?;
    let head = COUNT_BYTES + START_BYTES * count;
    if count == 0 || head > block.len() {
        return Err(damaged("block"));
    }
    let start = move |index: usize| match index == count {
        true => Some(block.len()),
        false => number(block, COUNT_BYTES + START_BYTES * index),
    };
    Ok((0..count).map(move |index| {
        let entry = start(index).zip(start(index + 1)).and_then(|(from, to)| {
            let bytes = block.get(from.max(head)..to)?;
            let (name, record) =
                bytes.get(NAME_LENGTH_BYTES..)?.split_at_checked(number(bytes, 0)?)?;
            Some(StoredEntry { name, record })
        });
        entry.ok_or_else(|| damaged("block"))
    }))
}

impl<'a> StoredFile<'a> {
    pub fn of(record: &'a [u8]) -> Result<StoredFile<'a>> {
        let (head, tag) = record.split_at_checked(TAG_AT).ok_or_else(|| damaged("entry"))?;
        let is_packed = head[0] == TYPE_FILE | PACKED_TAG;
        let size = head[1..].first_chunk().map_or(f64::NAN, |bytes| f64::from_be_bytes(*bytes));
        let is_known = is_packed && tag.len() == PACKED_DIGITS / 2 || head[0] == TYPE_FILE;
        if !is_known || !(0.0..=SIZE_MAX).contains(&size) {
            return Err(damaged("entry"));
        }
        Ok(StoredFile { size: size as u64, tag, is_packed })
    }

    /// Its source does not name versions (`isWeak` of packages/protocol).
    pub fn is_weak(&self) -> bool {
        !self.is_packed && (self.tag.starts_with(b"m:") || self.tag.starts_with(b"f:"))
    }

    /// What `use_it` makes of its tag.
    pub fn with_tag<T>(&self, use_it: impl FnOnce(&[u8]) -> T) -> T {
        if !self.is_packed {
            return use_it(self.tag);
        }
        let mut text = [b'"'; 2 + PACKED_DIGITS];
        for (pair, byte) in text[1..].chunks_exact_mut(2).zip(self.tag) {
            pair[0] = HEX[usize::from(byte >> 4)];
            pair[1] = HEX[usize::from(byte & 15)];
        }
        use_it(&text)
    }
}

const HEX: [u8; 16] = *b"0123456789abcdef";

fn number(bytes: &[u8], at: usize) -> Option<usize> {
    bytes.get(at..)?.first_chunk().map(|pair| usize::from(u16::from_be_bytes(*pair)))
}

fn damaged(kind: &str) -> Error {
    Error::new(Code::Corrupt, format!("a {kind} record in the metadata store is damaged"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry_blocks::EntryDealer;
    use crate::golden::layout_vector::LayoutVector;
    use proptest::prelude::*;

    #[test]
    fn a_block_of_the_document_is_read() {
        let vector = LayoutVector::named("metadata-entry-block");
        let entries: Vec<_> = entries_of(&vector.bytes).unwrap().map(Result::unwrap).collect();
        assert_eq!(entries.len() as u64, vector.number("entry-block/0/entries"));
        for (n, entry) in entries.iter().enumerate() {
            let part = |field: &str| vector.part(&format!("block-entry/{n}/{field}"));
            assert_eq!((entry.name, entry.record), (part("name"), part("record")));
        }
    }

    #[test]
    fn records_of_the_document_are_read() {
        for name in ["metadata-entry-record", "metadata-entry-record-packed"] {
            let vector = LayoutVector::named(name);
            let stored = vector.part("entry-record/0/tag");
            let size = f64::from_be_bytes(vector.array("entry-record/0/size"));
            let file = StoredFile::of(&vector.bytes).unwrap();
            let digits: String = stored.iter().map(|byte| format!("{byte:02x}")).collect();
            let packed = format!("\"{digits}\"");
            let expected = if file.is_packed { packed.as_bytes() } else { stored };
            assert_eq!(file.size, size as u64);
            file.with_tag(|tag| assert_eq!(tag, expected, "{name}"));
        }
    }

    #[test]
    fn a_record_that_is_no_file_s_is_damage() {
        let file = [&[0u8][..], &5f64.to_be_bytes(), &[0; 8], b"m:1"].concat();
        assert!(StoredFile::of(&file).is_ok_and(|file| file.is_weak() && file.size == 5));
        for (at, byte) in [(0, 1), (0, 2), (0, 3), (1, 0xff), (1, 0xbf)] {
            let mut other = file.clone();
            other[at] = byte;
            assert_eq!(StoredFile::of(&other).map(|_| ()).unwrap_err().code, Code::Corrupt);
        }
        assert!(StoredFile::of(&file[..16]).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_entries_or_an_error(bytes in proptest::collection::vec(0u8..9, 0..60)) {
            for StoredEntry { name, record } in entries_of(&bytes).into_iter().flatten().flatten() {
                prop_assert!(name.len() + record.len() < bytes.len());
            }
        }

        #[test]
        fn what_was_dealt_is_read(names in proptest::collection::btree_set("[a-z]{1,9}", 1..300)) {
            let mut dealer = EntryDealer::new(vec![true]).unwrap();
            for name in &names {
                dealer.add(0, name.as_bytes(), name.repeat(30).as_bytes()).unwrap();
            }
            dealer.end();
            let dealt = dealer.take();
            let mut read = Vec::new();
            let mut rest = &dealt[..];
            while let Some((head, after)) = rest.split_first_chunk::<7>() {
                let (block, next) = after.split_at(u32::from_le_bytes([head[3], head[4], head[5], head[6]]) as usize);
                for entry in entries_of(block).unwrap() {
                    read.push(String::from_utf8(entry.unwrap().name.to_vec()).unwrap());
                }
                rest = next;
            }
            prop_assert_eq!(read, names.into_iter().collect::<Vec<_>>());
        }
    }
}
