//! The read path: what is resident is gathered from mapped segments, the rest comes from the daemon, both at once.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use millpool_core::fault::major_faults;
use millpool_core::{
    Code, Copy, Error, Location, Mapping, Outcome, PiecePart, RecordKey, Result, Slot, gather,
    gather_direct,
};

use super::batch::{Batch, Sample, Tally, Waits, timed};
use super::cold::fits_memory;
use super::copies::{Copies, Resident};
use super::delivery::{Arrival, Delivery, Target};
use super::known::KNOWN_BYTES_MAX;
use super::layout::{Attachments, BatchRequest, Layout, Part, Selection, wanted_of};
use super::link::Link;
use super::pending::Pending;
use super::places::{Place, Stamp};
use super::segments::{SegmentId, segment_of};
use super::session::{Limits, Session};
use super::wait::{Abandon, timed_out};
use crate::frame::Kind;
use crate::message::{ITEMS_MAX, ReadItem, ReadRequest, Receipt};
use crate::piece::Origin;

/// How often a part is asked of the daemon before its last answer counts: once more after a copy that was found wrong.
const ATTEMPTS: u8 = 2;
/// How long batches are read on for a caller that asked for several: the first of them waits for the last. Callers ask
/// for as many as are read in a fraction of this; on a busy machine it ends what took longer.
const RUN: Duration = Duration::from_millis(4);

#[derive(Clone, PartialEq, Eq, Debug)]
enum State {
    /// Not here yet; to be asked of the daemon.
    Wanted,
    Here(Origin),
    Failed(Code, String),
}

pub(super) struct Reading<'a> {
    session: &'a Session,
    limits: &'a Limits,
    selection: &'a Selection,
    /// Start in the slot and length, of each sample.
    layout: Vec<(usize, usize)>,
    pub(super) parts: Vec<Part>,
    states: Vec<State>,
    attempts: Vec<u8>,
    /// Those that the device was asked for.
    from_device: Vec<usize>,
    /// Those that were copied from segments as they should be.
    gathered: Vec<usize>,
    /// Of the table when the look-up began, where what it found may be kept.
    stamp: Option<Stamp>,
    has_ranges: bool,
    slot: Arc<Slot>,
    waits: Waits,
    receipt: Receipt,
}

/// Reads one batch, whatever it takes.
pub fn read(session: &Session, request: &BatchRequest, limits: &Limits) -> Result<Batch> {
    let (batch, receipt) = read_whole(session, request, limits)?;
    send_receipt(session, receipt);
    Ok(batch)
}

/// Reads the first batch as [`read`] does, and of those behind it as many as [`RUN`] allows, as long as they wait for
/// nothing: a caller is woken once for all of them, and the daemon gets one receipt. At least one batch is returned.
pub fn read_run(
    session: &Session,
    requests: &[BatchRequest],
    limits: &Limits,
) -> Result<Vec<Batch>> {
    let end = Instant::now() + RUN;
    let Some((first, others)) = requests.split_first() else { return Ok(Vec::new()) };
    let (batch, mut receipt) = read_whole(session, first, limits)?;
    let mut batches = vec![batch];
    for request in others {
        if Instant::now() >= end || limits.cancel.check().is_err() {
            break;
        }
        let Some((batch, own)) = read_resident(session, request, limits) else { break };
        batches.push(batch);
        receipt.merge(own);
    }
    send_receipt(session, receipt);
    Ok(batches)
}

fn read_whole(
    session: &Session,
    request: &BatchRequest,
    limits: &Limits,
) -> Result<(Batch, Receipt)> {
    let (mut reading, link) = Reading::start(session, request, limits, limits)?;
    let resident = reading.locate(&link)?;
    let under_way = reading.ask(&link, |n| !resident[n].is_here());
    reading.gather(&resident);
    reading.note(&resident);
    reading.collect(&link, under_way?);
    reading.ask_again()?;
    Ok(reading.finish())
}

/// `None` where it would wait: for a slot, the daemon or the source. Then nothing of it was read.
fn read_resident(
    session: &Session,
    request: &BatchRequest,
    limits: &Limits,
) -> Option<(Batch, Receipt)> {
    session.connected()?;
    let at_once = Limits { deadline: Instant::now(), ..limits.clone() };
    let (mut reading, link) = Reading::start(session, request, limits, &at_once).ok()?;
    let resident = reading.locate(&link).ok()?;
    if !resident.iter().all(Resident::is_here) {
        return None;
    }
    reading.gather(&resident);
    reading.note(&resident);
    reading.ask_again().ok()?;
    Some(reading.finish())
}

fn send_receipt(session: &Session, receipt: Receipt) {
    if let Some(link) = session.connected() {
        session.receipts.send(&link, receipt);
    }
}

/// One READ, and which parts its items are.
struct UnderWay {
    request: u64,
    items: Vec<usize>,
    delivery: Arc<Delivery>,
}

impl<'a> Reading<'a> {
    /// With a slot, in which each sample has its place. `to_lease`: how long to wait for a slot.
    pub(super) fn start(
        session: &'a Session,
        request: &'a BatchRequest,
        limits: &'a Limits,
        to_lease: &Limits,
    ) -> Result<(Reading<'a>, Arc<Link>)> {
        let BatchRequest { selection, ranges, plan } = request;
        let mut queue = Duration::ZERO;
        let link = timed(&mut queue, || session.link(limits))?;
        let identity_of = &mut |attachment| session.identity(&link, attachment, limits);
        let wanted = timed(&mut queue, || wanted_of(selection, identity_of))?;
        let Layout { samples, parts, bytes } = Layout::new(&wanted, ranges.as_ref())?;
        let slot = timed(&mut queue, || session.lease(bytes, to_lease))?;
        let reading = Reading {
            session,
            limits,
            selection,
            layout: samples,
            states: vec![State::Wanted; parts.len()],
            attempts: vec![0; parts.len()],
            from_device: Vec::new(),
            gathered: Vec::with_capacity(parts.len()),
            stamp: None,
            has_ranges: ranges.is_some(),
            parts,
            slot: Arc::new(slot),
            waits: Waits { queue, ..Waits::default() },
            receipt: Receipt { plan: plan.plan, position: plan.position, ..Receipt::default() },
        };
        Ok((reading, link))
    }

    /// Looks all parts up in the key table, and maps the segments that they lie in.
    pub(super) fn locate(&mut self, link: &Link) -> Result<Vec<Resident>> {
        let start = Instant::now();
        let located = self.locations(link);
        self.waits.queue += start.elapsed();
        match located {
            // Misses, all of them: the daemon may come back, and knows what is where.
            Err(error) if error.code == Code::Unreachable => {
                Ok(self.parts.iter().map(|_| Resident(None)).collect())
            }
            located => located,
        }
    }

    fn locations(&mut self, link: &Link) -> Result<Vec<Resident>> {
        let Some(table) = self.session.table(link, self.limits)? else {
            return Ok(self.parts.iter().map(|_| Resident(None)).collect());
        };
        self.stamp = Stamp::of(&table);
        let keys: Vec<RecordKey> = self.parts.iter().map(|part| part.key).collect();
        let mut locations = Vec::new();
        table.get_many(&keys, &mut locations);
        let mappings = self.session.mappings(link, &locations, self.limits)?;
        let here =
            |((location, mapping), part): ((Option<Location>, Option<Arc<Mapping>>), &Part)| {
                Resident(
                    location.zip(mapping).filter(|(location, _)| location.holds(part.piece_len)),
                )
            };
        Ok(locations.into_iter().zip(mappings).zip(&self.parts).map(here).collect())
    }

    /// Copies what is resident into the slot. What cannot be read or is not what it should be stays wanted, and the
    /// daemon is told not to trust it.
    fn gather(&mut self, resident: &[Resident]) {
        let start = Instant::now();
        let warm = self.copies_of(resident);
        let (warm, cold) = match self.session.cold.cold_of(&warm.copies) {
            None => (warm, Copies::default()),
            Some(is_cold) => warm.split(&is_cold),
        };
        self.waits.gather += start.elapsed();
        let is_direct = !cold.copies.is_empty() && self.reads_past_memory();
        if !is_direct {
            cold.copies.iter().for_each(Copy::read_ahead);
        }
        self.copy(warm);
        self.copy_cold(cold, is_direct);
        self.receipt.segments.sort_unstable();
        self.receipt.segments.dedup();
        for (_, mapping) in resident.iter().filter_map(|resident| resident.0.as_ref()) {
            if mapping.failed() {
                self.session.segments.spoil((mapping.name().number, mapping.name().generation));
            }
        }
    }

    pub(super) fn copies_of<'r>(&self, resident: &'r [Resident]) -> Copies<'r> {
        let mut found = Copies::default();
        for (n, (part, resident)) in self.parts.iter().zip(resident).enumerate() {
            let Some((location, mapping)) = &resident.0 else { continue };
            let Part { piece_len, skip, len, .. } = *part;
            let wanted = PiecePart { piece_len, range: skip..skip + len };
            // SAFETY: the layout gives each part bytes of the slot of its own, and the slot is this read's alone.
            let copy =
                unsafe { Copy::new(mapping, location, wanted, self.slot.as_ptr().add(part.at)) };
            if let Some(copy) = copy {
                found.copies.push(copy);
                found.parts.push((n, segment_of(location)));
            }
        }
        found
    }

    /// What is cold of a plan over more than memory holds is read past the page cache: nobody would find it there
    /// again, and bringing it in costs several times what reading it does.
    fn reads_past_memory(&self) -> bool {
        let datasets = self.selection.datasets();
        let bytes = datasets.iter().map(|dataset| dataset.summary().bytes).sum();
        self.receipt.plan != 0 && !datasets.is_empty() && !fits_memory(bytes)
    }

    /// Copies from mapped memory. Time in which it waited for the device is the device's.
    fn copy(&mut self, from: Copies<'_>) {
        let (start, faults) = (Instant::now(), major_faults());
        let mut outcomes = Vec::new();
        gather(&from.copies, &mut outcomes);
        self.settle(from, outcomes);
        let (spent, is_warm) = (start.elapsed(), major_faults() == faults);
        if is_warm {
            self.waits.gather += spent;
            return;
        }
        self.session.cold.met_device();
        self.waits.device += spent;
    }

    /// All of the time is the device's, which is what it is spent on.
    fn copy_cold(&mut self, from: Copies<'_>, is_direct: bool) {
        if from.copies.is_empty() {
            return;
        }
        let start = Instant::now();
        self.from_device.extend(from.parts.iter().map(|(n, _)| n));
        let mut outcomes = Vec::new();
        if is_direct {
            gather_direct(&from.copies, &self.session.reader, &mut outcomes);
        } else {
            gather(&from.copies, &mut outcomes);
        }
        self.settle(from, outcomes);
        self.waits.device += start.elapsed();
    }

    fn settle(&mut self, from: Copies<'_>, outcomes: Vec<Outcome>) {
        for ((n, segment), outcome) in from.parts.into_iter().zip(outcomes) {
            self.gathered(n, segment, outcome);
        }
    }

    fn gathered(&mut self, n: usize, segment: SegmentId, outcome: Outcome) {
        match outcome {
            Outcome::Copied => self.states[n] = State::Here(Origin::Stored),
            Outcome::Verified => {
                self.states[n] = State::Here(Origin::Stored);
                self.receipt.verified.push(self.parts[n].key);
            }
            // Counts as asked once, so that the next time the daemon checks what it has.
            Outcome::Mismatch | Outcome::Faulted => self.attempts[n] = 1,
        }
        if self.states[n] == State::Here(Origin::Stored) {
            self.receipt.segments.push(segment.0);
            self.gathered.push(n);
        }
    }

    /// Where whole samples of a small batch were found, for when they are read again.
    fn note(&self, resident: &[Resident]) {
        let Selection::Dataset(dataset, samples) = self.selection else { return };
        let is_large = self.layout.last().is_none_or(|(start, len)| start + len > KNOWN_BYTES_MAX);
        let Some(stamp) = self.stamp.filter(|_| !is_large && !self.has_ranges) else { return };
        let Some(places) = self.session.places.to_note(dataset, stamp) else { return };
        let found = |n: &usize| {
            let sample = samples[self.parts[*n].sample as usize];
            let (location, _) = resident[*n].0.as_ref().filter(|_| places.get(sample).is_none())?;
            Some((sample, location))
        };
        let found: Vec<_> = self.gathered.iter().filter_map(found).collect();
        let segments = found.iter().map(|(_, location)| segment_of(location));
        for (slot, (sample, location)) in
            self.session.segments.slots_of(segments).into_iter().zip(&found)
        {
            if let Some(place) = slot.and_then(|slot| Place::of(slot, location)) {
                places.set(*sample, place);
            }
        }
        for (sample, _) in samples.iter().zip(&self.layout).filter(|(_, (_, len))| *len == 0) {
            places.set(*sample, Place::EMPTY);
        }
    }

    /// One READ, or a few, for the wanted parts that `which` names.
    fn ask(&mut self, link: &Link, which: impl Fn(usize) -> bool) -> Result<Vec<UnderWay>> {
        let wanted: Vec<usize> = (0..self.parts.len())
            .filter(|&n| self.states[n] == State::Wanted && which(n))
            .collect();
        let mut under_way = Vec::new();
        let datasets = self.selection.datasets().iter().filter(|_| !wanted.is_empty());
        let attachments = match self.session.attachments_of(link, datasets, self.limits) {
            Err(error) if error.code == Code::Unreachable => return Ok(under_way),
            known => known?,
        };
        for items in wanted.chunks(ITEMS_MAX) {
            let request = self.request(items, &attachments)?;
            let targets = items.iter().map(|&n| {
                let part = &self.parts[n];
                Target { at: part.at, len: part.len, whole: part.len == part.piece_len }
            });
            let delivery = Delivery::new(self.slot.clone(), targets.collect());
            let pending = Pending::Read(delivery.clone());
            // A link that is over has told the delivery so, or never knew of it: either way `collect` finds nothing.
            match link.request(Kind::Read, &request.encode(), pending, self.limits.deadline) {
                Ok(request) => {
                    under_way.push(UnderWay { request, items: items.to_vec(), delivery })
                }
                Err(error) if error.code == Code::Unreachable => break,
                Err(error) => return Err(error),
            }
        }
        Ok(under_way)
    }

    fn request(&self, items: &[usize], attachments: &Attachments) -> Result<ReadRequest> {
        let mut request = ReadRequest::default();
        let mut objects = HashMap::new();
        for &n in items {
            let part = &self.parts[n];
            let object = match objects.get(&part.sample) {
                Some(object) => *object,
                None => {
                    request.objects.push(self.selection.object(part.sample as usize, attachments)?);
                    let object = request.objects.len() as u32 - 1;
                    objects.insert(part.sample, object);
                    object
                }
            };
            let distrust = self.attempts[n] > 0;
            request.items.push(ReadItem {
                object,
                piece: part.piece,
                skip: part.skip,
                len: part.len,
                distrust,
            });
        }
        Ok(request)
    }

    fn collect(&mut self, link: &Link, under_way: Vec<UnderWay>) {
        for UnderWay { request, items, delivery } in under_way {
            let start = Instant::now();
            self.limits.cancel.watch(delivery.clone() as Arc<dyn Abandon>);
            let (arrivals, over) = delivery.wait(self.limits.deadline);
            let late = arrivals.iter().any(Option::is_none);
            if late && over.as_ref().is_none_or(|error| error.code == Code::Cancelled) {
                link.cancel(request);
            }
            let mut fetched = false;
            for (n, arrival) in items.into_iter().zip(arrivals) {
                fetched |= !matches!(arrival, None | Some(Ok(Origin::Stored)));
                if matches!(arrival, Some(Ok(Origin::Stored))) {
                    self.from_device.push(n);
                }
                self.arrived(n, arrival, over.as_ref());
            }
            *(if fetched || late { &mut self.waits.source } else { &mut self.waits.device }) +=
                start.elapsed();
        }
    }

    fn arrived(&mut self, n: usize, arrival: Option<Arrival>, over: Option<&Error>) {
        self.states[n] = match (arrival, over) {
            (Some(Ok(origin)), _) => State::Here(origin),
            (Some(Err(error)), _)
                if error.code == Code::Corrupt && self.attempts[n] + 1 < ATTEMPTS =>
            {
                self.attempts[n] += 1;
                State::Wanted
            }
            (Some(Err(error)), _) => State::Failed(error.code, error.message),
            // The daemon went; the one that comes back is asked.
            (None, Some(error)) if error.code == Code::Unreachable => State::Wanted,
            (None, Some(error)) => State::Failed(error.code, error.message.clone()),
            (None, None) => {
                let error = timed_out(&"the daemon to fetch it from the source", self.limits.since);
                State::Failed(error.code, error.message)
            }
        }
    }

    /// What the first round left: wrong copies, and what a daemon that went away owed.
    fn ask_again(&mut self) -> Result<()> {
        while self.states.contains(&State::Wanted) {
            let session = self.session;
            let connected = timed(&mut self.waits.queue, || session.link(self.limits));
            let link = match connected {
                Ok(link) => link,
                Err(error) => {
                    for state in self.states.iter_mut().filter(|state| **state == State::Wanted) {
                        *state = State::Failed(error.code, error.message.clone());
                    }
                    break;
                }
            };
            let under_way = self.ask(&link, |_| true)?;
            self.collect(&link, under_way);
        }
        Ok(())
    }

    fn finish(mut self) -> (Batch, Receipt) {
        let mut samples = vec![Sample::Hit; self.layout.len()];
        for (part, state) in self.parts.iter().zip(&self.states) {
            let sample = &mut samples[part.sample as usize];
            match (state, &sample) {
                (_, Sample::Failed(_)) => {}
                (State::Failed(code, message), _) => {
                    *sample = Sample::Failed(Error::new(*code, message.clone()));
                }
                (State::Here(Origin::Fetched), _) => *sample = Sample::Fetched,
                (State::Here(Origin::Joined), Sample::Hit) => *sample = Sample::Joined,
                _ => {}
            }
        }
        for (sample, (_, len)) in samples.iter().zip(&self.layout) {
            self.receipt.samples += 1;
            self.receipt.hit_samples += u32::from(matches!(sample, Sample::Hit | Sample::Joined));
            self.receipt.bytes += if matches!(sample, Sample::Failed(_)) { 0 } else { *len as u64 };
        }
        let device = self.device_tally(&samples);
        let Reading { slot, layout, waits, receipt, .. } = self;
        (Batch { slot, layout, samples, device, waits }, receipt)
    }

    /// Samples of segments for which the device was asked.
    fn device_tally(&mut self, samples: &[Sample]) -> Tally {
        let mut asked: Vec<u32> =
            self.from_device.drain(..).map(|n| self.parts[n].sample).collect();
        asked.sort_unstable();
        asked.dedup();
        let hits = asked.iter().map(|sample| *sample as usize);
        let bytes: Vec<u64> = hits
            .filter(|sample| matches!(samples[*sample], Sample::Hit))
            .map(|sample| self.layout[sample].1 as u64)
            .collect();
        Tally { samples: bytes.len() as u64, bytes: bytes.iter().sum() }
    }
}
