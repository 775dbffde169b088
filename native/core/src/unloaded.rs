//! Records that earlier runs left and that are not in the key table yet, found one by one where they are told of: in a
//! saved table, or in footers. What is found there was not checked, but says the checksum of its bytes, which are held
//! against it when they are read.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::footer::Trailer;
use crate::record_entry::RecordEntry;
use crate::saved_table::SavedTable;
use crate::segment::Segment;
use crate::sorted_list::Doubtful;
use crate::{Location, RecordKey};

/// A read costs as much as loading so many records. Reading all of them at once is cheaper than many look-ups, which
/// therefore take no more reads than this allows, and then wait.
const RECORDS_A_READ: usize = 16;

pub(crate) enum Sought {
    Found(Location),
    Absent,
    /// Only the whole table can tell.
    Unknown,
}

pub(crate) struct Unloaded {
    saved: Option<Arc<SavedTable>>,
    /// Segments that the saved table does not tell of, in the order of their numbers.
    others: Vec<(Arc<Segment>, Entries)>,
    reads_left: AtomicI64,
}

/// Where the entries of a segment are.
pub(crate) enum Entries {
    Footer(Trailer),
    /// Of one without a footer: sorted by key.
    Here(Vec<RecordEntry>),
}

impl Unloaded {
    /// `records` are to be loaded.
    pub fn new(
        saved: Option<Arc<SavedTable>>,
        others: Vec<(Arc<Segment>, Entries)>,
        records: usize,
    ) -> Unloaded {
        Unloaded { saved, others, reads_left: AtomicI64::new((records / RECORDS_A_READ) as i64) }
    }

    pub fn seek(&self, key: &RecordKey) -> Sought {
        if self.reads_left.load(Ordering::Relaxed) <= 0 {
            return Sought::Unknown;
        }
        match self.find(key) {
            Ok(Some(location)) => Sought::Found(location),
            Ok(None) => Sought::Absent,
            Err(Doubtful) => Sought::Unknown,
        }
    }

    /// Of two copies that of the segment with the greater number counts.
    fn find(&self, key: &RecordKey) -> Result<Option<Location>, Doubtful> {
        for (segment, entries) in self.others.iter().rev() {
            if let Some(entry) = entries.find(segment, key, &self.reads_left)? {
                return Ok(Some(entry.location(segment.number(), segment.generation())));
            }
        }
        self.saved.as_ref().map_or(Ok(None), |saved| saved.locate(key, &self.reads_left))
    }
}

impl Entries {
    fn find(
        &self,
        segment: &Segment,
        key: &RecordKey,
        reads_left: &AtomicI64,
    ) -> Result<Option<RecordEntry>, Doubtful> {
        match self {
            Entries::Footer(trailer) => trailer.find(&segment.reader.file, key, reads_left),
            Entries::Here(entries) => {
                let end = entries.partition_point(|entry| entry.key <= *key);
                Ok(entries[..end].last().filter(|entry| entry.key == *key).copied())
            }
        }
    }
}
