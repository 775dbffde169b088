//! Answers wants: from a segment, from memory, by joining a fetch that is under way, or by a new one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use millpool_core::{
    Admission, Code, Done, Error, Fill, Filled, Identity, RecordBytes, RecordKey, Result, Urgency,
    Want,
};
use tokio::sync::Notify;

use crate::buffer::{BufferPool, Lease, RecordBuffer, RecordWriter};
use crate::config::{FillerConfig, SourceConfig};
use crate::counters::{Counters, FillCounters};
use crate::credentials::Credentials;
use crate::endpoint::Bucket;
use crate::flights::{Errand, Flights, Waiter};
use crate::folder_source::FolderSource;
use crate::lane::{Lane, Slot};
use crate::s3_source::S3Source;
use crate::source::{Fetched, Piece, Source};

/// How often wants that wait to begin are looked at for their deadline.
const SWEEP: Duration = Duration::from_secs(1);

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
    pub fn new(config: FillerConfig) -> Result<Arc<Filler>> {
        let stirred = Arc::new(Notify::new());
        let inner = Arc::new(Inner {
            pool: BufferPool::new(config.budget_bytes, stirred.clone()),
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
        let source =
            match (Bucket::of(&source)?, source) {
                (Some(bucket), _) => {
                    let (timeouts, counters) = (inner.config.timeouts, inner.counters.clone());
                    Source::S3(Box::new(S3Source::new(bucket, lane.clone(), timeouts, counters)?))
                }
                (None, SourceConfig::Folder { root }) => Source::Folder(Arc::new(
                    FolderSource::open(&root, lane.clone(), inner.counters.clone())?,
                )),
                (None, SourceConfig::S3 { bucket, .. }) => {
                    return Err(Error::new(
                        Code::Invalid,
                        format!("the bucket {bucket} has no endpoint"),
                    ));
                }
            };
        let attached = Attached { identity, source: Arc::new(source), lane };
        inner.sources.write().unwrap_or_else(PoisonError::into_inner).insert(attachment, attached);
        Ok(())
    }

    /// Wants of it fail from now on; fetches under way end by themselves.
    pub fn detach(&self, attachment: u32) {
        self.inner.sources.write().unwrap_or_else(PoisonError::into_inner).remove(&attachment);
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

    /// Answers everything that waits with `Closed`. Idempotent.
    pub fn close(&self) {
        let waiters = {
            let mut flights = self.inner.flights();
            flights.closed = true;
            flights.take_all()
        };
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
    fn fill(&self, wants: Vec<Want>, urgency: Urgency, done: Done) {
        for (index, want) in wants.into_iter().enumerate() {
            if let Some(answer) = self.inner.want(want, urgency, (index, done.clone())) {
                done(index, answer);
            }
        }
        self.inner.stirred.notify_one();
    }
}

impl Inner {
    /// The answer where there is one at once; else the waiter is told later.
    fn want(&self, want: Want, urgency: Urgency, waiter: Waiter) -> Option<Result<Filled>> {
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
            return Some(Ok(Filled::Fetched(record)));
        }
        // Published between the two looks: then its bytes are in the table now.
        if let Some(resident) = self.resident(&key, piece.len()) {
            return Some(Ok(resident));
        }
        let errand = Errand { piece, source: attached.source, lane: attached.lane };
        if flights.join(key, errand, urgency, waiter) {
            self.counters.joined.add(1);
        }
        None
    }

    fn resident(&self, key: &RecordKey, len: u32) -> Option<Filled> {
        let location =
            self.config.store.lookup(key).filter(|location| location.stored_len == len)?;
        self.counters.resident.add(1);
        Some(Filled::Resident(location))
    }

    /// Begins as many fetches as slots and buffers allow, the most urgent of each endpoint first.
    fn begin_all(self: &Arc<Self>) {
        let lanes = self.flights().lanes();
        for lane in lanes {
            while let Some((key, errand, lease, slot)) = self.next_to_begin(&lane) {
                self.config.runtime.spawn(fly(self.clone(), key, errand, (lease, slot)));
            }
        }
    }

    fn next_to_begin(&self, lane: &Arc<Lane>) -> Option<(RecordKey, Errand, Lease, Slot)> {
        let mut flights = self.flights();
        let (key, urgency, len) = flights.next_of(lane)?;
        // Asked before a buffer is taken: one that is given back at once would wake the dispatcher for nothing.
        if lane.limit.in_flight() >= lane.limit.current() {
            return lane.try_start().and(None);
        }
        let lease = self.pool.take(len, urgency)?;
        let slot = lane.try_start()?;
        let errand = flights.begin(&key)?;
        Some((key, errand, lease, slot))
    }

    fn land(&self, key: &RecordKey, attachment: u32, index: u32, fetched: Result<Fetched>) {
        let answer = match fetched {
            Ok(Fetched { record, young }) => {
                let record = Arc::new(record);
                let kept = if young {
                    self.counters.young.add(1);
                    false
                } else {
                    self.config.store.append(attachment, *key, index, record.clone())
                        == Admission::Queued
                };
                if kept {
                    self.flights().remember(*key, &record);
                } else if !young {
                    self.counters.declined.add(1);
                }
                Ok(Filled::Fetched(record as Arc<dyn RecordBytes>))
            }
            Err(error) => {
                self.counters.errors.add(1);
                Err(error)
            }
        };
        let waiters = self.flights().land(key);
        tell(waiters, &answer);
    }

    fn attached(&self, attachment: u32) -> Option<Attached> {
        self.sources.read().unwrap_or_else(PoisonError::into_inner).get(&attachment).cloned()
    }

    /// Attachments of one endpoint share its limits.
    fn lane_of(&self, source: &SourceConfig) -> Arc<Lane> {
        let name = match source {
            SourceConfig::S3 { endpoint, .. } => format!("s3 {endpoint}"),
            SourceConfig::Folder { root } => format!("folder {}", root.display()),
        };
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Lane::new(self.config.max_requests, self.stirred.clone());
        lanes.entry(name).or_insert_with(new).clone()
    }

    fn flights(&self) -> MutexGuard<'_, Flights> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs until the filler is closed.
async fn dispatch(inner: Arc<Inner>) {
    loop {
        inner.begin_all();
        // A sweep that is late by a while is a deadline that is late by a while, and nothing more.
        let _ = tokio::time::timeout(SWEEP, inner.stirred.notified()).await;
        let limit = inner.config.timeouts.queue;
        let late = {
            let mut flights = inner.flights();
            if flights.closed {
                return;
            }
            flights.overdue(limit)
        };
        let message = format!("waited {} s for a request slot or a buffer", limit.as_secs());
        tell(late, &Err(Error::new(Code::Timeout, message)));
    }
}

/// One fetch, which is landed whatever happens to it.
async fn fly(inner: Arc<Inner>, key: RecordKey, errand: Errand, (lease, slot): (Lease, Slot)) {
    let Errand { piece, source, .. } = errand;
    let mut landing = Landing {
        inner,
        key,
        attachment: piece.object.attachment,
        index: piece.index,
        landed: false,
    };
    let fetched = source.fetch(&piece, RecordWriter::new(lease, piece.len()), slot).await;
    landing.land(fetched);
}

struct Landing {
    inner: Arc<Inner>,
    key: RecordKey,
    attachment: u32,
    index: u32,
    landed: bool,
}

impl Landing {
    fn land(&mut self, fetched: Result<Fetched>) {
        self.landed = true;
        self.inner.land(&self.key, self.attachment, self.index, fetched);
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        if !self.landed {
            self.land(Err(Error::new(Code::Internal, "a fetch ended by a fault")));
        }
    }
}

fn tell(waiters: Vec<Waiter>, answer: &Result<Filled>) {
    for (index, done) in waiters {
        done(index, answer.clone());
    }
}

fn closed() -> Error {
    Error::new(Code::Closed, "the daemon is stopping")
}
