//! Live records of a sealed segment copied to where new ones go, so that the rest of it comes free. Nothing is
//! rewritten: a copy is published once it is written, in the place of its original alone, and the old file goes when
//! all that was live in it is durable elsewhere. A crash in between leaves both, which hold the same bytes.

use std::collections::BTreeSet;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Instant;

use crate::device::{Device, Tier};
use crate::extent::{Original, Record};
use crate::record_entry::{ENTRY_BYTES, RecordEntry, alignment};
use crate::{Code, Compression, Error, Identity, RecordBytes, Result, Store};

/// Of copies that are read and not written yet: an extent that is written, and one that is read meanwhile.
const IN_FLIGHT_BYTES: usize = 8 << 20;

/// Where copies may go: to any fast device, or by the devices' places in the store's configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Destination {
    AnyDevice,
    OneOf(Vec<u32>),
}

impl Destination {
    pub(crate) fn has(&self, device: &Device) -> bool {
        match self {
            Destination::AnyDevice => device.tier() == Tier::Fast,
            Destination::OneOf(devices) => devices.contains(&device.index),
        }
    }
}

/// What became of a segment's live records.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Copied {
    /// Found at their new places, and their stored bytes.
    pub records: u64,
    pub bytes: u64,
    /// Found where they were: no device had room for them.
    pub left: u64,
    /// Their bytes did not match their checksum: forgotten.
    pub damaged: u64,
    /// The old segment is unlinked; where it was not, it can be copied again.
    pub retired: bool,
}

pub struct CopyForward<'a> {
    store: &'a Store,
    to: Destination,
}

impl<'a> CopyForward<'a> {
    pub fn of(store: &'a Store, to: Destination) -> CopyForward<'a> {
        CopyForward { store, to }
    }

    /// Returns when all that is live of the segment is written elsewhere, or stays. `NotFound` when it is gone or is
    /// still being filled, `Io` when its device does not give a record or the other does not keep one, `Timeout` when
    /// copies wait for their device beyond `deadline`; what is published by then stays published.
    pub fn copy(&self, number: u32, generation: u32, deadline: Instant) -> Result<Copied> {
        let gone = || Error::new(Code::NotFound, format!("segment {number} is gone or is open"));
        let identity = self.store.segment(number, generation).ok_or_else(gone)?.identity;
        let mut entries = self.store.live_entries(number, generation).ok_or_else(gone)?;
        // In one sweep: a disk that rotates reads nothing else quickly.
        entries.sort_unstable_by_key(|entry| entry.offset);
        let originals: Vec<_> = entries
            .into_iter()
            .map(|entry| Original { entry, segment: number, generation })
            .collect();
        let mut copied = Copied::default();
        let in_flight = Arc::new(InFlight::default());
        for original in &originals {
            in_flight.wait(IN_FLIGHT_BYTES, number, deadline)?;
            match self.append(identity, *original, &in_flight) {
                Ok(true) => {}
                // Where there is no room for one there may be for a smaller one, and the next look tells anyway.
                Ok(false) => break,
                Err(error) if error.code == Code::Corrupt => {
                    copied.damaged += 1;
                    self.store.forget_damaged(&original.entry.key, (number, generation));
                }
                Err(error) if error.code == Code::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        in_flight.wait(0, number, deadline)?;
        let mut targets = BTreeSet::new();
        for original in &originals {
            match self.store.lookup(&original.entry.key) {
                Some(location) if original.is_at(&location) => copied.left += 1,
                Some(location) => {
                    copied.records += 1;
                    copied.bytes += u64::from(location.stored_len);
                    targets.insert((location.segment, location.generation));
                }
                None => {}
            }
        }
        self.sync(&targets)?;
        copied.retired = self.store.retire(number, generation);
        Ok(copied)
    }

    /// What copies of all that is live of a segment would take, with their part of headers and footer. `None` when it
    /// is gone or is still being filled.
    pub fn packed_bytes(&self, number: u32, generation: u32) -> Option<u64> {
        let entries = self.store.live_entries(number, generation)?;
        let packed = entries.iter().map(|RecordEntry { stored_len, .. }| {
            u64::from(stored_len.next_multiple_of(alignment(*stored_len))) + 2 * ENTRY_BYTES as u64
        });
        Some(packed.sum())
    }

    /// False when no device has room.
    fn append(
        &self,
        identity: Identity,
        original: Original,
        in_flight: &Arc<InFlight>,
    ) -> Result<bool> {
        let entry = original.entry;
        let bytes = self.store.read(&entry.location(original.segment, original.generation))?;
        in_flight.add(bytes.len());
        let bytes = Arc::new(CopiedBytes { bytes, crc: entry.crc, in_flight: in_flight.clone() });
        let (key, piece, original) = (entry.key, entry.piece, Some(original));
        let compression = Compression::Off;
        let copy = Record { key, piece, bytes, compression, original, refusals: 0 };
        Ok(self.store.append_copy(identity, copy, &self.to))
    }

    /// Before the only durable copy goes.
    fn sync(&self, segments: &BTreeSet<(u32, u32)>) -> Result<()> {
        for (number, generation) in segments {
            if let Some(segment) = self.store.segment(*number, *generation) {
                let synced = segment.file.sync_data();
                synced.map_err(|error| Error::io(format!("syncing segment {number}"), &error))?;
            }
        }
        Ok(())
    }
}

struct CopiedBytes {
    bytes: Vec<u8>,
    crc: u32,
    in_flight: Arc<InFlight>,
}

impl RecordBytes for CopiedBytes {
    fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn crc(&self) -> u32 {
        self.crc
    }
}

impl Drop for CopiedBytes {
    /// It is published, or was refused.
    fn drop(&mut self) {
        self.in_flight.take(self.bytes.len());
    }
}

#[derive(Default)]
struct InFlight {
    bytes: Mutex<usize>,
    fewer: Condvar,
}

impl InFlight {
    fn add(&self, bytes: usize) {
        *self.bytes.lock().unwrap_or_else(PoisonError::into_inner) += bytes;
    }

    fn take(&self, bytes: usize) {
        *self.bytes.lock().unwrap_or_else(PoisonError::into_inner) -= bytes;
        self.fewer.notify_one();
    }

    /// Until no more than `most` are in flight.
    fn wait(&self, most: usize, number: u32, deadline: Instant) -> Result<()> {
        let mut bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        while *bytes > most {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let message = format!("waited for copies of segment {number} to be written");
                return Err(Error::new(Code::Timeout, message));
            }
            let waited = self.fewer.wait_timeout(bytes, left);
            bytes = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(())
    }
}
