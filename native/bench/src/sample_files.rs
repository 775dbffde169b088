//! The same samples twice: as single files, which others read, and packed, which the bare gather maps.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use memmap2::{Advice, Mmap};

use crate::failure::{Failure, at, parsed, refused};
use crate::window::{SAMPLE_BYTES_MAX, Window};

const PACK_BYTES: u64 = 256 << 20;
/// Written at once: large writes make large page-cache folios, which are what makes mapped reads cheap.
const WRITE_BYTES: u64 = 4 << 20;
const ALIGNED_BYTES: u64 = 4096;
const PER_DIRECTORY: u64 = 1000;
const COUNT_MAX: u64 = 10_000_000;

pub struct SampleFiles {
    directory: PathBuf,
    pub count: u64,
    pub size: u64,
}

impl SampleFiles {
    pub fn of(directory: &str, count: &str, size: &str) -> Result<SampleFiles, Failure> {
        let (count, size) = (parsed("COUNT", count)?, parsed("BYTES", size)?);
        if count > COUNT_MAX || !(1..=SAMPLE_BYTES_MAX).contains(&size) {
            return Err(refused(format!("{count} samples of {size} bytes are not made here")));
        }
        Ok(SampleFiles { directory: directory.into(), count, size })
    }

    pub fn write(&self) -> Result<(), Failure> {
        let window = Window::new()?;
        self.write_single(&window)?;
        self.write_packed(&window)
    }

    fn write_single(&self, window: &Window) -> Result<(), Failure> {
        for number in 0..self.count {
            let part = self.directory.join(format!("files/part-{:04}", number / PER_DIRECTORY));
            if number % PER_DIRECTORY == 0 {
                fs::create_dir_all(&part).map_err(at(part.display()))?;
            }
            let path = part.join(format!("file-{number:07}.bin"));
            fs::write(&path, window.sample(number, self.size)).map_err(at(path.display()))?;
        }
        Ok(())
    }

    fn write_packed(&self, window: &Window) -> Result<(), Failure> {
        let directory = self.directory.join("packed");
        fs::create_dir_all(&directory).map_err(at(directory.display()))?;
        for pack in 0..self.count.div_ceil(self.per_pack()) {
            let path = directory.join(format!("{pack:04}.bin"));
            self.write_pack(&path, pack, window).map_err(at(path.display()))?;
        }
        Ok(())
    }

    fn write_pack(&self, path: &Path, pack: u64, window: &Window) -> std::io::Result<()> {
        let mut file = File::create(path)?;
        let mut chunk = Vec::with_capacity((WRITE_BYTES + self.stored_bytes()) as usize);
        let first = pack * self.per_pack();
        for number in first..(first + self.per_pack()).min(self.count) {
            chunk.extend_from_slice(window.sample(number, self.size));
            chunk.resize(chunk.len().next_multiple_of(ALIGNED_BYTES as usize), 0);
            let whole = chunk.len() / WRITE_BYTES as usize * WRITE_BYTES as usize;
            file.write_all(&chunk[..whole])?;
            chunk.drain(..whole);
        }
        file.write_all(&chunk)
    }

    /// All packed files, every page of them touched before this returns.
    pub fn map_packed(&self) -> Result<Vec<Mmap>, Failure> {
        let packs = 0..self.count.div_ceil(self.per_pack());
        packs
            .map(|pack| {
                let path = self.directory.join(format!("packed/{pack:04}.bin"));
                let file = File::open(&path).map_err(at(path.display()))?;
                // SAFETY: the files were written by this program, and nobody changes them during a bench.
                let map = unsafe { Mmap::map(&file) }.map_err(at(path.display()))?;
                map.advise(Advice::PopulateRead).map_err(at(path.display()))?;
                Ok(map)
            })
            .collect()
    }

    pub fn packed<'a>(&self, packs: &'a [Mmap], number: u64) -> &'a [u8] {
        let (pack, place) = (number / self.per_pack(), number % self.per_pack());
        let offset = place * self.stored_bytes();
        &packs[pack as usize][offset as usize..][..self.size as usize]
    }

    fn stored_bytes(&self) -> u64 {
        self.size.next_multiple_of(ALIGNED_BYTES)
    }

    fn per_pack(&self) -> u64 {
        PACK_BYTES / self.stored_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_and_single_samples_are_the_same() {
        let place = tempfile::tempdir().expect("a directory");
        let directory = place.path().to_str().expect("UTF-8");
        let files = SampleFiles::of(directory, "1003", "5000").expect("valid");
        files.write().expect("written");
        let packs = files.map_packed().expect("mapped");
        for number in [0, 1, 999, 1000, 1002] {
            let part = number / PER_DIRECTORY;
            let path = place.path().join(format!("files/part-{part:04}/file-{number:07}.bin"));
            assert_eq!(fs::read(path).expect("a file"), files.packed(&packs, number));
        }
    }

    #[test]
    fn what_cannot_be_made_is_refused() {
        for (count, size) in [("1", "0"), ("99999999999", "1"), ("1", "99999999999"), ("x", "1")] {
            assert!(SampleFiles::of("/", count, size).is_err(), "{count} {size}");
        }
    }
}
