//! The one arrow from who serves to who fetches. `flow` serves and calls it; `source` implements it.

use std::sync::Arc;

use crate::{Location, Result, Want};

/// Why bytes are wanted; lower comes first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Urgency {
    /// Somebody waits for them now.
    Reader = 0,
    /// A plan will ask for them.
    Plan = 1,
    /// A load job.
    Load = 2,
}

/// Who wants bytes, and why. Among those of one urgency each has the same share of the requests under way to a source,
/// as long as it wants that many.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Asker {
    pub urgency: Urgency,
    /// Tells those of one urgency apart: a connection, a plan, a load.
    pub number: u64,
}

/// A record in memory: whole, and of the length that its want says. Shared by whoever waits for it and by the extent it
/// will be written in; its memory counts in the daemon's byte budget until the last of them drops it.
pub trait RecordBytes: Send + Sync {
    fn bytes(&self) -> &[u8];
    /// CRC32C, taken while the bytes came in.
    fn crc(&self) -> u32;
}

#[derive(Clone)]
pub enum Filled {
    /// Fetched; it may or may not be admitted to a segment. Of all the wants that one fetch answers `first` is true for
    /// the one that began it, so that what came from a source can be counted once.
    Fetched { record: Arc<dyn RecordBytes>, first: bool },
    /// It was in a segment already.
    Resident(Location),
}

/// Called once per want, in any order, from any thread, and must not block.
pub type Done = Arc<dyn Fn(usize, Result<Filled>) + Send + Sync>;

pub trait Fill: Send + Sync {
    /// Every want is answered exactly once, also when the process shuts down (`Closed`). A want already under way for
    /// somebody else is joined, not fetched again. Returns at once.
    fn fill(&self, wants: Vec<Want>, asker: Asker, done: Done);

    /// A reader waits for memory that others hold.
    fn is_short(&self) -> bool {
        false
    }
}
