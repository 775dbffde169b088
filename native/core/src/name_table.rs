//! The plain files of one directory as they were listed, found by name: what looking names up in the store's blocks
//! costs, most of it for the calls, is spared where a directory is looked up much.

use crate::entry_blocks::hash_name;
use crate::error::{Code, Error, Result};
use crate::object::write_object;
use crate::stored_entry::{StoredBlock, StoredEntry, StoredRecord};

/// Of a row: u16 length of the name, u16 of the record, name, record.
const ROW_HEAD_BYTES: usize = 4;
/// Of most rows.
const ROW_BYTES_USUAL: usize = 56;
/// A place of the table: where a row begins and 1; 0: none.
const PLACE_BYTES: usize = 4;
/// Beside rows and places: the table itself, and what it is kept by.
const TABLE_BYTES: usize = 256;

pub struct NameTable {
    attachment: u32,
    /// Source keys of all names begin so.
    prefix: Vec<u8>,
    rows: Vec<u8>,
    names: usize,
    /// A power of two of them, at least twice as many as names.
    places: Vec<u32>,
    has_weak: bool,
}

impl NameTable {
    /// For so many names, and for more: then it has to find a place for all of them anew.
    pub fn new(attachment: u32, prefix: &[u8], names: usize) -> NameTable {
        NameTable {
            attachment,
            prefix: prefix.to_vec(),
            rows: Vec::with_capacity(names * ROW_BYTES_USUAL),
            names: 0,
            places: vec![0; places_for(names)],
            has_weak: false,
        }
    }

    /// The files of an `entry-block` (docs/formats.md); the names of each are in no other one. `Corrupt` where its
    /// numbers lead out of it.
    pub fn add(&mut self, block: &[u8]) -> Result<()> {
        for entry in StoredBlock::of(block)?.entries() {
            let StoredEntry { name, record } = entry?;
            self.has_weak |= StoredRecord::of_file(record)?.is_weak();
            let start = u32::try_from(self.rows.len()).map_err(|_| too_many())?;
            self.rows.extend_from_slice(&(name.len() as u16).to_le_bytes());
            self.rows.extend_from_slice(&(record.len() as u16).to_le_bytes());
            self.rows.extend_from_slice(name);
            self.rows.extend_from_slice(record);
            self.names += 1;
            if 2 * self.names > self.places.len() {
                self.grow();
            } else {
                self.place(start as usize, hash_name(name));
            }
        }
        Ok(())
    }

    /// After the last block: it takes no more memory than it needs.
    pub fn finish(&mut self) {
        self.rows.shrink_to_fit();
    }

    /// Writes the file of that name as one object of a list; whether there is one.
    pub fn write(&self, name: &[u8], list: &mut Vec<u8>) -> bool {
        // It was read when it was added.
        let Some(file) = self.find(name).and_then(|row| StoredRecord::of_file(row.record).ok())
        else {
            return false;
        };
        let facts = (self.attachment, file.size);
        file.with_tag(|tag| write_object(list, facts, tag, [&self.prefix, name]));
        true
    }

    /// Number of an attachment that has files of which the source does not name versions.
    pub fn weak(&self) -> Option<u32> {
        self.has_weak.then_some(self.attachment)
    }

    pub fn bytes(&self) -> usize {
        TABLE_BYTES + self.prefix.len() + self.rows.capacity() + PLACE_BYTES * self.places.len()
    }

    fn find(&self, name: &[u8]) -> Option<StoredEntry<'_>> {
        let mask = self.places.len() - 1;
        let mut place = hash_name(name) as usize & mask;
        loop {
            let start = self.places[place].checked_sub(1)?;
            let row = self.row(start as usize);
            if row.name == name {
                return Some(row);
            }
            place = (place + 1) & mask;
        }
    }

    fn grow(&mut self) {
        self.places = vec![0; places_for(2 * self.names)];
        let mut start = 0;
        for _ in 0..self.names {
            let row = self.row(start);
            let next = start + ROW_HEAD_BYTES + row.name.len() + row.record.len();
            self.place(start, hash_name(row.name));
            start = next;
        }
    }

    fn place(&mut self, start: usize, hash: u32) {
        let mask = self.places.len() - 1;
        let mut place = hash as usize & mask;
        while self.places[place] != 0 {
            place = (place + 1) & mask;
        }
        self.places[place] = start as u32 + 1;
    }

    fn row(&self, start: usize) -> StoredEntry<'_> {
        let length =
            |at: usize| usize::from(u16::from_le_bytes([self.rows[at], self.rows[at + 1]]));
        let (name_len, record_len) = (length(start), length(start + 2));
        let at = start + ROW_HEAD_BYTES;
        let (name, rest) = self.rows[at..].split_at(name_len);
        StoredEntry { name, record: &rest[..record_len] }
    }
}

fn places_for(names: usize) -> usize {
    (2 * names.max(1)).next_power_of_two()
}

fn too_many() -> Error {
    Error::new(Code::Full, "a directory's names are more than 4 GiB")
}
