//! A dataset version: one immutable, mappable file with every (path, size, tag) of a subtree. Layout: docs/formats.md,
//! "Dataset version".

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use crate::dataset_blocks::{BlockChecks, HEADER_BYTES, sums_len};
use crate::field::{bytes_at, u16_at, u32_at, u64_at};
use crate::mapping::GuardedBytes;
use crate::prefetch::prefetch;
use crate::{Code, Error, Identity, ObjectKey, ObjectRef, Result};

pub(crate) const MAGIC: [u8; 8] = *b"MPDATSET";
pub(crate) const FORMAT_VERSION: u32 = 2;
/// Two checksums over the whole, which is read to check them; written until 0.1.0, still read.
const WHOLE_SUMS_VERSION: u32 = 1;
pub(crate) const HEADER_CRC_AT: usize = 4092;
pub(crate) const TEXTS_AT: usize = 128;
pub(crate) const ENTRY_BYTES: u64 = 32;
/// How far ahead of its turn an entry is asked of memory.
const PREFETCH_ENTRIES: usize = 8;
/// Length of path, tag and key before them.
const HEAP_HEAD_BYTES: usize = 8;
/// In place of a key's length: it is the header's key prefix and the path.
pub(crate) const KEY_IS_PATH: u16 = u16::MAX;

/// What the whole file is of.
#[derive(Clone, Debug)]
pub struct DatasetRoot {
    /// The path in the namespace whose subtree this is.
    pub path: String,
    pub identity: Identity,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DatasetSummary {
    /// SHA-256 over the list: of each file the length of its path (u32), path, size (u64), length of tag (u16), tag.
    pub version: [u8; 32],
    pub count: u64,
    pub bytes: u64,
}

/// A mapped dataset version. Nobody changes or cuts the file once it is there; should its device die, look-ups fail.
pub struct Dataset {
    file: GuardedBytes,
    root: DatasetRoot,
    key_prefix: Vec<u8>,
    summary: DatasetSummary,
    entries_at: u64,
    /// `None`: all of it was checked when it was mapped.
    checks: Option<BlockChecks>,
}

impl Dataset {
    /// Maps a file and checks its header; the rest is checked block by block when it is looked at. One of the format
    /// before, without checksums by block, is read and checked whole.
    pub fn map(file: &File) -> Result<Dataset> {
        let io = |error: std::io::Error| Error::io("mapping a dataset version", &error);
        let len = usize::try_from(file.metadata().map_err(io)?.len()).unwrap_or(usize::MAX);
        if (len as u64) < HEADER_BYTES {
            return Err(damaged("is shorter than its header"));
        }
        let file = GuardedBytes::map(file, len)?;
        let dataset = Self::parse(file)?;
        if dataset.file.failed() {
            return Err(damaged("could not be read to its end"));
        }
        dataset.file.expect_random_reads();
        Ok(dataset)
    }

    fn parse(file: GuardedBytes) -> Result<Dataset> {
        let bytes = file.bytes();
        let Header { root, key_prefix, summary, entries_at, version } =
            Header::parse(&bytes[..HEADER_BYTES as usize], bytes.len() as u64)?;
        let entries_end = entries_at + summary.count * ENTRY_BYTES;
        let (entries, end) = (entries_at as usize, entries_end as usize);
        let checks = (version != WHOLE_SUMS_VERSION).then(|| BlockChecks::new(entries_end));
        let sections = match checks {
            Some(_) => vec![(&bytes[end..], 96)],
            None => vec![(&bytes[HEADER_BYTES as usize..entries], 96), (&bytes[entries..], 100)],
        };
        for (section, crc_at) in sections {
            if crc_fast::crc32_iscsi(section) != u32_at(bytes, crc_at) {
                return Err(damaged("has damaged entries"));
            }
        }
        Ok(Dataset { root, key_prefix, summary, entries_at, checks, file })
    }

    /// What a file says of itself, by one read of its header; its entries are not checked.
    pub fn describe(file: &File) -> Result<(DatasetRoot, DatasetSummary)> {
        let io = |error: std::io::Error| Error::io("reading a dataset version", &error);
        let len = file.metadata().map_err(io)?.len();
        if len < HEADER_BYTES {
            return Err(damaged("is shorter than its header"));
        }
        let mut bytes = [0; HEADER_BYTES as usize];
        file.read_exact_at(&mut bytes, 0).map_err(io)?;
        let Header { root, summary, .. } = Header::parse(&bytes, len)?;
        Ok((root, summary))
    }

    pub fn len(&self) -> u64 {
        self.summary.count
    }

    pub fn is_empty(&self) -> bool {
        self.summary.count == 0
    }

    pub fn root(&self) -> &DatasetRoot {
        &self.root
    }

    pub fn summary(&self) -> &DatasetSummary {
        &self.summary
    }

    /// Key and size of each of these samples; the error is the first that is none. They lie anywhere in a large file,
    /// so each is asked of memory ahead of its turn.
    pub fn keys_and_sizes(
        &self,
        indices: &[u64],
    ) -> std::result::Result<Vec<(ObjectKey, u64)>, u64> {
        let mut found = Vec::with_capacity(indices.len());
        indices.iter().take(PREFETCH_ENTRIES).for_each(|index| self.prefetch(*index));
        for (n, index) in indices.iter().enumerate() {
            if let Some(ahead) = indices.get(n + PREFETCH_ENTRIES) {
                self.prefetch(*ahead);
            }
            let entry = self.entry(*index).ok_or(*index)?;
            found.push((ObjectKey(bytes_at(&entry, 0)), u64_at(&entry, 16)));
        }
        Ok(found)
    }

    fn prefetch(&self, index: u64) {
        let at = self.entries_at.wrapping_add(index.wrapping_mul(ENTRY_BYTES)) as usize;
        prefetch(self.file.as_ptr().wrapping_add(at));
    }

    /// One look at one cache line. `None` past the end.
    pub fn object_key(&self, index: u64) -> Option<ObjectKey> {
        Some(ObjectKey(bytes_at(&self.entry(index)?, 0)))
    }

    pub fn size(&self, index: u64) -> Option<u64> {
        Some(u64_at(&self.entry(index)?, 16))
    }

    /// Begins to read what `path`, `size` and `tag` of these samples need; for who goes through them in order.
    pub fn read_ahead(&self, samples: Range<u64>) {
        let last = samples.end.min(self.len());
        if samples.start >= last {
            return;
        }
        let entries = self.entries_at + samples.start * ENTRY_BYTES;
        self.file.read_ahead(entries as usize, ((last - samples.start) * ENTRY_BYTES) as usize);
        let heap_at = |index: u64| self.entry(index).map(|entry| u64_at(&entry, 24));
        if let (Some(from), Some(to)) = (heap_at(samples.start), heap_at(last - 1))
            && (HEADER_BYTES..=to).contains(&from)
            && to < self.entries_at
        {
            self.file.read_ahead(from as usize, (to - from) as usize);
        }
    }

    /// Below the root, in normal form.
    pub fn path(&self, index: u64) -> Result<&str> {
        let heap = self.heap_of(index)?;
        std::str::from_utf8(heap.path).map_err(|_| self.damaged(index))
    }

    /// The source's name of this version of the file.
    pub fn tag(&self, index: u64) -> Result<&[u8]> {
        Ok(self.heap_of(index)?.tag)
    }

    /// What the source of `attachment` (one of the root's identity) is asked for; `Corrupt` when the entry's key is not
    /// the hash of it.
    pub fn object(&self, index: u64, attachment: u32) -> Result<ObjectRef> {
        let heap = self.heap_of(index)?;
        let source_key = match heap.key {
            Some(key) => key.to_vec(),
            None => [&self.key_prefix[..], heap.path].concat(),
        };
        let size = self.size(index).ok_or_else(|| self.damaged(index))?;
        let object = ObjectRef { attachment, source_key, size, tag: heap.tag.to_vec() };
        if Some(object.key(&self.root.identity)) != self.object_key(index) {
            return Err(self.damaged(index));
        }
        Ok(object)
    }

    /// A copy: what was read is believed only if the mapping had not failed by then.
    fn entry(&self, index: u64) -> Option<[u8; ENTRY_BYTES as usize]> {
        if index >= self.summary.count {
            return None;
        }
        let at = self.entries_at + index * ENTRY_BYTES;
        if !self.holds(at, ENTRY_BYTES) {
            return None;
        }
        let entry = bytes_at(self.file.bytes(), at as usize);
        (!self.file.failed()).then_some(entry)
    }

    /// Whether these bytes agree with their checksums.
    fn holds(&self, at: u64, len: u64) -> bool {
        self.checks.as_ref().is_none_or(|checks| checks.hold(self.file.bytes(), at, len))
    }

    fn heap_of(&self, index: u64) -> Result<Heap<'_>> {
        if index >= self.summary.count {
            let message = format!("sample {index} is outside a dataset of {}", self.summary.count);
            return Err(Error::new(Code::Invalid, message));
        }
        let entry = self.entry(index).ok_or_else(|| self.damaged(index))?;
        self.heap_at(u64_at(&entry, 24)).ok_or_else(|| self.damaged(index))
    }

    fn heap_at(&self, at: u64) -> Option<Heap<'_>> {
        let heap =
            self.file.bytes().get(..self.entries_at as usize)?.get(usize::try_from(at).ok()?..)?;
        let (head, rest) = heap.split_at_checked(HEAP_HEAD_BYTES)?;
        if !self.holds(at, HEAP_HEAD_BYTES as u64) || !self.holds(at, heap_len(head)) {
            return None;
        }
        let (path, rest) = rest.split_at_checked(u32_at(head, 0) as usize)?;
        let (tag, rest) = rest.split_at_checked(u16_at(head, 4).into())?;
        let key = match u16_at(head, 6) {
            KEY_IS_PATH => None,
            len => Some(rest.get(..len.into())?),
        };
        Some(Heap { path, tag, key })
    }

    fn damaged(&self, index: u64) -> Error {
        Error::new(
            Code::Corrupt,
            format!("entry {index} of the dataset version of {} is damaged", self.root.path),
        )
    }
}

/// Of a whole part of the heap, by its beginning.
fn heap_len(head: &[u8]) -> u64 {
    let key_len = Some(u16_at(head, 6)).filter(|len| *len != KEY_IS_PATH).unwrap_or_default();
    HEAP_HEAD_BYTES as u64
        + u64::from(u32_at(head, 0))
        + u64::from(u16_at(head, 4))
        + u64::from(key_len)
}

struct Header {
    version: u32,
    root: DatasetRoot,
    key_prefix: Vec<u8>,
    summary: DatasetSummary,
    entries_at: u64,
}

impl Header {
    /// Of the first `HEADER_BYTES` of a file of `len`, checked against its checksum and `len`.
    fn parse(header: &[u8], len: u64) -> Result<Header> {
        if header[..8] != MAGIC {
            return Err(damaged("does not begin like one"));
        }
        let version = u32_at(header, 8);
        if ![WHOLE_SUMS_VERSION, FORMAT_VERSION].contains(&version) {
            let message = format!(
                "the dataset version has format {version}, this program reads {FORMAT_VERSION}"
            );
            return Err(Error::new(Code::Unsupported, message));
        }
        if crc_fast::crc32_iscsi(&header[..HEADER_CRC_AT]) != u32_at(header, HEADER_CRC_AT) {
            return Err(damaged("has a damaged header"));
        }
        let (count, entries_at) = (u64_at(header, 16), u64_at(header, 80));
        let entries_end =
            count.checked_mul(ENTRY_BYTES).and_then(|bytes| bytes.checked_add(entries_at));
        let end = match version {
            WHOLE_SUMS_VERSION => entries_end,
            _ => entries_end.and_then(|end| end.checked_add(sums_len(end))),
        };
        if entries_at < HEADER_BYTES || end != Some(len) {
            return Err(damaged("is not of the size that it states"));
        }
        let (path, key_prefix) =
            texts(header).ok_or_else(|| damaged("has texts that do not fit"))?;
        let root = DatasetRoot { path, identity: Identity(bytes_at(header, 64)) };
        let summary =
            DatasetSummary { version: bytes_at(header, 32), count, bytes: u64_at(header, 24) };
        Ok(Header { version, root, key_prefix, summary, entries_at })
    }
}

/// The root's path and what stands before the path in source keys.
fn texts(header: &[u8]) -> Option<(String, Vec<u8>)> {
    let texts = &header[TEXTS_AT..HEADER_CRC_AT];
    let (path, rest) = texts.split_at_checked(u32_at(header, 88) as usize)?;
    let prefix = rest.get(..u32_at(header, 92) as usize)?;
    Some((String::from_utf8(path.to_vec()).ok()?, prefix.to_vec()))
}

fn damaged(what: &str) -> Error {
    Error::new(Code::Corrupt, format!("the dataset version {what}"))
}

struct Heap<'a> {
    path: &'a [u8],
    tag: &'a [u8],
    key: Option<&'a [u8]>,
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;
    use crate::DatasetWriter;

    fn object(key: &str, size: u64) -> ObjectRef {
        ObjectRef { attachment: 3, source_key: key.into(), size, tag: b"\"e\"".to_vec() }
    }

    fn root() -> DatasetRoot {
        DatasetRoot { path: "/train".into(), identity: Identity::of("test") }
    }

    fn write(place: &Path) -> DatasetSummary {
        let mut writer = DatasetWriter::create(place, root()).unwrap();
        for (path, key, size) in
            [("a/1", "p/a/1", 5), ("a/2", "p/a/2", 7 << 20), ("b%FF", "p/b\u{ff}", 0)]
        {
            writer.push(path, &object(key, size)).unwrap();
        }
        writer.finish().unwrap()
    }

    #[test]
    fn what_was_written_is_read() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("x.dataset");
        let summary = write(&file);
        let dataset = Dataset::map(&File::open(&file).unwrap()).unwrap();
        assert_eq!(dataset.summary(), &summary);
        let (described, told) = Dataset::describe(&File::open(&file).unwrap()).unwrap();
        assert_eq!((described.path, told), ("/train".to_owned(), summary));
        assert_eq!((summary.count, summary.bytes), (3, 5 + (7 << 20)));
        assert_eq!((dataset.path(1).unwrap(), dataset.tag(1).unwrap()), ("a/2", &b"\"e\""[..]));
        assert_eq!(dataset.object(1, 3).unwrap(), object("p/a/2", 7 << 20));
        assert_eq!(dataset.object(2, 3).unwrap(), object("p/b\u{ff}", 0));
        assert_eq!(dataset.object_key(0), Some(object("p/a/1", 5).key(&Identity::of("test"))));
        assert_eq!(dataset.path(3).unwrap_err().code, Code::Invalid);
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
    }

    #[test]
    fn the_version_is_of_the_list_alone_and_golden() {
        let place = tempfile::tempdir().unwrap();
        let summary = write(&place.path().join("x.dataset"));
        let hex: String = summary.version.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, include_str!("../../../test/vectors/dataset-version.txt").trim());
    }

    #[test]
    fn paths_that_do_not_ascend_are_refused() {
        let place = tempfile::tempdir().unwrap();
        let mut writer = DatasetWriter::create(&place.path().join("x.dataset"), root()).unwrap();
        writer.push("b", &object("b", 1)).unwrap();
        assert_eq!(writer.push("b", &object("b", 1)).unwrap_err().code, Code::Invalid);
        assert_eq!(writer.push("a", &object("a", 1)).unwrap_err().code, Code::Invalid);
        drop(writer);
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
    }

    #[test]
    fn an_empty_dataset_is_one() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("x.dataset");
        let summary = DatasetWriter::create(&file, root()).unwrap().finish().unwrap();
        let dataset = Dataset::map(&File::open(&file).unwrap()).unwrap();
        assert_eq!((dataset.len(), summary.count, dataset.object_key(0)), (0, 0, None));
    }

    #[test]
    fn a_file_of_any_other_length_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("x.dataset");
        write(&file);
        let whole = fs::read(&file).unwrap();
        for len in (0..whole.len()).step_by(7).chain([whole.len() + 1, whole.len() + 32]) {
            let mut bytes = whole.clone();
            bytes.resize(len, 0);
            fs::write(&file, bytes).unwrap();
            assert!(Dataset::map(&File::open(&file).unwrap()).is_err(), "{len} bytes");
        }
    }

    proptest! {
        #[test]
        fn no_flipped_bit_goes_unseen(at: prop::sample::Index, bit in 0..8u32) {
            let place = tempfile::tempdir().unwrap();
            let file = place.path().join("x.dataset");
            write(&file);
            let mut bytes = fs::read(&file).unwrap();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            fs::write(&file, bytes).unwrap();
            let read = |dataset: &Dataset| (0..3).all(|index| dataset.object(index, 3).is_ok());
            prop_assert!(!Dataset::map(&File::open(&file).unwrap()).is_ok_and(|dataset| read(&dataset)));
        }

        /// Lengths and offsets that lie, under checksums that hold: errors or entries, never a read out of bounds.
        #[test]
        fn hostile_numbers_are_checked(
            changes in prop::collection::vec((prop::sample::select(vec![12, 16, 80, 88, 92, 0x1000, 0x1004, 0x1006,
                0x1060, 0x1068, 0x1070, 0x1078]), any::<u64>()), 1..4),
        ) {
            let place = tempfile::tempdir().unwrap();
            let file = place.path().join("x.dataset");
            write(&file);
            let mut bytes = fs::read(&file).unwrap();
            for (at, value) in changes {
                crate::field::put(&mut bytes, at, &(value >> (value % 64)).to_le_bytes());
            }
            seal(&mut bytes);
            fs::write(&file, bytes).unwrap();
            if let Ok(dataset) = Dataset::map(&File::open(&file).unwrap()) {
                for index in 0..4 {
                    let _ = (dataset.path(index), dataset.object(index, 3), dataset.size(index));
                }
            }
        }
    }

    /// Makes all checksums right again, as far as the numbers let one.
    fn seal(bytes: &mut [u8]) {
        use crate::dataset_blocks::BlockSums;
        use crate::field::put;
        let entries_at = u64_at(bytes, 80);
        let end =
            u64_at(bytes, 16).checked_mul(ENTRY_BYTES).and_then(|len| len.checked_add(entries_at));
        let len = bytes.len() as u64;
        if let Some(end) = end.filter(|end| (HEADER_BYTES..len).contains(end)) {
            let mut blocks = BlockSums::new();
            blocks.update(&bytes[HEADER_BYTES as usize..end as usize]);
            let sums = blocks.finish();
            let fits = &sums[..sums.len().min((len - end) as usize)];
            put(bytes, end as usize, fits);
            let sum = crc_fast::crc32_iscsi(&bytes[end as usize..]);
            put(bytes, 96, &sum.to_le_bytes());
        }
        let header = crc_fast::crc32_iscsi(&bytes[..HEADER_CRC_AT]);
        put(bytes, HEADER_CRC_AT, &header.to_le_bytes());
    }

    /// Several blocks, of which one is damaged: what lies in it is an error, all else is read.
    #[test]
    fn a_damaged_block_is_seen_when_it_is_looked_at_and_no_other_is_harmed() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("x.dataset");
        let mut writer = DatasetWriter::create(&file, root()).unwrap();
        for n in 0..20_000 {
            let key = format!("p/{n:06}");
            writer.push(&key[2..], &object(&key, n)).unwrap();
        }
        writer.finish().unwrap();
        let mut bytes = fs::read(&file).unwrap();
        let entries_at = u64_at(&bytes, 80) as usize;
        bytes[entries_at + 10_000 * ENTRY_BYTES as usize] ^= 1;
        fs::write(&file, &bytes).unwrap();
        let dataset = Dataset::map(&File::open(&file).unwrap()).unwrap();
        assert_eq!(dataset.object(10_000, 3).unwrap_err().code, Code::Corrupt);
        assert_eq!((dataset.size(10_000), dataset.object_key(10_001)), (None, None));
        dataset.read_ahead(0..30_000);
        for n in [0, 1, 5_000, 19_999] {
            assert_eq!(dataset.object(n, 3).unwrap(), object(&format!("p/{n:06}"), n));
        }
        let bad = (0..20_000).filter(|n| dataset.size(*n).is_none()).count();
        assert!((1..=129).contains(&bad), "{bad} entries of one block");
    }
}
