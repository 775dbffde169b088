//! One thread a device: takes records in, packs them into extents, publishes them once they are written.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::catalog::{Catalog, Published};
use crate::device::Device;
use crate::extent::{ExtentSize, Record, SegmentLabel};
use crate::footer::StripePlace;
use crate::open_segment::{OpenSegment, Refusal, SegmentPlan};
use crate::{Code, Error, Identity, Result};

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

/// What others hand to a writer, and what they wait for.
#[derive(Default)]
struct Queue {
    records: VecDeque<(Identity, Record)>,
    seals: Vec<Identity>,
    /// Records ever taken in, and those of them that are published or dropped.
    submitted: u64,
    settled: u64,
    /// Somebody waits until `settled` gets here.
    flush_to: u64,
    closing: bool,
    /// The thread has ended, by `close` or by a fault.
    ended: bool,
}

struct Shared {
    queue: Mutex<Queue>,
    /// Something was handed in.
    wake: Condvar,
    /// Something was settled.
    settled: Condvar,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) struct Writer {
    pub device: Arc<Device>,
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    pub fn start(
        device: Arc<Device>,
        catalog: Arc<Catalog>,
        config: WriterConfig,
    ) -> Result<Writer> {
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            wake: Condvar::new(),
            settled: Condvar::new(),
        });
        let work = Work {
            shared: shared.clone(),
            device: device.clone(),
            catalog,
            config,
            streams: HashMap::new(),
            sealing: Vec::new(),
        };
        let thread = std::thread::Builder::new()
            .name(format!("millpool-dev{}", device.index))
            .spawn(move || work.run())
            .map_err(|error| Error::io("starting a writer thread", &error))?;
        Ok(Writer { device, shared, thread: Mutex::new(Some(thread)) })
    }

    /// Takes a record in. False when the thread has ended.
    pub fn push(&self, identity: Identity, record: Record) -> bool {
        let len = u64::from(record.len());
        let mut queue = self.shared.queue();
        if queue.ended || queue.closing {
            return false;
        }
        self.device.add_queued(len);
        queue.records.push_back((identity, record));
        queue.submitted += 1;
        self.shared.wake.notify_one();
        true
    }

    /// Seals the open segment of `identity` soon, if there is one.
    pub fn seal(&self, identity: Identity) {
        self.shared.queue().seals.push(identity);
        self.shared.wake.notify_one();
    }

    /// Returns when all that was pushed before is published, or was dropped because the device refused it.
    pub fn flush(&self, deadline: Instant) -> Result<()> {
        let mut queue = self.shared.queue();
        let target = queue.submitted;
        queue.flush_to = queue.flush_to.max(target);
        self.shared.wake.notify_one();
        while queue.settled < target {
            let path = self.device.path().display();
            if queue.ended {
                return Err(Error::new(Code::Closed, format!("the writer of {path} has ended")));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let message = format!("waited for {path} to write what was queued");
                return Err(Error::new(Code::Timeout, message));
            }
            let waited = self.shared.settled.wait_timeout(queue, left);
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(())
    }

    /// Writes what is queued, seals all, ends the thread. Idempotent.
    pub fn close(&self) {
        self.shared.queue().closing = true;
        self.shared.wake.notify_one();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // A fault in there has marked the device already.
            let _ = thread.join();
        }
    }
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

/// What the thread owns.
struct Work {
    shared: Arc<Shared>,
    device: Arc<Device>,
    catalog: Arc<Catalog>,
    config: WriterConfig,
    streams: HashMap<Identity, Stream>,
    sealing: Vec<JoinHandle<()>>,
}

/// Says that the thread has ended, also when it ends by a panic: nobody waits for it in vain, and records go to other
/// devices.
struct EndNotice {
    shared: Arc<Shared>,
    device: Arc<Device>,
}

impl Drop for EndNotice {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.device.mark_failed("its writer thread ended by a fault".into());
        }
        self.shared.queue().ended = true;
        self.shared.settled.notify_all();
    }
}

impl Work {
    fn run(mut self) {
        let _notice = EndNotice { shared: self.shared.clone(), device: self.device.clone() };
        loop {
            let (records, seals, flush, closing) = self.wait();
            for (identity, record) in records {
                self.take(identity, record);
            }
            let now = Instant::now();
            let identities: Vec<_> = self.streams.keys().copied().collect();
            for identity in &identities {
                if flush || closing || self.is_due(identity, now) {
                    self.write(identity);
                }
            }
            for identity in &identities {
                if closing || seals.contains(identity) || self.is_idle(identity, now) {
                    self.seal(identity);
                }
            }
            if closing {
                break;
            }
        }
        for sealing in self.sealing.drain(..) {
            // A fault in there has marked the device by its missing rename; recovery seals the file at the next start.
            let _ = sealing.join();
        }
    }

    /// Sleeps until something is handed in or falls due.
    fn wait(&self) -> (VecDeque<(Identity, Record)>, Vec<Identity>, bool, bool) {
        let mut queue = self.shared.queue();
        loop {
            let flush = queue.flush_to > queue.settled;
            let due = self.next_due();
            let left = due.saturating_duration_since(Instant::now());
            if !queue.records.is_empty()
                || !queue.seals.is_empty()
                || queue.closing
                || flush
                || left.is_zero()
            {
                let records = std::mem::take(&mut queue.records);
                let seals = std::mem::take(&mut queue.seals);
                return (records, seals, flush, queue.closing);
            }
            queue = self
                .shared
                .wake
                .wait_timeout(queue, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
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

    /// Adds a record to its stream; a full extent is written first.
    fn take(&mut self, identity: Identity, record: Record) {
        let size = self.streams.entry(identity).or_default().size;
        let grown = size.with(record.len());
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
        let mut records = std::mem::take(&mut stream.pending);
        let size = std::mem::take(&mut stream.size);
        stream.first_at = None;
        if records.is_empty() {
            return;
        }
        stream.written_at = Some(Instant::now());
        if let Err(reason) = self.write_extent(identity, size, &mut records) {
            self.refuse(reason);
        }
        let bytes = records.iter().map(|record| u64::from(record.len())).sum();
        self.device.take_queued(bytes);
        self.shared.queue().settled += records.len() as u64;
        self.shared.settled.notify_all();
    }

    fn write_extent(
        &mut self,
        identity: &Identity,
        size: ExtentSize,
        records: &mut [Record],
    ) -> std::result::Result<(), Refusal> {
        let mut open = match self.take_open(identity) {
            Some(open) => open,
            None => self.begin(identity)?,
        };
        let mut written = open.write(size, records);
        if matches!(written, Err(Refusal::SegmentFull)) {
            self.seal_beside(open);
            open = self.begin(identity)?;
            written = open.write(size, records);
        }
        let entries = match written {
            Ok(entries) => entries,
            Err(reason) => {
                self.put_back(identity, open);
                return Err(reason);
            }
        };
        match self.catalog.publish(&open.segment, &entries, true) {
            Published::Done => self.put_back(identity, open),
            Published::SegmentGone => open.abandon(),
            Published::TableFull(error) => {
                self.put_back(identity, open);
                return Err(Refusal::NoRoom(error.message));
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
            self.catalog.evict(&[open.segment.number()]);
            open.abandon();
        } else {
            self.streams.entry(*identity).or_default().open = Some(open);
        }
    }

    fn begin(&self, identity: &Identity) -> std::result::Result<OpenSegment, Refusal> {
        let plan = SegmentPlan {
            label: SegmentLabel { id: random_id()?, identity: *identity },
            stripe: StripePlace {
                set: self.config.stripe_set,
                device: self.device.index,
                devices: self.config.devices,
            },
            limit: self.config.segment_bytes,
        };
        Ok(OpenSegment::begin(&self.device, plan, |parts| self.catalog.register(parts))?)
    }

    fn refuse(&self, reason: Refusal) {
        match reason {
            Refusal::SegmentFull => {
                self.device.mark_full("an extent does not fit an empty segment".into())
            }
            Refusal::NoRoom(why) => self.device.mark_full(why),
            Refusal::Failed(error) => self.device.mark_failed(error.to_string()),
        }
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
    fn seal_beside(&mut self, open: OpenSegment) {
        self.sealing.retain(|thread| !thread.is_finished());
        let device = self.device.clone();
        let seal = move || {
            if let Err(error) = open.seal() {
                device.mark_failed(format!("sealing a segment: {error}"));
            }
        };
        match std::thread::Builder::new().name("millpool-seal".into()).spawn(seal) {
            Ok(thread) => self.sealing.push(thread),
            // The file stays as it is, and is sealed by recovery.
            Err(error) => self.device.mark_failed(format!("starting a thread: {error}")),
        }
    }
}

pub(crate) fn random_id() -> std::io::Result<[u8; 16]> {
    let mut id = [0u8; 16];
    // SAFETY: the buffer is 16 bytes; requests of up to 256 are not cut short.
    let got = unsafe { libc::getrandom(id.as_mut_ptr().cast(), id.len(), 0) };
    if got == id.len() as isize { Ok(id) } else { Err(std::io::Error::last_os_error()) }
}
