//! Numbers that nobody has had before.

use std::io;

/// From the kernel.
pub(crate) fn random_bytes<const N: usize>() -> io::Result<[u8; N]> {
    const { assert!(N <= 256, "longer requests may be cut short") };
    let mut bytes = [0u8; N];
    // SAFETY: the buffer is N bytes.
    let got = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), N, 0) };
    if got == N as isize { Ok(bytes) } else { Err(io::Error::last_os_error()) }
}
