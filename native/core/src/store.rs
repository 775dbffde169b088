//! The store: what this node has of all attachments, on its devices.

use std::collections::HashMap;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use crc_fast::{CrcAlgorithm, Digest};

use crate::catalog::{Catalog, FIRST_TABLE_RECORDS, Freed};
use crate::copy_forward::Destination;
use crate::device::{Device, DeviceConfig, DeviceStatus, Tier};
use crate::extent::Record;
use crate::fates::{Fate, Fates};
use crate::lingering::LingeringStatus;
use crate::loader::Loader;
use crate::page_cache::cached_bytes;
use crate::passing::Passing;
use crate::placement::Placement;
use crate::random::random_bytes;
use crate::record_entry::RecordEntry;
use crate::recovery::Recovery;
use crate::segment::{SegmentFile, SegmentStatus, segment_bytes};
use crate::table_room::TableRoom;
use crate::tenant::TenantStatus;
use crate::writer::Writer;
use crate::writer_thread::{WriterConfig, WriterParts};
use crate::{
    Code, Compression, Error, Identity, Location, PIECE_BYTES, RecordBytes, RecordKey, Result,
    TableHandle,
};

/// Of a record that is checked, as much is in memory at once.
const CHECK_BYTES: usize = 256 << 10;

pub struct StoreConfig {
    pub devices: Vec<DeviceConfig>,
    /// A record waits at most this long for others to share its extent.
    pub extent_delay: Duration,
    /// A segment that nothing was added to for this long is sealed.
    pub idle_seal: Duration,
    /// Of memory, for the key table; while it grows, for the old one and the new one.
    pub table_bytes: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Admission {
    /// It will be written and found, unless its device fails or fills up meanwhile.
    Queued,
    /// No device has room, or the attachment admits nothing: its bytes are served, not kept.
    Declined,
}

/// All methods may be called from any thread.
pub struct Store {
    placement: Arc<Placement>,
    catalog: Arc<Catalog>,
    attachments: RwLock<HashMap<u32, Attachment>>,
    passing: Passing,
    loader: Loader,
    damaged: AtomicU64,
    segment_bytes: u32,
    stripe_set: [u8; 16],
    is_closed: AtomicBool,
}

/// Directories that this process has, of which nothing was read yet.
pub struct Claim {
    devices: Vec<Arc<Device>>,
    writer: WriterConfig,
    table_bytes: u64,
}

impl Claim {
    /// What earlier runs left may still be loaded when this returns. It is found meanwhile; what needs more than
    /// look-ups waits, writing for one.
    pub fn open(self) -> Result<Arc<Store>> {
        let Claim { devices, writer, table_bytes } = self;
        let (segment_bytes, stripe_set) = (writer.segment_bytes, writer.stripe_set);
        let catalog = Arc::new(Catalog::new(FIRST_TABLE_RECORDS, table_bytes)?);
        let recovery = Recovery::begin(&catalog, &devices)?;
        let loader = Loader::start(recovery, catalog.clone())?;
        let placement = Arc::new(Placement::default());
        let others = Arc::downgrade(&placement);
        let elsewhere = Arc::new(move |refused: u32, identity, record: Record| {
            let len = record.len().into();
            let accepts = |device: &Device| {
                device.index != refused && device.tier() == Tier::Fast && device.accepts(len)
            };
            others
                .upgrade()
                .is_some_and(|others: Arc<Placement>| others.place(identity, record, accepts))
        });
        let parts = WriterParts { catalog: catalog.clone(), config: writer, elsewhere };
        let start = |device: Arc<Device>| Writer::start(device, parts.clone());
        placement.begin(devices.into_iter().map(start).collect::<Result<_>>()?);
        let (attachments, damaged, passing, is_closed) = Default::default();
        Ok(Arc::new(Store {
            placement,
            catalog,
            attachments,
            passing,
            loader,
            damaged,
            segment_bytes,
            stripe_set,
            is_closed,
        }))
    }
}

#[derive(Clone, Copy)]
struct Attachment {
    identity: Identity,
    admit: bool,
    compression: Compression,
}

impl Store {
    /// Locks the directories, reads all that earlier runs left in them, and starts their writers. `Exists` when another
    /// process has one of them.
    pub fn open(config: StoreConfig) -> Result<Arc<Store>> {
        let store = Store::claim(config)?.open()?;
        store.loader.wait();
        Ok(store)
    }

    /// The first step of `open`, which is short: from now on no other process has these directories.
    pub fn claim(config: StoreConfig) -> Result<Claim> {
        let StoreConfig { devices, extent_delay, idle_seal, table_bytes } = config;
        let fast = devices.iter().filter(|device| device.tier == Tier::Fast);
        if fast.clone().count() == 0 {
            return Err(Error::new(Code::Invalid, "a store needs a directory that is not slow"));
        }
        let total = fast.map(|device| device.size_bytes).sum();
        let writer = WriterConfig {
            extent_delay,
            idle_seal,
            segment_bytes: segment_bytes(total),
            stripe_set: random_bytes().map_err(|error| Error::io("naming a stripe set", &error))?,
            devices: devices.len() as u32,
        };
        let devices = devices.into_iter().enumerate();
        let devices = devices.map(|(n, device)| Device::open(device, n as u32).map(Arc::new));
        Ok(Claim { devices: devices.collect::<Result<_>>()?, writer, table_bytes })
    }

    /// From now on records of `attachment` are of `identity`, and kept or not. Again for one that is there: changes it.
    pub fn attach(&self, attachment: u32, identity: Identity, admit: bool) {
        let mut attachments = self.attachments.write().unwrap_or_else(PoisonError::into_inner);
        let compression = attachments.get(&attachment).map(|before| before.compression);
        let compression = compression.unwrap_or_default();
        attachments.insert(attachment, Attachment { identity, admit, compression });
    }

    /// Of records of `attachment` that come from now on. Nothing happens where it is not attached.
    pub fn set_compression(&self, attachment: u32, compression: Compression) {
        let mut attachments = self.attachments.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(attached) = attachments.get_mut(&attachment) {
            attached.compression = compression;
        }
    }

    /// Nothing more of it is admitted; its segments stay until they are evicted.
    pub fn detach(&self, attachment: u32) {
        let mut attachments = self.attachments.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(gone) = attachments.remove(&attachment) {
            self.writers().iter().for_each(|writer| writer.seal(gone.identity));
        }
    }

    /// Never blocks. The bytes are held until they are written; the fast device with room that has the fewest queued
    /// bytes takes them. Where none has, or its identity has its share of them, a slow one does, as far as it keeps up.
    pub fn append(
        &self,
        attachment: u32,
        key: RecordKey,
        piece: u32,
        bytes: Arc<dyn RecordBytes>,
    ) -> Admission {
        let len = bytes.bytes().len() as u64;
        if self.catalog.room.is_full() {
            self.fates().note([key], Fate::TableFull);
            return Admission::Declined;
        }
        let attached = self.attachment(attachment);
        let Some(Attachment { identity, admit: true, compression }) = attached else {
            self.fates().note([key], Fate::NotAdmitted);
            return Admission::Declined;
        };
        if len == 0 || len > PIECE_BYTES {
            return Admission::Declined;
        }
        if self.passing.take(&key) && !self.catalog.is_pinned(&key) {
            self.fates().note([key], Fate::ReadLater);
            return Admission::Declined;
        }
        let tenant = self.catalog.tenants.of(&identity);
        // Whoever pinned it has been told that there is room.
        let is_within = tenant.room() >= len || self.catalog.is_pinned(&key);
        let record = Record { key, piece, bytes, compression, original: None, refusals: 0 };
        let is_fast = |device: &Device| device.tier() == Tier::Fast && device.accepts(len);
        let has_room = self.writers().iter().any(|writer| is_fast(&writer.device));
        let accepts = |device: &Device| match is_within && has_room {
            true => is_fast(device),
            false => device.tier() == Tier::Slow && device.overflow_bytes() >= len,
        };
        if self.placement.place(identity, record, accepts) {
            return Admission::Queued;
        }
        let fate = if has_room && !is_within { Fate::OverShare } else { Fate::NoRoom };
        tenant.add_declined(len);
        self.fates().note([key], fate);
        Admission::Declined
    }

    fn writers(&self) -> &[Writer] {
        self.placement.writers()
    }

    /// Takes in a copy of what is here already: no share and no policy is asked. False when no device has room.
    pub(crate) fn append_copy(&self, identity: Identity, copy: Record, to: &Destination) -> bool {
        let len = copy.len().into();
        let accepts = |device: &Device| to.has(device) && device.accepts_copy(len);
        self.placement.place(identity, copy, accepts)
    }

    /// So much of each device's room takes no new records: it is for copies alone.
    pub fn reserve_for_copies(&self, bytes: u64) {
        self.writers().iter().for_each(|writer| writer.device.reserve_for_copies(bytes));
    }

    pub(crate) fn live_entries(&self, number: u32, generation: u32) -> Option<Vec<RecordEntry>> {
        self.catalog.live_entries(number, generation)
    }

    pub(crate) fn retire(&self, number: u32, generation: u32) -> bool {
        self.catalog.retire(number, generation)
    }

    /// What records of `identity` may take from now on, with what it has; `None`: all there is.
    pub fn set_quota(&self, identity: &Identity, bytes: Option<u64>) {
        self.catalog.tenants.of(identity).set_quota(bytes);
    }

    /// There is too little room for all that is in use, or no longer.
    pub fn set_short(&self, identity: &Identity, is_short: bool) {
        self.catalog.tenants.of(identity).set_short(is_short);
    }

    /// Bytes of `identity` that would be taken in now.
    pub fn room(&self, identity: &Identity) -> u64 {
        let attachments = self.attachments.read().unwrap_or_else(PoisonError::into_inner);
        if !attachments.values().any(|of| of.identity == *identity && of.admit) {
            return 0;
        }
        drop(attachments);
        let (fast, slow): (Vec<_>, Vec<_>) = self
            .writers()
            .iter()
            .map(|writer| &*writer.device)
            .partition(|device| device.tier() == Tier::Fast);
        let fast: u64 = fast.into_iter().map(Device::room_bytes).sum();
        let slow: u64 = slow.into_iter().map(Device::overflow_bytes).sum();
        fast.min(self.catalog.tenants.of(identity).room()) + slow
    }

    /// What of these records is resident, or will be, is not evicted from now on, and is taken in above any quota.
    pub fn pin(&self, keys: &[RecordKey]) {
        self.catalog.pin(keys);
    }

    pub fn unpin_all(&self) {
        self.catalog.unpin_all();
    }

    /// What comes next of these records is served and not kept, once.
    pub fn pass_by(&self, keys: &[RecordKey]) {
        self.passing.add(keys);
    }

    /// Takes `pass_by` back.
    pub fn let_in(&self, keys: &[RecordKey]) {
        self.passing.remove(keys);
    }

    pub fn tenants(&self) -> Vec<TenantStatus> {
        self.catalog.tenants.statuses()
    }

    fn attachment(&self, attachment: u32) -> Option<Attachment> {
        self.attachments.read().unwrap_or_else(PoisonError::into_inner).get(&attachment).copied()
    }

    pub fn lookup(&self, key: &RecordKey) -> Option<Location> {
        self.catalog.lookup(key)
    }

    /// How often records were made unreachable: while it stays the same, what was resident is.
    pub fn removals(&self) -> u64 {
        self.catalog.removals()
    }

    /// `None` when the segment is gone: the location is old.
    pub fn segment(&self, number: u32, generation: u32) -> Option<Arc<SegmentFile>> {
        self.catalog.segment(number, generation)
    }

    pub fn table(&self) -> TableHandle {
        self.catalog.table()
    }

    /// Memory of the key table, and what its growth is about to take; and whether it has no room for another record.
    pub fn table_room(&self) -> &Arc<TableRoom> {
        &self.catalog.room
    }

    /// Some reader found the bytes of these records to match their CRC.
    pub fn mark_verified(&self, keys: &[RecordKey]) {
        self.catalog.mark_verified(keys);
    }

    /// Somebody read `bytes` just now, from these segments for the most part.
    pub fn touch(&self, segments: &[u32], bytes: u64) {
        self.catalog.touch(segments, bytes);
    }

    /// Somebody read `bytes` of `identity` just now, from no segment.
    pub fn count_read(&self, identity: &Identity, bytes: u64) {
        self.catalog.tenants.of(identity).add_read(bytes);
    }

    /// The size at which segments are full.
    pub fn segment_bytes(&self) -> u32 {
        self.segment_bytes
    }

    /// Makes records unreachable. A segment that has none left is unlinked; what is mapped stays readable.
    pub fn forget(&self, keys: &[RecordKey]) -> Freed {
        self.catalog.forget(keys, Fate::Freed)
    }

    /// The same of records that the source has other versions of now.
    pub fn forget_replaced(&self, keys: &[RecordKey]) -> Freed {
        self.catalog.forget(keys, Fate::Evicted)
    }

    /// Makes a record unreachable whose bytes in a segment (number, generation) were found not to be what they should,
    /// and counts it. One that is somewhere else by now stays.
    pub fn forget_damaged(&self, key: &RecordKey, segment: (u32, u32)) {
        if self.catalog.forget_damaged(key, segment) {
            self.damaged.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Records that were found damaged and forgotten since the store was opened.
    pub fn damaged(&self) -> u64 {
        self.damaged.load(Ordering::Relaxed)
    }

    /// Forgets all records of these segments, then unlinks them, but for those that hold something pinned; what is
    /// mapped stays readable.
    pub fn evict(&self, segments: &[u32]) -> Freed {
        self.catalog.evict(segments)
    }

    /// Gives back the room of unlinked segments that nobody holds any more. The names (number, generation) of segments
    /// that clients are to be told of: those that went since the last time, and again those that somebody still holds.
    pub fn reap(&self) -> Vec<(u32, u32)> {
        self.catalog.lingering.reap()
    }

    /// Segments that are unlinked, and whose bytes are held by mappings; of a filesystem that can tell.
    pub fn lingering(&self) -> Vec<LingeringStatus> {
        self.catalog.lingering.statuses()
    }

    /// What became of records that are not resident.
    pub fn fates(&self) -> &Fates {
        &self.catalog.fates
    }

    /// How many of a record's bytes the kernel has in memory; 0 where its segment is gone.
    pub fn cached_bytes(&self, location: &Location) -> Result<u64> {
        let Some(segment) = self.segment(location.segment, location.generation) else {
            return Ok(0);
        };
        cached_bytes(&segment.file, u64::from(location.offset), location.stored_len)
    }

    pub fn segments(&self) -> Vec<SegmentStatus> {
        self.catalog.segments().iter().map(|segment| segment.status()).collect()
    }

    pub fn devices(&self) -> Vec<DeviceStatus> {
        self.writers().iter().map(|writer| writer.device.status()).collect()
    }

    /// What a person should know of the opening: files that were set aside or could not be used. Waits until all that
    /// earlier runs left is loaded.
    pub fn notices(&self) -> &[String] {
        self.loader.wait()
    }

    /// Not all that earlier runs left is in the key table yet. Look-ups then read from devices.
    pub fn is_loading(&self) -> bool {
        self.catalog.loading.is_under_way()
    }

    /// Its device is told of it.
    fn unread(&self, location: &Location, error: &std::io::Error) -> Error {
        self.catalog.add_read_error(location, error);
        Error::io(format!("reading segment {}", location.segment), error)
    }

    /// A record's bytes from its device as they are stored, checked. `Corrupt` when they do not match, `NotFound` when
    /// evicted.
    pub fn read(&self, location: &Location) -> Result<Vec<u8>> {
        let segment = self.located(location)?;
        let mut bytes = vec![0u8; location.stored_len as usize];
        let read = segment.file.read_exact_at(&mut bytes, u64::from(location.offset));
        read.map_err(|error| self.unread(location, &error))?;
        location.judge(crc_fast::crc32_iscsi(&bytes))?;
        Ok(bytes)
    }

    /// Whether a record's bytes on its device are what they should be; never more of them in memory than a part.
    /// Errors as of `read`.
    pub fn check(&self, location: &Location) -> Result<()> {
        let segment = self.located(location)?;
        let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
        let mut part = vec![0u8; CHECK_BYTES.min(location.stored_len as usize)];
        let mut at = u64::from(location.offset);
        let end = at + u64::from(location.stored_len);
        while at < end {
            let len = part.len().min((end - at) as usize);
            let read = segment.file.read_exact_at(&mut part[..len], at);
            read.map_err(|error| self.unread(location, &error))?;
            digest.update(&part[..len]);
            at += len as u64;
        }
        location.judge(digest.finalize() as u32)
    }

    fn located(&self, location: &Location) -> Result<Arc<SegmentFile>> {
        let gone = || Error::new(Code::NotFound, format!("segment {} is gone", location.segment));
        self.segment(location.segment, location.generation).ok_or_else(gone)
    }

    /// Returns when all that was queued is written and found, or was refused by its device.
    pub fn flush(&self, timeout: Duration) -> Result<()> {
        let deadline = Instant::now() + timeout;
        let writers = self.writers();
        // What one device refuses goes to another, which may have been flushed before.
        writers
            .iter()
            .try_for_each(|_| writers.iter().try_for_each(|writer| writer.flush(deadline)))
    }

    /// Writes what is queued, seals all open segments, saves the key table, gives the directories back. Says what a
    /// person should know of it. Idempotent.
    pub fn close(&self) -> Vec<String> {
        self.loader.wait();
        self.writers().iter().for_each(Writer::close);
        if self.is_closed.swap(true, Ordering::AcqRel) {
            return Vec::new();
        }
        let devices: Vec<_> = self.writers().iter().map(|writer| writer.device.clone()).collect();
        let notices = self.catalog.save(self.stripe_set, &devices);
        devices.iter().for_each(|device| device.unlock());
        notices
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.close();
    }
}
