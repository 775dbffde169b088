//! Where a key lives among the buckets: in one of two, each named by one half of the key; when both are full, entries
//! move to their other bucket along the shortest path that ends in a free place (breadth-first cuckoo, after Li,
//! Andersen, Kaminsky, Freedman, "Algorithmic Improvements for Fast Concurrent Cuckoo Hashing", EuroSys 2014). An entry
//! is written to its new place before the old one is reused, so a reader may miss it but never find another's.

use crate::bucket::{Bucket, Entry, Word};

/// Buckets looked at before an insertion gives up: far above what 90 % load needs.
const SEARCH_BUCKETS: usize = 2048;

/// No room, though some may come back by removals.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the key table is full")]
pub struct TableFull;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Inserted {
    New,
    Replaced,
}

pub(crate) struct Cuckoo<'a, W, const ENTRIES: usize> {
    buckets: &'a [Bucket<W, ENTRIES>],
}

/// Each half of a key scaled to the number of buckets (Lemire's multiply-shift).
#[inline]
pub(crate) fn homes(key: [u64; 2], buckets: usize) -> [usize; 2] {
    key.map(|half| ((u128::from(half) * buckets as u128) >> 64) as usize)
}

/// A bucket on the way to a free place; `from` is the step before and the slot there whose entry would move here.
struct Step {
    bucket: usize,
    from: Option<(usize, usize)>,
}

impl<'a, W: Word, const ENTRIES: usize> Cuckoo<'a, W, ENTRIES> {
    #[inline]
    pub fn new(buckets: &'a [Bucket<W, ENTRIES>]) -> Self {
        Cuckoo { buckets }
    }

    #[inline]
    pub fn homes(&self, key: [u64; 2]) -> [usize; 2] {
        homes(key, self.buckets.len())
    }

    #[inline]
    pub fn find(&self, key: [u64; 2]) -> Option<Entry> {
        let [first, second] = self.homes(key);
        self.buckets[first].find(key).or_else(|| self.buckets[second].find(key))
    }

    /// For the writer: bucket and slot of `key`.
    pub fn place_of(&self, key: [u64; 2]) -> Option<(usize, usize)> {
        self.homes(key)
            .into_iter()
            .find_map(|bucket| Some((bucket, self.buckets[bucket].slot_of(key)?)))
    }

    pub fn at(&self, (bucket, slot): (usize, usize)) -> Entry {
        self.buckets[bucket].owned()[slot]
    }

    pub fn write(&self, (bucket, slot): (usize, usize), entry: Entry) {
        self.buckets[bucket].write(slot, entry);
    }

    pub fn insert(&self, entry: Entry) -> Result<Inserted, TableFull> {
        if let Some(place) = self.place_of(entry.key()) {
            self.write(place, entry);
            return Ok(Inserted::Replaced);
        }
        let place = self.make_room(entry.key())?;
        self.write(place, entry);
        Ok(Inserted::New)
    }

    /// Frees a slot in one of the key's buckets. The shortest path never meets a bucket twice, so each move is of an
    /// entry that no earlier move touched.
    fn make_room(&self, key: [u64; 2]) -> Result<(usize, usize), TableFull> {
        let (steps, free) = self.path_to_room(key)?;
        let mut step = steps.last().expect("a path has a step");
        let mut place = (step.bucket, free);
        while let Some((before, slot)) = step.from {
            step = &steps[before];
            let source = (step.bucket, slot);
            self.write(place, self.at(source));
            place = source;
        }
        Ok(place)
    }

    /// Breadth first; the last step's bucket has the free slot.
    fn path_to_room(&self, key: [u64; 2]) -> Result<(Vec<Step>, usize), TableFull> {
        let mut steps: Vec<Step> = self.homes(key).map(|bucket| Step { bucket, from: None }).into();
        let mut next = 0;
        while next < steps.len() {
            let bucket = steps[next].bucket;
            if let Some(free) = self.buckets[bucket].free_slot() {
                steps.truncate(next + 1);
                return Ok((steps, free));
            }
            if steps.len() < SEARCH_BUCKETS {
                let entries = self.buckets[bucket].owned();
                let moves = entries.iter().enumerate().map(|(slot, entry)| {
                    let [first, second] = self.homes(entry.key());
                    Step {
                        bucket: if bucket == first { second } else { first },
                        from: Some((next, slot)),
                    }
                });
                steps.extend(moves);
            }
            next += 1;
        }
        Err(TableFull)
    }
}
