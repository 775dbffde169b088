//! How the C library's allocator treats a daemon that has a budget of memory.

/// Arenas: each keeps what its threads freed, which others cannot use.
const ARENAS: i32 = 2;
/// Blocks of this size and more go back to the kernel when they are freed. By itself the allocator raises this to
/// 32 MiB once such blocks are freed, and record buffers then stay in its arenas in pieces.
const MAPPED_FROM_BYTES: i32 = 128 << 10;

/// For this process, from now on; whoever trains in a process of his own keeps his allocator as it is.
pub(crate) fn bound_allocator() {
    #[cfg(target_env = "gnu")]
    // SAFETY: sets numbers of the allocator, under its own lock.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, ARENAS);
        libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED_FROM_BYTES);
        libc::mallopt(libc::M_TRIM_THRESHOLD, MAPPED_FROM_BYTES);
    }
}
