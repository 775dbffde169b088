//! Which bytes of a file the kernel holds in memory.

use std::fs::File;

use memmap2::{MmapOptions, MmapRaw};

use crate::{Error, Result};

/// How many of these bytes a read would find in memory. Pages count as the kernel holds them: whole.
pub fn cached_bytes(file: &File, offset: u64, len: u32) -> Result<u64> {
    let io = |error: std::io::Error| Error::io("looking into the page cache", &error);
    if len == 0 {
        return Ok(0);
    }
    let page = rustix::param::page_size() as u64;
    let first = offset / page * page;
    let end = offset + u64::from(len);
    let mapped = (end - first) as usize;
    let memory: MmapRaw =
        MmapOptions::new().offset(first).len(mapped).map_raw_read_only(file).map_err(io)?;
    let mut pages = vec![0u8; mapped.div_ceil(page as usize)];
    // SAFETY: the mapping is `mapped` bytes from a page's start and lives until the end of this function; there is a
    // byte of `pages` for each of its pages. Nothing is read through the mapping, so a cut file raises no signal.
    let status =
        unsafe { libc::mincore(memory.as_mut_ptr().cast(), mapped, pages.as_mut_ptr().cast()) };
    if status != 0 {
        return Err(io(std::io::Error::last_os_error()));
    }
    let held = pages.iter().enumerate().filter(|(_, state)| **state & 1 == 1).map(|(n, _)| {
        let from = (first + n as u64 * page).max(offset);
        let to = (first + (n as u64 + 1) * page).min(end);
        to.saturating_sub(from)
    });
    Ok(held.sum())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn what_was_written_is_in_memory_until_the_kernel_is_told_to_drop_it() {
        // A file system without a device (tmpfs) cannot drop anything.
        let mut file = tempfile::tempfile_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let bytes = vec![7u8; 100_000];
        file.write_all(&bytes).unwrap();
        file.sync_all().unwrap();
        assert_eq!(cached_bytes(&file, 4_000, 90_000).unwrap(), 90_000);
        assert_eq!(cached_bytes(&file, 4_000, 0).unwrap(), 0);
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
        let left = cached_bytes(&file, 0, 100_000).unwrap();
        if left == 100_000 {
            println!("skipped: this file system does not drop pages when it is asked to");
            return;
        }
        assert_eq!(left, 0);
    }
}
