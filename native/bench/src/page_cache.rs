//! Files out of the page cache, so that whoever reads them next reads the device.

use std::fs::{self, File};
use std::path::Path;

use memmap2::Mmap;
use rustix::fs::{Advice, fadvise};

use crate::failure::{Failure, at, refused};

/// Of a hundred pages, so many may stay: those that somebody is writing or has mapped just now.
const LEFT_PERCENT: u64 = 1;

/// Drops all files below `directory`, and checks that they are gone.
pub fn drop_below(directory: &str) -> Result<(), Failure> {
    let (mut pages, mut left) = (0, 0);
    drop_files(Path::new(directory), &mut |file| {
        let (of_file, cached) = drop_file(file)?;
        pages += of_file;
        left += cached;
        Ok(())
    })
    .map_err(at(directory))?;
    if left * 100 > pages * LEFT_PERCENT {
        return Err(refused(format!("{left} of {pages} pages of {directory} stay in memory")));
    }
    Ok(())
}

fn drop_files(
    directory: &Path,
    each: &mut impl FnMut(&File) -> std::io::Result<()>,
) -> std::io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            drop_files(&entry.path(), each)?;
        } else if kind.is_file() {
            each(&File::open(entry.path())?)?;
        }
    }
    Ok(())
}

/// Its pages, and how many of them are in memory still.
fn drop_file(file: &File) -> std::io::Result<(u64, u64)> {
    file.sync_data()?;
    fadvise(file, 0, None, Advice::DontNeed)?;
    let len = file.metadata()?.len();
    if len == 0 {
        return Ok((0, 0));
    }
    // SAFETY: the mapping is not read; where its pages are is asked, and nothing else.
    let map = unsafe { Mmap::map(file) }?;
    let mut resident = vec![0u8; len.div_ceil(page_bytes()) as usize];
    // SAFETY: the vector has a byte for each page of the mapping.
    let asked = unsafe {
        libc::mincore(map.as_ptr().cast_mut().cast(), map.len(), resident.as_mut_ptr().cast())
    };
    if asked != 0 {
        return Err(std::io::Error::last_os_error());
    }
    let cached = resident.iter().filter(|page| **page & 1 == 1).count();
    Ok((resident.len() as u64, cached as u64))
}

fn page_bytes() -> u64 {
    rustix::param::page_size() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_just_written_is_dropped_and_counted() {
        // Not below /tmp, which may be memory alone.
        let place = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).expect("a directory");
        let path = place.path().join("file");
        fs::write(&path, vec![7u8; 1 << 20]).expect("written");
        let file = File::open(&path).expect("a file");
        assert_eq!(drop_file(&file).expect("dropped"), ((1 << 20) / page_bytes(), 0));
        drop_below(place.path().to_str().expect("UTF-8")).expect("dropped");
    }
}
