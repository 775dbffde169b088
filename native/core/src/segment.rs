//! A segment that the daemon knows: its number in this run, its file, what is still live in it.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::Identity;
use crate::device::{Device, sync_directory};
use crate::extent::SegmentLabel;
use crate::live::Live;
use crate::record_entry::{BLOCK_BYTES, RecordEntry, Totals};
use crate::segment_contents::examine;
use crate::tenant::Tenant;

pub(crate) const OPEN_SUFFIX: &str = "open";
pub(crate) const SEALED_SUFFIX: &str = "seg";
/// Smaller ones would seal all the time; also the least room that a new segment is begun with.
pub(crate) const MIN_SEGMENT_BYTES: u32 = 8 << 20;
/// Larger ones would make eviction coarse. Offsets fit 28 bits.
pub(crate) const MAX_SEGMENT_BYTES: u32 = 256 << 20;
const SEGMENTS_OF_A_CACHE: u64 = 256;

/// A segment as others in this process and in its clients see it: read-only, and readable for as long as it is held,
/// whatever is evicted meanwhile.
#[derive(Debug)]
pub struct SegmentFile {
    pub file: File,
    /// Random; in the file's name and in each of its extents.
    pub id: [u8; 16],
    pub identity: Identity,
    pub number: u32,
    pub generation: u32,
}

#[derive(Clone, Debug)]
pub struct SegmentStatus {
    pub number: u32,
    pub generation: u32,
    pub identity: Identity,
    /// Index into the store's devices.
    pub device: u32,
    /// Space taken on the device.
    pub file_bytes: u64,
    pub live_bytes: u64,
    /// What those are when they are unpacked, as far as one knows: some records may shrink more than others.
    pub raw_bytes: u64,
    pub live_records: u64,
    /// Of `live_bytes`: of records that are pinned.
    pub pinned_bytes: u64,
    pub sealed: bool,
    /// Unix seconds; of the file's last change until somebody reads.
    pub last_read: u64,
    /// Batches of this run that some of it was read for.
    pub reads: u64,
}

/// Everything of a segment but its number, which the catalog gives.
pub(crate) struct SegmentParts {
    pub device: Arc<Device>,
    pub label: SegmentLabel,
    pub path: PathBuf,
    pub file: File,
    /// Counted as used on the device already.
    pub space: u64,
    pub sealed: bool,
    pub last_read: u64,
    pub totals: Totals,
}

pub(crate) struct Segment {
    pub device: Arc<Device>,
    pub tenant: Arc<Tenant>,
    pub reader: Arc<SegmentFile>,
    place: Mutex<Place>,
    space: AtomicU64,
    sealed: AtomicBool,
    /// Published entries, while there is no footer to read them from.
    open_entries: Mutex<Vec<RecordEntry>>,
    /// All three are changed under the catalog's lock only.
    live_records: AtomicU64,
    live_bytes: AtomicU64,
    pinned_bytes: AtomicU64,
    totals: Mutex<Totals>,
    last_read: AtomicU64,
    reads: AtomicU64,
}

struct Place {
    path: PathBuf,
    is_unlinked: bool,
}

impl SegmentFile {
    /// A descriptor to give away, opened anew: the kernel counts who holds it by itself.
    pub fn for_reader(&self) -> io::Result<File> {
        File::open(format!("/proc/self/fd/{}", self.file.as_raw_fd()))
    }
}

impl Segment {
    pub fn new(parts: SegmentParts, tenant: Arc<Tenant>, name: (u32, u32)) -> Segment {
        let SegmentLabel { id, identity } = parts.label;
        let (number, generation) = name;
        tenant.add_stored(parts.device.tier(), parts.space);
        Segment {
            device: parts.device,
            tenant,
            reader: Arc::new(SegmentFile { file: parts.file, id, identity, number, generation }),
            place: Mutex::new(Place { path: parts.path, is_unlinked: false }),
            space: AtomicU64::new(parts.space),
            sealed: AtomicBool::new(parts.sealed),
            open_entries: Mutex::new(Vec::new()),
            live_records: AtomicU64::new(0),
            live_bytes: AtomicU64::new(0),
            pinned_bytes: AtomicU64::new(0),
            totals: Mutex::new(parts.totals),
            last_read: AtomicU64::new(parts.last_read),
            reads: AtomicU64::new(0),
        }
    }

    pub fn number(&self) -> u32 {
        self.reader.number
    }

    pub fn generation(&self) -> u32 {
        self.reader.generation
    }

    pub fn touch(&self, now: u64) {
        self.last_read.fetch_max(now, Ordering::Relaxed);
        self.reads.fetch_add(1, Ordering::Relaxed);
    }

    /// More room was claimed and allocated for it.
    pub fn add_space(&self, bytes: u64) {
        self.space.fetch_add(bytes, Ordering::Relaxed);
        self.tenant.add_stored(self.device.tier(), bytes);
    }

    /// Its claimed and unwritten bytes changed.
    pub fn change_claimed(&self, before: u64, after: u64) {
        self.device.change_claimed(before, after);
        self.tenant.add_stored(self.device.tier(), before);
        self.tenant.take_stored(self.device.tier(), after);
    }

    /// Its file is sealed and takes `bytes`: less than was claimed, or more where recovery sealed it. A segment that
    /// was unlinked meanwhile takes nothing.
    pub fn settle_space(&self, bytes: u64) {
        let settle = |before: u64| (before != 0).then_some(bytes);
        let settled = self.space.fetch_update(Ordering::Relaxed, Ordering::Relaxed, settle);
        if let Ok(before) = settled {
            self.device.adopt(bytes.saturating_sub(before));
            self.device.release(before.saturating_sub(bytes));
            self.tenant.add_stored(self.device.tier(), bytes);
            self.tenant.take_stored(self.device.tier(), before);
        }
    }

    /// Nothing is written to it any more: its tenant has its space no longer. What the device is to be given back when
    /// nobody holds the file; nothing the second time.
    pub fn take_space(&self) -> u64 {
        let space = self.space.swap(0, Ordering::Relaxed);
        self.tenant.take_stored(self.device.tier(), space);
        space
    }

    /// The file is unlinked, and nobody was given it.
    pub fn give_back_space(&self) {
        let space = self.take_space();
        self.device.release(space);
    }

    pub fn add_live(&self, stored_len: u32) {
        self.live_records.fetch_add(1, Ordering::Relaxed);
        self.live_bytes.fetch_add(u64::from(stored_len), Ordering::Relaxed);
    }

    /// Of one that a start has found.
    pub fn set_live(&self, live: Live) {
        self.live_records.store(live.records, Ordering::Relaxed);
        self.live_bytes.store(live.bytes, Ordering::Relaxed);
    }

    /// Says whether nothing is left.
    pub fn take_live(&self, stored_len: u32) -> bool {
        self.live_bytes.fetch_sub(u64::from(stored_len), Ordering::Relaxed);
        self.live_records.fetch_sub(1, Ordering::Relaxed) == 1
    }

    pub fn is_sealed(&self) -> bool {
        self.sealed.load(Ordering::Relaxed)
    }

    pub fn add_pinned(&self, stored_len: u32) {
        self.pinned_bytes.fetch_add(u64::from(stored_len), Ordering::Relaxed);
    }

    pub fn take_pinned(&self, stored_len: u32) {
        self.pinned_bytes.fetch_sub(u64::from(stored_len), Ordering::Relaxed);
    }

    pub fn clear_pinned(&self) {
        self.pinned_bytes.store(0, Ordering::Relaxed);
    }

    pub fn pinned_bytes(&self) -> u64 {
        self.pinned_bytes.load(Ordering::Relaxed)
    }

    pub fn live_records(&self) -> u64 {
        self.live_records.load(Ordering::Relaxed)
    }

    pub fn totals(&self) -> Totals {
        *self.totals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its live records unpacked, if they shrank as all of them did.
    fn raw_bytes(&self, live_bytes: u64) -> u64 {
        let Totals { stored_bytes, saved_bytes } = self.totals();
        let all = u128::from(stored_bytes.max(live_bytes).max(1));
        live_bytes + (u128::from(saved_bytes) * u128::from(live_bytes) / all) as u64
    }

    pub fn remember(&self, entries: &[RecordEntry]) {
        self.open_entries.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(entries);
    }

    pub fn count(&self, entries: &[RecordEntry]) {
        let more = Totals::of(entries);
        let mut totals = self.totals.lock().unwrap_or_else(PoisonError::into_inner);
        totals.stored_bytes += more.stored_bytes;
        totals.saved_bytes += more.saved_bytes;
    }

    /// All entries that this segment was published with; nothing where its device can no longer say.
    pub fn entries(&self) -> Vec<RecordEntry> {
        let open = self.open_entries.lock().unwrap_or_else(PoisonError::into_inner);
        if !open.is_empty() {
            return open.clone();
        }
        drop(open);
        examine(&self.reader.file).map(|found| found.entries).unwrap_or_default()
    }

    /// The footer is durable: takes the sealed name, unless the segment was unlinked meanwhile.
    pub fn rename_sealed(&self) -> io::Result<()> {
        let mut place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        if !place.is_unlinked {
            let sealed = place.path.with_extension(SEALED_SUFFIX);
            fs::rename(&place.path, &sealed)?;
            place.path = sealed;
            sync_directory(&place.path)?;
        }
        drop(place);
        self.sealed.store(true, Ordering::Relaxed);
        *self.open_entries.lock().unwrap_or_else(PoisonError::into_inner) = Vec::new();
        Ok(())
    }

    /// Takes the file's name away. Whoever has it open or mapped keeps it, and its space on the device.
    pub fn unlink(&self) {
        let mut place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        if !place.is_unlinked {
            place.is_unlinked = true;
            if let Err(error) = fs::remove_file(&place.path) {
                let what = format!("removing {}: {error}", place.path.display());
                let why = self.device.check_mounted().err().map_or(what, |error| error.to_string());
                self.device.mark_failed(why);
            }
        }
    }

    pub fn status(&self) -> SegmentStatus {
        let live_bytes = self.live_bytes.load(Ordering::Relaxed);
        SegmentStatus {
            number: self.number(),
            generation: self.generation(),
            identity: self.reader.identity,
            device: self.device.index,
            file_bytes: self.space.load(Ordering::Relaxed),
            live_bytes,
            raw_bytes: self.raw_bytes(live_bytes),
            live_records: self.live_records(),
            pinned_bytes: self.pinned_bytes(),
            sealed: self.is_sealed(),
            last_read: self.last_read.load(Ordering::Relaxed),
            reads: self.reads.load(Ordering::Relaxed),
        }
    }
}

/// Size at which segments of a cache of `cache_bytes` are full.
pub(crate) fn segment_bytes(cache_bytes: u64) -> u32 {
    let share = (cache_bytes / SEGMENTS_OF_A_CACHE)
        .clamp(MIN_SEGMENT_BYTES.into(), MAX_SEGMENT_BYTES.into());
    share as u32 / BLOCK_BYTES * BLOCK_BYTES
}

pub(crate) fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_a_small_share_of_a_cache_within_bounds() {
        for (cache, segment) in [
            (0, MIN_SEGMENT_BYTES),
            (1 << 31, MIN_SEGMENT_BYTES),
            (10 << 30, 40 << 20),
            ((10 << 30) + 12_345, 40 << 20),
            (64 << 30, MAX_SEGMENT_BYTES),
            (u64::MAX, MAX_SEGMENT_BYTES),
        ] {
            assert_eq!(segment_bytes(cache), segment, "of {cache}");
        }
    }
}
