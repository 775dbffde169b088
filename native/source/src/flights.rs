//! Fetches that are wanted or under way, each for as many as want it; and the queues of those that have not begun.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use millpool_core::{Asker, Done, RecordKey, Urgency};

use crate::awaited::Awaited;
use crate::buffer::RecordBuffer;
use crate::lane::Lane;
use crate::piece::Piece;
use crate::source::Source;

/// A lane forgets whose turn it was when more askers than this want nothing of it.
const IDLE_ASKERS: usize = 64;
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
    /// The most urgent of them when it began, or by now.
    asker: Asker,
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

/// What waits for one lane, by who wants it. Of the most urgent ones the one with the fewest fetches under way goes
/// first, and of those the one whose turn is longest ago: each has the same share, and what one does not use is the
/// others'.
struct LaneQueue {
    lane: Arc<Lane>,
    askers: BTreeMap<Asker, Line>,
    last_begun: Instant,
    turn: u64,
}

/// What one asker wants of one lane, in its order. A key may also stand where it was before it became more urgent, and
/// is passed over there.
#[derive(Default)]
struct Line {
    waiting: VecDeque<RecordKey>,
    under_way: usize,
    last_turn: u64,
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
    pub fn join(&mut self, key: RecordKey, errand: Errand, asker: Asker, waiter: Waiter) -> bool {
        if let Some(flight) = self.flights.get_mut(&key) {
            flight.waiters.push(Waiter { first: false, ..waiter });
            if asker.urgency == Urgency::Reader {
                flight.awaited.tell();
            }
            if asker.urgency < flight.asker.urgency && !flight.begun {
                flight.asker = asker;
                let lane = flight.errand.lane.clone();
                self.queue_of(&lane).line_of(asker).waiting.push_back(key);
            }
            return true;
        }
        self.queue_of(&errand.lane).line_of(asker).waiting.push_back(key);
        let flight = Flight {
            errand,
            waiters: vec![waiter],
            asker,
            awaited: Arc::default(),
            begun: false,
            wanted_at: Instant::now(),
        };
        if asker.urgency == Urgency::Reader {
            flight.awaited.tell();
        }
        self.flights.insert(key, flight);
        false
    }

    fn queue_of(&mut self, lane: &Arc<Lane>) -> &mut LaneQueue {
        let found = self.queues.iter().position(|queue| Arc::ptr_eq(&queue.lane, lane));
        let index = found.unwrap_or_else(|| {
            self.queues.push(LaneQueue {
                lane: lane.clone(),
                askers: BTreeMap::new(),
                last_begun: Instant::now(),
                turn: 0,
            });
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
        let asker = flight.asker;
        self.queue_of(&errand.lane).began(asker);
        Some((errand, awaited))
    }

    /// Ends a flight; its waiters are the caller's to tell.
    pub fn land(&mut self, key: &RecordKey) -> Vec<Waiter> {
        let Some(flight) = self.flights.remove(key) else { return Vec::new() };
        if flight.begun {
            self.begun -= 1;
            self.queue_of(&flight.errand.lane).line_of(flight.asker).under_way -= 1;
        }
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

impl LaneQueue {
    fn line_of(&mut self, asker: Asker) -> &mut Line {
        self.askers.entry(asker).or_default()
    }

    fn began(&mut self, asker: Asker) {
        self.last_begun = Instant::now();
        self.turn += 1;
        let turn = self.turn;
        let line = self.line_of(asker);
        line.last_turn = turn;
        line.under_way += 1;
    }

    fn head(&mut self, flights: &HashMap<RecordKey, Flight>) -> Option<Head> {
        let mut first = None;
        let mut idle = 0;
        for (asker, line) in &mut self.askers {
            let Some(head) = line.head(flights) else {
                idle += usize::from(line.is_idle());
                continue;
            };
            let rank = (asker.urgency, line.under_way, line.last_turn);
            if first.is_none_or(|(least, _)| rank < least) {
                first = Some((rank, head));
            }
        }
        if idle > IDLE_ASKERS {
            self.askers.retain(|_, line| !line.is_idle());
        }
        first.map(|(_, head)| head)
    }
}

impl Line {
    fn head(&mut self, flights: &HashMap<RecordKey, Flight>) -> Option<Head> {
        while let Some(&key) = self.waiting.front() {
            if let Some(flight) = flights.get(&key).filter(|flight| !flight.begun) {
                let Flight { asker, wanted_at, .. } = flight;
                let (urgency, len) = (asker.urgency, flight.errand.piece.len());
                return Some(Head { urgency, wanted_at: *wanted_at, key, len });
            }
            self.waiting.pop_front();
        }
        None
    }

    fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.under_way == 0
    }
}

#[cfg(test)]
mod tests {
    use millpool_core::{Code, Error, ObjectRef};
    use tokio::sync::Notify;

    use super::*;
    use crate::lane::Slot;

    fn plan(number: u64) -> Asker {
        Asker { urgency: Urgency::Plan, number }
    }

    /// Of an asker: its number, and a count.
    fn key(number: u64, count: u64) -> RecordKey {
        RecordKey((u128::from(number) << 64 | u128::from(count)).to_be_bytes())
    }

    fn number_of(key: &RecordKey) -> u64 {
        (u128::from_be_bytes(key.0) >> 64) as u64
    }

    fn want(flights: &mut Flights, lane: &Arc<Lane>, asker: Asker, counts: std::ops::Range<u64>) {
        for count in counts {
            let key = key(asker.number, count);
            let object =
                ObjectRef { attachment: 1, source_key: "k".into(), size: 1, tag: "e".into() };
            let piece = Piece { object: Arc::new(object), index: 0 };
            let source = Arc::new(Source::Away(Error::new(Code::Internal, "never asked")));
            let waiter = Waiter { attachment: 1, index: 0, done: Arc::new(|_, _| ()), first: true };
            flights.join(key, Errand { piece, source, lane: lane.clone() }, asker, waiter);
        }
    }

    /// Begins what can begin; whose they are.
    fn begin(flights: &mut Flights, slots: &mut HashMap<RecordKey, Slot>) -> Vec<u64> {
        let mut begun = Vec::new();
        while let Some((head, lane)) = flights.next() {
            slots.insert(head.key, lane.try_start().expect("it has room"));
            flights.begin(&head.key).expect("it has not begun");
            begun.push(number_of(&head.key));
        }
        begun
    }

    fn land(flights: &mut Flights, slots: &mut HashMap<RecordKey, Slot>, number: u64) {
        let key =
            *slots.keys().find(|key| number_of(key) == number).expect("one of it is under way");
        flights.land(&key);
        slots.remove(&key);
    }

    #[test]
    fn askers_share_what_is_under_way_and_an_idle_one_leaves_its_share_to_the_others() {
        let lane = Lane::new(6, false, Arc::new(Notify::new()));
        let (mut flights, mut slots) = (Flights::default(), HashMap::new());
        want(&mut flights, &lane, plan(1), 0..100);
        assert_eq!(begin(&mut flights, &mut slots), [1; 6], "nobody else wants any");
        want(&mut flights, &lane, plan(2), 0..4);
        for _ in 0..3 {
            land(&mut flights, &mut slots, 1);
            assert_eq!(begin(&mut flights, &mut slots), [2]);
        }
        for _ in 0..10 {
            land(&mut flights, &mut slots, 1);
            assert_eq!(begin(&mut flights, &mut slots), [1], "three each, whoever lands");
        }
        land(&mut flights, &mut slots, 2);
        assert_eq!(begin(&mut flights, &mut slots), [2]);
        for _ in 0..3 {
            land(&mut flights, &mut slots, 2);
            assert_eq!(begin(&mut flights, &mut slots), [1], "the second wants no more");
        }
        want(&mut flights, &lane, plan(3), 0..1);
        let reader = Asker { urgency: Urgency::Reader, number: 9 };
        want(&mut flights, &lane, reader, 0..3);
        for _ in 0..3 {
            land(&mut flights, &mut slots, 1);
            assert_eq!(begin(&mut flights, &mut slots), [9], "who waits goes first");
        }
        land(&mut flights, &mut slots, 9);
        assert_eq!(begin(&mut flights, &mut slots), [3]);
    }

    #[test]
    fn a_lane_forgets_who_wants_nothing_of_it_any_more() {
        let lane = Lane::new(1, false, Arc::new(Notify::new()));
        let (mut flights, mut slots) = (Flights::default(), HashMap::new());
        for number in 0..10 * IDLE_ASKERS as u64 {
            want(&mut flights, &lane, plan(number), 0..1);
            assert_eq!(begin(&mut flights, &mut slots), [number]);
            land(&mut flights, &mut slots, number);
        }
        assert!(flights.queue_of(&lane).askers.len() <= IDLE_ASKERS + 2);
    }
}
