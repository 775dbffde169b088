//! A store in a directory of its own, and records that tell which they are.

#![allow(dead_code, reason = "each test program uses its own part")]

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use millpool_core::{
    Admission, DeviceConfig, Identity, RecordBytes, RecordKey, Store, StoreConfig, Tier,
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
        .map(|path| DeviceConfig {
            path: path.clone(),
            tier: Tier::Fast,
            size_bytes,
            reserve_bytes: 0,
        })
        .collect();
    let config = StoreConfig {
        devices,
        extent_delay: Duration::from_millis(5),
        idle_seal: Duration::from_secs(30),
        table_bytes: 1 << 30,
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

/// As a kill leaves it: nothing flushed, nothing sealed. The files are copied, since the locks end with this process;
/// all again while one gets another name or goes: a kill leaves what is there at one moment.
pub fn crash_copy(from: &Path, to: &Path) {
    let copies = to.join("segments");
    loop {
        fs::create_dir_all(&copies).unwrap();
        let copied = segment_files(from)
            .iter()
            .try_for_each(|path| fs::copy(path, copies.join(path.file_name().unwrap())).map(drop));
        match copied {
            Ok(()) => return,
            Err(error) if error.kind() == ErrorKind::NotFound => fs::remove_dir_all(to).unwrap(),
            Err(error) => panic!("{error}"),
        }
    }
}

/// The kernel ends the process at the first `call` of any of its threads, before the call does anything.
pub fn die_at(call: libc::c_long) {
    const SYSTEM_CALL_NUMBER: u32 = 0;
    let statement = |code: u32, k: u32| libc::sock_filter { code: code as u16, jt: 0, jf: 0, k };
    let mut filter = [
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, SYSTEM_CALL_NUMBER),
        libc::sock_filter {
            jf: 1,
            ..statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, call as u32)
        },
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_KILL_PROCESS),
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: the program is alive during the call, which copies it.
    let installed = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        let (mode, flags) = (libc::SECCOMP_SET_MODE_FILTER, libc::SECCOMP_FILTER_FLAG_TSYNC);
        libc::syscall(libc::SYS_seccomp, mode, flags, &program)
    };
    assert_eq!(installed, 0, "{}", std::io::Error::last_os_error());
}

#[cfg(target_arch = "x86_64")]
pub const RENAME: libc::c_long = libc::SYS_rename;
#[cfg(not(target_arch = "x86_64"))]
pub const RENAME: libc::c_long = libc::SYS_renameat;

#[cfg(target_arch = "x86_64")]
pub const UNLINK: libc::c_long = libc::SYS_unlink;
#[cfg(not(target_arch = "x86_64"))]
pub const UNLINK: libc::c_long = libc::SYS_unlinkat;
