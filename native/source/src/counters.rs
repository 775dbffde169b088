//! What the filler has done since it was made.

use std::sync::atomic::{AtomicU64, Ordering};

/// A reading. Counts grow; `in_flight`, `queued`, `limit` and `buffered_bytes` are of this moment.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct FillCounters {
    /// Requests for bytes that were sent (attempts), or file reads.
    pub gets: u64,
    /// Requests that only asked whether the object is still the same.
    pub heads: u64,
    /// Bytes of bodies that arrived, those of failed attempts included.
    pub source_bytes: u64,
    pub retries: u64,
    /// Of the requests, those that were sent a second time because the first was slow: also how often the second was
    /// first, and the bytes that they asked for.
    pub hedges: u64,
    pub hedges_won: u64,
    pub hedged_bytes: u64,
    /// Slow requests that were not sent a second time: too many were, or the source has enough to do.
    pub hedges_held: u64,
    /// Fetches that ended in an error, after their retries.
    pub errors: u64,
    /// Wants that joined a fetch that was under way, or its bytes still in memory.
    pub joined: u64,
    /// Wants whose record was in a segment already.
    pub resident: u64,
    /// Fetched records that the store did not take.
    pub declined: u64,
    /// Fetched records that were served but not offered to the store: the object had just been written.
    pub young: u64,
    /// New connections to sources.
    pub connections: u64,
    pub in_flight: u64,
    pub queued: u64,
    /// Requests at once that are allowed now, over all endpoints.
    pub limit: u64,
    /// Record buffers in memory, idle pooled ones included.
    pub buffered_bytes: u64,
}

#[derive(Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Default)]
pub(crate) struct Counters {
    pub gets: Count,
    pub heads: Count,
    pub source_bytes: Count,
    pub retries: Count,
    pub hedges: Count,
    pub hedges_won: Count,
    pub hedged_bytes: Count,
    pub hedges_held: Count,
    pub errors: Count,
    pub joined: Count,
    pub resident: Count,
    pub declined: Count,
    pub young: Count,
    pub connections: Count,
}

impl Counters {
    /// The counts; the rest is zero.
    pub fn read(&self) -> FillCounters {
        FillCounters {
            gets: self.gets.get(),
            heads: self.heads.get(),
            source_bytes: self.source_bytes.get(),
            retries: self.retries.get(),
            hedges: self.hedges.get(),
            hedges_won: self.hedges_won.get(),
            hedged_bytes: self.hedged_bytes.get(),
            hedges_held: self.hedges_held.get(),
            errors: self.errors.get(),
            joined: self.joined.get(),
            resident: self.resident.get(),
            declined: self.declined.get(),
            young: self.young.get(),
            connections: self.connections.get(),
            ..FillCounters::default()
        }
    }
}
