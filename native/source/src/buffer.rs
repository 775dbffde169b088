//! Memory that records arrive in: pooled, counted against one byte budget, with the checksum taken on the way in.

use std::collections::BTreeMap;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crc_fast::{CrcAlgorithm, Digest};
use millpool_core::{MAX_QUEUED_BYTES, TableRoom, Urgency};
use tokio::sync::Notify;

use crate::config::LEAST_BUDGET_BYTES;

const SMALLEST: usize = 4 << 10;

/// Every buffer of the filler. Capacities come in eight steps to each power of two, so that buffers are reused and at
/// most an eighth of one is waste. What lies idle counts in the budget too, and goes first when room is needed.
pub(crate) struct BufferPool {
    state: Mutex<Shelves>,
    budget: u64,
    /// Takes of the budget what it needs.
    table: Option<Arc<TableRoom>>,
    /// Told whenever a buffer came back.
    returned: Arc<Notify>,
    /// A reader found no room last.
    is_short: AtomicBool,
}

#[derive(Default)]
struct Shelves {
    idle: BTreeMap<usize, Vec<Vec<u8>>>,
    idle_bytes: u64,
    used_bytes: u64,
}

impl BufferPool {
    pub fn new(budget: u64, table: Option<Arc<TableRoom>>, returned: Arc<Notify>) -> Arc<Self> {
        let (state, is_short) = Default::default();
        Arc::new(BufferPool { state, budget, table, returned, is_short })
    }

    /// Of the budget, what the key table leaves.
    fn budget(&self) -> u64 {
        let taken = self.table.as_ref().map_or(0, |table| table.taken_bytes());
        self.budget.saturating_sub(taken).max(LEAST_BUDGET_BYTES.min(self.budget))
    }

    /// An empty buffer for `len` bytes, or `None` while the budget has no room for it. Only readers may use the last
    /// eighth of the budget, so that a load never makes them wait for its own writes; and what is fetched ahead never
    /// exceeds what a device queues, so that none of it is declined because its device is slower than its source.
    pub fn take(self: &Arc<Self>, len: u32, urgency: Urgency) -> Option<Lease> {
        let capacity = capacity_for(len as usize);
        let budget = self.budget();
        let ahead = (budget - budget / 8).min(MAX_QUEUED_BYTES);
        let most = if urgency == Urgency::Reader { budget } else { ahead };
        let mut shelves = self.lock();
        let has_room = shelves.used_bytes + capacity as u64 <= most;
        if urgency == Urgency::Reader {
            self.is_short.store(!has_room, Ordering::Relaxed);
        }
        if !has_room {
            return None;
        }
        let reused = shelves.pop(capacity);
        shelves.used_bytes += capacity as u64;
        let room = budget - shelves.used_bytes;
        let dropped = shelves.shrink_to(room);
        drop(shelves);
        drop(dropped);
        let bytes = reused.unwrap_or_else(|| Vec::with_capacity(capacity));
        Some(Lease { bytes, capacity, pool: self.clone() })
    }

    /// A reader waits for others to give buffers back.
    pub fn is_short(&self) -> bool {
        self.is_short.load(Ordering::Relaxed)
    }

    /// Bytes that the pool holds of the machine, used and idle.
    pub fn held_bytes(&self) -> u64 {
        let shelves = self.lock();
        shelves.used_bytes + shelves.idle_bytes
    }

    fn give_back(&self, mut bytes: Vec<u8>, capacity: usize) {
        bytes.clear();
        let mut shelves = self.lock();
        shelves.used_bytes -= capacity as u64;
        shelves.idle_bytes += capacity as u64;
        shelves.idle.entry(capacity).or_default().push(bytes);
        let dropped = shelves.shrink_to(self.budget() / 4);
        drop(shelves);
        drop(dropped);
        self.returned.notify_one();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Shelves> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shelves {
    fn pop(&mut self, capacity: usize) -> Option<Vec<u8>> {
        let bytes = self.idle.get_mut(&capacity)?.pop()?;
        self.idle_bytes -= capacity as u64;
        Some(bytes)
    }

    /// Takes idle buffers out, large ones first, until `bytes` of them are left; freed by the caller outside the lock.
    fn shrink_to(&mut self, bytes: u64) -> Vec<Vec<u8>> {
        let mut dropped = Vec::new();
        while self.idle_bytes > bytes {
            let Some(mut largest) = self.idle.last_entry() else { break };
            let capacity = *largest.key();
            match largest.get_mut().pop() {
                Some(buffer) => {
                    self.idle_bytes -= capacity as u64;
                    dropped.push(buffer);
                }
                None => {
                    largest.remove();
                }
            }
        }
        dropped
    }
}

fn capacity_for(len: usize) -> usize {
    let len = len.max(SMALLEST);
    let step = (1 << len.ilog2()) / 8;
    len.div_ceil(step) * step
}

/// A buffer in use; goes back to its pool when dropped.
pub(crate) struct Lease {
    bytes: Vec<u8>,
    capacity: usize,
    pool: Arc<BufferPool>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.pool.give_back(std::mem::take(&mut self.bytes), self.capacity);
    }
}

/// More bytes came than the record has.
#[derive(Debug)]
pub(crate) struct TooLong;

/// A record that is arriving.
pub(crate) struct RecordWriter {
    lease: Lease,
    digest: Digest,
    len: u32,
}

impl RecordWriter {
    pub fn new(lease: Lease, len: u32) -> Self {
        RecordWriter { lease, digest: Digest::new(CrcAlgorithm::Crc32Iscsi), len }
    }

    /// Forgets what has arrived: a new attempt begins.
    pub fn restart(&mut self) {
        self.lease.bytes.clear();
        self.digest.reset();
    }

    /// Bytes still to come.
    pub fn missing(&self) -> usize {
        self.len as usize - self.lease.bytes.len()
    }

    pub fn push(&mut self, chunk: &[u8]) -> Result<(), TooLong> {
        if chunk.len() > self.missing() {
            return Err(TooLong);
        }
        self.lease.bytes.extend_from_slice(chunk);
        self.digest.update(chunk);
        Ok(())
    }

    /// Lets `read` fill a part of what is missing, at most `most` bytes; it returns the part that it wrote.
    pub fn read_with<E>(
        &mut self,
        most: usize,
        read: impl FnOnce(&mut [MaybeUninit<u8>]) -> Result<&mut [u8], E>,
    ) -> Result<usize, E> {
        let want = self.missing().min(most);
        let spare = &mut self.lease.bytes.spare_capacity_mut()[..want];
        let start = spare.as_ptr().cast::<u8>();
        let written = read(spare)?;
        assert!(std::ptr::eq(written.as_ptr(), start) && written.len() <= want);
        self.digest.update(written);
        let len = written.len();
        let total = self.lease.bytes.len() + len;
        // SAFETY: `written` is the start of the spare capacity (asserted) and, being a `[u8]`, initialized.
        unsafe { self.lease.bytes.set_len(total) };
        Ok(len)
    }

    /// The record, or `None` while bytes are missing.
    pub fn finish(self) -> Option<RecordBuffer> {
        let crc = self.digest.finalize() as u32;
        (self.missing() == 0).then_some(RecordBuffer { lease: self.lease, crc })
    }
}

/// A whole record in pooled memory.
pub(crate) struct RecordBuffer {
    lease: Lease,
    crc: u32,
}

impl RecordBuffer {
    pub fn bytes(&self) -> &[u8] {
        &self.lease.bytes
    }

    pub fn crc(&self) -> u32 {
        self.crc
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn pool(budget: u64) -> Arc<BufferPool> {
        BufferPool::new(budget, None, Arc::new(Notify::new()))
    }

    #[test]
    fn capacities_waste_at_most_an_eighth() {
        for len in [1, 4096, 4097, 100 << 10, 131_073, (4 << 20) - 1, 4 << 20] {
            let capacity = capacity_for(len);
            assert!(
                capacity >= len && (len <= SMALLEST || capacity <= len + len / 8),
                "{len} {capacity}"
            );
        }
        assert_eq!(capacity_for(4 << 20), 4 << 20);
    }

    #[test]
    fn the_budget_holds_and_readers_have_the_last_eighth() {
        let pool = pool(16 * MIB);
        let mut held: Vec<Lease> = Vec::new();
        while let Some(lease) = pool.take(1 << 20, Urgency::Load) {
            held.push(lease);
        }
        assert_eq!(held.len(), 14);
        held.extend(pool.take(1 << 20, Urgency::Reader));
        held.extend(pool.take(1 << 20, Urgency::Reader));
        assert_eq!(pool.held_bytes(), 16 * MIB);
        assert!(pool.take(1, Urgency::Reader).is_none());
        held.clear();
        assert_eq!(pool.held_bytes(), 4 * MIB, "a quarter of the budget stays idle at most");
    }

    #[test]
    fn what_is_fetched_ahead_stays_within_a_device_s_queue() {
        let pool = pool(4 * MAX_QUEUED_BYTES);
        let mut held: Vec<Lease> = Vec::new();
        while let Some(lease) = pool.take(4 << 20, Urgency::Plan) {
            held.push(lease);
        }
        assert_eq!(pool.held_bytes(), MAX_QUEUED_BYTES);
        assert!(pool.take(4 << 20, Urgency::Reader).is_some());
    }

    #[test]
    fn idle_buffers_give_way_to_other_sizes() {
        let pool = pool(16 * MIB);
        drop((0..4).map(|_| pool.take(1 << 20, Urgency::Reader)).collect::<Vec<_>>());
        let held: Vec<_> = (0..4).map(|_| pool.take(4 << 20, Urgency::Reader)).collect();
        assert!(held.iter().all(Option::is_some));
        assert_eq!(pool.held_bytes(), 16 * MIB);
    }

    #[test]
    fn the_checksum_is_that_of_the_bytes_however_they_come() {
        let pool = pool(16 * MIB);
        let bytes: Vec<u8> = (0..100_000u32).map(|i| (i * 7) as u8).collect();
        let mut writer =
            RecordWriter::new(pool.take(100_000, Urgency::Reader).expect("room"), 100_000);
        writer.push(&bytes[..10]).expect("fits");
        writer.restart();
        writer.push(&bytes[..333]).expect("fits");
        let read = writer.read_with(1000, |spare| {
            spare.write_copy_of_slice(&bytes[333..1333]);
            // SAFETY: just written.
            Ok::<_, ()>(unsafe { spare.assume_init_mut() })
        });
        assert_eq!(read, Ok(1000));
        writer.push(&bytes[1333..]).expect("fits");
        assert!(writer.push(b"x").is_err());
        let record = writer.finish().expect("whole");
        assert_eq!(record.bytes(), bytes);
        assert_eq!(record.crc(), crc_fast::crc32_iscsi(&bytes));
    }

    #[test]
    fn a_record_with_bytes_missing_is_none() {
        let pool = pool(16 * MIB);
        let mut writer = RecordWriter::new(pool.take(10, Urgency::Reader).expect("room"), 10);
        writer.push(b"123456789").expect("fits");
        assert!(writer.finish().is_none());
    }
}
