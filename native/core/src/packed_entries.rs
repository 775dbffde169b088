//! Entries of one page of a listing as they travel (`packed-entries.ts` of packages/protocol): MessagePack of one list.

use crate::entry_merge::EntrySink;
use crate::error::{Code, Error, Result};
use crate::stored_entry::{StoredEntry, StoredRecord};

const LIST: u8 = 0xdd;
const HEAD_BYTES: usize = 1 + 4;
const FIELDS_AN_ENTRY: u32 = 5;
const FIXED_TEXT_MAX: usize = 31;

pub struct PackedEntries {
    bytes: Vec<u8>,
    count: u32,
}

impl PackedEntries {
    /// `path`: what is listed.
    pub fn new(path: &str) -> PackedEntries {
        let mut bytes = vec![0; HEAD_BYTES];
        put_text(&mut bytes, path.as_bytes());
        PackedEntries { bytes, count: 0 }
    }

    pub fn count(&self) -> u32 {
        self.count
    }

    pub fn finish(mut self) -> Vec<u8> {
        self.bytes[0] = LIST;
        let fields = 1 + FIELDS_AN_ENTRY * self.count;
        self.bytes[1..HEAD_BYTES].copy_from_slice(&fields.to_be_bytes());
        self.bytes
    }
}

impl EntrySink for PackedEntries {
    fn add(&mut self, entry: &StoredEntry<'_>) -> Result<()> {
        let record = StoredRecord::of(entry.record)?;
        // Whoever reads it would refuse the whole page.
        std::str::from_utf8(entry.name)
            .map_err(|_| Error::new(Code::Corrupt, "a name in the metadata store is not UTF-8"))?;
        put_text(&mut self.bytes, entry.name);
        self.bytes.push(u8::from(record.is_directory));
        put_whole(&mut self.bytes, record.size);
        match record.modified_ms {
            Some(ms) => put_double(&mut self.bytes, ms),
            None => self.bytes.push(0xc0),
        }
        record.with_tag(|tag| put_text(&mut self.bytes, tag));
        self.count += 1;
        Ok(())
    }
}

/// Lengths of what the store has are of 16 bits.
fn put_text(bytes: &mut Vec<u8>, text: &[u8]) {
    match text.len() {
        length @ 0..=FIXED_TEXT_MAX => bytes.push(0xa0 | length as u8),
        length @ 0..=0xff => bytes.extend_from_slice(&[0xd9, length as u8]),
        length => {
            bytes.push(0xda);
            bytes.extend_from_slice(&(length as u16).to_be_bytes());
        }
    }
    bytes.extend_from_slice(text);
}

fn put_whole(bytes: &mut Vec<u8>, number: u64) {
    match u32::try_from(number) {
        Ok(small) => {
            bytes.push(0xce);
            bytes.extend_from_slice(&small.to_be_bytes());
        }
        Err(_) => {
            bytes.push(0xcf);
            bytes.extend_from_slice(&number.to_be_bytes());
        }
    }
}

fn put_double(bytes: &mut Vec<u8>, number: f64) {
    bytes.push(0xcb);
    bytes.extend_from_slice(&number.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_length_has_its_head() {
        for (length, head) in [
            (0, &[0xa0][..]),
            (31, &[0xbf]),
            (32, &[0xd9, 32]),
            (255, &[0xd9, 255]),
            (256, &[0xda, 1, 0]),
            (4_096, &[0xda, 16, 0]),
        ] {
            let mut bytes = Vec::new();
            put_text(&mut bytes, &vec![b'a'; length]);
            assert_eq!((&bytes[..head.len()], bytes.len()), (head, head.len() + length));
        }
    }

    #[test]
    fn an_entry_is_its_name_and_what_its_record_says() {
        let file =
            [&[2u8][..], &1e10f64.to_be_bytes(), &1.5f64.to_be_bytes(), &[0xab; 16]].concat();
        let folder = [&[1u8][..], &0f64.to_be_bytes(), &f64::NAN.to_be_bytes()].concat();
        let mut page = PackedEntries::new("/a");
        page.add(&StoredEntry { name: b"f", record: &file }).unwrap();
        page.add(&StoredEntry { name: "ä".as_bytes(), record: &folder }).unwrap();
        assert_eq!(page.count(), 2);
        let mut expected = b"\xdd\0\0\0\x0b\xa2/a\xa1f\0\xcf".to_vec();
        expected.extend_from_slice(&10_000_000_000u64.to_be_bytes());
        expected.push(0xcb);
        expected.extend_from_slice(&1.5f64.to_be_bytes());
        expected.extend_from_slice(format!("\u{0}\"{}\"", "ab".repeat(16)).as_bytes());
        let at = expected.len() - 35;
        expected.splice(at..=at, [0xd9, 34]);
        expected.extend_from_slice(b"\xa2\xc3\xa4\x01\xce\0\0\0\0\xc0\xa0");
        assert_eq!(page.finish(), expected);
    }

    #[test]
    fn a_name_that_is_no_text_is_damage() {
        let record = [&[0u8][..], &[0; 16], b"m:1"].concat();
        let added = PackedEntries::new("/").add(&StoredEntry { name: b"\xff", record: &record });
        assert_eq!(added.unwrap_err().code, Code::Corrupt);
    }
}
