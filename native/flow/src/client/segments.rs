//! The segments that this process has mapped. Each is asked for once; one that cannot be had or mapped is read through
//! the daemon instead.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use millpool_core::{Location, Mapping};

/// (number, generation).
pub type SegmentId = (u32, u32);

#[derive(Default)]
pub struct Segments {
    /// `None`: not to be had.
    known: Mutex<HashMap<SegmentId, Option<Arc<Mapping>>>>,
}

pub fn segment_of(location: &Location) -> SegmentId {
    (location.segment, location.generation)
}

impl Segments {
    /// Those of `wanted` that were never asked for.
    pub fn unknown(&self, wanted: impl Iterator<Item = SegmentId>) -> Vec<SegmentId> {
        let known = self.known();
        let mut unknown: Vec<_> = wanted.filter(|id| !known.contains_key(id)).collect();
        unknown.sort_unstable();
        unknown.dedup();
        unknown
    }

    pub fn learn(&self, id: SegmentId, mapping: Option<Mapping>) {
        self.known().insert(id, mapping.map(Arc::new));
    }

    /// The mappings of these segments, `None` where there is none.
    pub fn get(&self, ids: impl Iterator<Item = SegmentId>) -> Vec<Option<Arc<Mapping>>> {
        let known = self.known();
        ids.map(|id| known.get(&id).cloned().flatten()).collect()
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

    fn known(&self) -> MutexGuard<'_, HashMap<SegmentId, Option<Arc<Mapping>>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
