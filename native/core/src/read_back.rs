//! Stored records read back from their devices and held against their checksums: past the page cache where that is
//! possible, since what memory holds says nothing of the device.

use std::collections::HashMap;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;

use crate::device_reader::{DeviceRead, DeviceReader};
use crate::{Code, Error, Location, Result, Store};

/// Of records read at once.
const MEMORY_BYTES: usize = 8 << 20;
/// Segments held open.
const FILES_MAX: usize = 64;

pub struct ReadBack<'a> {
    store: &'a Store,
    reader: DeviceReader,
    /// By number and generation.
    files: HashMap<(u32, u32), File>,
    memory: Vec<u8>,
}

impl<'a> ReadBack<'a> {
    pub fn of(store: &'a Store) -> ReadBack<'a> {
        let (reader, files) = (DeviceReader::default(), HashMap::new());
        ReadBack { store, reader, files, memory: Vec::new() }
    }

    /// For each location: `Corrupt` where the bytes do not match, `Io` where the device does not give them, `NotFound`
    /// where the record was evicted.
    pub fn check(&mut self, locations: &[Location]) -> Vec<Result<()>> {
        let mut results = Vec::with_capacity(locations.len());
        let mut rest = locations;
        while !rest.is_empty() {
            let mut bytes = 0;
            let fits = |location: &&Location| {
                bytes += location.stored_len as usize;
                bytes <= MEMORY_BYTES
            };
            let count = rest.iter().take_while(fits).count().max(1);
            let (now, later) = rest.split_at(count);
            self.check_some(now, &mut results);
            rest = later;
        }
        results
    }

    fn check_some(&mut self, locations: &[Location], results: &mut Vec<Result<()>>) {
        let opened: Vec<Result<()>> =
            locations.iter().map(|location| self.open(location)).collect();
        let total = locations.iter().map(|location| location.stored_len as usize).sum();
        self.memory.resize(total, 0);
        let (mut reads, mut read_of) = (Vec::new(), Vec::new());
        let mut left = self.memory.as_mut_slice();
        for (location, opened) in locations.iter().zip(&opened) {
            let (target, after) = left.split_at_mut(location.stored_len as usize);
            left = after;
            let file = self.files.get(&(location.segment, location.generation));
            if let (Ok(()), Some(file)) = (opened, file) {
                read_of.push(Some(reads.len()));
                reads.push(DeviceRead { file, offset: u64::from(location.offset), target });
            } else {
                read_of.push(None);
            }
        }
        // Who did not come whole is read once more below, one by one, which tells why.
        let all = || (0..reads_len(&read_of)).collect();
        let failed = self.reader.read(&mut reads).unwrap_or_else(|_| all());
        for ((location, opened), read) in locations.iter().zip(opened).zip(read_of) {
            results.push(opened.and_then(|()| match read {
                Some(read) if failed.binary_search(&read).is_err() => {
                    location.judge(crc_fast::crc32_iscsi(reads[read].target))
                }
                _ => self.store.check(location),
            }));
        }
    }

    fn open(&mut self, location: &Location) -> Result<()> {
        let name = (location.segment, location.generation);
        if self.files.contains_key(&name) {
            return Ok(());
        }
        let gone = || Error::new(Code::NotFound, format!("segment {} is gone", location.segment));
        let segment = self.store.segment(name.0, name.1).ok_or_else(gone)?;
        let path = format!("/proc/self/fd/{}", segment.file.as_raw_fd());
        let direct = File::options().read(true).custom_flags(libc::O_DIRECT).open(path);
        let file = direct.or_else(|_| segment.file.try_clone());
        let file = file.map_err(|error| {
            Error::io(format!("opening segment {} once more", location.segment), &error)
        })?;
        if self.files.len() >= FILES_MAX {
            self.files.clear();
        }
        self.files.insert(name, file);
        Ok(())
    }
}

fn reads_len(read_of: &[Option<usize>]) -> usize {
    read_of.iter().flatten().count()
}
