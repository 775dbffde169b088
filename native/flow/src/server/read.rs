//! Serving one READ: what is in segments goes out of their files, the rest is filled; each piece as soon as it can.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use millpool_core::{
    Asker, Code, Codec, Error, Filled, Location, ObjectRef, RecordBytes, RecordKey, Result,
    SegmentFile, Urgency, Want, piece_len,
};
use tokio::sync::OwnedSemaphorePermit;

use super::outbox::{Answered, PieceData};
use super::peer::{Admitted, CREDIT_BYTES, Peer};
use crate::frame::Kind;
use crate::message::{ReadItem, ReadRequest};
use crate::piece::{Origin, PieceHead};

/// Items that are looked up, or handed to the filler, together.
const GROUP_MAX: usize = 1024;
/// How long a record waits for memory to be unpacked in.
const UNPACK_PATIENCE: Duration = Duration::from_secs(30);

/// A request as its connection let it in.
pub(super) struct Asked {
    pub peer: Arc<Peer>,
    pub request: u64,
    pub admitted: Admitted,
}

pub(super) struct ReadTask {
    peer: Arc<Peer>,
    request: u64,
    objects: Vec<Arc<ObjectRef>>,
    items: Vec<ReadItem>,
    cancelled: Arc<AtomicBool>,
    /// Items without an answer; the last one to be answered ends the request.
    left: AtomicUsize,
    admitted: Mutex<Option<Admitted>>,
}

/// An item on its way, with the credit that its bytes take.
struct Delivery {
    index: usize,
    key: RecordKey,
    origin: Origin,
    credit: OwnedSemaphorePermit,
}

impl ReadTask {
    /// `cancelled` is set when the client gave it up.
    pub(super) fn new(
        asked: Asked,
        message: ReadRequest,
        cancelled: Arc<AtomicBool>,
    ) -> Arc<ReadTask> {
        let Asked { peer, request, admitted } = asked;
        Arc::new(ReadTask {
            peer,
            request,
            left: AtomicUsize::new(message.items.len()),
            objects: message.objects.into_iter().map(Arc::new).collect(),
            items: message.items,
            cancelled,
            admitted: Mutex::new(Some(admitted)),
        })
    }

    pub(super) async fn run(self: Arc<Self>) {
        if self.items.is_empty() {
            return self.end();
        }
        let mut next = 0;
        while next < self.items.len() {
            if self.cancelled.load(Ordering::Relaxed) {
                return self.answered(self.items.len() - next);
            }
            let mut group = vec![(next, self.wait_for_credit(next).await)];
            next += 1;
            while next < self.items.len() && group.len() < GROUP_MAX {
                let Some(credit) = self.credit_now(next) else { break };
                group.push((next, credit));
                next += 1;
            }
            if self.peer.shared.store.is_loading() {
                // Its look-ups read from devices, or wait.
                tokio::task::block_in_place(|| self.serve(group));
            } else {
                self.serve(group);
            }
        }
    }

    fn serve(self: &Arc<Self>, group: Vec<(usize, OwnedSemaphorePermit)>) {
        let mut misses = Vec::new();
        for (index, credit) in group {
            let key = match self.key(index) {
                Ok(key) => key,
                Err(error) => {
                    self.fail(index, &error, credit);
                    continue;
                }
            };
            let delivery = Delivery { index, key, origin: Origin::Stored, credit };
            let stored = self.peer.shared.store.lookup(&key);
            match stored.filter(|location| location.holds(self.piece_len(index))) {
                Some(location) => self.deliver_stored(delivery, location),
                None => misses.push(delivery),
            }
        }
        if !misses.is_empty() {
            self.fill(misses);
        }
    }

    /// Of an item that was looked up or filled as resident: from the file as it is, where its bytes are known to be
    /// good and are the piece's own; otherwise read, checked and unpacked first, away from the threads that serve
    /// sockets.
    fn deliver_stored(self: &Arc<Self>, delivery: Delivery, location: Location) {
        let item = self.items[delivery.index];
        let store = &self.peer.shared.store;
        if location.verified
            && location.codec == Codec::Raw
            && !item.distrust
            && let Some(segment) = store.segment(location.segment, location.generation)
        {
            return self.deliver_from(segment, delivery, location);
        }
        let task = self.clone();
        tokio::spawn(async move {
            if location.codec != Codec::Raw {
                return task.unpack(delivery, location).await;
            }
            let turn = task.peer.shared.checks.clone().acquire_owned().await;
            tokio::task::spawn_blocking(move || {
                let checked = task.peer.shared.store.check(&location);
                drop(turn);
                task.deliver_checked(delivery, location, checked);
            });
        });
    }

    /// From its file, as what was known to be good: the bytes that were checked are in the page cache, and only there.
    fn deliver_checked(
        self: &Arc<Self>,
        delivery: Delivery,
        location: Location,
        checked: Result<()>,
    ) {
        let store = &self.peer.shared.store;
        let segment = store.segment(location.segment, location.generation);
        let is_whole = location.stored_len == self.piece_len(delivery.index);
        match segment.filter(|_| checked.is_ok() && is_whole) {
            Some(segment) => {
                store.mark_verified(&[delivery.key]);
                self.deliver_from(segment, delivery, location);
            }
            None => {
                store.forget_damaged(&delivery.key, (location.segment, location.generation));
                self.fill(vec![delivery]);
            }
        }
    }

    /// What is compressed goes out of memory, of which all connections together have so much.
    async fn unpack(self: Arc<Self>, delivery: Delivery, location: Location) {
        let shared = &self.peer.shared;
        let len = self.piece_len(delivery.index);
        let room = match shared.replies.take(len as usize, UNPACK_PATIENCE).await {
            Ok(room) => room,
            Err(error) => return self.fail(delivery.index, &error, delivery.credit),
        };
        let turn = shared.checks.clone().acquire_owned().await;
        tokio::task::spawn_blocking(move || {
            let store = &self.peer.shared.store;
            let read = store.read(&location);
            let unpacked = read.and_then(|stored| location.codec.unpack(stored, len));
            drop(turn);
            let Ok(record) = unpacked else {
                store.forget_damaged(&delivery.key, (location.segment, location.generation));
                return self.fill(vec![delivery]);
            };
            store.mark_verified(&[delivery.key]);
            let (crc, range) = (crc_fast::crc32_iscsi(&record), self.range(delivery.index));
            self.deliver(delivery, crc, PieceData::Unpacked { record, range, _room: room });
        });
    }

    fn deliver_from(&self, segment: Arc<SegmentFile>, delivery: Delivery, location: Location) {
        let item = self.items[delivery.index];
        let offset = u64::from(location.offset) + u64::from(item.skip);
        let data = PieceData::Stored { segment, offset, len: item.len, key: delivery.key };
        self.deliver(delivery, location.crc, data);
    }

    fn fill(self: &Arc<Self>, misses: Vec<Delivery>) {
        let want = |miss: &Delivery| {
            let item = self.items[miss.index];
            Want { object: self.objects[item.object as usize].clone(), piece: item.piece }
        };
        let wants = misses.iter().map(want).collect();
        let misses = Mutex::new(misses.into_iter().map(Some).collect::<Vec<_>>());
        let task = self.clone();
        let runtime = self.peer.shared.config.runtime.clone();
        let done = move |n: usize, filled: Result<Filled>| {
            let mut misses = misses.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(delivery) = misses.get_mut(n).and_then(Option::take) else { return };
            drop(misses);
            let _context = runtime.enter();
            task.filled(delivery, filled);
        };
        let asker = Asker { urgency: Urgency::Reader, number: self.peer.name.number };
        self.peer.shared.config.fill.fill(wants, asker, Arc::new(done));
    }

    fn filled(self: &Arc<Self>, mut delivery: Delivery, filled: Result<Filled>) {
        match filled {
            Ok(Filled::Resident(location)) => self.deliver_stored(delivery, location),
            Ok(Filled::Fetched { record, first }) => {
                delivery.origin = if first { Origin::Fetched } else { Origin::Joined };
                self.deliver_record(delivery, record);
            }
            Err(error) => self.fail(delivery.index, &error, delivery.credit),
        }
    }

    fn deliver_record(&self, delivery: Delivery, record: Arc<dyn RecordBytes>) {
        let (has, wants) = (record.bytes().len(), self.piece_len(delivery.index) as usize);
        if has != wants {
            let error = Error::new(
                Code::Internal,
                format!("a piece of {wants} bytes was filled with {has}"),
            );
            return self.fail(delivery.index, &error, delivery.credit);
        }
        let crc = record.crc();
        let range = self.range(delivery.index);
        self.deliver(delivery, crc, PieceData::Record(record, range));
    }

    fn deliver(&self, delivery: Delivery, crc: u32, data: PieceData) {
        let head =
            PieceHead { item: delivery.index as u32, error: None, origin: delivery.origin, crc };
        self.send(head, data, delivery.credit);
    }

    fn fail(&self, index: usize, error: &Error, credit: OwnedSemaphorePermit) {
        let head = PieceHead {
            item: index as u32,
            error: Some(error.code),
            origin: Origin::Stored,
            crc: 0,
        };
        let text = error.message.clone().into_bytes();
        let range = 0..text.len();
        self.send(head, PieceData::Owned(text, range), credit);
    }

    fn send(&self, head: PieceHead, data: PieceData, credit: OwnedSemaphorePermit) {
        if !self.cancelled.load(Ordering::Relaxed) {
            self.peer.outbox.piece(self.request, head, data, credit);
        }
        self.answered(1);
    }

    fn answered(&self, count: usize) {
        if self.left.fetch_sub(count, Ordering::AcqRel) == count {
            self.end();
        }
    }

    fn end(&self) {
        self.peer.end(self.request);
        let admitted = self.admitted.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Admitted { permit, .. }) = admitted {
            let answered = Answered { _request: permit, _room: None };
            self.peer.outbox.reply(Kind::End, self.request, &[], answered);
        }
    }

    fn key(&self, index: usize) -> Result<RecordKey> {
        let item = self.items[index];
        let object = &self.objects[item.object as usize];
        let Some(identity) = self.peer.shared.identity(object.attachment) else {
            return Err(Error::new(Code::NotFound, "its source is not attached here any more"));
        };
        Ok(object.key(&identity).piece(item.piece))
    }

    fn piece_len(&self, index: usize) -> u32 {
        let item = self.items[index];
        piece_len(self.objects[item.object as usize].size, item.piece)
    }

    fn range(&self, index: usize) -> std::ops::Range<usize> {
        let item = self.items[index];
        item.skip as usize..(item.skip + item.len) as usize
    }

    async fn wait_for_credit(&self, index: usize) -> OwnedSemaphorePermit {
        let credits = self.peer.credits.clone();
        credits.acquire_many_owned(self.cost(index)).await.expect("the semaphore is never closed")
    }

    fn credit_now(&self, index: usize) -> Option<OwnedSemaphorePermit> {
        self.peer.credits.clone().try_acquire_many_owned(self.cost(index)).ok()
    }

    /// A filled piece is held whole, however little of it is asked for.
    fn cost(&self, index: usize) -> u32 {
        u64::from(self.piece_len(index)).div_ceil(CREDIT_BYTES).max(1) as u32
    }
}
