//! Which records of a batch are not in memory. Asking the kernel of each costs a quarter of a warm batch, so a process
//! asks of all only while it has met cold ones lately, and of a few otherwise.

use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};

use millpool_core::Copy;

/// Batches that are asked about whole, after one that met the device.
const BATCHES_ASKED: u32 = 4;
/// Records asked about in other batches.
const RECORDS_ASKED: usize = 2;
/// Of the memory that is available: what is larger would push itself out before it is read again.
const MEMORY_SHARE: f64 = 0.7;

pub struct ColdWatch {
    /// Batches yet to be asked about whole.
    wary: AtomicU32,
}

impl Default for ColdWatch {
    /// Nothing is known of a cache that was never read.
    fn default() -> ColdWatch {
        ColdWatch { wary: AtomicU32::new(BATCHES_ASKED) }
    }
}

impl ColdWatch {
    /// For each copy, whether it is known to be cold; `None` when nothing seems to be.
    pub fn cold_of(&self, copies: &[Copy<'_>]) -> Option<Vec<bool>> {
        let wary = self.wary.load(Ordering::Relaxed);
        if wary == 0 && few_of(copies).all(Copy::is_in_memory) {
            return None;
        }
        let cold: Vec<bool> = copies.iter().map(|copy| !copy.is_in_memory()).collect();
        if cold.contains(&true) {
            self.met_device();
            return Some(cold);
        }
        // Threads that do so at once ask a batch more or less.
        self.wary.store(wary.saturating_sub(1), Ordering::Relaxed);
        None
    }

    /// Whether none was cold lately, nor is a few of these. Asks of no more.
    pub fn seems_warm(&self, copies: &[Copy<'_>]) -> bool {
        self.wary.load(Ordering::Relaxed) == 0 && few_of(copies).all(Copy::is_in_memory)
    }

    /// Something waited for the device.
    pub fn met_device(&self) {
        self.wary.store(BATCHES_ASKED, Ordering::Relaxed);
    }
}

fn few_of<'c, 'a>(copies: &'c [Copy<'a>]) -> impl Iterator<Item = &'c Copy<'a>> {
    copies.iter().step_by((copies.len() / RECORDS_ASKED).max(1))
}

/// Whether so many bytes would stay in memory if they were read through the page cache, as the machine is now.
pub fn fits_memory(bytes: u64) -> bool {
    let available = fs::read_to_string("/proc/meminfo").ok().as_deref().and_then(available_bytes);
    available.is_none_or(|available| bytes as f64 <= available as f64 * MEMORY_SHARE)
}

fn available_bytes(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn available_memory_is_read_from_what_the_kernel_says() {
        let said = "MemTotal:       24689708 kB\nMemAvailable:   23074216 kB\nBuffers: 1 kB\n";
        assert_eq!(available_bytes(said), Some(23_074_216 << 10));
        for wrong in ["", "MemAvailable: 5", "MemAvailable: x kB"] {
            assert_eq!(available_bytes(wrong), None);
        }
        assert!(fits_memory(0) && !fits_memory(u64::MAX));
    }
}
