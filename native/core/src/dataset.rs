//! A dataset version: one immutable, mappable file with every (path, size, tag) of a subtree. Layout: docs/formats.md,
//! "Dataset version".

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use sha2::{Digest, Sha256};

use crate::field::{bytes_at, put, u16_at, u32_at, u64_at};
use crate::{Code, Error, Identity, ObjectKey, ObjectRef, Result};

const MAGIC: [u8; 8] = *b"MPDATSET";
const FORMAT_VERSION: u32 = 1;
const HEADER_BYTES: u64 = 4096;
const HEADER_CRC_AT: usize = 4092;
const TEXTS_AT: usize = 128;
const ENTRY_BYTES: u64 = 32;
/// Length of paths, tag and key before them.
const HEAP_HEAD_BYTES: usize = 8;
/// In place of a key's length: it is the header's key prefix and the path.
const KEY_IS_PATH: u16 = u16::MAX;
const MAX_TAG_BYTES: usize = 1024;

/// What the whole file is of.
#[derive(Clone, Debug)]
pub struct DatasetRoot {
    /// The daemon's number of the attachment it lies in.
    pub attachment: u32,
    /// The path in the namespace whose subtree this is.
    pub path: String,
    pub identity: Identity,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DatasetSummary {
    /// SHA-256 over the list: of each file the length of its path (u32), path, size (u64), length of its tag (u16), tag.
    pub version: [u8; 32],
    pub count: u64,
    pub bytes: u64,
}

/// Writes a dataset version; it appears at its place whole, at `finish`.
pub struct DatasetWriter {
    root: DatasetRoot,
    place: PathBuf,
    heap: BufWriter<File>,
    heap_len: u64,
    /// Entries wait in a file of their own, since both parts grow.
    entries: BufWriter<File>,
    key_prefix: Option<Vec<u8>>,
    last_path: Option<Vec<u8>>,
    hash: Sha256,
    count: u64,
    bytes: u64,
}

impl DatasetWriter {
    pub fn create(place: &Path, root: DatasetRoot) -> Result<DatasetWriter> {
        let io = |error: io::Error| Error::io(format!("making {}", place.display()), &error);
        if root.path.len() > HEADER_CRC_AT - TEXTS_AT {
            return Err(Error::new(Code::Invalid, format!("the path {} is too long", root.path)));
        }
        let mut heap =
            BufWriter::with_capacity(1 << 20, File::create_new(partial(place)).map_err(io)?);
        heap.write_all(&[0; HEADER_BYTES as usize]).map_err(io)?;
        let spill = partial(place).with_extension("entries");
        let options =
            File::options().read(true).write(true).create_new(true).open(&spill).map_err(io)?;
        // Nobody else needs its name, and so nothing is left of it after a crash.
        fs::remove_file(&spill).map_err(io)?;
        Ok(DatasetWriter {
            root,
            place: place.to_path_buf(),
            heap,
            heap_len: 0,
            entries: BufWriter::with_capacity(1 << 20, options),
            key_prefix: None,
            last_path: None,
            hash: Sha256::new(),
            count: 0,
            bytes: 0,
        })
    }

    /// Appends a file. Paths ascend in byte order, without an equal one.
    pub fn push(&mut self, path: &str, object: &ObjectRef) -> Result<()> {
        let (name, tag, key) = (path.as_bytes(), &object.tag[..], &object.source_key[..]);
        if self.last_path.as_deref().is_some_and(|last| last >= name) {
            return Err(Error::new(
                Code::Invalid,
                format!("{path} does not come after the path before it"),
            ));
        }
        if name.is_empty() || tag.len() > MAX_TAG_BYTES || key.len() >= KEY_IS_PATH.into() {
            return Err(Error::new(
                Code::Invalid,
                format!("{path} has an empty path, or a tag or key too long"),
            ));
        }
        let prefix = self.key_prefix.get_or_insert_with(|| {
            let prefix = key.strip_suffix(name).unwrap_or_default();
            if prefix.len() + self.root.path.len() > HEADER_CRC_AT - TEXTS_AT {
                Vec::new()
            } else {
                prefix.to_vec()
            }
        });
        let is_path = key.strip_prefix(&prefix[..]) == Some(name);
        let key_len = if is_path { KEY_IS_PATH } else { key.len() as u16 };
        let object_key = object.key(&self.root.identity);
        let io = |error: io::Error| Error::io(format!("writing {}", self.place.display()), &error);
        self.entries.write_all(&object_key.0).map_err(io)?;
        self.entries.write_all(&object.size.to_le_bytes()).map_err(io)?;
        self.entries.write_all(&(HEADER_BYTES + self.heap_len).to_le_bytes()).map_err(io)?;
        let own_key = if is_path { &[][..] } else { key };
        self.heap.write_all(&(name.len() as u32).to_le_bytes()).map_err(io)?;
        self.heap.write_all(&(tag.len() as u16).to_le_bytes()).map_err(io)?;
        self.heap.write_all(&key_len.to_le_bytes()).map_err(io)?;
        for part in [name, tag, own_key] {
            self.heap.write_all(part).map_err(io)?;
        }
        self.heap_len += (HEAP_HEAD_BYTES + name.len() + tag.len() + own_key.len()) as u64;
        self.hash.update((name.len() as u32).to_le_bytes());
        self.hash.update(name);
        self.hash.update(object.size.to_le_bytes());
        self.hash.update((tag.len() as u16).to_le_bytes());
        self.hash.update(tag);
        self.last_path = Some(name.to_vec());
        self.count += 1;
        self.bytes += object.size;
        Ok(())
    }

    /// Completes and syncs the file, and puts it in its place.
    pub fn finish(mut self) -> Result<DatasetSummary> {
        let summary = DatasetSummary {
            version: self.hash.clone().finalize().into(),
            count: self.count,
            bytes: self.bytes,
        };
        let place = self.place.clone();
        self.complete(&summary)
            .map_err(|error| Error::io(format!("writing {}", place.display()), &error))?;
        Ok(summary)
    }

    fn complete(&mut self, summary: &DatasetSummary) -> io::Result<()> {
        let entries_at = (HEADER_BYTES + self.heap_len).next_multiple_of(ENTRY_BYTES);
        let gap = entries_at - HEADER_BYTES - self.heap_len;
        self.heap.write_all(&[0; ENTRY_BYTES as usize][..gap as usize])?;
        self.entries.flush()?;
        let spilled = self.entries.get_mut();
        spilled.seek(SeekFrom::Start(0))?;
        io::copy(&mut spilled.take(u64::MAX), &mut self.heap)?;
        self.heap.flush()?;
        let file = self.heap.get_mut();
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&header(
            &self.root,
            self.key_prefix.as_deref().unwrap_or_default(),
            summary,
            entries_at,
        ))?;
        file.sync_all()?;
        fs::rename(partial(&self.place), &self.place)?;
        match self.place.parent() {
            Some(directory) => File::open(directory)?.sync_all(),
            None => Ok(()),
        }
    }

    /// Removes what was written.
    pub fn abandon(self) {
        // It may be gone already; a later start removes what is left.
        let _ = fs::remove_file(partial(&self.place));
    }
}

fn partial(place: &Path) -> PathBuf {
    place.with_extension("making")
}

fn header(
    root: &DatasetRoot,
    key_prefix: &[u8],
    summary: &DatasetSummary,
    entries_at: u64,
) -> Vec<u8> {
    let mut header = vec![0u8; HEADER_BYTES as usize];
    put(&mut header, 0, &MAGIC);
    put(&mut header, 8, &FORMAT_VERSION.to_le_bytes());
    put(&mut header, 12, &root.attachment.to_le_bytes());
    put(&mut header, 16, &summary.count.to_le_bytes());
    put(&mut header, 24, &summary.bytes.to_le_bytes());
    put(&mut header, 32, &summary.version);
    put(&mut header, 64, &root.identity.0);
    put(&mut header, 80, &entries_at.to_le_bytes());
    put(&mut header, 88, &(root.path.len() as u32).to_le_bytes());
    put(&mut header, 92, &(key_prefix.len() as u32).to_le_bytes());
    put(&mut header, TEXTS_AT, root.path.as_bytes());
    put(&mut header, TEXTS_AT + root.path.len(), key_prefix);
    let crc = crc_fast::crc32_iscsi(&header[..HEADER_CRC_AT]);
    put(&mut header, HEADER_CRC_AT, &crc.to_le_bytes());
    header
}

/// A mapped dataset version. The file is never changed nor cut by us: it is unlinked, and stays whole for who has it.
pub struct Dataset {
    memory: Mmap,
    root: DatasetRoot,
    key_prefix: Vec<u8>,
    summary: DatasetSummary,
    entries_at: u64,
}

impl Dataset {
    /// Maps and checks a file. Its entries are checked when they are used: an entry's key is the hash of the rest of it.
    pub fn map(file: &File) -> Result<Dataset> {
        let damaged = |what: &str| Error::new(Code::Corrupt, format!("the dataset version {what}"));
        // SAFETY: the daemon makes these files whole and only ever unlinks them.
        let memory = unsafe { Mmap::map(file) }
            .map_err(|error| Error::io("mapping a dataset version", &error))?;
        if (memory.len() as u64) < HEADER_BYTES || memory[..8] != MAGIC {
            return Err(damaged("is not one"));
        }
        let version = u32_at(&memory, 8);
        if version != FORMAT_VERSION {
            let message = format!(
                "the dataset version has format {version}, this program reads {FORMAT_VERSION}"
            );
            return Err(Error::new(Code::Unsupported, message));
        }
        if crc_fast::crc32_iscsi(&memory[..HEADER_CRC_AT]) != u32_at(&memory, HEADER_CRC_AT) {
            return Err(damaged("has a damaged header"));
        }
        let (count, entries_at) = (u64_at(&memory, 16), u64_at(&memory, 80));
        let entries_end =
            count.checked_mul(ENTRY_BYTES).and_then(|bytes| bytes.checked_add(entries_at));
        if entries_at < HEADER_BYTES || entries_end != Some(memory.len() as u64) {
            return Err(damaged("is not of the size that it states"));
        }
        let root_end = TEXTS_AT.saturating_add(u32_at(&memory, 88) as usize);
        let prefix_end = root_end.saturating_add(u32_at(&memory, 92) as usize);
        if prefix_end > HEADER_CRC_AT {
            return Err(damaged("has texts too long"));
        }
        let path = std::str::from_utf8(&memory[TEXTS_AT..root_end])
            .map_err(|_| damaged("has a path that is no text"))?;
        let root = DatasetRoot {
            attachment: u32_at(&memory, 12),
            path: path.to_owned(),
            identity: Identity(bytes_at(&memory, 64)),
        };
        let summary =
            DatasetSummary { version: bytes_at(&memory, 32), count, bytes: u64_at(&memory, 24) };
        let key_prefix = memory[root_end..prefix_end].to_vec();
        Ok(Dataset { root, key_prefix, summary, entries_at, memory })
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

    /// One look at one cache line. `None` past the end.
    pub fn object_key(&self, index: u64) -> Option<ObjectKey> {
        Some(ObjectKey(bytes_at(self.entry(index)?, 0)))
    }

    pub fn size(&self, index: u64) -> Option<u64> {
        Some(u64_at(self.entry(index)?, 16))
    }

    /// Below the root, in normal form.
    pub fn path(&self, index: u64) -> Result<&str> {
        let heap = self.heap_of(index)?;
        std::str::from_utf8(heap.path).map_err(|_| self.damaged(index))
    }

    /// What a source is asked for; `Corrupt` when the entry's key is not the hash of it.
    pub fn object(&self, index: u64) -> Result<ObjectRef> {
        let heap = self.heap_of(index)?;
        let source_key = match heap.key {
            Some(key) => key.to_vec(),
            None => [&self.key_prefix[..], heap.path].concat(),
        };
        let size = self.size(index).ok_or_else(|| self.damaged(index))?;
        let object = ObjectRef {
            attachment: self.root.attachment,
            source_key,
            size,
            tag: heap.tag.to_vec(),
        };
        if Some(object.key(&self.root.identity)) != self.object_key(index) {
            return Err(self.damaged(index));
        }
        Ok(object)
    }

    fn entry(&self, index: u64) -> Option<&[u8]> {
        if index >= self.summary.count {
            return None;
        }
        let at = (self.entries_at + index * ENTRY_BYTES) as usize;
        Some(&self.memory[at..at + ENTRY_BYTES as usize])
    }

    fn heap_of(&self, index: u64) -> Result<Heap<'_>> {
        let entry = self.entry(index).ok_or_else(|| {
            Error::new(
                Code::Invalid,
                format!("sample {index} is outside a dataset of {}", self.summary.count),
            )
        })?;
        self.heap_at(u64_at(entry, 24)).ok_or_else(|| self.damaged(index))
    }

    fn heap_at(&self, at: u64) -> Option<Heap<'_>> {
        let heap = self.memory.get(..self.entries_at as usize)?.get(usize::try_from(at).ok()?..)?;
        let (head, rest) = heap.split_at_checked(HEAP_HEAD_BYTES)?;
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

struct Heap<'a> {
    path: &'a [u8],
    tag: &'a [u8],
    key: Option<&'a [u8]>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn object(key: &str, size: u64) -> ObjectRef {
        ObjectRef { attachment: 3, source_key: key.into(), size, tag: b"\"e\"".to_vec() }
    }

    fn root() -> DatasetRoot {
        DatasetRoot { attachment: 3, path: "/train".into(), identity: Identity::of("test") }
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
        assert_eq!((summary.count, summary.bytes), (3, 5 + (7 << 20)));
        assert_eq!(dataset.path(1).unwrap(), "a/2");
        assert_eq!(dataset.object(1).unwrap(), object("p/a/2", 7 << 20));
        assert_eq!(dataset.object(2).unwrap(), object("p/b\u{ff}", 0));
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
        writer.abandon();
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
    }

    proptest! {
        #[test]
        fn no_flipped_bit_gives_a_wrong_object(at in 0usize..4400, bit in 0..8u32) {
            let place = tempfile::tempdir().unwrap();
            let file = place.path().join("x.dataset");
            write(&file);
            let whole = Dataset::map(&File::open(&file).unwrap()).unwrap();
            let mut bytes = fs::read(&file).unwrap();
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            let other = place.path().join("y.dataset");
            fs::write(&other, bytes).unwrap();
            if let Ok(flipped) = Dataset::map(&File::open(&other).unwrap()) {
                for index in 0..3 {
                    if let Ok(object) = flipped.object(index) {
                        prop_assert_eq!(object, whole.object(index).unwrap());
                    }
                    let _ = flipped.path(index);
                }
            }
        }
    }
}
