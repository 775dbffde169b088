//! Answers wants: from a segment, from memory, by joining a fetch that is under way, or by a new one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use millpool_core::{
    Admission, Asker, Code, Done, Error, Fate, Fill, Filled, Identity, RecordBytes, RecordKey,
    Result, Want,
};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use crate::awaited::Awaited;
use crate::buffer::{BufferPool, Lease, RecordBuffer, RecordWriter};
use crate::config::{FillerConfig, LEAST_BUDGET_BYTES, SourceConfig};
use crate::counters::{Counters, FillCounters};
use crate::credentials::Credentials;
use crate::endpoint::{Bucket, Endpoint};
use crate::flights::{Errand, Flights, UnderWay, Waiter};
use crate::folder_source::{FolderSource, FolderTerms};
use crate::lane::{Lane, Slot};
use crate::piece::{Fetched, Piece};
use crate::s3_source::{S3Source, S3Terms};
use crate::source::Source;
use crate::tally::{SourceTally, Tally};

/// How often wants that wait to begin are looked at for their deadline.
const SWEEP: Duration = Duration::from_secs(1);
/// File reads take a thread each.
const MOST_FILE_READS: usize = 64;

/// Fetches what no segment has. Dropping it closes it.
pub struct Filler {
    inner: Arc<Inner>,
}

struct Inner {
    config: FillerConfig,
    pool: Arc<BufferPool>,
    /// A slot or a buffer came free, or something was wanted.
    stirred: Arc<Notify>,
    flights: Mutex<Flights>,
    sources: RwLock<HashMap<u32, Attached>>,
    lanes: Mutex<HashMap<String, Arc<Lane>>>,
    counters: Arc<Counters>,
}

#[derive(Clone)]
struct Attached {
    identity: Identity,
    source: Arc<Source>,
    lane: Arc<Lane>,
    tally: Arc<Tally>,
}

impl RecordBytes for RecordBuffer {
    fn bytes(&self) -> &[u8] {
        RecordBuffer::bytes(self)
    }

    fn crc(&self) -> u32 {
        RecordBuffer::crc(self)
    }
}

impl Filler {
    /// `Invalid` when the budget is less than a few of the largest records need.
    pub fn new(config: FillerConfig) -> Result<Arc<Filler>> {
        if config.budget_bytes < LEAST_BUDGET_BYTES {
            let message = format!(
                "a budget of {} bytes for buffers is too small: give at least {LEAST_BUDGET_BYTES}",
                config.budget_bytes
            );
            return Err(Error::new(Code::Invalid, message));
        }
        let stirred = Arc::new(Notify::new());
        let inner = Arc::new(Inner {
            pool: BufferPool::new(
                config.budget_bytes,
                Some(config.store.table_room().clone()),
                stirred.clone(),
            ),
            stirred,
            flights: Mutex::default(),
            sources: RwLock::default(),
            lanes: Mutex::default(),
            counters: Arc::default(),
            config,
        });
        inner.config.runtime.spawn(dispatch(inner.clone()));
        Ok(Arc::new(Filler { inner }))
    }

    /// From now on wants of `attachment` come from `source`. Again for one that is there: replaces it.
    pub fn attach(&self, attachment: u32, identity: Identity, source: SourceConfig) -> Result<()> {
        let inner = &self.inner;
        let lane = inner.lane_of(&source);
        let tally = inner.attached(attachment).map(|before| before.tally).unwrap_or_default();
        let source = Arc::new(inner.open(source, lane.clone(), tally.clone())?);
        let attached = Attached { identity, source, lane, tally };
        inner.sources.write().unwrap_or_else(PoisonError::into_inner).insert(attachment, attached);
        Ok(())
    }

    /// Wants of it fail from now on, those that wait with `Closed`; fetches under way end by themselves.
    pub fn detach(&self, attachment: u32) {
        self.inner.sources.write().unwrap_or_else(PoisonError::into_inner).remove(&attachment);
        let leaving = self.inner.flights().leave(attachment);
        let message = format!("attachment {attachment} was detached");
        tell(leaving, &Err(Error::new(Code::Closed, message)));
    }

    /// `None` takes them away. Nothing happens for a folder.
    pub fn set_credentials(&self, attachment: u32, credentials: Option<Credentials>) {
        if let Some(Attached { source, .. }) = self.inner.attached(attachment)
            && let Source::S3(source) = &*source
        {
            source.set_credentials(credentials);
        }
    }

    pub fn counters(&self) -> FillCounters {
        let inner = &self.inner;
        let (in_flight, queued) = inner.flights().counts();
        let lanes = inner.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let limit = lanes.values().map(|lane| lane.limit.current() as u64).sum();
        let buffered_bytes = inner.pool.held_bytes();
        FillCounters { in_flight, queued, limit, buffered_bytes, ..inner.counters.read() }
    }

    /// Of one attachment; nothing is known of one that is not attached.
    pub fn tally(&self, attachment: u32) -> SourceTally {
        self.inner.attached(attachment).map(|attached| attached.tally.read()).unwrap_or_default()
    }

    pub fn under_way(&self, key: &RecordKey) -> Option<UnderWay> {
        self.inner.flights().under_way(key)
    }

    /// Answers everything that waits with `Closed`. Idempotent.
    pub fn close(&self) {
        let waiters = self.inner.flights().close();
        tell(waiters, &Err(closed()));
        self.inner.stirred.notify_one();
    }
}

impl Drop for Filler {
    fn drop(&mut self) {
        self.close();
    }
}

impl Fill for Filler {
    /// May call `done` before it returns, for what is in memory or in a segment.
    fn fill(&self, wants: Vec<Want>, asker: Asker, done: Done) {
        for (index, want) in wants.into_iter().enumerate() {
            let attachment = want.object.attachment;
            let waiter = Waiter { attachment, index, done: done.clone(), first: true };
            if let Some(answer) = self.inner.want(want, asker, waiter) {
                done(index, answer);
            }
        }
        self.inner.stirred.notify_one();
    }

    fn is_short(&self) -> bool {
        self.inner.pool.is_short()
    }
}

impl Inner {
    fn open(&self, source: SourceConfig, lane: Arc<Lane>, tally: Arc<Tally>) -> Result<Source> {
        let (timeouts, counters) = (self.config.timeouts, self.counters.clone());
        Ok(match source {
            SourceConfig::Folder { root } => {
                let terms = FolderTerms { lane, patience: timeouts.total, counters };
                Source::Folder(Arc::new(FolderSource::open(&root, terms)?))
            }
            SourceConfig::S3 {
                endpoint,
                region,
                bucket: name,
                path_style,
                anonymous,
                requester_pays,
                authority_files,
            } => {
                let endpoint = Endpoint::of(&endpoint, &region, &name, path_style)?;
                let bucket =
                    Bucket { name, region, anonymous, requester_pays, endpoint, authority_files };
                let pool = self.pool.clone();
                let terms = S3Terms { lane, pool, timeouts, counters, tally };
                Source::S3(Box::new(S3Source::new(bucket, terms)?))
            }
            SourceConfig::Away { code, why } => Source::Away(Error::new(code, why)),
        })
    }

    /// The answer where there is one at once; else the waiter is told later.
    fn want(&self, want: Want, asker: Asker, waiter: Waiter) -> Option<Result<Filled>> {
        let Some(attached) = self.attached(want.object.attachment) else {
            let message = format!("attachment {} is not attached", want.object.attachment);
            return Some(Err(Error::new(Code::NotFound, message)));
        };
        let piece = Piece { object: want.object, index: want.piece };
        if piece.len() == 0 {
            let message = format!("piece {} is past the end of {}", piece.index, piece.key_text());
            return Some(Err(Error::new(Code::Invalid, message)));
        }
        let key = piece.object.key(&attached.identity).piece(piece.index);
        if let Some(resident) = self.resident(&key, piece.len()) {
            return Some(Ok(resident));
        }
        let mut flights = self.flights();
        if flights.closed {
            return Some(Err(closed()));
        }
        if let Some(record) = flights.recall(&key) {
            self.counters.joined.add(1);
            return Some(Ok(Filled::Fetched { record, first: false }));
        }
        // Published between the two looks: then its bytes are in the table now.
        if let Some(resident) = self.resident(&key, piece.len()) {
            return Some(Ok(resident));
        }
        let errand = Errand { piece, source: attached.source, lane: attached.lane };
        if flights.join(key, errand, asker, waiter) {
            self.counters.joined.add(1);
        }
        None
    }

    fn resident(&self, key: &RecordKey, len: u32) -> Option<Filled> {
        let location = self.config.store.lookup(key).filter(|location| location.holds(len))?;
        self.counters.resident.add(1);
        Some(Filled::Resident(location))
    }

    /// The most urgent want that a slot and a buffer are free for, with both.
    fn begin(&self) -> Option<Departure> {
        let mut flights = self.flights();
        let (head, lane) = flights.next()?;
        let lease = self.pool.take(head.len, head.urgency)?;
        let slot = lane.try_start()?;
        let (errand, awaited) = flights.begin(&head.key)?;
        Some(Departure { key: head.key, errand, awaited, lease, slot })
    }

    /// Offers what was fetched to the store. Those who come before it is in a segment find it in memory.
    fn keep(&self, key: &RecordKey, piece: &Piece, fetched: Result<Fetched>) -> Result<Filled> {
        let fates = self.config.store.fates();
        let Fetched { record, young } = fetched.inspect_err(|error| {
            self.counters.errors.add(1);
            fates.note([*key], Fate::Failed(error.code));
        })?;
        let record = Arc::new(record);
        if young {
            self.counters.young.add(1);
            fates.note([*key], Fate::Young);
            return Ok(Filled::Fetched { record, first: true });
        }
        self.flights().remember(*key, &record);
        let attachment = piece.object.attachment;
        let admission = self.config.store.append(attachment, *key, piece.index, record.clone());
        if admission == Admission::Declined {
            self.counters.declined.add(1);
        }
        Ok(Filled::Fetched { record, first: true })
    }

    /// Nothing waits for a slot or a buffer for ever, even when their holders never give them back.
    fn sweep(&self) {
        let limit = self.config.timeouts.queue;
        let late = self.flights().overdue(limit);
        let message = format!(
            "waited {} s for a request slot or a buffer, and nobody else got one either",
            limit.as_secs_f32()
        );
        tell(late, &Err(Error::new(Code::Timeout, message)));
    }

    fn attached(&self, attachment: u32) -> Option<Attached> {
        self.sources.read().unwrap_or_else(PoisonError::into_inner).get(&attachment).cloned()
    }

    /// Attachments of one endpoint share its limits.
    fn lane_of(&self, source: &SourceConfig) -> Arc<Lane> {
        let name = match source {
            SourceConfig::S3 { endpoint, region, .. } => format!("s3 {endpoint} {region}"),
            SourceConfig::Folder { root } => format!("folder {}", root.display()),
            SourceConfig::Away { .. } => "away".to_owned(),
        };
        let most = match source {
            SourceConfig::S3 { .. } | SourceConfig::Away { .. } => self.config.max_requests,
            SourceConfig::Folder { .. } => self.config.max_requests.min(MOST_FILE_READS),
        };
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Lane::new(most, self.config.hedge, self.stirred.clone());
        lanes.entry(name).or_insert_with(new).clone()
    }

    fn flights(&self) -> MutexGuard<'_, Flights> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs until the filler is closed; fetches that are under way then end with it.
async fn dispatch(inner: Arc<Inner>) {
    let mut under_way = JoinSet::new();
    let mut next_sweep = Instant::now() + SWEEP;
    while !inner.flights().closed {
        while let Some(departure) = inner.begin() {
            under_way.spawn(fly(inner.clone(), departure));
        }
        while under_way.try_join_next().is_some() {}
        if timeout_at(next_sweep, inner.stirred.notified()).await.is_err() {
            inner.sweep();
            next_sweep = Instant::now() + SWEEP;
        }
    }
}

struct Departure {
    key: RecordKey,
    errand: Errand,
    awaited: Arc<Awaited>,
    lease: Lease,
    slot: Slot,
}

/// One fetch, which is landed whatever happens to it.
async fn fly(inner: Arc<Inner>, departure: Departure) {
    let Departure { key, errand: Errand { piece, source, .. }, awaited, lease, slot } = departure;
    let landing = Landing { inner, key, landed: false };
    let tally = landing.inner.attached(piece.object.attachment).map(|attached| attached.tally);
    let begun = Instant::now();
    let into = RecordWriter::new(lease, piece.len());
    let fetched = source.fetch(&piece, into, slot, &awaited).await;
    if let Some(tally) = tally {
        let outcome = fetched.as_ref().map(|_| u64::from(piece.len())).map_err(Error::clone);
        tally.fetched(&outcome, begun.elapsed());
    }
    landing.land(&piece, fetched);
}

/// Answers those who wait also when the fetch is dropped: by a fault, or by the end of its runtime.
struct Landing {
    inner: Arc<Inner>,
    key: RecordKey,
    landed: bool,
}

impl Landing {
    fn land(mut self, piece: &Piece, fetched: Result<Fetched>) {
        let answer = self.inner.keep(&self.key, piece, fetched);
        self.landed = true;
        self.tell(&answer);
    }
}

impl Landing {
    /// Who is told may ask for more at once: the lock is not held.
    fn tell(&self, answer: &Result<Filled>) {
        let waiters = self.inner.flights().land(&self.key);
        tell(waiters, answer);
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        if self.landed {
            return;
        }
        let error = match std::thread::panicking() {
            true => Error::new(Code::Internal, "a fetch ended by a fault"),
            false => closed(),
        };
        self.tell(&Err(error));
    }
}

fn tell(waiters: Vec<Waiter>, answer: &Result<Filled>) {
    for Waiter { index, done, first, .. } in waiters {
        done(
            index,
            match answer {
                Ok(Filled::Fetched { record, .. }) => {
                    Ok(Filled::Fetched { record: record.clone(), first })
                }
                other => other.clone(),
            },
        );
    }
}

fn closed() -> Error {
    Error::new(Code::Closed, "the daemon is stopping")
}
