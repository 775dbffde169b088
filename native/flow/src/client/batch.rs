//! What a read came to.

use std::sync::Arc;
use std::time::{Duration, Instant};

use millpool_core::{Error, Slot};

#[derive(Clone, Debug)]
pub enum Sample {
    /// It was in segments.
    Hit,
    /// The source was asked for some of it, for this read.
    Fetched,
    /// The same, but for somebody else, who was first.
    Joined,
    Failed(Error),
}

/// How long a read waited, by cause (docs/concepts.md).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Waits {
    /// For the daemon, while some of what was asked of it came from the source.
    pub source: Duration,
    /// The same, where all of it was in segments.
    pub device: Duration,
    pub gather: Duration,
    /// For a slot, the connection, descriptors.
    pub queue: Duration,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    pub samples: u64,
    pub bytes: u64,
}

/// The samples of one read, in one slot. The slot may still be written into where a sample failed.
pub struct Batch {
    pub slot: Arc<Slot>,
    /// Start in the slot and length, of each sample.
    pub layout: Vec<(usize, usize)>,
    pub samples: Vec<Sample>,
    /// Of the hits, those that were not in this process's memory: read from a device, or sent by the daemon.
    pub device: Tally,
    pub waits: Waits,
}

impl Batch {
    /// The bytes of a sample that was read; `None` for one that failed, or past the end.
    pub fn sample(&self, index: usize) -> Option<&[u8]> {
        let &(start, len) = self.layout.get(index)?;
        match self.samples.get(index)? {
            Sample::Failed(_) => None,
            // SAFETY: the range lies in the slot, and nobody writes there once the sample is read.
            Sample::Hit | Sample::Fetched | Sample::Joined => {
                Some(unsafe { std::slice::from_raw_parts(self.slot.as_ptr().add(start), len) })
            }
        }
    }
}

pub(super) fn timed<T>(total: &mut Duration, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = work();
    *total += start.elapsed();
    result
}
