//! Blocks of a directory's entries (docs/formats.md, `entry-block`), filled for many partitions at once: a first
//! listing writes every entry of a directory, a million of them maybe. Blocks that are rewritten later are TypeScript's
//! (`entry-block.ts` of packages/metadata), which reads them all.

use crate::entry_merge::EntrySink;
use crate::error::{Code, Error, Result};
use crate::file_rows::{FileRow, FileRows};
use crate::stored_entry::{
    COUNT_BYTES, NAME_LENGTH_BYTES, PACKED_DIGITS, PACKED_TAG, START_BYTES, StoredBlock,
    StoredEntry, StoredRecord,
};

/// What two overflow pages of the store hold. One entry that is longer is a block of its own.
const BLOCK_BYTES_MAX: usize = 2 * 8_192 - 16;
/// Files whose names are their keys' bytes, other files, directories.
const CLASSES: usize = 3;
const PLAIN_FILE: usize = 0;
const DIRECTORY: usize = 2;

/// Deals entries out to the partitions of one directory, by the hashes of their names. Of each class they come in the
/// order of their names.
pub struct EntryDealer {
    /// Which partitions there are; the first one always is.
    present: Vec<bool>,
    counts: Vec<u32>,
    open: Vec<Block>,
    full: Vec<u8>,
    /// A record on its way into a block.
    record: Vec<u8>,
}

#[derive(Default, Clone)]
struct Block {
    starts: Vec<u16>,
    entries: Vec<u8>,
}

impl EntryDealer {
    pub fn new(present: Vec<bool>) -> Result<EntryDealer> {
        let fits = present.len() <= usize::from(u16::MAX) && present.first() == Some(&true);
        if !fits {
            return Err(Error::new(Code::Invalid, "a directory without its first partition"));
        }
        let count = present.len();
        Ok(EntryDealer {
            present,
            counts: vec![0; count],
            open: vec![Block::default(); count * CLASSES],
            full: Vec::new(),
            record: Vec::new(),
        })
    }

    /// Deals out the files from `from` on whose names, behind the first `skip` bytes of their keys, are those bytes.
    /// Where the first one is that is not so, or the end.
    pub fn add_files(
        &mut self,
        files: FileRows<'_>,
        from: usize,
        to: usize,
        skip: usize,
    ) -> Result<usize> {
        for index in from..to {
            let file = files.row(index)?;
            let name = file.key.get(skip..).unwrap_or_default();
            if !is_plain(name) {
                return Ok(index);
            }
            let mut record = std::mem::take(&mut self.record);
            record.clear();
            write_record(&file, &mut record);
            let added = self.add(PLAIN_FILE, name, &record);
            self.record = record;
            added?;
        }
        Ok(to)
    }

    pub fn add(&mut self, class: usize, name: &[u8], record: &[u8]) -> Result<()> {
        if class >= CLASSES || name.len() > usize::from(u16::MAX) {
            return Err(Error::new(
                Code::Invalid,
                format!("no entry has class {class} and {} bytes", name.len()),
            ));
        }
        let partition = self.locate(hash_name(name));
        self.counts[partition] += 1;
        let at = partition * CLASSES + class;
        let bytes = NAME_LENGTH_BYTES + name.len() + record.len();
        if !self.open[at].has_room(bytes) {
            self.give(at);
        }
        self.open[at].push(name, record);
        Ok(())
    }

    /// Deals out a block that somebody else has sent, of one class and with names behind `after`; the last of them.
    /// `Corrupt` where it is not that: then a part of it may have been dealt out.
    pub fn add_block(&mut self, class: usize, block: &[u8], after: &[u8]) -> Result<Vec<u8>> {
        let block = StoredBlock::of(block)?;
        let mut last = after;
        for entry in block.entries() {
            let StoredEntry { name, record } = entry?;
            let is_directory = StoredRecord::of(record)?.is_directory;
            if name <= last || name.contains(&b'/') || is_directory != (class == DIRECTORY) {
                return Err(Error::new(
                    Code::Corrupt,
                    "a block is not what follows the one before",
                ));
            }
            self.add(class, name, record)?;
            last = name;
        }
        Ok(last.to_vec())
    }

    /// Names that were dealt out, by partition.
    pub fn counts(&self) -> &[u32] {
        &self.counts
    }

    /// Blocks that are not full are given too.
    pub fn end(&mut self) {
        for at in 0..self.open.len() {
            self.give(at);
        }
    }

    /// What was given since the last call: of each block u16 partition, u8 class, u32 length, block; little endian.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.full)
    }

    fn give(&mut self, at: usize) {
        let block = &mut self.open[at];
        if block.starts.is_empty() {
            return;
        }
        let full = &mut self.full;
        full.extend_from_slice(&((at / CLASSES) as u16).to_le_bytes());
        full.push((at % CLASSES) as u8);
        block.give(full);
    }

    /// The deepest partition that the low bits of a name's hash lead to (`partition-map.ts`).
    fn locate(&self, hash: u32) -> usize {
        let bits = bits_of(self.present.len() - 1);
        let mut partition = hash as usize & ((1 << bits) - 1);
        while self.present.get(partition) != Some(&true) {
            partition -= 1 << (bits_of(partition) - 1);
        }
        partition
    }
}

impl Block {
    fn has_room(&self, bytes: usize) -> bool {
        let head = COUNT_BYTES + START_BYTES * (self.starts.len() + 1);
        self.starts.is_empty() || head + self.entries.len() + bytes <= BLOCK_BYTES_MAX
    }

    fn push(&mut self, name: &[u8], record: &[u8]) {
        self.starts.push(self.entries.len() as u16);
        self.entries.extend_from_slice(&(name.len() as u16).to_be_bytes());
        self.entries.extend_from_slice(name);
        self.entries.extend_from_slice(record);
    }

    /// Its length and itself, which is then empty.
    fn give(&mut self, full: &mut Vec<u8>) {
        let head = COUNT_BYTES + START_BYTES * self.starts.len();
        full.extend_from_slice(&((head + self.entries.len()) as u32).to_le_bytes());
        full.extend_from_slice(&(self.starts.len() as u16).to_be_bytes());
        for start in &self.starts {
            full.extend_from_slice(&(start + head as u16).to_be_bytes());
        }
        full.extend_from_slice(&self.entries);
        self.starts.clear();
        self.entries.clear();
    }
}

/// Fills blocks with entries in their order, of all names or of a part of them.
pub struct BlockPacker {
    /// The names whose hashes have these low bits: of a power of two parts, the one with this index.
    part: Option<(u32, u32)>,
    open: Block,
    full: Vec<u8>,
    blocks: u32,
}

impl BlockPacker {
    /// `part`: how many there are, and which one.
    pub fn new(part: Option<(u32, u32)>) -> Result<BlockPacker> {
        if part.is_some_and(|(count, index)| !count.is_power_of_two() || index >= count) {
            return Err(Error::new(Code::Invalid, "there is no such part of names"));
        }
        Ok(BlockPacker { part, open: Block::default(), full: Vec::new(), blocks: 0 })
    }

    /// That are full.
    pub fn blocks(&self) -> u32 {
        self.blocks
    }

    /// Of each block u32 length, little endian, block; the last one need not be full.
    pub fn finish(mut self) -> Vec<u8> {
        if !self.open.starts.is_empty() {
            self.open.give(&mut self.full);
        }
        self.full
    }
}

impl EntrySink for BlockPacker {
    fn add(&mut self, &StoredEntry { name, record }: &StoredEntry<'_>) -> Result<()> {
        if self.part.is_some_and(|(count, index)| hash_name(name) & (count - 1) != index) {
            return Ok(());
        }
        if !self.open.has_room(NAME_LENGTH_BYTES + name.len() + record.len()) {
            self.open.give(&mut self.full);
            self.blocks += 1;
        }
        self.open.push(name, record);
        Ok(())
    }
}

/// `entry-record` of docs/formats.md.
fn write_record(file: &FileRow<'_>, record: &mut Vec<u8>) {
    let packed = packed_tag(file.tag);
    record.push(if packed.is_some() { PACKED_TAG } else { 0 });
    record.extend_from_slice(&file.size.to_be_bytes());
    record.extend_from_slice(&file.modified_ms.to_be_bytes());
    match packed {
        Some(bytes) => record.extend_from_slice(&bytes),
        None => record.extend_from_slice(file.tag),
    }
}

/// The 16 bytes that a quoted tag of 32 lower-case hexadecimal digits stands for, as most ETags are.
fn packed_tag(tag: &[u8]) -> Option<[u8; PACKED_DIGITS / 2]> {
    let digits = tag.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    if digits.len() != PACKED_DIGITS {
        return None;
    }
    let mut bytes = [0; PACKED_DIGITS / 2];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

/// Whether these bytes are certainly their own name, as almost all are: printable ASCII without `%`, `/`, `.` alone
/// (`isPlainBytes` of `directory.ts`).
fn is_plain(name: &[u8]) -> bool {
    let is_plain = |byte: &u8| matches!(byte, 0x20..=0x7e) && !matches!(byte, b'%' | b'/');
    name.iter().all(is_plain) && (name.len() > 2 || name.first().is_some_and(|byte| *byte != b'.'))
}

fn bits_of(value: usize) -> u32 {
    usize::BITS - value.leading_zeros()
}

/// MurmurHash3 (x86, 32 bits, seed 0; Austin Appleby, public domain), as in `name-hash.ts`.
pub(crate) fn hash_name(name: &[u8]) -> u32 {
    let (blocks, tail) = name.as_chunks::<4>();
    let mut hash = 0u32;
    for block in blocks {
        hash ^= scramble(u32::from_le_bytes(*block));
        hash = hash.rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64);
    }
    if !tail.is_empty() {
        hash ^= scramble(tail.iter().rev().fold(0, |bits, byte| bits << 8 | u32::from(*byte)));
    }
    hash ^= name.len() as u32;
    hash ^= hash >> 16;
    hash = hash.wrapping_mul(0x85eb_ca6b);
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(0xc2b2_ae35);
    hash ^ hash >> 16
}

fn scramble(block: u32) -> u32 {
    block.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file_rows::FileRowsWriter;
    use crate::golden::layout_vector::LayoutVector;

    fn blocks(dealt: &[u8]) -> Vec<(u16, u8, Vec<u8>)> {
        let mut blocks = Vec::new();
        let mut rest = dealt;
        while let Some((head, after)) = rest.split_first_chunk::<7>() {
            let len = u32::from_le_bytes([head[3], head[4], head[5], head[6]]) as usize;
            blocks.push((u16::from_le_bytes([head[0], head[1]]), head[2], after[..len].to_vec()));
            rest = &after[len..];
        }
        blocks
    }

    #[test]
    fn a_block_has_the_bytes_of_the_document() {
        let vector = LayoutVector::named("metadata-entry-block");
        let mut dealer = EntryDealer::new(vec![true]).unwrap();
        for n in 0..vector.number("entry-block/0/entries") {
            let part = |field: &str| vector.part(&format!("block-entry/{n}/{field}"));
            dealer.add(PLAIN_FILE, part("name"), part("record")).unwrap();
        }
        dealer.end();
        assert_eq!(blocks(&dealer.take()), [(0, PLAIN_FILE as u8, vector.bytes)]);
    }

    #[test]
    fn records_have_the_bytes_of_the_document() {
        for (name, is_packed) in
            [("metadata-entry-record", false), ("metadata-entry-record-packed", true)]
        {
            let vector = LayoutVector::named(name);
            let number =
                |field: &str| f64::from_be_bytes(vector.array(&format!("entry-record/0/{field}")));
            let stored = vector.part("entry-record/0/tag");
            let digits: String = stored.iter().map(|byte| format!("{byte:02x}")).collect();
            let tag =
                if is_packed { format!("\"{digits}\"").into_bytes() } else { stored.to_vec() };
            let row = FileRow {
                size: number("size"),
                modified_ms: number("mtime"),
                key: b"a",
                tag: &tag,
            };
            let mut record = Vec::new();
            write_record(&row, &mut record);
            assert_eq!(record, vector.bytes, "{name}");
        }
    }

    #[test]
    fn a_name_that_is_not_its_key_s_bytes_is_left_to_the_caller() {
        let names = ["a", "b.txt", "c%", "d"];
        let mut writer = FileRowsWriter::new(names.len());
        for name in names {
            let key = format!("dir/{name}");
            let row = FileRow { size: 1.0, modified_ms: 2.0, key: key.as_bytes(), tag: b"m:1" };
            writer.push(row).unwrap();
        }
        let bytes = writer.finish();
        let files = FileRows::of(&bytes);
        let mut dealer = EntryDealer::new(vec![true]).unwrap();
        assert_eq!(dealer.add_files(files, 0, 4, 4).unwrap(), 2);
        assert_eq!(dealer.add_files(files, 3, 4, 4).unwrap(), 4);
        assert_eq!(dealer.counts(), [3]);
        assert!(dealer.add_files(files, 3, 5, 4).is_err());
        for odd in ["", ".", "..", "\u{e9}", "a/b", "\n", "%25"] {
            assert!(!is_plain(odd.as_bytes()), "{odd:?}");
        }
    }

    fn framed(frames: &[u8]) -> Vec<Vec<u8>> {
        let mut blocks = Vec::new();
        let mut rest = frames;
        while let Some((length, after)) = rest.split_first_chunk::<4>() {
            let (block, next) = after.split_at(u32::from_le_bytes(*length) as usize);
            blocks.push(block.to_vec());
            rest = next;
        }
        blocks
    }

    #[test]
    fn what_is_packed_is_dealt_out_again_part_by_part() {
        let names: Vec<_> = (0..2_000).map(|number| format!("{number:05}")).collect();
        let record = [&[0u8][..], &[0; 16], b"m:1"].concat();
        let mut seen = Vec::new();
        for part in 0..4 {
            let mut packer = BlockPacker::new(Some((4, part))).unwrap();
            for name in &names {
                packer.add(&StoredEntry { name: name.as_bytes(), record: &record }).unwrap();
            }
            let full = packer.blocks() as usize;
            let blocks = framed(&packer.finish());
            assert_eq!(blocks.len(), full + 1);
            let mut dealer = EntryDealer::new(vec![true]).unwrap();
            let mut last = Vec::new();
            for block in &blocks {
                last = dealer.add_block(PLAIN_FILE, block, &last).unwrap();
                assert_eq!(
                    dealer.add_block(PLAIN_FILE, block, &last).unwrap_err().code,
                    Code::Corrupt
                );
                assert_eq!(
                    dealer.add_block(DIRECTORY, block, b"").unwrap_err().code,
                    Code::Corrupt
                );
            }
            for block in &blocks {
                for entry in StoredBlock::of(block).unwrap().entries() {
                    let name = entry.unwrap().name.to_vec();
                    assert_eq!(hash_name(&name) % 4, part);
                    seen.push(String::from_utf8(name).unwrap());
                }
            }
        }
        seen.sort();
        assert_eq!(seen, names);
        assert!(BlockPacker::new(Some((3, 0))).is_err() && BlockPacker::new(Some((4, 4))).is_err());
    }

    #[test]
    fn a_name_goes_to_the_deepest_partition_that_there_is() {
        // 0 gave half to 1, and half of what was left to 2; 1 was not split again.
        let dealer = EntryDealer::new(vec![true, true, true]).unwrap();
        assert_eq!([0, 1, 2, 3].map(|hash| dealer.locate(hash)), [0, 1, 2, 1]);
        assert!(EntryDealer::new(vec![false, true]).is_err());
    }

    #[test]
    fn a_block_is_given_before_it_is_too_long_and_a_long_entry_alone() {
        let mut dealer = EntryDealer::new(vec![true]).unwrap();
        dealer.add(2, b"a", &[0; 20_000]).unwrap();
        assert!(dealer.take().is_empty());
        dealer.add(2, b"b", &[0; BLOCK_BYTES_MAX - 7]).unwrap();
        dealer.add(2, b"c", &[0; 1]).unwrap();
        dealer.end();
        let lengths: Vec<_> =
            blocks(&dealer.take()).iter().map(|(_, _, block)| block.len()).collect();
        assert_eq!(lengths, [20_007, BLOCK_BYTES_MAX, 8]);
        assert!(dealer.add(3, b"a", b"").is_err());
    }
}
