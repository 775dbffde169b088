//! Copies of small records that lie anywhere: while one is copied line by line, the same lines a page further on are
//! asked of memory, so that the next record is in the caches when its turn comes. A processor by itself asks for no
//! line beyond a page, and waits at the start of each.

use std::ptr;

use crate::prefetch::prefetch;

const LINE_BYTES: usize = 64;
const AHEAD_BYTES: usize = 4096;
/// Above this the library's copy is as quick.
pub(crate) const SMALL_BYTES: usize = 32 << 10;

/// Copies `len` bytes; `next` is where what is copied next begins.
///
/// # Safety
/// As for `ptr::copy_nonoverlapping`; `next` may be any address.
pub(crate) unsafe fn copy_small(source: *const u8, target: *mut u8, len: usize, next: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // Processors that have it copy whole lines at their full speed.
    if std::arch::is_x86_feature_detected!("avx512vbmi") {
        // SAFETY: by the caller's contract, and the processor has what it is compiled for.
        return unsafe { wide_lines(source, target, len, next) };
    }
    // SAFETY: by the caller's contract.
    unsafe { lines(source, target, len, next) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512vbmi")]
unsafe fn wide_lines(source: *const u8, target: *mut u8, len: usize, next: *const u8) {
    // SAFETY: by the caller's contract.
    unsafe { lines(source, target, len, next) }
}

#[inline(always)]
unsafe fn lines(source: *const u8, target: *mut u8, len: usize, next: *const u8) {
    let own = len.saturating_sub(AHEAD_BYTES);
    let whole = len / LINE_BYTES * LINE_BYTES;
    for at in (0..whole).step_by(LINE_BYTES) {
        let ahead = if at < own {
            source.wrapping_add(at + AHEAD_BYTES)
        } else {
            next.wrapping_add(at - own)
        };
        prefetch(ahead);
        // SAFETY: `at + LINE_BYTES` is at most `len`.
        unsafe {
            let line = source.add(at).cast::<[u8; LINE_BYTES]>().read_unaligned();
            target.add(at).cast::<[u8; LINE_BYTES]>().write_unaligned(line);
        }
    }
    // SAFETY: `whole` is at most `len`.
    unsafe { ptr::copy_nonoverlapping(source.add(whole), target.add(whole), len - whole) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_copied_and_none_beside_them() {
        for len in [0, 1, 63, 64, 65, 4095, 4096, 4097, 9000, SMALL_BYTES] {
            for shift in [0, 1, 31] {
                let source: Vec<u8> =
                    (0..len + shift).map(|n| (n * 31 + n / 256 + 1) as u8).collect();
                let mut target = vec![0; len + shift + 64];
                let way: [unsafe fn(*const u8, *mut u8, usize, *const u8); 2] = [copy_small, lines];
                for copy in way {
                    target.fill(0);
                    // SAFETY: both are long enough.
                    unsafe {
                        copy(
                            source.as_ptr().add(shift),
                            target.as_mut_ptr().add(shift),
                            len,
                            ptr::null(),
                        );
                    }
                    assert!(target[shift..shift + len] == source[shift..]);
                    assert!(
                        target[..shift].iter().chain(&target[shift + len..]).all(|byte| *byte == 0)
                    );
                }
            }
        }
    }
}
