//! Which device takes the next record, so that all are busy and all fill in proportion to their sizes.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::Identity;
use crate::device::Device;
use crate::extent::{EXTENT_PAYLOAD_BYTES, Record};
use crate::writer::Writer;

/// An extent that is written and one that is gathered: who has no more waiting keeps up.
const KEEPING_UP_BYTES: u64 = 2 * EXTENT_PAYLOAD_BYTES as u64;

#[derive(Default)]
pub(crate) struct Placement {
    /// Empty until all have started.
    writers: OnceLock<Vec<Writer>>,
    /// Where the search for the next record's device begins: devices that are equal take turns.
    turn: AtomicUsize,
}

impl Placement {
    pub fn begin(&self, writers: Vec<Writer>) {
        // Set once: a store opens once.
        let _ = self.writers.set(writers);
    }

    pub fn writers(&self) -> &[Writer] {
        self.writers.get().map_or(&[], Vec::as_slice)
    }

    /// Of the devices that accept, the one with the fewest bytes queued takes it; of those that keep up alike, the one
    /// that is least full. False when none accepts.
    pub fn place(
        &self,
        identity: Identity,
        record: Record,
        accepts: impl Fn(&Device) -> bool,
    ) -> bool {
        let writers = self.writers();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % writers.len().max(1);
        let (later, sooner) = writers.split_at(turn.min(writers.len()));
        let ready = sooner.iter().chain(later).filter(|writer| accepts(&writer.device));
        let best = ready.min_by_key(|writer| {
            (writer.device.queued_bytes() / KEEPING_UP_BYTES, writer.device.fullness())
        });
        best.is_some_and(|writer| writer.push(identity, record))
    }
}
