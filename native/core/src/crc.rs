//! CRC32C, alone and together with a copy.

use std::ptr;

use crc_fast::{CrcAlgorithm, Digest};

/// Copied and then summed piece by piece, so that each piece is summed while it is still in the first-level cache.
const CHUNK_BYTES: usize = 16 << 10;

/// CRC32C of bytes that come in parts.
pub(crate) struct Crc32c(Digest);

impl Crc32c {
    pub fn new() -> Self {
        Crc32c(Digest::new(CrcAlgorithm::Crc32Iscsi))
    }

    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub fn finish(&self) -> u32 {
        self.0.finalize() as u32
    }
}

/// Copies `len` bytes and gives the CRC32C of what arrived.
///
/// # Safety
/// `source` is readable and `target` writable for `len` bytes, they do not overlap, and nobody else uses `target`.
pub(crate) unsafe fn copy_with_crc(source: *const u8, target: *mut u8, len: usize) -> u32 {
    let mut crc = Crc32c::new();
    let mut done = 0;
    while done < len {
        let part = CHUNK_BYTES.min(len - done);
        // SAFETY: `done + part` is at most `len`.
        crc.update(unsafe {
            ptr::copy_nonoverlapping(source.add(done), target.add(done), part);
            std::slice::from_raw_parts(target.add(done), part)
        });
        done += part;
    }
    crc.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_gives_the_bytes_and_the_sum_of_the_whole() {
        for len in
            [0, 1, 63, 4096, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES + 5]
        {
            let source: Vec<u8> = (0..len).map(|n| (n * 31 + n / 256) as u8).collect();
            let mut target = vec![0; len];
            // SAFETY: both are `len` long.
            let crc = unsafe { copy_with_crc(source.as_ptr(), target.as_mut_ptr(), len) };
            assert_eq!((crc, &target), (crc_fast::crc32_iscsi(&source), &source));
        }
    }
}
