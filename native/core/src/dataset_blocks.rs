//! Checksums of a dataset version, block by block: a file of gigabytes is opened without reading it, and what is looked
//! at is checked when it is first looked at. Layout: docs/formats.md, "Dataset version".

use std::sync::atomic::{AtomicU64, Ordering};

use crate::crc::Crc32c;
use crate::field::u32_at;

/// Of the file's header, behind which the blocks begin.
pub(crate) const HEADER_BYTES: u64 = 4096;
/// One page: a sample that is looked at alone costs a read of two or three of them.
pub(crate) const BLOCK_BYTES: u64 = 4096;
const SUM_BYTES: u64 = 4;

/// How many bytes the checksums take of what lies between the header and `end`.
pub(crate) fn sums_len(end: u64) -> u64 {
    end.saturating_sub(HEADER_BYTES).div_ceil(BLOCK_BYTES) * SUM_BYTES
}

/// The checksums of all that is written behind the header, in its order.
pub(crate) struct BlockSums {
    block: Crc32c,
    filled: u64,
    sums: Vec<u8>,
}

impl BlockSums {
    pub fn new() -> BlockSums {
        BlockSums { block: Crc32c::new(), filled: 0, sums: Vec::new() }
    }

    pub fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = (BLOCK_BYTES - self.filled) as usize;
            let (part, rest) = bytes.split_at(room.min(bytes.len()));
            self.block.update(part);
            self.filled += part.len() as u64;
            bytes = rest;
            if self.filled == BLOCK_BYTES {
                self.end_block();
            }
        }
    }

    /// Of all blocks, the last one too; as they stand in the file.
    pub fn finish(&mut self) -> &[u8] {
        if self.filled > 0 {
            self.end_block();
        }
        &self.sums
    }

    fn end_block(&mut self) {
        self.sums.extend_from_slice(&self.block.finish().to_le_bytes());
        self.block = Crc32c::new();
        self.filled = 0;
    }
}

/// Which blocks of a mapped file agreed with their checksums: a bit each, by any number of threads.
pub(crate) struct BlockChecks {
    /// Where what is checked ends, and the checksums begin.
    end: u64,
    good: Box<[AtomicU64]>,
}

impl BlockChecks {
    pub fn new(end: u64) -> BlockChecks {
        let words = (sums_len(end) / SUM_BYTES).div_ceil(64);
        BlockChecks { end, good: (0..words).map(|_| AtomicU64::new(0)).collect() }
    }

    /// Whether these bytes of `file` lie behind its header and are what was written; each block is summed once.
    pub fn hold(&self, file: &[u8], at: u64, len: u64) -> bool {
        let Some(last) = at.checked_add(len.max(1)).map(|end| end - 1) else { return false };
        if at < HEADER_BYTES || last >= self.end {
            return false;
        }
        let block_of = |at: u64| (at - HEADER_BYTES) / BLOCK_BYTES;
        (block_of(at)..=block_of(last)).all(|block| self.holds(file, block))
    }

    fn holds(&self, file: &[u8], block: u64) -> bool {
        let (word, bit) = (&self.good[(block / 64) as usize], 1 << (block % 64));
        if word.load(Ordering::Relaxed) & bit != 0 {
            return true;
        }
        let start = HEADER_BYTES + block * BLOCK_BYTES;
        let end = self.end.min(start + BLOCK_BYTES);
        let sum = u32_at(file, (self.end + block * SUM_BYTES) as usize);
        let good = crc_fast::crc32_iscsi(&file[start as usize..end as usize]) == sum;
        if good {
            word.fetch_or(bit, Ordering::Relaxed);
        }
        good
    }
}
