//! Entries as the blocks of the metadata store have them (docs/formats.md, `entry-block` and `entry-record`); checked
//! where they are read.

use crate::error::{Code, Error, Result};

pub(crate) const COUNT_BYTES: usize = 2;
pub(crate) const START_BYTES: usize = 2;
pub(crate) const NAME_LENGTH_BYTES: usize = 2;
/// Beside the type.
pub(crate) const PACKED_TAG: u8 = 2;
pub(crate) const PACKED_DIGITS: usize = 32;
const TYPE_FILE: u8 = 0;
const TYPE_DIRECTORY: u8 = 1;
const TAG_AT: usize = 17;
const MODIFIED_AT: usize = 9;
const SIZE_MAX: f64 = (1u64 << 53) as f64;

pub struct StoredEntry<'a> {
    pub name: &'a [u8],
    pub record: &'a [u8],
}

/// What the store keeps of an entry beside its name.
pub(crate) struct StoredRecord<'a> {
    pub is_directory: bool,
    pub size: u64,
    /// Milliseconds since 1970; nothing where the source does not say.
    pub modified_ms: Option<f64>,
    tag: &'a [u8],
    is_packed: bool,
}

/// A block; at least one entry is in it.
pub(crate) struct StoredBlock<B> {
    bytes: B,
    count: usize,
}

impl<B: AsRef<[u8]>> StoredBlock<B> {
    pub fn of(bytes: B) -> Result<StoredBlock<B>> {
        let block = bytes.as_ref();
        let count = number(block, 0).ok_or_else(|| damaged("block"))?;
        if count == 0 || COUNT_BYTES + START_BYTES * count > block.len() {
            return Err(damaged("block"));
        }
        Ok(StoredBlock { bytes, count })
    }

    pub fn count(&self) -> usize {
        self.count
    }

    pub fn entry(&self, index: usize) -> Result<StoredEntry<'_>> {
        self.find(index).ok_or_else(|| damaged("block"))
    }

    /// In the order of their names.
    pub fn entries(&self) -> impl Iterator<Item = Result<StoredEntry<'_>>> {
        (0..self.count).map(|index| self.entry(index))
    }

    fn find(&self, index: usize) -> Option<StoredEntry<'_>> {
        let block = self.bytes.as_ref();
        let head = COUNT_BYTES + START_BYTES * self.count;
        let start = |index: usize| match index == self.count {
            true => Some(block.len()),
            false => number(block, COUNT_BYTES + START_BYTES * index),
        };
        let bytes = block.get(start(index)?.max(head)..start(index + 1)?)?;
        let (name, record) = bytes.get(NAME_LENGTH_BYTES..)?.split_at_checked(number(bytes, 0)?)?;
        Some(StoredEntry { name, record })
    }
}

impl<'a> StoredRecord<'a> {
    pub fn of(record: &'a [u8]) -> Result<StoredRecord<'a>> {
        let (head, tag) = record.split_at_checked(TAG_AT).ok_or_else(|| damaged("entry"))?;
        let number = |at: usize| {
            head[at..].first_chunk().map_or(f64::NAN, |bytes| f64::from_be_bytes(*bytes))
        };
        let is_packed = head[0] & PACKED_TAG != 0;
        let kind = head[0] & !PACKED_TAG;
        let is_whole = !is_packed || tag.len() == PACKED_DIGITS / 2;
        let size = number(1);
        let is_known = kind == TYPE_FILE || kind == TYPE_DIRECTORY;
        if !is_known || !is_whole || !(0.0..=SIZE_MAX).contains(&size) {
            return Err(damaged("entry"));
        }
        let modified_ms = Some(number(MODIFIED_AT)).filter(|ms| !ms.is_nan());
        let is_directory = kind == TYPE_DIRECTORY;
        Ok(StoredRecord { is_directory, size: size as u64, modified_ms, tag, is_packed })
    }

    /// Of an entry that must be a file.
    pub fn of_file(record: &'a [u8]) -> Result<StoredRecord<'a>> {
        let file = StoredRecord::of(record)?;
        if file.is_directory { Err(damaged("entry")) } else { Ok(file) }
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
        let block = StoredBlock::of(&vector.bytes).unwrap();
        let entries: Vec<_> = block.entries().map(Result::unwrap).collect();
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
            let file = StoredRecord::of_file(&vector.bytes).unwrap();
            let digits: String = stored.iter().map(|byte| format!("{byte:02x}")).collect();
            let packed = format!("\"{digits}\"");
            let expected = if file.is_packed { packed.as_bytes() } else { stored };
            let modified_ms = f64::from_be_bytes(vector.array("entry-record/0/mtime"));
            assert_eq!((file.size, file.modified_ms), (size as u64, Some(modified_ms)));
            file.with_tag(|tag| assert_eq!(tag, expected, "{name}"));
        }
    }

    #[test]
    fn a_record_that_is_no_file_s_is_damage() {
        let file = [&[0u8][..], &5f64.to_be_bytes(), &[0; 8], b"m:1"].concat();
        assert!(StoredRecord::of_file(&file).is_ok_and(|file| file.is_weak() && file.size == 5));
        for (at, byte) in [(0, 1), (0, 2), (0, 3), (1, 0xff), (1, 0xbf)] {
            let mut other = file.clone();
            other[at] = byte;
            assert_eq!(StoredRecord::of_file(&other).map(|_| ()).unwrap_err().code, Code::Corrupt);
        }
        assert!(StoredRecord::of(&file[..16]).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_entries_or_an_error(bytes in proptest::collection::vec(0u8..9, 0..60)) {
            let block = StoredBlock::of(&bytes);
            for StoredEntry { name, record } in block.iter().flat_map(StoredBlock::entries).flatten() {
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
                for entry in StoredBlock::of(block).unwrap().entries() {
                    read.push(String::from_utf8(entry.unwrap().name.to_vec()).unwrap());
                }
                rest = next;
            }
            prop_assert_eq!(read, names.into_iter().collect::<Vec<_>>());
        }
    }
}
