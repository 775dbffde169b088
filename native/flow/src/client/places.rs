//! Where the samples of a dataset were found: a word each, so that a sample which is read again costs one look at
//! memory instead of one each at its entry, its bucket and its segment.

use std::mem::ManuallyDrop;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use millpool_core::{Codec, Dataset, Location, TableReader};

/// Of all datasets together: 64 MiB. What is larger is more than memory holds, and read at a device's pace.
const WORDS_MAX: usize = 8 << 20;

/// What was found is believed while this stays what it was before the look-up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stamp {
    incarnation: u64,
    changes: NonZeroU64,
}

impl Stamp {
    /// `None` for a table of which nothing may be kept.
    pub fn of(table: &TableReader) -> Option<Stamp> {
        Some(Stamp { incarnation: table.incarnation(), changes: table.changes()? })
    }

    fn is_before(&self, other: &Stamp) -> bool {
        self.incarnation == other.incarnation && self.changes < other.changes
    }
}

/// A record that is a whole sample, and was checked in this run of the daemon.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// Of the session's segments.
    pub slot: u32,
    pub offset: u32,
    pub len: u32,
}

impl Place {
    const LEN_BITS: u32 = 22;
    const OFFSET_BITS: u32 = 22;
    const OFFSET_UNIT_BYTES: u32 = 64;
    /// Of a sample without bytes, which lies nowhere.
    pub const EMPTY: Place = Place { slot: 0, offset: 0, len: 0 };

    /// `None` for a record that is not copied as it lies there.
    pub fn of(slot: u32, location: &Location) -> Option<Place> {
        let Location { offset, stored_len: len, codec, .. } = *location;
        (codec == Codec::Raw).then_some(Place { slot, offset, len })
    }

    /// Never 0. `None` where it does not fit.
    fn word(self) -> Option<u64> {
        let slot = u64::from(self.slot) + 1;
        let offset = u64::from(self.offset / Self::OFFSET_UNIT_BYTES);
        let fits = slot < 1 << (u64::BITS - Self::LEN_BITS - Self::OFFSET_BITS)
            && self.offset.is_multiple_of(Self::OFFSET_UNIT_BYTES)
            && offset < 1 << Self::OFFSET_BITS
            && self.len < 1 << Self::LEN_BITS;
        let word = (slot << Self::OFFSET_BITS | offset) << Self::LEN_BITS | u64::from(self.len);
        fits.then_some(word)
    }

    fn of_word(word: u64) -> Option<Place> {
        let low = |bits: u32| (1u64 << bits) - 1;
        let offset = (word >> Self::LEN_BITS & low(Self::OFFSET_BITS)) as u32;
        Some(Place {
            slot: ((word >> (Self::LEN_BITS + Self::OFFSET_BITS)) as u32).checked_sub(1)?,
            offset: offset * Self::OFFSET_UNIT_BYTES,
            len: (word & low(Self::LEN_BITS)) as u32,
        })
    }
}

/// Of one dataset, under one stamp.
pub struct Places {
    dataset: Weak<Dataset>,
    stamp: Stamp,
    words: Vec<AtomicU64>,
}

impl Places {
    fn new(dataset: &Arc<Dataset>, stamp: Stamp) -> Places {
        // Zeros that nobody touched take no memory.
        let mut zeros = ManuallyDrop::new(vec![0u64; dataset.len() as usize]);
        // SAFETY: the memory is a vector's, which is used no more; a word and an atomic word are laid out alike.
        let words = unsafe {
            Vec::from_raw_parts(zeros.as_mut_ptr().cast(), zeros.len(), zeros.capacity())
        };
        Places { dataset: Arc::downgrade(dataset), stamp, words }
    }

    pub fn get(&self, sample: u64) -> Option<Place> {
        Place::of_word(self.words.get(sample as usize)?.load(Ordering::Relaxed))
    }

    pub fn set(&self, sample: u64, place: Place) {
        if let (Some(word), Some(new)) = (self.words.get(sample as usize), place.word()) {
            word.store(new, Ordering::Relaxed);
        }
    }

    fn is_of(&self, dataset: &Arc<Dataset>) -> bool {
        self.dataset.as_ptr() == Arc::as_ptr(dataset)
    }
}

/// Of a process's datasets, the one that was noted last at the end.
#[derive(Default)]
pub struct KnownPlaces(Mutex<Vec<Arc<Places>>>);

impl KnownPlaces {
    pub fn of(&self, dataset: &Arc<Dataset>, stamp: Stamp) -> Option<Arc<Places>> {
        let known = self.known();
        known.iter().find(|places| places.is_of(dataset) && places.stamp == stamp).cloned()
    }

    /// Where to note what was found under `stamp`; `None` where newer things are known, or the dataset is too large.
    pub fn to_note(&self, dataset: &Arc<Dataset>, stamp: Stamp) -> Option<Arc<Places>> {
        if dataset.len() as usize > WORDS_MAX {
            return None;
        }
        let mut known = self.known();
        if let Some(places) = known.iter().find(|places| places.is_of(dataset)) {
            if places.stamp == stamp {
                return Some(places.clone());
            }
            if stamp.is_before(&places.stamp) {
                return None;
            }
        }
        known.retain(|places| !places.is_of(dataset) && places.dataset.strong_count() > 0);
        let words = |known: &[Arc<Places>]| known.iter().map(|one| one.words.len()).sum::<usize>();
        while words(&known) + dataset.len() as usize > WORDS_MAX {
            known.remove(0);
        }
        let places = Arc::new(Places::new(dataset, stamp));
        known.push(places.clone());
        Some(places)
    }

    pub fn clear(&self) {
        self.known().clear();
    }

    fn known(&self) -> MutexGuard<'_, Vec<Arc<Places>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_place_is_what_its_word_says(slot in 0u32..1 << 21, offset in 0u32..1 << 24, len in 0u32..1 << 23) {
            let place = Place { slot, offset: offset * 64, len };
            let fits = slot < (1 << 20) - 1 && offset < 1 << 22 && len < 1 << 22;
            prop_assert_eq!(place.word().is_some(), fits);
            if let Some(word) = place.word() {
                prop_assert!(word != 0);
                prop_assert_eq!(Place::of_word(word), Some(place));
            }
        }
    }

    #[test]
    fn a_word_that_nobody_wrote_is_no_place() {
        assert_eq!(Place::of_word(0), None);
    }
}
