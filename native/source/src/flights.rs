//! Fetches that are wanted or under way, each for as many as want it; and the queues of those that have not begun.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use millpool_core::{Done, RecordKey, Urgency};

use crate::buffer::RecordBuffer;
use crate::lane::Lane;
use crate::source::{Piece, Source};

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

struct Flight {
    errand: Errand,
    waiters: Vec<Waiter>,
    urgency: Urgency,
    begun: bool,
    wanted_at: Instant,
}

/// Somebody's want: its place among theirs, and how to tell them.
pub(crate) type Waiter = (usize, Done);

#[derive(Default)]
struct LaneQueue {
    lane: Option<Arc<Lane>>,
    waiting: [VecDeque<RecordKey>; URGENCIES],
}

#[derive(Default)]
pub(crate) struct Flights {
    flights: HashMap<RecordKey, Flight>,
    queues: Vec<LaneQueue>,
    /// Fetched, and perhaps still on its way into a segment: answered from memory as long as the store holds it.
    recent: HashMap<RecordKey, Weak<RecordBuffer>>,
    recent_checked: usize,
    pub closed: bool,
}

impl Flights {
    /// Joins the flight of a key, or begins one. True: it joined.
    pub fn join(
        &mut self,
        key: RecordKey,
        errand: Errand,
        urgency: Urgency,
        waiter: Waiter,
    ) -> bool {
        if let Some(flight) = self.flights.get_mut(&key) {
            flight.waiters.push(waiter);
            if urgency < flight.urgency {
                flight.urgency = urgency;
                if !flight.begun {
                    // Its older place in a later queue is passed over when its turn comes there.
                    let lane = flight.errand.lane.clone();
                    self.queue_of(&lane)[urgency as usize].push_back(key);
                }
            }
            return true;
        }
        self.queue_of(&errand.lane)[urgency as usize].push_back(key);
        let flight = Flight {
            errand,
            waiters: vec![waiter],
            urgency,
            begun: false,
            wanted_at: Instant::now(),
        };
        self.flights.insert(key, flight);
        false
    }

    fn queue_of(&mut self, lane: &Arc<Lane>) -> &mut [VecDeque<RecordKey>; URGENCIES] {
        let is_of =
            |queue: &LaneQueue| queue.lane.as_ref().is_some_and(|other| Arc::ptr_eq(other, lane));
        let index = self.queues.iter().position(is_of).unwrap_or_else(|| {
            self.queues.push(LaneQueue { lane: Some(lane.clone()), waiting: Default::default() });
            self.queues.len() - 1
        });
        &mut self.queues[index].waiting
    }

    pub fn lanes(&self) -> Vec<Arc<Lane>> {
        self.queues.iter().filter_map(|queue| queue.lane.clone()).collect()
    }

    /// The most urgent of a lane that has not begun, without taking it.
    pub fn next_of(&mut self, lane: &Arc<Lane>) -> Option<(RecordKey, Urgency, u32)> {
        loop {
            let urgency = self.queue_of(lane).iter().position(|queue| !queue.is_empty())?;
            let key = *self.queue_of(lane)[urgency].front()?;
            match self.flights.get(&key) {
                Some(flight) if !flight.begun => {
                    return Some((key, flight.urgency, flight.errand.piece.len()));
                }
                _ => self.queue_of(lane)[urgency].pop_front(),
            };
        }
    }

    pub fn begin(&mut self, key: &RecordKey) -> Option<Errand> {
        let flight = self.flights.get_mut(key)?;
        flight.begun = true;
        Some(flight.errand.clone())
    }

    /// Ends a flight; its waiters are the caller's to tell.
    pub fn land(&mut self, key: &RecordKey) -> Vec<Waiter> {
        self.flights.remove(key).map(|flight| flight.waiters).unwrap_or_default()
    }

    /// Takes out what has waited for longer than `limit` without beginning.
    pub fn overdue(&mut self, limit: Duration) -> Vec<Waiter> {
        let late = |flight: &Flight| !flight.begun && flight.wanted_at.elapsed() > limit;
        let keys: Vec<_> =
            self.flights.iter().filter(|(_, flight)| late(flight)).map(|(key, _)| *key).collect();
        keys.iter().flat_map(|key| self.land(key)).collect()
    }

    pub fn take_all(&mut self) -> Vec<Waiter> {
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

    /// Under way, and waiting to begin.
    pub fn counts(&self) -> (u64, u64) {
        let begun = self.flights.values().filter(|flight| flight.begun).count();
        (begun as u64, (self.flights.len() - begun) as u64)
    }
}
