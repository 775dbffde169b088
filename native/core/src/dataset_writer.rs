//! Writing a dataset version: entries come in path order, one at a time, however many.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::dataset::{
    DatasetRoot, DatasetSummary, ENTRY_BYTES, FORMAT_VERSION, HEADER_CRC_AT, KEY_IS_PATH, MAGIC,
    TEXTS_AT,
};
use crate::dataset_blocks::{BlockSums, HEADER_BYTES};
use crate::device::sync_directory;
use crate::field::put;
use crate::{Code, Error, ObjectRef, Result};

const MAX_TAG_BYTES: usize = 1024;
const BUFFER_BYTES: usize = 1 << 20;

/// Writes a dataset version, which appears at its place whole, at `finish`. Dropped before, it leaves nothing.
pub struct DatasetWriter {
    root: DatasetRoot,
    place: PathBuf,
    heap: Section,
    /// Entries wait in a file of their own, since both parts grow.
    entries: BufWriter<File>,
    /// Of the first source key, what stands before the path; empty when the key does not end in the path.
    key_prefix: Option<Vec<u8>>,
    last_path: Vec<u8>,
    hash: Sha256,
    count: u64,
    bytes: u64,
}

/// What lies behind the header, as it grows.
struct Section {
    file: BufWriter<File>,
    sums: BlockSums,
    len: u64,
}

impl Section {
    fn new(file: File) -> Section {
        let file = BufWriter::with_capacity(BUFFER_BYTES, file);
        Section { file, sums: BlockSums::new(), len: 0 }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.sums.update(bytes);
        self.len += bytes.len() as u64;
        Ok(())
    }
}

impl DatasetWriter {
    pub fn create(place: &Path, root: DatasetRoot) -> Result<DatasetWriter> {
        if root.path.len() > HEADER_CRC_AT - TEXTS_AT {
            return Err(Error::new(Code::Invalid, format!("the path {} is too long", root.path)));
        }
        let io = |error: io::Error| Error::io(format!("making {}", place.display()), &error);
        let mut heap = File::create_new(partial(place)).map_err(io)?;
        heap.write_all(&[0; HEADER_BYTES as usize]).map_err(io)?;
        let spill = partial(place).with_extension("entries");
        let entries =
            File::options().read(true).write(true).create_new(true).open(&spill).map_err(io)?;
        // Nobody else needs its name, and so nothing is left of it after a crash.
        fs::remove_file(&spill).map_err(io)?;
        Ok(DatasetWriter {
            root,
            place: place.to_path_buf(),
            heap: Section::new(heap),
            entries: BufWriter::with_capacity(BUFFER_BYTES, entries),
            key_prefix: None,
            last_path: Vec::new(),
            hash: Sha256::new(),
            count: 0,
            bytes: 0,
        })
    }

    /// Appends a file. Paths ascend in byte order, without an equal one. After an `Io` error the file cannot be
    /// finished.
    pub fn push(&mut self, path: &str, object: &ObjectRef) -> Result<()> {
        let refuse = |what: &str| Err(Error::new(Code::Invalid, format!("{path:?} {what}")));
        if path.is_empty() {
            return refuse("is no path of a file");
        }
        if path.as_bytes() <= &self.last_path[..] {
            return refuse("does not come after the path before it");
        }
        if object.tag.len() > MAX_TAG_BYTES || object.source_key.len() >= KEY_IS_PATH.into() {
            return refuse("has a version tag or a source key that is too long");
        }
        let write = self.write_entry(path.as_bytes(), object);
        write.map_err(|error| Error::io(format!("writing {}", self.place.display()), &error))?;
        self.hash.update((path.len() as u32).to_le_bytes());
        self.hash.update(path);
        self.hash.update(object.size.to_le_bytes());
        self.hash.update((object.tag.len() as u16).to_le_bytes());
        self.hash.update(&object.tag);
        self.last_path.clear();
        self.last_path.extend_from_slice(path.as_bytes());
        self.count += 1;
        self.bytes += object.size;
        Ok(())
    }

    fn write_entry(&mut self, path: &[u8], object: &ObjectRef) -> io::Result<()> {
        let (key, tag) = (&object.source_key[..], &object.tag[..]);
        let room = HEADER_CRC_AT - TEXTS_AT - self.root.path.len();
        let prefix = self.key_prefix.get_or_insert_with(|| {
            key.strip_suffix(path)
                .filter(|prefix| prefix.len() <= room)
                .unwrap_or_default()
                .to_vec()
        });
        let is_path = key.strip_prefix(&prefix[..]) == Some(path);
        let (key_len, own_key) =
            if is_path { (KEY_IS_PATH, &[][..]) } else { (key.len() as u16, key) };
        let heap_at = HEADER_BYTES + self.heap.len;
        self.entries.write_all(&object.key(&self.root.identity).0)?;
        self.entries.write_all(&object.size.to_le_bytes())?;
        self.entries.write_all(&heap_at.to_le_bytes())?;
        self.heap.write(&(path.len() as u32).to_le_bytes())?;
        self.heap.write(&(tag.len() as u16).to_le_bytes())?;
        self.heap.write(&key_len.to_le_bytes())?;
        [path, tag, own_key].into_iter().try_for_each(|part| self.heap.write(part))
    }

    /// Completes and syncs the file, and puts it in its place, where it replaces what was there.
    pub fn finish(mut self) -> Result<DatasetSummary> {
        let version = self.hash.clone().finalize().into();
        let summary = DatasetSummary { version, count: self.count, bytes: self.bytes };
        let written = self.complete(&summary);
        written.map_err(|error| Error::io(format!("writing {}", self.place.display()), &error))?;
        Ok(summary)
    }

    fn complete(&mut self, summary: &DatasetSummary) -> io::Result<()> {
        let heap_end = HEADER_BYTES + self.heap.len;
        let entries_at = heap_end.next_multiple_of(ENTRY_BYTES);
        self.heap.write(&[0; ENTRY_BYTES as usize][..(entries_at - heap_end) as usize])?;
        self.append_entries()?;
        let entries_end = HEADER_BYTES + self.heap.len;
        let sums = self.heap.sums.finish().to_vec();
        self.heap.file.write_all(&sums)?;
        self.heap.file.flush()?;
        let header = self.header(summary, entries_at, &sums);
        let file = self.heap.file.get_mut();
        let is_whole = entries_end == entries_at + summary.count * ENTRY_BYTES;
        if !is_whole || file.metadata()?.len() != entries_end + sums.len() as u64 {
            return Err(io::Error::other("a write before this one failed"));
        }
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&header)?;
        file.sync_all()?;
        fs::rename(partial(&self.place), &self.place)?;
        sync_directory(&self.place)
    }

    fn append_entries(&mut self) -> io::Result<()> {
        self.entries.flush()?;
        let entries = self.entries.get_mut();
        entries.seek(SeekFrom::Start(0))?;
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            let read = entries.read(&mut buffer)?;
            if read == 0 {
                return Ok(());
            }
            self.heap.write(&buffer[..read])?;
        }
    }

    fn header(&self, summary: &DatasetSummary, entries_at: u64, sums: &[u8]) -> Vec<u8> {
        let prefix = self.key_prefix.as_deref().unwrap_or_default();
        let root = &self.root;
        let mut header = vec![0u8; HEADER_BYTES as usize];
        put(&mut header, 0, &MAGIC);
        put(&mut header, 8, &FORMAT_VERSION.to_le_bytes());
        put(&mut header, 16, &summary.count.to_le_bytes());
        put(&mut header, 24, &summary.bytes.to_le_bytes());
        put(&mut header, 32, &summary.version);
        put(&mut header, 64, &root.identity.0);
        put(&mut header, 80, &entries_at.to_le_bytes());
        put(&mut header, 88, &(root.path.len() as u32).to_le_bytes());
        put(&mut header, 92, &(prefix.len() as u32).to_le_bytes());
        put(&mut header, 96, &crc_fast::crc32_iscsi(sums).to_le_bytes());
        put(&mut header, TEXTS_AT, root.path.as_bytes());
        put(&mut header, TEXTS_AT + root.path.len(), prefix);
        let crc = crc_fast::crc32_iscsi(&header[..HEADER_CRC_AT]);
        put(&mut header, HEADER_CRC_AT, &crc.to_le_bytes());
        header
    }
}

impl Drop for DatasetWriter {
    fn drop(&mut self) {
        // After `finish` it is gone; and where it cannot be removed, the daemon does so at its next start.
        let _ = fs::remove_file(partial(&self.place));
    }
}

fn partial(place: &Path) -> PathBuf {
    place.with_extension("making")
}
