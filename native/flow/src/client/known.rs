//! Batches that are read at once: this process has read each of their samples before, knows where it lies, and finds it
//! in memory. Nothing is looked up, asked or waited for.

use std::sync::Arc;
use std::time::Instant;

use millpool_core::fault::major_faults;
use millpool_core::{Codec, Copy, Dataset, Location, Mapping, Outcome, PiecePart, Slot, gather};

use super::batch::Waits;
use super::layout::{ALIGN_BYTES, PlanPosition};
use super::places::{Place, Places, Stamp};
use super::session::Session;
use crate::message::Receipt;

/// What is larger is better read by a thread, while the caller does something else.
pub const KNOWN_BYTES_MAX: usize = 2 << 20;

/// Samples of a dataset, by index.
pub struct KnownRequest<'a> {
    pub dataset: &'a Arc<Dataset>,
    pub samples: &'a [u64],
    pub plan: PlanPosition,
}

/// All of its samples are hits.
pub struct KnownBatch {
    pub slot: Slot,
    /// Start in the slot and length, of each sample.
    pub layout: Vec<(usize, usize)>,
    pub bytes: u64,
    pub waits: Waits,
}

/// `None` where anything is not as it must be; then nothing was read, and `read` knows what to do.
pub fn read_known(session: &Session, request: &KnownRequest<'_>) -> Option<KnownBatch> {
    let start = Instant::now();
    let (link, table) = session.at_once()?;
    let places = session.places.of(request.dataset, Stamp::of(&table)?)?;
    let slots = session.segments.slots();
    let slot = session.ring.lease(KNOWN_BYTES_MAX, start).ok()?;
    let found = Found::new(request.samples, &places, &slots, &slot)?;
    if !session.cold.seems_warm(&found.copies) {
        return None;
    }
    let faults = major_faults();
    let mut outcomes = Vec::new();
    gather(&found.copies, &mut outcomes);
    if outcomes.iter().any(|outcome| *outcome != Outcome::Copied) {
        return None;
    }
    let segments = found.segments(&slots);
    let Found { layout, bytes, .. } = found;
    let (spent, waited) = (start.elapsed(), major_faults() != faults);
    let mut waits = Waits::default();
    if waited {
        session.cold.met_device();
        waits.device = spent;
    } else {
        waits.gather = spent;
    }
    let samples = request.samples.len() as u32;
    let PlanPosition { plan, position } = request.plan;
    let receipt = Receipt {
        plan,
        position,
        samples,
        hit_samples: samples,
        bytes,
        segments,
        ..Receipt::default()
    };
    session.receipts.keep(&link, receipt);
    Some(KnownBatch { slot, layout, bytes, waits })
}

/// What is to be copied, and from which slots of segments.
struct Found<'a> {
    copies: Vec<Copy<'a>>,
    layout: Vec<(usize, usize)>,
    bytes: u64,
    is_from: Vec<bool>,
}

impl<'a> Found<'a> {
    fn new(
        samples: &[u64],
        places: &Places,
        segments: &'a [Option<Arc<Mapping>>],
        slot: &Slot,
    ) -> Option<Found<'a>> {
        let mut found = Found {
            copies: Vec::with_capacity(samples.len()),
            layout: Vec::with_capacity(samples.len()),
            bytes: 0,
            is_from: vec![false; segments.len()],
        };
        // All of them first: the looks wait for memory together.
        let places: Vec<Option<Place>> = samples.iter().map(|sample| places.get(*sample)).collect();
        let mut end = 0usize;
        for place in places {
            let place = place?;
            if place == Place::EMPTY {
                found.layout.push((end, 0));
                continue;
            }
            let mapping = segments.get(place.slot as usize)?.as_deref()?;
            let (at, len) = (end.next_multiple_of(ALIGN_BYTES), place.len as usize);
            end = at + len;
            if end > slot.len() {
                return None;
            }
            // SAFETY: the slot is this read's alone, has room for the copy, and none overlaps another.
            let copy = unsafe {
                Copy::new(
                    mapping,
                    &location_of(&place, mapping),
                    PiecePart { piece_len: place.len, range: 0..place.len },
                    slot.as_ptr().add(at),
                )
            };
            found.copies.push(copy?);
            found.layout.push((at, len));
            found.bytes += len as u64;
            found.is_from[place.slot as usize] = true;
        }
        Some(found)
    }

    /// Their numbers, in no order.
    fn segments(&self, slots: &[Option<Arc<Mapping>>]) -> Vec<u32> {
        let read = slots.iter().zip(&self.is_from).filter(|(_, is_from)| **is_from);
        read.filter_map(|(mapping, _)| Some(mapping.as_ref()?.name().number)).collect()
    }
}

/// None is of a compressed record. Without the checksum: it was checked before the place was noted. A copy that is
/// checked all the same fails.
fn location_of(place: &Place, mapping: &Mapping) -> Location {
    let name = mapping.name();
    Location {
        segment: name.number,
        generation: name.generation,
        offset: place.offset,
        stored_len: place.len,
        crc: 0,
        codec: Codec::Raw,
        verified: true,
    }
}
