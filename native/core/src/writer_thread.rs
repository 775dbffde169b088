//! What a device's writer does: records of one identity go into one extent after another of its open segment.

use std::collections::HashMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::catalog::{Catalog, Published};
use crate::device::Device;
use crate::extent::{ExtentSize, Payload, Record, SegmentLabel};
use crate::fates::Fate;
use crate::footer::StripePlace;
use crate::inbox::Inbox;
use crate::open_segment::{OpenSegment, Refusal, SegmentPlan};
use crate::packer::Packer;
use crate::random::random_bytes;
use crate::{Code, Identity};

/// How long a writer waits when nothing is due.
const LONG: Duration = Duration::from_secs(3600);

#[derive(Clone)]
pub(crate) struct WriterConfig {
    pub extent_delay: Duration,
    pub idle_seal: Duration,
    pub segment_bytes: u32,
    /// Of all segments that this run of the daemon fills together.
    pub stripe_set: [u8; 16],
    pub devices: u32,
}

/// Takes a record that the device of this number refused. False where no other has room.
pub(crate) type Elsewhere = Arc<dyn Fn(u32, Identity, Record) -> bool + Send + Sync>;

/// What all writers of a store share.
#[derive(Clone)]
pub(crate) struct WriterParts {
    pub catalog: Arc<Catalog>,
    pub config: WriterConfig,
    pub elsewhere: Elsewhere,
}

/// Records of one identity on their way, and the segment they will go to.
#[derive(Default)]
struct Stream {
    pending: Vec<Record>,
    size: ExtentSize,
    first_at: Option<Instant>,
    open: Option<OpenSegment>,
    written_at: Option<Instant>,
}

pub(crate) struct WriterThread {
    inbox: Arc<Inbox>,
    device: Arc<Device>,
    catalog: Arc<Catalog>,
    config: WriterConfig,
    elsewhere: Elsewhere,
    streams: HashMap<Identity, Stream>,
    packer: Packer,
    sealing: Vec<JoinHandle<()>>,
}

/// Says that the thread has ended, also when it ends by a panic: nobody waits for it in vain, and records go to other
/// devices.
struct EndNotice {
    inbox: Arc<Inbox>,
    device: Arc<Device>,
}

impl Drop for EndNotice {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.device.mark_failed("its writer thread ended by a fault".into());
        }
        self.inbox.end();
    }
}

impl WriterThread {
    pub fn new(inbox: Arc<Inbox>, device: Arc<Device>, parts: WriterParts) -> WriterThread {
        let WriterParts { catalog, config, elsewhere } = parts;
        let (streams, packer, sealing) = Default::default();
        WriterThread { inbox, device, catalog, config, elsewhere, streams, packer, sealing }
    }

    /// Until the inbox is closed.
    pub fn run(mut self) {
        let _notice = EndNotice { inbox: self.inbox.clone(), device: self.device.clone() };
        loop {
            let orders = self.inbox.wait(self.next_due());
            for (identity, record) in orders.records {
                self.take(identity, record);
            }
            let now = Instant::now();
            let identities: Vec<_> = self.streams.keys().copied().collect();
            for identity in &identities {
                if orders.flush || orders.close || self.is_due(identity, now) {
                    self.write(identity);
                }
            }
            for identity in &identities {
                let is_over = orders.close || orders.seals.contains(identity);
                if is_over || self.is_idle(identity, now) {
                    self.seal(identity);
                }
            }
            if orders.close {
                break;
            }
        }
        for sealing in self.sealing.drain(..) {
            // A fault in there leaves the file unsealed, which recovery mends at the next start.
            let _ = sealing.join();
        }
    }

    fn next_due(&self) -> Instant {
        let dues = self.streams.values().flat_map(|stream| {
            let write = stream.first_at.map(|first| first + self.config.extent_delay);
            let seal = stream
                .open
                .as_ref()
                .and(stream.written_at)
                .map(|last| last + self.config.idle_seal);
            [write, seal].into_iter().flatten()
        });
        dues.min().unwrap_or_else(|| Instant::now() + LONG)
    }

    fn is_due(&self, identity: &Identity, now: Instant) -> bool {
        let first = self.streams.get(identity).and_then(|stream| stream.first_at);
        first.is_some_and(|first| now.duration_since(first) >= self.config.extent_delay)
    }

    fn is_idle(&self, identity: &Identity, now: Instant) -> bool {
        let stream = self.streams.get(identity).filter(|stream| stream.open.is_some());
        let last = stream.and_then(|stream| stream.written_at);
        last.is_some_and(|last| now.duration_since(last) >= self.config.idle_seal)
    }

    /// Adds a record to its stream; an extent that is full, or large enough, is written first.
    fn take(&mut self, identity: Identity, record: Record) {
        let stream = self.streams.entry(identity).or_default();
        let (size, at) = (stream.size, stream.open.as_ref().map_or(0, OpenSegment::at));
        let grown = size.with(record.len()).filter(|grown| !size.is_best(grown, at));
        if grown.is_none() {
            self.write(&identity);
        }
        let grown = grown.or_else(|| ExtentSize::default().with(record.len()));
        let stream = self.streams.entry(identity).or_default();
        stream.size = grown.expect("one record of at most a piece fits an extent");
        stream.first_at.get_or_insert_with(Instant::now);
        stream.pending.push(record);
    }

    /// Writes the pending records of a stream as one extent and publishes them, or drops them where nothing takes them.
    fn write(&mut self, identity: &Identity) {
        let Some(stream) = self.streams.get_mut(identity) else { return };
        let records = std::mem::take(&mut stream.pending);
        stream.size = ExtentSize::default();
        stream.first_at = None;
        if records.is_empty() {
            return;
        }
        stream.written_at = Some(Instant::now());
        let tenant = self.catalog.tenants.of(identity);
        let bytes = records.iter().map(|record| u64::from(record.len())).sum();
        let count = records.len();
        let mut packer = std::mem::take(&mut self.packer);
        let mut payloads = packer.pack(&tenant, &records);
        let written = self.write_extent(identity, &mut payloads);
        drop(payloads);
        self.packer = packer;
        match written {
            Ok(()) => self.device.mark_written(),
            Err(reason) => {
                let is_of_device = !matches!(reason, Refusal::TableFull);
                refuse(&self.device, reason);
                self.give_up(identity, records, is_of_device);
            }
        }
        tenant.take_queued(bytes);
        self.device.take_queued(bytes);
        self.inbox.settle(count);
    }

    /// What this device refused goes to another that has room. A copy does not: it is still where it was.
    fn give_up(&self, identity: &Identity, records: Vec<Record>, is_of_device: bool) {
        let tenant = self.catalog.tenants.of(identity);
        for mut record in records {
            if record.original.is_some() {
                continue;
            }
            let (key, len) = (record.key, u64::from(record.len()));
            record.refusals += 1;
            let is_taken = is_of_device
                && record.refusals < self.config.devices
                && (self.elsewhere)(self.device.index, *identity, record);
            if !is_taken {
                tenant.add_declined(len);
                let fate = if is_of_device { Fate::NoRoom } else { Fate::TableFull };
                self.catalog.fates.note([key], fate);
            }
        }
    }

    fn write_extent(
        &mut self,
        identity: &Identity,
        payloads: &mut [Payload<'_>],
    ) -> std::result::Result<(), Refusal> {
        if self.device.has_failed() {
            return Err(Refusal::NoRoom("it failed".into()));
        }
        let mut open = match self.take_open(identity) {
            Some(open) => open,
            None => self.begin(identity)?,
        };
        let mut written = open.write(payloads);
        if matches!(written, Err(Refusal::SegmentFull)) {
            self.seal_beside(open);
            open = self.begin(identity)?;
            written = open.write(payloads);
        }
        let entries = match written {
            Ok(entries) => entries,
            Err(reason) => {
                self.put_back(identity, open);
                return Err(reason);
            }
        };
        match self.catalog.publish(&open.segment, &entries, payloads) {
            Published::Done => self.put_back(identity, open),
            Published::SegmentGone => open.abandon(),
            Published::TableFull(error) => {
                self.put_back(identity, open);
                let is_full = error.code == Code::Full;
                return Err(if is_full {
                    Refusal::TableFull
                } else {
                    Refusal::NoRoom(error.message)
                });
            }
        }
        Ok(())
    }

    /// The stream's open segment, unless it was evicted since the last extent.
    fn take_open(&mut self, identity: &Identity) -> Option<OpenSegment> {
        let open = self.streams.get_mut(identity)?.open.take()?;
        if self.catalog.segment(open.segment.number(), open.segment.generation()).is_some() {
            return Some(open);
        }
        open.abandon();
        None
    }

    /// A segment without an extent is removed, so that a full device gets no empty files.
    fn put_back(&mut self, identity: &Identity, open: OpenSegment) {
        if open.is_empty() {
            self.catalog.withdraw(&open.segment);
            open.abandon();
        } else {
            self.streams.entry(*identity).or_default().open = Some(open);
        }
    }

    fn begin(&self, identity: &Identity) -> std::result::Result<OpenSegment, Refusal> {
        let plan = SegmentPlan {
            label: SegmentLabel { id: random_bytes()?, identity: *identity },
            stripe: StripePlace {
                set: self.config.stripe_set,
                device: self.device.index,
                devices: self.config.devices,
            },
            limit: self.config.segment_bytes,
        };
        Ok(OpenSegment::begin(&self.device, plan, |parts| self.catalog.register(parts))?)
    }

    fn seal(&mut self, identity: &Identity) {
        let Some(stream) = self.streams.get_mut(identity) else { return };
        if !stream.pending.is_empty() {
            self.write(identity);
        }
        if let Some(open) = self.streams.remove(identity).and_then(|stream| stream.open) {
            self.seal_beside(open);
        }
    }

    /// Sealing waits for the device twice; records go on meanwhile.
    fn seal_beside(&mut self, mut open: OpenSegment) {
        if let Err(error) = open.give_back_tail() {
            // Recovery seals it.
            return refuse(&self.device, error.into());
        }
        self.sealing.retain(|thread| !thread.is_finished());
        let device = self.device.clone();
        let seal = move || {
            // The file stays as it is, and is sealed by recovery.
            if let Err(error) = open.seal() {
                refuse(&device, error.into());
            }
        };
        match std::thread::Builder::new().name("millpool-seal".into()).spawn(seal) {
            Ok(thread) => self.sealing.push(thread),
            Err(error) => self.device.mark_failed(format!("starting a thread: {error}")),
        }
    }
}

fn refuse(device: &Device, reason: Refusal) {
    match reason {
        Refusal::SegmentFull => device.mark_full("an extent does not fit an empty segment".into()),
        // Admission stops until the table has room, whatever the device has.
        Refusal::TableFull => {}
        Refusal::NoRoom(why) => device.mark_full(why),
        // A path that leads elsewhere fails in many ways, of which none says why.
        Refusal::Failed(error) => {
            device.mark_failed(device.check_mounted().err().unwrap_or(error).to_string());
        }
    }
}
