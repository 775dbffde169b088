//! What this machine's kernel and file systems allow, found out by trying.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// What O_DIRECT wants of addresses, offsets and lengths on any device there is.
const BLOCK: usize = 4096;
/// Of `struct io_uring_params`.
const PARAMS_BYTES: usize = 120;

/// Makes a ring and closes it. `PermissionDenied` where a sysctl or a seccomp filter forbids it, `Unsupported` where
/// the kernel has none.
pub fn probe_io_uring() -> io::Result<()> {
    let mut params = [0u64; PARAMS_BYTES / 8];
    // SAFETY: the kernel reads and writes PARAMS_BYTES at the address, which is that large and aligned.
    let descriptor = unsafe { libc::syscall(libc::SYS_io_uring_setup, 4u32, params.as_mut_ptr()) };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: just made, and nobody else's.
    drop(unsafe { OwnedFd::from_raw_fd(descriptor as i32) });
    Ok(())
}

/// Writes a block past the page cache into a file without a name in `directory`, and reads it back.
pub fn probe_direct(directory: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).custom_flags(libc::O_TMPFILE | libc::O_DIRECT);
    let file = options.open(directory)?;
    let block = AlignedBlock::new();
    // SAFETY: the block is BLOCK bytes, and both calls touch no more.
    let whole = unsafe {
        libc::pwrite(file.as_raw_fd(), block.0.cast(), BLOCK, 0) == BLOCK as isize
            && libc::pread(file.as_raw_fd(), block.0.cast(), BLOCK, 0) == BLOCK as isize
    };
    if whole { Ok(()) } else { Err(io::Error::last_os_error()) }
}

struct AlignedBlock(*mut u8);

impl AlignedBlock {
    const LAYOUT: Layout = match Layout::from_size_align(BLOCK, BLOCK) {
        Ok(layout) => layout,
        Err(_) => panic!("a block is a power of two"),
    };

    fn new() -> AlignedBlock {
        // SAFETY: the layout is not empty.
        let block = unsafe { alloc_zeroed(Self::LAYOUT) };
        assert!(!block.is_null(), "no memory for one block");
        AlignedBlock(block)
    }
}

impl Drop for AlignedBlock {
    fn drop(&mut self) {
        // SAFETY: allocated by `new` with this layout.
        unsafe { dealloc(self.0, Self::LAYOUT) };
    }
}
