//! Files of a listing, packed: one buffer a page crosses between TypeScript and Rust, and no file is an object of
//! JavaScript's. Little endian: u32 count, u32 where each row begins and where the last one ends, then of each f64
//! size, f64 modified in ms since 1970, u16 length of its key, key, tag. The other half is `source-files.ts` of
//! packages/under-storage. Never stored, never sent.

use crate::error::{Code, Error, Result};

const COUNT_BYTES: usize = 4;
const START_BYTES: usize = 4;
/// Size, time and the length of the key.
const HEAD_BYTES: usize = 18;
/// Of most rows, with its head: room for so much is made at first.
const ROW_BYTES_USUAL: usize = 96;

#[derive(Clone, Copy, PartialEq, Debug)]
pub struct FileRow<'a> {
    pub size: f64,
    pub modified_ms: f64,
    pub key: &'a [u8],
    pub tag: &'a [u8],
}

/// Fills the rows of a page, of which it is known how many there will be at most.
pub struct FileRowsWriter {
    bytes: Vec<u8>,
    count: usize,
    count_max: usize,
}

impl FileRowsWriter {
    pub fn new(count_max: usize) -> FileRowsWriter {
        let head = COUNT_BYTES + START_BYTES * (count_max + 1);
        let mut bytes = Vec::with_capacity(head + ROW_BYTES_USUAL * count_max);
        bytes.resize(head, 0);
        FileRowsWriter { bytes, count: 0, count_max }
    }

    /// `None` where the key is longer than a row can say, or there are more than there should be.
    pub fn push(&mut self, row: FileRow<'_>) -> Option<()> {
        let key_len = u16::try_from(row.key.len()).ok()?;
        (self.count < self.count_max).then_some(())?;
        self.set_start();
        self.bytes.extend_from_slice(&row.size.to_le_bytes());
        self.bytes.extend_from_slice(&row.modified_ms.to_le_bytes());
        self.bytes.extend_from_slice(&key_len.to_le_bytes());
        self.bytes.extend_from_slice(row.key);
        self.bytes.extend_from_slice(row.tag);
        self.count += 1;
        Some(())
    }

    pub fn finish(mut self) -> Vec<u8> {
        self.set_start();
        self.bytes[..COUNT_BYTES].copy_from_slice(&(self.count as u32).to_le_bytes());
        self.bytes
    }

    /// Where the next row begins, or the last one ends.
    fn set_start(&mut self) {
        let start = self.bytes.len() as u32;
        let at = COUNT_BYTES + START_BYTES * self.count;
        self.bytes[at..at + START_BYTES].copy_from_slice(&start.to_le_bytes());
    }
}

#[derive(Clone, Copy)]
pub struct FileRows<'a>(&'a [u8]);

impl<'a> FileRows<'a> {
    pub fn of(bytes: &'a [u8]) -> FileRows<'a> {
        FileRows(bytes)
    }

    /// `Invalid` where there is no such row, or it leads out of the bytes.
    pub fn row(&self, index: usize) -> Result<FileRow<'a>> {
        self.find(index)
            .ok_or_else(|| Error::new(Code::Invalid, format!("file {index} is none of its page's")))
    }

    fn find(&self, index: usize) -> Option<FileRow<'a>> {
        if index >= self.u32(0)? {
            return None;
        }
        let at = COUNT_BYTES + START_BYTES * index;
        let row = self.0.get(self.u32(at)?..self.u32(at + START_BYTES)?)?;
        let (head, rest) = row.split_at_checked(HEAD_BYTES)?;
        let (size, head) = head.split_first_chunk()?;
        let (modified_ms, key_len) = head.split_first_chunk()?;
        let (key, tag) =
            rest.split_at_checked(u16::from_le_bytes(key_len.try_into().ok()?).into())?;
        Some(FileRow {
            size: f64::from_le_bytes(*size),
            modified_ms: f64::from_le_bytes(*modified_ms),
            key,
            tag,
        })
    }

    fn u32(&self, at: usize) -> Option<usize> {
        let bytes = self.0.get(at..)?.first_chunk()?;
        usize::try_from(u32::from_le_bytes(*bytes)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn rows_are_read_as_they_were_written(
            files in proptest::collection::vec((0u64..1 << 53, "[a-z/]{0,20}", "[0-9a-f\"]{0,40}"), 0..20)
        ) {
            let rows: Vec<FileRow<'_>> = files
                .iter()
                .map(|(size, key, tag)| FileRow {
                    size: *size as f64,
                    modified_ms: (*size / 2) as f64,
                    key: key.as_bytes(),
                    tag: tag.as_bytes(),
                })
                .collect();
            let mut writer = FileRowsWriter::new(rows.len());
            for row in &rows {
                prop_assert!(writer.push(*row).is_some());
            }
            let bytes = writer.finish();
            let read = FileRows::of(&bytes);
            for (index, row) in rows.iter().enumerate() {
                prop_assert_eq!(read.row(index).unwrap(), *row);
            }
            prop_assert!(read.row(rows.len()).is_err());
        }

        #[test]
        fn any_bytes_are_rows_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..80), index in 0usize..4) {
            let _ = FileRows::of(&bytes).row(index);
        }
    }
}
