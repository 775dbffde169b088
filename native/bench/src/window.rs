//! Bytes that a number decides: every sample is a part of one window of incompressible bytes, in memory.

use std::fs::File;

use memmap2::MmapMut;
use rustix::fs::{MemfdFlags, memfd_create};

use crate::failure::{Failure, at};

const WINDOW_BYTES: u64 = 256 << 20;
/// No sample is larger.
pub const SAMPLE_BYTES_MAX: u64 = 64 << 20;
/// Odd, so that the places of samples do not repeat before the window is used up.
const STRIDE_PAGES: u64 = 7919;
const PAGE_BYTES: u64 = 4096;

/// A file without a name, so that a server can send from it, and its mapping.
pub struct Window {
    pub file: File,
    map: MmapMut,
}

impl Window {
    pub fn new() -> Result<Window, Failure> {
        let file = memfd_create("millpool-bench", MemfdFlags::CLOEXEC).map_err(at("memfd"))?;
        let file = File::from(file);
        file.set_len(WINDOW_BYTES).map_err(at("a window of 256 MiB"))?;
        // SAFETY: nobody else knows the file, and nobody truncates it.
        let mut map = unsafe { MmapMut::map_mut(&file) }.map_err(at("mapping"))?;
        let mut state = 0x5eed_u64;
        for word in map.chunks_exact_mut(8) {
            word.copy_from_slice(&splitmix(&mut state).to_le_bytes());
        }
        Ok(Window { file, map })
    }

    pub fn sample(&self, number: u64, size: u64) -> &[u8] {
        &self.map[offset(number, size) as usize..][..size as usize]
    }
}

/// Where in the window a sample begins; always on a page.
pub fn offset(number: u64, size: u64) -> u64 {
    let places = (WINDOW_BYTES - size.next_multiple_of(PAGE_BYTES)) / PAGE_BYTES;
    number.wrapping_mul(STRIDE_PAGES) % places * PAGE_BYTES
}

/// Sebastiano Vigna's splitmix64 (public domain).
fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_lie_inside_and_neighbours_differ() {
        let window = Window::new().expect("memory");
        for size in [1, 4096, 100 << 10, SAMPLE_BYTES_MAX] {
            for number in [0, 1, 2, 65_535, u64::from(u32::MAX)] {
                assert_eq!(window.sample(number, size).len() as u64, size);
                assert_ne!(offset(number, size), offset(number + 1, size));
            }
        }
        assert_ne!(window.sample(1, 4096), window.sample(2, 4096));
    }
}
