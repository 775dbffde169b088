//! The store: what this node has of all attachments, on its devices.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::{Identity, Location, RecordBytes, RecordKey, Result, TableHandle};

pub struct DeviceConfig {
    pub path: PathBuf,
    pub size_bytes: u64,
    pub reserve_bytes: u64,
}

pub struct StoreConfig {
    pub devices: Vec<DeviceConfig>,
    pub extent_delay: Duration,
    pub idle_seal: Duration,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Admission {
    Queued,
    Declined,
}

#[derive(Debug)]
pub struct SegmentFile {
    pub file: File,
    pub id: [u8; 16],
    pub identity: Identity,
    pub number: u32,
    pub generation: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Freed {
    pub records: u64,
    pub bytes: u64,
}

#[derive(Clone, Debug)]
pub struct SegmentStatus {
    pub number: u32,
    pub generation: u32,
    pub identity: Identity,
    /// Index into [`Store::devices`].
    pub device: u32,
    /// Space taken on the device.
    pub file_bytes: u64,
    pub live_bytes: u64,
    pub live_records: u64,
    pub sealed: bool,
    /// Unix seconds.
    pub last_read: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DeviceState {
    Ok,
    Full,
    Failed,
}

#[derive(Clone, Debug)]
pub struct DeviceStatus {
    pub path: PathBuf,
    pub size_bytes: u64,
    pub used_bytes: u64,
    pub queued_bytes: u64,
    pub state: DeviceState,
}

pub struct Store {}

impl Store {
    pub fn open(_config: StoreConfig) -> Result<Arc<Store>> {
        unimplemented!()
    }
    pub fn attach(&self, _attachment: u32, _identity: Identity, _admit: bool) {
        unimplemented!()
    }
    pub fn detach(&self, _attachment: u32) {
        unimplemented!()
    }
    pub fn append(&self, _attachment: u32, _key: RecordKey, _piece: u32, _bytes: Arc<dyn RecordBytes>) -> Admission {
        unimplemented!()
    }
    pub fn lookup(&self, _key: &RecordKey) -> Option<Location> {
        unimplemented!()
    }
    pub fn segment(&self, _number: u32, _generation: u32) -> Option<Arc<SegmentFile>> {
        unimplemented!()
    }
    pub fn table(&self) -> TableHandle {
        unimplemented!()
    }
    pub fn mark_verified(&self, _keys: &[RecordKey]) {
        unimplemented!()
    }
    pub fn touch(&self, _segments: &[u32]) {
        unimplemented!()
    }
    pub fn forget(&self, _keys: &[RecordKey]) -> Freed {
        unimplemented!()
    }
    pub fn evict(&self, _segments: &[u32]) -> Freed {
        unimplemented!()
    }
    pub fn segments(&self) -> Vec<SegmentStatus> {
        unimplemented!()
    }
    pub fn devices(&self) -> Vec<DeviceStatus> {
        unimplemented!()
    }
    /// What a person should know of the opening: files set aside, tails cut.
    pub fn notices(&self) -> &[String] {
        unimplemented!()
    }
    pub fn read(&self, _location: &Location) -> Result<Vec<u8>> {
        unimplemented!()
    }
    pub fn seal(&self, _attachment: u32, _timeout: Duration) -> Result<()> {
        unimplemented!()
    }
    pub fn flush(&self, _timeout: Duration) -> Result<()> {
        unimplemented!()
    }
    pub fn close(&self) {
        unimplemented!()
    }
}
