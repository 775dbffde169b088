//! What this machine can do at most, by trying for a moment: copying in memory, and a device past the page cache.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use memmap2::{Advice, MmapMut};

use crate::device_reader::{DeviceRead, DeviceReader, ReadEngine};
use crate::random::random_bytes;
use crate::{Code, Error, Result};

/// Of a buffer that is copied: more than the caches of most processors hold.
const COPY_BYTES: usize = 32 << 20;
/// Of one write, as extents are written.
const WRITE_BYTES: usize = 4 << 20;
/// Threads that read, each with a queue of its own.
const READERS: usize = 4;
/// Reads between two looks at the clock.
const READS_AT_ONCE: usize = 64;
/// What O_DIRECT wants offsets to be multiples of.
const BLOCK_BYTES: u64 = 4096;

/// So many bytes, by so many requests, in so long.
#[derive(Clone, Copy, Default, Debug)]
pub struct Rate {
    pub bytes: u64,
    pub requests: u64,
    pub seconds: f64,
}

/// How a device is tried: a file of `file_bytes`, read in blocks of `block_bytes` for about `duration`.
#[derive(Clone, Copy, Debug)]
pub struct DeviceTrial {
    pub file_bytes: u64,
    pub block_bytes: usize,
    pub duration: Duration,
}

#[derive(Clone, Copy, Debug)]
pub struct DeviceRates {
    pub write: Rate,
    pub read: Rate,
    pub engine: ReadEngine,
}

/// Copies from one buffer of 32 MiB into another, in each of `threads` threads, for about `duration`.
pub fn copy_rate(threads: usize, duration: Duration) -> Result<Rate> {
    let run = || -> std::io::Result<Rate> {
        let (from, mut to) = (touched(COPY_BYTES)?, touched(COPY_BYTES)?);
        let start = Instant::now();
        let mut rate = Rate::default();
        while start.elapsed() < duration {
            to.copy_from_slice(std::hint::black_box(&from));
            std::hint::black_box(&to);
            rate = Rate { bytes: rate.bytes + COPY_BYTES as u64, ..rate };
            rate.requests += 1;
        }
        Ok(Rate { seconds: start.elapsed().as_secs_f64(), ..rate })
    };
    together(threads, || run().map_err(|error| Error::io("copying in memory", &error)))
}

/// Writes a file in `directory`, past the page cache, then reads blocks of it in random order. The file has no name:
/// nothing stays, whatever happens. `Unsupported` where the filesystem cannot be read past the page cache, `Full` where
/// it has no room, `Invalid` for a block that is none.
pub fn device_rates(directory: &Path, trial: DeviceTrial) -> Result<DeviceRates> {
    let DeviceTrial { file_bytes, block_bytes, .. } = trial;
    let is_aligned = (block_bytes as u64).is_multiple_of(BLOCK_BYTES);
    if block_bytes == 0 || !is_aligned || file_bytes < block_bytes as u64 {
        let message = format!("{block_bytes} bytes of {file_bytes} are no block of a device");
        return Err(Error::new(Code::Invalid, message));
    }
    let mut options = OpenOptions::new();
    options.read(true).write(true).custom_flags(libc::O_TMPFILE | libc::O_DIRECT);
    let file = options.open(directory).map_err(|error| failed(directory, error))?;
    let write = write_all(&file, file_bytes).map_err(|error| failed(directory, error))?;
    let reader = DeviceReader::default();
    let read = together(READERS, || {
        read_blocks(&reader, &file, trial).map_err(|error| failed(directory, error))
    })?;
    Ok(DeviceRates { write, read, engine: reader.engine() })
}

fn write_all(file: &File, file_bytes: u64) -> std::io::Result<Rate> {
    let mut bytes = touched(WRITE_BYTES)?;
    fill(&mut bytes)?;
    let start = Instant::now();
    let mut rate = Rate::default();
    while rate.bytes < file_bytes {
        file.write_all_at(&bytes, rate.bytes)?;
        rate.bytes += WRITE_BYTES as u64;
        rate.requests += 1;
    }
    file.sync_data()?;
    Ok(Rate { seconds: start.elapsed().as_secs_f64(), ..rate })
}

fn read_blocks(reader: &DeviceReader, file: &File, trial: DeviceTrial) -> std::io::Result<Rate> {
    let DeviceTrial { file_bytes, block_bytes, duration } = trial;
    let blocks = file_bytes / block_bytes as u64;
    let mut target = touched(READS_AT_ONCE * block_bytes)?;
    let mut place = u64::from_le_bytes(random_bytes()?);
    let start = Instant::now();
    let mut rate = Rate::default();
    while start.elapsed() < duration {
        let mut reads: Vec<_> = target
            .chunks_exact_mut(block_bytes)
            .map(|target| {
                place = next(place);
                DeviceRead { file, offset: (place >> 16) % blocks * block_bytes as u64, target }
            })
            .collect();
        let failed = reader.read(&mut reads)?;
        if !failed.is_empty() {
            return Err(std::io::Error::other("a block did not come whole"));
        }
        rate.bytes += (READS_AT_ONCE * block_bytes) as u64;
        rate.requests += READS_AT_ONCE as u64;
    }
    Ok(Rate { seconds: start.elapsed().as_secs_f64(), ..rate })
}

/// The sum of what threads reach at the same time, over as long as the slowest of them took.
fn together(threads: usize, run: impl Fn() -> Result<Rate> + Sync) -> Result<Rate> {
    thread::scope(|scope| {
        let run = &run;
        let running: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(run)).collect();
        let mut sum = Rate::default();
        for thread in running {
            let ended = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            sum.bytes += ended.bytes;
            sum.requests += ended.requests;
            sum.seconds = sum.seconds.max(ended.seconds);
        }
        Ok(sum)
    })
}

/// Aligned to pages, every one of which is there.
fn touched(len: usize) -> std::io::Result<MmapMut> {
    let mut memory = MmapMut::map_anon(len)?;
    // Where there are no huge pages, small ones serve.
    let _ = memory.advise(Advice::HugePage);
    memory.fill(1);
    Ok(memory)
}

/// With what no device can make smaller.
fn fill(bytes: &mut [u8]) -> std::io::Result<()> {
    let mut word = u64::from_le_bytes(random_bytes()?);
    for chunk in bytes.chunks_exact_mut(8) {
        word = next(word);
        chunk.copy_from_slice(&(word ^ (word >> 29)).to_le_bytes());
    }
    Ok(())
}

/// Knuth's linear congruential generator (MMIX); its high bits serve.
fn next(word: u64) -> u64 {
    word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407)
}

fn failed(directory: &Path, error: std::io::Error) -> Error {
    let directory = directory.display();
    match error.raw_os_error() {
        Some(libc::EINVAL | libc::EOPNOTSUPP | libc::EISDIR) => Error::new(
            Code::Unsupported,
            format!("{directory} cannot be read past the page cache: {error}"),
        ),
        _ => Error::io(format_args!("measuring the device of {directory}"), &error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOMENT: Duration = Duration::from_millis(20);

    fn trial(file_bytes: u64, block_bytes: usize) -> DeviceTrial {
        DeviceTrial { file_bytes, block_bytes, duration: MOMENT }
    }

    fn holds(rate: Rate, request_bytes: u64) {
        assert!(rate.requests > 0 && rate.seconds > 0.0, "{rate:?}");
        assert_eq!(rate.bytes, rate.requests * request_bytes);
    }

    #[test]
    fn memory_is_copied_by_as_many_threads_as_were_asked_for() {
        holds(copy_rate(1, MOMENT).expect("copied"), COPY_BYTES as u64);
        let two = copy_rate(2, MOMENT).expect("copied");
        assert!(two.requests >= 2);
        holds(two, COPY_BYTES as u64);
    }

    #[test]
    fn a_device_is_written_and_read_and_nothing_stays() {
        let place = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).expect("a directory");
        match device_rates(place.path(), trial(8 << 20, 64 << 10)) {
            Ok(rates) => {
                assert_eq!((rates.write.bytes, rates.write.requests), (8 << 20, 2));
                holds(rates.read, 64 << 10);
            }
            Err(error) => assert_eq!(error.code, Code::Unsupported, "{error:?}"),
        }
        assert_eq!(std::fs::read_dir(place.path()).expect("listed").count(), 0);
    }

    #[test]
    fn what_is_no_block_and_no_directory_is_refused() {
        let place = tempfile::tempdir().expect("a directory");
        for (file_bytes, block_bytes) in [(8 << 20, 0), (8 << 20, 1000), (4096, 8192)] {
            let refused = device_rates(place.path(), trial(file_bytes, block_bytes));
            assert_eq!(refused.expect_err("refused").code, Code::Invalid);
        }
        let nowhere = device_rates(&place.path().join("nowhere"), trial(8 << 20, 4096));
        assert_eq!(nowhere.expect_err("refused").code, Code::NotFound);
    }
}
