//! The segments that this process has mapped. Each is asked for once; one that cannot be had or mapped is read through
//! the daemon instead.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use millpool_core::{Location, Mapping};
use rustc_hash::FxHashMap;

/// (number, generation).
pub type SegmentId = (u32, u32);

/// Looked up for each sample; the numbers are the daemon's own, so nobody makes them collide.
type Known = FxHashMap<SegmentId, Option<Arc<Mapping>>>;

#[derive(Default)]
pub struct Segments {
    /// `None`: not to be had.
    known: Mutex<Known>,
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
        let mut mapping_of = |id: SegmentId| match known.get(&id) {
            Some(mapping) => mapping.clone(),
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
        self.known().insert(id, mapping.map(Arc::new));
    }

    /// A mapping that faulted is not used again.
    pub fn spoil(&self, id: SegmentId) {
        self.known().insert(id, None);
    }

    /// The daemon has unlinked these. What reads from them now still can; then their room goes back to the device.
    pub fn gone(&self, ids: &[SegmentId]) {
        let mut known = self.known();
        let dropped: Vec<_> = ids.iter().filter_map(|id| known.remove(id)).collect();
        drop(known);
        drop(dropped);
    }

    pub fn clear(&self) {
        let dropped = std::mem::take(&mut *self.known());
        drop(dropped);
    }

    pub fn mapped(&self) -> usize {
        self.known().values().flatten().count()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
