//! Fetches that are wanted or under way, each for as many as want it; and the queues of those that have not begun.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use millpool_core::{Done, RecordKey, Urgency};

use crate::awaited::Awaited;
use crate::buffer::RecordBuffer;
use crate::lane::Lane;
use crate::piece::Piece;
use crate::source::Source;

const URGENCIES: usize = 3;
/// Dead entries of `recent` are looked for when it has grown by this many.
const RECENT_STEP: usize = 4096;

/// What a fetch is of and where it goes.
#[derive(Clone)]
pub(crate) struct Errand {
    pub piece: Piece,
    pub source: Arc<Source>,
    pub lane: Arc<Lane>,
}

/// Somebody's want: its place among theirs, through which attachment, and how to tell them.
pub(crate) struct Waiter {
    pub attachment: u32,
    pub index: usize,
    pub done: Done,
    /// It began the fetch, and did not join it.
    pub first: bool,
}

/// A record that is not resident, and is wanted or was fetched just now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UnderWay {
    /// Its fetch waits to begin.
    Queued,
    Fetching,
    /// It is in memory, most likely on its way into a segment.
    Fetched,
}

struct Flight {
    errand: Errand,
    waiters: Vec<Waiter>,
    urgency: Urgency,
    awaited: Arc<Awaited>,
    begun: bool,
    wanted_at: Instant,
}

/// The first of a lane's queues: what `begin` would begin. Ordered by who goes first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Head {
    pub urgency: Urgency,
    pub wanted_at: Instant,
    pub key: RecordKey,
    pub len: u32,
}

/// What waits for one lane. A key may also stand where it was before it became more urgent, and is passed over there.
struct LaneQueue {
    lane: Arc<Lane>,
    waiting: [VecDeque<RecordKey>; URGENCIES],
    last_begun: Instant,
}

#[derive(Default)]
pub(crate) struct Flights {
    flights: HashMap<RecordKey, Flight>,
    begun: usize,
    queues: Vec<LaneQueue>,
    /// Fetched, and perhaps still on its way into a segment: answered from memory as long as the store holds it.
    recent: HashMap<RecordKey, Weak<RecordBuffer>>,
    recent_checked: usize,
    pub closed: bool,
}

impl Flights {
    /// Joins the flight of a key, or queues a new one. True: it joined.
    pub fn join(
        &mut self,
        key: RecordKey,
        errand: Errand,
        urgency: Urgency,
        waiter: Waiter,
    ) -> bool {
        if let Some(flight) = self.flights.get_mut(&key) {
            flight.waiters.push(Waiter { first: false, ..waiter });
            if urgency < flight.urgency {
                flight.raise(urgency);
                if !flight.begun {
                    let lane = flight.errand.lane.clone();
                    self.queue_of(&lane).waiting[urgency as usize].push_back(key);
                }
            }
            return true;
        }
        self.queue_of(&errand.lane).waiting[urgency as usize].push_back(key);
        let mut flight = Flight {
            errand,
            waiters: vec![waiter],
            urgency,
            awaited: Arc::default(),
            begun: false,
            wanted_at: Instant::now(),
        };
        flight.raise(urgency);
        self.flights.insert(key, flight);
        false
    }

    fn queue_of(&mut self, lane: &Arc<Lane>) -> &mut LaneQueue {
        let found = self.queues.iter().position(|queue| Arc::ptr_eq(&queue.lane, lane));
        let index = found.unwrap_or_else(|| {
            let waiting = Default::default();
            let last_begun = Instant::now();
            self.queues.push(LaneQueue { lane: lane.clone(), waiting, last_begun });
            self.queues.len() - 1
        });
        &mut self.queues[index]
    }

    /// What should begin next of all lanes that have a slot free: the most urgent, then the oldest.
    pub fn next(&mut self) -> Option<(Head, Arc<Lane>)> {
        let flights = &self.flights;
        let heads = self.queues.iter_mut().filter_map(|queue| {
            let head = queue.head(flights)?;
            queue.lane.limit.has_room().then_some((head, &queue.lane))
        });
        heads.min_by_key(|(head, _)| *head).map(|(head, lane)| (head, lane.clone()))
    }

    pub fn begin(&mut self, key: &RecordKey) -> Option<(Errand, Arc<Awaited>)> {
        let flight = self.flights.get_mut(key).filter(|flight| !flight.begun)?;
        flight.begun = true;
        self.begun += 1;
        let (errand, awaited) = (flight.errand.clone(), flight.awaited.clone());
        self.queue_of(&errand.lane).last_begun = Instant::now();
        Some((errand, awaited))
    }

    /// Ends a flight; its waiters are the caller's to tell.
    pub fn land(&mut self, key: &RecordKey) -> Vec<Waiter> {
        let Some(flight) = self.flights.remove(key) else { return Vec::new() };
        self.begun -= usize::from(flight.begun);
        flight.waiters
    }

    /// Takes out what waits for a lane in which nothing has begun for `limit`, itself included.
    pub fn overdue(&mut self, limit: Duration) -> Vec<Waiter> {
        let is_stuck = |queue: &&LaneQueue| queue.last_begun.elapsed() > limit;
        let stuck: Vec<_> =
            self.queues.iter().filter(is_stuck).map(|queue| queue.lane.clone()).collect();
        if stuck.is_empty() {
            return Vec::new();
        }
        self.take_queued(|flight| {
            flight.wanted_at.elapsed() > limit
                && stuck.iter().any(|lane| Arc::ptr_eq(lane, &flight.errand.lane))
        })
    }

    fn take_queued(&mut self, which: impl Fn(&Flight) -> bool) -> Vec<Waiter> {
        let taken = self.flights.extract_if(|_, flight| !flight.begun && which(flight));
        taken.flat_map(|(_, flight)| flight.waiters).collect()
    }

    /// Takes out who waits through an attachment, and what nobody waits for any more if it has not begun.
    pub fn leave(&mut self, attachment: u32) -> Vec<Waiter> {
        let mut leaving = Vec::new();
        for flight in self.flights.values_mut() {
            leaving.extend(flight.waiters.extract_if(.., |waiter| waiter.attachment == attachment));
        }
        self.take_queued(|flight| flight.waiters.is_empty());
        leaving
    }

    /// No flight is left, and none can be begun: what is under way lands unheard.
    pub fn close(&mut self) -> Vec<Waiter> {
        self.closed = true;
        self.begun = 0;
        self.queues.clear();
        self.flights.drain().flat_map(|(_, flight)| flight.waiters).collect()
    }

    pub fn remember(&mut self, key: RecordKey, record: &Arc<RecordBuffer>) {
        if self.recent.len() >= self.recent_checked + RECENT_STEP {
            self.recent.retain(|_, record| record.strong_count() > 0);
            self.recent_checked = self.recent.len();
        }
        self.recent.insert(key, Arc::downgrade(record));
    }

    pub fn recall(&self, key: &RecordKey) -> Option<Arc<RecordBuffer>> {
        self.recent.get(key)?.upgrade()
    }

    pub fn under_way(&self, key: &RecordKey) -> Option<UnderWay> {
        match self.flights.get(key) {
            Some(flight) if flight.begun => Some(UnderWay::Fetching),
            Some(_) => Some(UnderWay::Queued),
            None => self.recall(key).map(|_| UnderWay::Fetched),
        }
    }

    /// Under way, and waiting to begin.
    pub fn counts(&self) -> (u64, u64) {
        (self.begun as u64, (self.flights.len() - self.begun) as u64)
    }
}

impl Flight {
    fn raise(&mut self, urgency: Urgency) {
        self.urgency = urgency;
        if urgency == Urgency::Reader {
            self.awaited.tell();
        }
    }
}

impl LaneQueue {
    fn head(&mut self, flights: &HashMap<RecordKey, Flight>) -> Option<Head> {
        for queue in &mut self.waiting {
            while let Some(&key) = queue.front() {
                if let Some(flight) = flights.get(&key).filter(|flight| !flight.begun) {
                    let Flight { urgency, wanted_at, .. } = *flight;
                    return Some(Head { urgency, wanted_at, key, len: flight.errand.piece.len() });
                }
                queue.pop_front();
            }
        }
        None
    }
}
