//! Memory that the machine truly has: a virtual machine's host takes back what lies free, and a page that it must find
//! again costs ten times the copy into it. What is touched here is free for others when this ends, for a while.

use memmap2::{Advice, MmapMut};

use crate::failure::{Failure, at};

const PAGE_BYTES: usize = 4096;

pub fn touch(bytes: usize) -> Result<(), Failure> {
    let mut memory = MmapMut::map_anon(bytes).map_err(at("memory"))?;
    // Where there are no huge pages, small ones serve.
    let _ = memory.advise(Advice::HugePage);
    for page in memory.chunks_mut(PAGE_BYTES) {
        page[0] = 1;
    }
    Ok(())
}
