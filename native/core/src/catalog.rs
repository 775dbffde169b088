//! Which records are resident: the key table and the segments it points into, changed together under one lock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::catalog_state::{CatalogState, Number};
use crate::device::Device;
use crate::extent::{Original, Payload};
use crate::fates::{Fate, Fates};
use crate::image_saving::save_images;
use crate::lingering::Lingering;
use crate::loading::Loading;
use crate::pins::Pins;
use crate::random::random_bytes;
use crate::record_entry::RecordEntry;
use crate::segment::{Segment, SegmentFile, SegmentParts, unix_seconds};
use crate::table_builder::Built;
use crate::table_room::TableRoom;
use crate::tenant::Tenants;
use crate::unloaded::{Sought, Unloaded};
use crate::{Code, Error, Location, RecordKey, Result, TableHandle, TableWriter};

/// A table begins with room for so many records, and doubles.
pub(crate) const FIRST_TABLE_RECORDS: usize = 1 << 16;
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Freed {
    /// Records that can no longer be found.
    pub records: u64,
    /// Their stored bytes. Space comes back when a segment has nothing live left.
    pub bytes: u64,
}

/// What became of entries that were to be published.
pub(crate) enum Published {
    Done,
    /// The segment was evicted meanwhile.
    SegmentGone,
    /// The table cannot grow; none, or some of the entries are found.
    TableFull(Error),
}

pub(crate) struct Catalog {
    state: Mutex<CatalogState>,
    /// How often records were made unreachable.
    removals: AtomicU64,
    pub tenants: Tenants,
    pub lingering: Lingering,
    pub room: Arc<TableRoom>,
    /// Of those that are not resident.
    pub fates: Fates,
    pub loading: Loading,
}

impl Catalog {
    pub fn new(record_capacity: usize, most_bytes: u64) -> Result<Catalog> {
        let table = TableWriter::create(record_capacity)?;
        let random = random_bytes()
            .map_err(|error| Error::io("choosing the generation of segments", &error))?;
        // Half of the numbers are left to go through, and 0 is nobody's.
        let first_generation = u32::from_le_bytes(random) / 2 + 1;
        let (numbers, free) = (Vec::new(), Vec::new());
        let pins = Pins::default();
        let room = Arc::new(TableRoom::new(most_bytes));
        let (room_of, pinned_early) = (room.clone(), None);
        let state = CatalogState {
            table,
            room: room_of,
            pins,
            pinned_early,
            first_generation,
            numbers,
            free,
        };
        state.settle();
        let (removals, tenants, lingering, fates, loading) = Default::default();
        Ok(Catalog { state: Mutex::new(state), removals, tenants, lingering, room, fates, loading })
    }

    /// What earlier runs left is found there until it is installed. Most calls wait for the end of it.
    pub fn begin_loading(&self, unloaded: Unloaded) {
        self.now().pinned_early = Some(Vec::new());
        self.loading.begin(unloaded);
    }

    /// Gives the segment a number. A number that is used again has a new generation.
    pub fn register(&self, parts: SegmentParts) -> Arc<Segment> {
        let tenant = self.tenants.of(&parts.label.identity);
        let mut state = self.state();
        let number = state.free.pop().unwrap_or(state.numbers.len() as u32);
        if number as usize == state.numbers.len() {
            let unused = Number { generation: state.first_generation, segment: None };
            state.numbers.push(unused);
        }
        let place = &mut state.numbers[number as usize];
        place.generation = place.generation.wrapping_add(1);
        let segment = Arc::new(Segment::new(parts, tenant, (number, place.generation)));
        place.segment = Some(segment.clone());
        segment
    }

    /// Takes over what was found of segments that were registered before, and nothing else of them is known yet. One of
    /// which nothing can be found is removed: later segments have all its records.
    /// Says how many records the table has no room for.
    pub fn install(&self, built: Built) -> Result<u64> {
        let Built { table, mut live, crowded, mut left_out } = built;
        let mut state = self.now();
        std::mem::replace(&mut state.table, table).retire();
        state.settle();
        for (key, location) in crowded {
            if let Some(before) = state.table.get(&key) {
                if before.segment > location.segment {
                    continue;
                }
                live[before.segment as usize].take(before.stored_len);
            }
            match state.insert(&key, &location) {
                Ok(()) => live[location.segment as usize].add(location.stored_len),
                Err(error) if error.code == Code::Full => left_out += 1,
                Err(error) => return Err(error),
            }
        }
        let mut emptied = Vec::new();
        for (place, live) in state.numbers.iter_mut().zip(&live) {
            if let Some(segment) = &place.segment {
                segment.set_live(*live);
            }
            // Its records may be among those that were left out.
            let is_emptied = live.records == 0 && left_out == 0;
            emptied.extend(place.segment.take_if(|_| is_emptied));
        }
        for key in state.pinned_early.take().unwrap_or_default() {
            state.count_pinned(&key);
        }
        drop(state);
        for segment in &emptied {
            self.discard(segment);
        }
        Ok(left_out)
    }

    /// Makes records findable, after the write of their extent returned. A key that is there already moves to its new
    /// place: both hold the same bytes. A copy takes the place of its original alone: what was forgotten, or came anew,
    /// while it was made stays so. The segment of an original stays until it is retired.
    pub fn publish(
        &self,
        segment: &Arc<Segment>,
        entries: &[RecordEntry],
        payloads: &[Payload<'_>],
    ) -> Published {
        let mut state = self.state();
        if state.segment(segment.number(), segment.generation()).is_none() {
            return Published::SegmentGone;
        }
        segment.remember(entries);
        segment.count(entries);
        let mut emptied = Vec::new();
        let mut outcome = Published::Done;
        for (entry, payload) in entries.iter().zip(payloads) {
            let before = state.table.get(&entry.key);
            let is_at = |original: Original| before.is_some_and(|before| original.is_at(&before));
            if !payload.original.is_none_or(is_at) {
                continue;
            }
            let location = entry.location(segment.number(), segment.generation());
            if let Err(error) = state.insert(&entry.key, &location) {
                outcome = Published::TableFull(error);
                break;
            }
            segment.add_live(entry.stored_len);
            if state.pins.has(&entry.key) {
                segment.add_pinned(entry.stored_len);
            }
            let Some(before) = before else { continue };
            if payload.original.is_some() {
                state.count_out(&entry.key, &before);
            } else {
                emptied.extend(state.release(&entry.key, &before));
            }
        }
        state.settle();
        drop(state);
        for segment in &emptied {
            self.discard(segment);
        }
        outcome
    }

    pub fn lookup(&self, key: &RecordKey) -> Option<Location> {
        match self.loading.seek(key) {
            Sought::Found(location) => return Some(location),
            Sought::Absent => return None,
            Sought::Unknown => {}
        }
        let state = self.state();
        let location = state.table.get(key)?;
        state.segment(location.segment, location.generation)?;
        Some(location)
    }

    /// As long as it stays the same, what was found is found.
    pub fn removals(&self) -> u64 {
        self.removals.load(Ordering::Acquire)
    }

    pub fn segment(&self, number: u32, generation: u32) -> Option<Arc<SegmentFile>> {
        Some(self.now().segment(number, generation)?.reader.clone())
    }

    /// A device did not give what lies there. That a file is shorter than it was is no fault of its device.
    pub fn add_read_error(&self, location: &Location, error: &std::io::Error) {
        let state = self.now();
        let segment = state.segment(location.segment, location.generation);
        if let Some(segment) = segment.filter(|_| error.raw_os_error().is_some()) {
            segment.device.add_read_error(error);
        }
    }

    pub fn segments(&self) -> Vec<Arc<Segment>> {
        self.now().numbers.iter().filter_map(|number| number.segment.clone()).collect()
    }

    /// Somebody read `bytes` in all, some of them from each of these segments.
    pub fn touch(&self, segments: &[u32], bytes: u64) {
        let now = unix_seconds();
        let state = self.now();
        let share = bytes / segments.len().max(1) as u64;
        for segment in segments
            .iter()
            .filter_map(|number| state.numbers.get(*number as usize)?.segment.as_ref())
        {
            segment.touch(now);
            segment.tenant.add_read(share);
        }
    }

    pub fn table(&self) -> TableHandle {
        self.now().table.handle()
    }

    /// Nothing is written any more: saves what each device needs for a quick start, and says what could not be.
    pub fn save(&self, stop: [u8; 16], devices: &[Arc<Device>]) -> Vec<String> {
        let state = self.state();
        if self.loading.has_failed() {
            return vec!["the key table is not saved: it has not all that is there".into()];
        }
        let segments: Vec<_> = state.numbers.iter().map(|number| number.segment.clone()).collect();
        save_images(stop, devices, state.table.buckets(), &segments)
    }

    /// Not of what is not loaded yet: it is checked once more.
    pub fn mark_verified(&self, keys: &[RecordKey]) {
        let mut state = self.now();
        for key in keys {
            state.table.set_verified(key);
        }
    }

    /// False where the record is not in that segment (number, generation).
    pub fn forget_damaged(&self, key: &RecordKey, segment: (u32, u32)) -> bool {
        let is_there = |at: &Location| (at.segment, at.generation) == segment;
        self.forget_those(std::slice::from_ref(key), Fate::Damaged, is_there).records > 0
    }

    pub fn forget(&self, keys: &[RecordKey], fate: Fate) -> Freed {
        self.forget_those(keys, fate, |_| true)
    }

    fn forget_those(
        &self,
        keys: &[RecordKey],
        fate: Fate,
        which: impl Fn(&Location) -> bool,
    ) -> Freed {
        self.removals.fetch_add(1, Ordering::AcqRel);
        let mut freed = Freed::default();
        let (mut forgotten, mut emptied) = (Vec::new(), Vec::new());
        let mut state = self.state();
        for key in keys {
            let Some(location) = state.table.get(key).filter(&which) else { continue };
            if !state.table.remove(key, location.generation) {
                continue;
            }
            freed.records += 1;
            freed.bytes += u64::from(location.stored_len);
            forgotten.push(*key);
            emptied.extend(state.release(key, &location));
        }
        state.settle();
        drop(state);
        if freed.records > 0 {
            self.room.freed();
        }
        self.fates.note(forgotten, fate);
        for segment in &emptied {
            self.discard(segment);
        }
        freed
    }

    /// What of these records is resident, or will be, is not evicted from now on.
    pub fn pin(&self, keys: &[RecordKey]) {
        let mut state = self.now();
        for key in keys.iter().filter(|key| state.pins.add(key)).collect::<Vec<_>>() {
            match &mut state.pinned_early {
                Some(early) => early.push(*key),
                None => state.count_pinned(key),
            }
        }
    }

    pub fn unpin_all(&self) {
        let mut state = self.now();
        state.pins.clear();
        state.pinned_early.iter_mut().for_each(Vec::clear);
        state.numbers.iter().filter_map(|number| number.segment.as_ref()).for_each(|segment| {
            segment.clear_pinned();
        });
    }

    pub fn is_pinned(&self, key: &RecordKey) -> bool {
        self.now().pins.has(key)
    }

    /// A segment that holds something pinned stays.
    pub fn evict(&self, numbers: &[u32]) -> Freed {
        self.removals.fetch_add(1, Ordering::AcqRel);
        let taken: Vec<_> = {
            let mut state = self.state();
            let take = |number: &u32| {
                let place = state.numbers.get_mut(*number as usize)?;
                place.segment.take_if(|segment| segment.pinned_bytes() == 0)
            };
            numbers.iter().filter_map(take).collect()
        };
        let mut freed = Freed::default();
        for segment in taken {
            let of_segment = self.discard(&segment);
            freed.records += of_segment.records;
            freed.bytes += of_segment.bytes;
        }
        freed
    }

    /// What can be found of a sealed segment, as its own entries say; `None` when it is gone or still filled.
    pub fn live_entries(&self, number: u32, generation: u32) -> Option<Vec<RecordEntry>> {
        let segment = self.state().segment(number, generation)?.clone();
        if !segment.is_sealed() {
            return None;
        }
        let mut entries = segment.entries();
        let state = self.state();
        entries.retain(|entry| {
            let found = state.table.get(&entry.key);
            found.is_some_and(|at| {
                Original { entry: *entry, segment: number, generation }.is_at(&at)
            })
        });
        Some(entries)
    }

    /// Ends a segment that has nothing left to be found. False where something is, or where it is gone.
    pub fn retire(&self, number: u32, generation: u32) -> bool {
        let mut state = self.state();
        let is_empty = |segment: &Arc<Segment>| segment.live_records() == 0;
        if !state.segment(number, generation).is_some_and(is_empty) {
            return false;
        }
        let taken = state.numbers[number as usize].segment.take();
        drop(state);
        taken.iter().for_each(|segment| {
            self.discard(segment);
        });
        true
    }

    /// Takes a segment back that nothing was published of; nothing happens where it was evicted meanwhile.
    pub fn withdraw(&self, segment: &Segment) {
        let mut state = self.state();
        if state.segment(segment.number(), segment.generation()).is_some() {
            state.numbers[segment.number() as usize].segment = None;
            drop(state);
            self.discard(segment);
        }
    }

    /// Takes a segment back whose file is nobody's to remove here.
    pub fn unregister(&self, segment: &Segment) {
        let mut state = self.now();
        state.numbers[segment.number() as usize].segment = None;
        state.free.push(segment.number());
        drop(state);
        segment.give_back_space();
    }

    /// Ends a segment that no number leads to any more. Its number is free only after its keys are out of the table, so
    /// no location of it can ever seem to be of a later one.
    fn discard(&self, segment: &Segment) -> Freed {
        let entries = if segment.live_records() > 0 { segment.entries() } else { Vec::new() };
        segment.unlink();
        self.lingering.add(segment, segment.take_space());
        let mut freed = Freed::default();
        let mut evicted = Vec::new();
        let mut state = self.now();
        for entry in entries {
            let is_of_segment = |at: &Location| {
                (at.segment, at.generation) == (segment.number(), segment.generation())
            };
            if state.table.get(&entry.key).as_ref().is_some_and(is_of_segment) {
                state.table.remove(&entry.key, segment.generation());
                freed.records += 1;
                freed.bytes += u64::from(entry.stored_len);
                evicted.push(entry.key);
            }
        }
        state.free.push(segment.number());
        state.settle();
        drop(state);
        if freed.records > 0 {
            self.room.freed();
        }
        self.fates.note(evicted, Fate::Evicted);
        freed
    }

    /// As it is once all that earlier runs left is in it.
    fn state(&self) -> MutexGuard<'_, CatalogState> {
        self.loading.wait();
        self.now()
    }

    /// As it is, for what a loading itself does, and for what does without the table.
    fn now(&self) -> MutexGuard<'_, CatalogState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
