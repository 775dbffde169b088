//! The segments that this process has mapped. Each is asked for once; one that cannot be had or mapped is read through
//! the daemon instead.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use millpool_core::{Location, Mapping};
use rustc_hash::FxHashMap;

/// (number, generation).
pub type SegmentId = (u32, u32);

/// By slot: each mapping is put into the next one, and none is used again, so a slot never means another segment.
/// Copied where somebody holds it while it changes.
pub type Slots = Arc<Vec<Option<Arc<Mapping>>>>;

#[derive(Default)]
pub struct Segments {
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// Looked up for each sample; the numbers are the daemon's own, so nobody makes them collide. `None`: not to be
    /// had.
    slots_of: FxHashMap<SegmentId, Option<u32>>,
    slots: Slots,
}

impl Known {
    fn mapping(&self, slot: u32) -> Option<&Arc<Mapping>> {
        self.slots.get(slot as usize)?.as_ref()
    }

    fn take(&mut self, slot: u32) -> Option<Arc<Mapping>> {
        Arc::make_mut(&mut self.slots).get_mut(slot as usize)?.take()
    }
}

pub fn segment_of(location: &Location) -> SegmentId {
    (location.segment, location.generation)
}

impl Segments {
    /// The mapping of each location's segment, where there is one; and the segments that were never asked for.
    pub fn of(
        &self,
        locations: &[Option<Location>],
    ) -> (Vec<Option<Arc<Mapping>>>, Vec<SegmentId>) {
        let known = self.known();
        let mut unknown = Vec::new();
        let mut mapping_of = |id: SegmentId| match known.slots_of.get(&id) {
            Some(slot) => slot.and_then(|slot| known.mapping(slot).cloned()),
            None => {
                unknown.push(id);
                None
            }
        };
        let mappings = locations
            .iter()
            .map(|location| location.as_ref().and_then(|location| mapping_of(segment_of(location))))
            .collect();
        drop(known);
        unknown.sort_unstable();
        unknown.dedup();
        (mappings, unknown)
    }

    pub fn learn(&self, id: SegmentId, mapping: Option<Mapping>) {
        let mut known = self.known();
        // Another thread has mapped it meanwhile: what has a slot keeps it.
        if let Some(Some(_)) = known.slots_of.get(&id) {
            return;
        }
        let slot = mapping.map(|mapping| {
            let slots = Arc::make_mut(&mut known.slots);
            slots.push(Some(Arc::new(mapping)));
            slots.len() as u32 - 1
        });
        known.slots_of.insert(id, slot);
    }

    /// A mapping that faulted is not used again.
    pub fn spoil(&self, id: SegmentId) {
        let mut known = self.known();
        let spoilt = known.slots_of.insert(id, None).flatten();
        let dropped = spoilt.and_then(|slot| known.take(slot));
        drop(known);
        drop(dropped);
    }

    /// All slots as they are now; a segment that goes meanwhile is held for as long as they are.
    pub fn slots(&self) -> Slots {
        self.known().slots.clone()
    }

    pub fn slots_of(&self, ids: impl Iterator<Item = SegmentId>) -> Vec<Option<u32>> {
        let known = self.known();
        ids.map(|id| known.slots_of.get(&id).copied().flatten()).collect()
    }

    /// The daemon has unlinked these. What reads from them now still can; then their room goes back to the device.
    pub fn gone(&self, ids: &[SegmentId]) {
        let mut known = self.known();
        let slots: Vec<u32> =
            ids.iter().filter_map(|id| known.slots_of.remove(id).flatten()).collect();
        let dropped: Vec<_> = slots.into_iter().filter_map(|slot| known.take(slot)).collect();
        drop(known);
        drop(dropped);
    }

    pub fn clear(&self) {
        let mut known = self.known();
        known.slots_of.clear();
        let none = Arc::new(vec![None; known.slots.len()]);
        let dropped = std::mem::replace(&mut known.slots, none);
        drop(known);
        drop(dropped);
    }

    pub fn mapped(&self) -> usize {
        self.known().slots.iter().flatten().count()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
