//! What the lock of a catalog is about: the key table, the segments it points into, and what is pinned of them.

use std::sync::Arc;

use crate::pins::Pins;
use crate::segment::Segment;
use crate::table_builder::{Built, TableBuilder};
use crate::table_memory::buckets_for;
use crate::table_room::TableRoom;
use crate::{Code, Error, Location, RecordKey, Result, TableFull, TableWriter};

/// Tables grow by this when a key finds no place.
const GROWTH: usize = 2;

pub(crate) struct CatalogState {
    pub table: TableWriter,
    pub room: Arc<TableRoom>,
    pub pins: Pins,
    /// Pinned before it could be known where they are.
    pub pinned_early: Option<Vec<RecordKey>>,
    /// Random: a client that still looks at the table of an earlier run never takes a segment of this one for its own.
    pub first_generation: u32,
    pub numbers: Vec<Number>,
    /// Numbers to use again.
    pub free: Vec<u32>,
}

/// A segment number and who has it.
pub(crate) struct Number {
    pub generation: u32,
    pub segment: Option<Arc<Segment>>,
}

impl CatalogState {
    pub fn segment(&self, number: u32, generation: u32) -> Option<&Arc<Segment>> {
        let place = self.numbers.get(number as usize)?;
        place.segment.as_ref().filter(|_| place.generation == generation)
    }

    pub fn resident(&self, key: &RecordKey) -> Option<(&Arc<Segment>, Location)> {
        let location = self.table.get(key)?;
        Some((self.segment(location.segment, location.generation)?, location))
    }

    pub fn count_pinned(&self, key: &RecordKey) {
        if let Some((segment, location)) = self.resident(key) {
            segment.add_pinned(location.stored_len);
        }
    }

    /// One record less at `location`. A segment that has none left is taken from its number, and is the caller's to
    /// discard once the lock is released.
    pub fn release(&mut self, key: &RecordKey, location: &Location) -> Option<Arc<Segment>> {
        let is_empty = self.count_out(key, location);
        if is_empty { self.numbers[location.segment as usize].segment.take() } else { None }
    }

    /// One record less at `location`, and whether its segment has none left now.
    pub fn count_out(&self, key: &RecordKey, location: &Location) -> bool {
        let Some(segment) = self.segment(location.segment, location.generation) else {
            return false;
        };
        if self.pins.has(key) {
            segment.take_pinned(location.stored_len);
        }
        segment.take_live(location.stored_len)
    }

    pub fn insert(&mut self, key: &RecordKey, location: &Location) -> Result<()> {
        let mut capacity = self.table.capacity();
        while let Err(TableFull) = self.table.insert(key, location) {
            capacity = capacity.saturating_mul(GROWTH);
            self.grow(capacity)?;
        }
        Ok(())
    }

    /// A new table of `capacity` with all that can still be found takes the place of the old one.
    pub fn grow(&mut self, capacity: usize) -> Result<()> {
        self.room.grow(self.table.bytes(), buckets_for(capacity))?;
        let mut larger = TableBuilder::create(capacity, self.numbers.len())?;
        let is_live = |at: &Location| self.segment(at.segment, at.generation).is_some();
        larger.add(self.table.entries().filter(|(_, location)| is_live(location)));
        let Built { table: mut larger, crowded, .. } = larger.finish()?;
        for (key, location) in crowded {
            if let Err(TableFull) = larger.insert(&key, &location) {
                let message = format!(
                    "a key table of {capacity} records has no place for what a smaller one held"
                );
                return Err(Error::new(Code::Full, message));
            }
        }
        let old = std::mem::replace(&mut self.table, larger);
        old.retire();
        self.settle();
        Ok(())
    }

    pub fn settle(&self) {
        let (table, capacity) = (&self.table, self.table.capacity());
        let next = buckets_for(capacity.saturating_mul(GROWTH));
        self.room.settle(table.bytes(), (table.len(), capacity), next);
    }
}
