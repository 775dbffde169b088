//! A store in a directory of its own, and records that tell which they are.

#![allow(dead_code, reason = "each test program uses its own part")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use millpool_core::{
    Admission, DeviceConfig, Identity, RecordBytes, RecordKey, Store, StoreConfig,
};

pub const SECONDS: Duration = Duration::from_secs(20);

pub struct Bytes(pub Vec<u8>);

impl RecordBytes for Bytes {
    fn bytes(&self) -> &[u8] {
        &self.0
    }
    fn crc(&self) -> u32 {
        crc_fast::crc32_iscsi(&self.0)
    }
}

/// Bytes that tell which record they are of.
pub fn content(n: u64, len: usize) -> Vec<u8> {
    let mut state = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

pub fn key(n: u64) -> RecordKey {
    RecordKey(u128::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835).to_le_bytes())
}

pub fn open_at(paths: &[PathBuf], size_bytes: u64) -> Arc<Store> {
    let devices = paths
        .iter()
        .map(|path| DeviceConfig { path: path.clone(), size_bytes, reserve_bytes: 0 })
        .collect();
    let config = StoreConfig {
        devices,
        extent_delay: Duration::from_millis(5),
        idle_seal: Duration::from_secs(30),
    };
    let store = Store::open(config).expect("the store opens");
    store.attach(1, Identity::of("test"), true);
    store
}

pub fn put(store: &Store, n: u64, len: usize) -> Admission {
    store.append(1, key(n), 0, Arc::new(Bytes(content(n, len))))
}

pub fn get(store: &Store, n: u64) -> Option<Vec<u8>> {
    store.lookup(&key(n)).and_then(|location| store.read(&location).ok())
}

pub fn segment_files(directory: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(directory.join("segments"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
}
