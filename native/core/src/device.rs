//! One directory on one device: its lock, its room, and whether it still works.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::{Code, Error, Result};

/// Records that wait for one device's writer. They count in the daemon's byte budget anyway; this keeps one slow device
/// from holding all of it.
pub const MAX_QUEUED_BYTES: u64 = 256 << 20;
/// The same of new records for which a slow device is the second choice: it is to keep nobody waiting for buffers.
const MAX_OVERFLOW_BYTES: u64 = 32 << 20;
/// Of a file that takes its name once it is whole.
pub(crate) const TEMPORARY_SUFFIX: &str = "new";
/// Records that a device may fail to give before it is left alone.
const READ_ERRORS_MAX: u64 = 8;
/// A full device is tried again after this: others may have freed room that we are not told of.
const FULL_RETRY: Duration = Duration::from_secs(1);

/// What a device is good at. Records are written to fast ones while those have room, and segments are moved to slow
/// ones and back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tier {
    Fast,
    /// Whole segments one after another, as a disk that rotates.
    Slow,
}

#[derive(Clone, Debug)]
pub struct DeviceConfig {
    pub path: PathBuf,
    pub tier: Tier,
    /// The cache's own files stay within this.
    pub size_bytes: u64,
    /// Left free on the filesystem; 0 when the size was given explicitly.
    pub reserve_bytes: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DeviceState {
    Ok,
    /// Records are declined until something is freed.
    Full,
    /// It gave an error; nothing is written to it any more. What it holds is read while it can be.
    Failed,
}

#[derive(Clone, Debug)]
pub struct DeviceStatus {
    pub path: PathBuf,
    pub tier: Tier,
    pub size_bytes: u64,
    /// Taken by segments, with what open ones have claimed ahead.
    pub used_bytes: u64,
    /// Taken in and not written yet.
    pub queued_bytes: u64,
    /// For new records that are not taken in yet, and for copies.
    pub room_bytes: u64,
    pub copy_room_bytes: u64,
    pub state: DeviceState,
    /// Why it is not `Ok`.
    pub reason: Option<String>,
}

enum Health {
    Ok,
    Full { reason: String, retry_at: Instant },
    Failed { reason: String },
}

pub(crate) struct Device {
    pub index: u32,
    config: DeviceConfig,
    /// Open and locked while this process has the directory.
    lock: Mutex<Option<File>>,
    used: AtomicU64,
    /// Of `used`: claimed by open segments and not written yet.
    claimed: AtomicU64,
    queued: AtomicU64,
    /// Of its room, for copies of what is here alone.
    reserved: AtomicU64,
    /// Of the filesystem that the directory was on when it was opened.
    filesystem: u64,
    /// Records that it did not give.
    read_errors: AtomicU64,
    health: Mutex<Health>,
}

/// No room for what was asked: over the budget, or the filesystem is.
#[derive(Debug)]
pub(crate) struct NoRoom(pub String);

impl Device {
    /// Makes the directory where it is missing, and takes its lock. `Exists` when another process has it.
    pub fn open(config: DeviceConfig, index: u32) -> Result<Device> {
        let segments = config.path.join("segments");
        make_private(&segments)
            .map_err(|error| Error::io(format!("making {}", segments.display()), &error))?;
        let lock = take_lock(&config.path)?;
        let filesystem = lock.metadata().map(|metadata| metadata.dev());
        let filesystem = filesystem
            .map_err(|error| Error::io(format!("looking at {}", config.path.display()), &error))?;
        Ok(Device {
            index,
            config,
            lock: Mutex::new(Some(lock)),
            used: AtomicU64::new(0),
            claimed: AtomicU64::new(0),
            queued: AtomicU64::new(0),
            reserved: AtomicU64::new(0),
            filesystem,
            read_errors: AtomicU64::new(0),
            health: Mutex::new(Health::Ok),
        })
    }

    pub fn path(&self) -> &Path {
        &self.config.path
    }

    pub fn tier(&self) -> Tier {
        self.config.tier
    }

    pub fn segments_dir(&self) -> PathBuf {
        self.config.path.join("segments")
    }

    /// Of the key table's part on this device, as a clean stop saves it.
    pub fn image_path(&self) -> PathBuf {
        self.config.path.join("table.image")
    }

    /// Removes a saved table, and what is left of one that was being saved, for good: nothing may be written while a
    /// later start could still believe it.
    pub fn forget_image(&self) -> std::io::Result<()> {
        let path = self.image_path();
        let mut is_gone = false;
        for path in [&path.with_extension(TEMPORARY_SUFFIX), &path] {
            match fs::remove_file(path) {
                Ok(()) => is_gone = true,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        if is_gone { sync_directory(&path) } else { Ok(()) }
    }

    /// Whether `bytes` of other files than segments leave the filesystem what is to stay free.
    pub fn has_room_beside(&self, bytes: u64) -> std::io::Result<()> {
        let free = self.filesystem_free()?;
        if free >= bytes.saturating_add(self.config.reserve_bytes) {
            return Ok(());
        }
        Err(std::io::Error::other(format!(
            "{bytes} bytes are needed, the filesystem has {free} left"
        )))
    }

    pub fn has_failed(&self) -> bool {
        matches!(*self.health(), Health::Failed { .. })
    }

    /// Puts away a file that this version cannot read, for a person to decide about.
    pub fn set_aside(&self, file: &Path) -> std::io::Result<()> {
        let aside = self.config.path.join("aside");
        make_private(&aside)?;
        fs::rename(file, aside.join(file.file_name().unwrap_or_default()))
    }

    /// The lock is let go itself, not by closing its file alone: a process that is just being started, by whatever part
    /// of this one, has that file open too until it runs its own program.
    pub fn unlock(&self) {
        let lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(lock) = lock {
            let _ = lock.unlock();
        }
    }

    /// Whether a new record of `bytes` would find room here, as far as one can tell before it is written.
    pub fn accepts(&self, bytes: u64) -> bool {
        self.accepts_copy(bytes.saturating_add(self.reserved.load(Ordering::Relaxed)))
    }

    /// The same of a copy.
    pub fn accepts_copy(&self, bytes: u64) -> bool {
        let queued = self.queued.load(Ordering::Relaxed);
        let free = self.config.size_bytes.saturating_sub(self.used.load(Ordering::Relaxed));
        let room = free + self.claimed.load(Ordering::Relaxed);
        queued + bytes <= MAX_QUEUED_BYTES.min(room) && self.is_ready()
    }

    /// Bytes of new records that it would take in the place of a fast one, now.
    pub fn overflow_bytes(&self) -> u64 {
        let queue = MAX_OVERFLOW_BYTES.saturating_sub(self.queued_bytes());
        if self.is_ready() { queue.min(self.room_bytes()) } else { 0 }
    }

    pub fn reserve_for_copies(&self, bytes: u64) {
        self.reserved.store(bytes, Ordering::Relaxed);
    }

    /// A full device is given records again after a while, and when something was given back; whether it is full still,
    /// the next write will say.
    fn is_ready(&self) -> bool {
        match &*self.health() {
            Health::Ok => true,
            Health::Failed { .. } => false,
            Health::Full { retry_at, .. } => Instant::now() >= *retry_at,
        }
    }

    /// What it has, and is about to have, in millionths of what it may.
    pub fn fullness(&self) -> u64 {
        let claimed = self.claimed.load(Ordering::Relaxed);
        let written = self.used.load(Ordering::Relaxed).saturating_sub(claimed);
        let has = u128::from(written + self.queued_bytes());
        (has * 1_000_000 / u128::from(self.config.size_bytes.max(1))) as u64
    }

    pub fn queued_bytes(&self) -> u64 {
        self.queued.load(Ordering::Relaxed)
    }

    pub fn add_queued(&self, bytes: u64) {
        self.queued.fetch_add(bytes, Ordering::Relaxed);
    }

    pub fn take_queued(&self, bytes: u64) {
        self.queued.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Counts `bytes` as used, if the budget and the filesystem have them.
    pub fn claim(&self, bytes: u64) -> std::result::Result<(), NoRoom> {
        let size = self.config.size_bytes;
        let within = |used: u64| used.checked_add(bytes).filter(|after| *after <= size);
        if self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, within).is_err() {
            return Err(NoRoom(format!(
                "{} is at its size of {size} bytes",
                self.path().display()
            )));
        }
        let free = match self.filesystem_free() {
            Ok(free) => free,
            Err(error) => {
                self.unclaim(bytes);
                return Err(NoRoom(format!("statvfs of {}: {error}", self.path().display())));
            }
        };
        if free < bytes.saturating_add(self.config.reserve_bytes) {
            self.unclaim(bytes);
            let reserve = self.config.reserve_bytes;
            let path = self.path().display();
            return Err(NoRoom(format!(
                "the filesystem of {path} has {free} bytes left, {reserve} are to stay free"
            )));
        }
        Ok(())
    }

    /// What was claimed in vain says nothing of room.
    pub fn unclaim(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// For new records that are not taken in yet.
    pub fn room_bytes(&self) -> u64 {
        self.copy_room_bytes().saturating_sub(self.reserved.load(Ordering::Relaxed))
    }

    /// For copies: of the budget and of the filesystem; nothing on one that failed.
    fn copy_room_bytes(&self) -> u64 {
        if self.has_failed() {
            return 0;
        }
        let of_budget = self.config.size_bytes.saturating_sub(self.used.load(Ordering::Relaxed));
        let of_filesystem =
            self.filesystem_free().unwrap_or(0).saturating_sub(self.config.reserve_bytes);
        let claimed = self.claimed.load(Ordering::Relaxed);
        (of_budget.min(of_filesystem) + claimed).saturating_sub(self.queued_bytes())
    }

    fn filesystem_free(&self) -> std::io::Result<u64> {
        let stat = rustix::fs::statvfs(self.path())?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    /// Space that segments found at the start take, be it within the budget or not.
    pub fn adopt(&self, bytes: u64) {
        self.used.fetch_add(bytes, Ordering::Relaxed);
    }

    pub fn release(&self, bytes: u64) {
        if bytes == 0 {
            return;
        }
        self.unclaim(bytes);
        if let Health::Full { retry_at, .. } = &mut *self.health() {
            *retry_at = Instant::now();
        }
    }

    /// An open segment's claimed and unwritten bytes changed.
    pub fn change_claimed(&self, before: u64, after: u64) {
        self.claimed.fetch_add(after, Ordering::Relaxed);
        self.claimed.fetch_sub(before, Ordering::Relaxed);
    }

    pub fn mark_full(&self, reason: String) {
        let mut health = self.health();
        if !matches!(*health, Health::Failed { .. }) {
            *health = Health::Full { reason, retry_at: Instant::now() + FULL_RETRY };
        }
    }

    /// An error where the directory is not what was opened: what is written there now would be on another filesystem,
    /// and be hidden by the next mount.
    pub fn check_mounted(&self) -> std::io::Result<()> {
        let found = fs::metadata(self.segments_dir()).map(|metadata| metadata.dev()).ok();
        if found == Some(self.filesystem) {
            return Ok(());
        }
        let path = self.path().display();
        let what =
            format!("{path} is not the filesystem that it was: it was unmounted or replaced");
        Err(std::io::Error::other(what))
    }

    /// It did not give a record. One bad block is no reason to leave a device alone; more are.
    pub fn add_read_error(&self, error: &std::io::Error) {
        if self.read_errors.fetch_add(1, Ordering::Relaxed) + 1 == READ_ERRORS_MAX {
            self.mark_failed(format!("{READ_ERRORS_MAX} records could not be read: {error}"));
        }
    }

    /// Something was written to it.
    pub fn mark_written(&self) {
        let mut health = self.health();
        if matches!(*health, Health::Full { .. }) {
            *health = Health::Ok;
        }
    }

    /// The first reason stays.
    pub fn mark_failed(&self, reason: String) {
        let mut health = self.health();
        if !matches!(*health, Health::Failed { .. }) {
            *health = Health::Failed { reason };
        }
    }

    pub fn status(&self) -> DeviceStatus {
        let (room_bytes, copy_room_bytes) = (self.room_bytes(), self.copy_room_bytes());
        let (state, reason) = match &*self.health() {
            Health::Ok => (DeviceState::Ok, None),
            Health::Full { reason, .. } => (DeviceState::Full, Some(reason.clone())),
            Health::Failed { reason } => (DeviceState::Failed, Some(reason.clone())),
        };
        DeviceStatus {
            path: self.config.path.clone(),
            tier: self.config.tier,
            size_bytes: self.config.size_bytes,
            used_bytes: self.used.load(Ordering::Relaxed),
            queued_bytes: self.queued_bytes(),
            room_bytes,
            copy_room_bytes,
            state,
            reason,
        }
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes a rename in the directory of `path` survive a loss of power.
pub(crate) fn sync_directory(path: &Path) -> std::io::Result<()> {
    match path.parent() {
        Some(directory) => File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}

/// Makes a directory that nobody else looks into, where there is none.
fn make_private(directory: &Path) -> std::io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

/// The lock is the kernel's, so it ends with the process; the number inside is for the message only.
fn take_lock(directory: &Path) -> Result<File> {
    let path = directory.join("lock");
    let io = |error: std::io::Error| Error::io(format!("locking {}", path.display()), &error);
    let mut options = OpenOptions::new();
    let mut file =
        options.read(true).write(true).create(true).truncate(false).open(&path).map_err(io)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let _ = file.read_to_string(&mut holder);
            let (directory, holder) = (directory.display(), holder.trim());
            let message = format!(
                "{directory} is in use by process {holder}; stop it, or give another directory"
            );
            return Err(Error::new(Code::Exists, message));
        }
        Err(TryLockError::Error(error)) => return Err(io(error)),
    }
    // A device that is full has no room for the number, and the message does without it.
    let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
    Ok(file)
}
