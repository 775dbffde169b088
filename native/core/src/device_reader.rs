//! Many reads of a device at once, past the page cache where the file was opened so: by io_uring where the kernel lets
//! us, else by threads. One read after the other leaves a device idle most of the time.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};

use io_uring::{IoUring, opcode, types};
use memmap2::{Advice, MmapMut};

/// Reads under way in one queue, and the most that one of them takes: what keeps an NVMe device busy.
const DEPTH: usize = 32;
const CHUNK_BYTES: usize = 128 << 10;
/// Queues in use at once; who comes then waits. Each holds `DEPTH * CHUNK_BYTES` of memory.
const QUEUES: usize = 4;
/// Reads past the page cache begin and end at multiples of this, in the file and in memory.
const BLOCK_BYTES: u64 = 4096;

/// Bytes of a file, and where they go.
pub struct DeviceRead<'a> {
    pub file: &'a File,
    pub offset: u64,
    pub target: &'a mut [u8],
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReadEngine {
    IoUring,
    Threads,
}

pub struct DeviceReader {
    engine: ReadEngine,
    queues: Mutex<Queues>,
    freed: Condvar,
}

#[derive(Default)]
struct Queues {
    idle: Vec<Queue>,
    made: usize,
}

struct Queue {
    ring: Option<IoUring>,
    /// `DEPTH` chunks that reads land in.
    landing: MmapMut,
}

/// A part of a read, of whole blocks.
#[derive(Clone, Copy)]
struct Chunk {
    read: usize,
    start: u64,
    len: usize,
}

impl Default for DeviceReader {
    fn default() -> DeviceReader {
        let allowed = IoUring::new(2).is_ok();
        DeviceReader::with(if allowed { ReadEngine::IoUring } else { ReadEngine::Threads })
    }
}

impl DeviceReader {
    pub fn with(engine: ReadEngine) -> DeviceReader {
        DeviceReader { engine, queues: Mutex::default(), freed: Condvar::new() }
    }

    pub fn engine(&self) -> ReadEngine {
        self.engine
    }

    /// Makes all `reads`; the answer names those that did not come whole, whose targets may hold anything.
    pub fn read(&self, reads: &mut [DeviceRead<'_>]) -> io::Result<Vec<usize>> {
        let mut queue = self.take()?;
        let chunks: Vec<Chunk> = reads.iter().enumerate().flat_map(chunks_of).collect();
        let failed = match &mut queue.ring {
            Some(ring) => by_io_uring(ring, &mut queue.landing, &chunks, reads),
            None => Ok(by_threads(&mut queue.landing, &chunks, reads)),
        };
        // After an error reads may be under way still: their memory is then never given back.
        match failed {
            Ok(_) => self.give_back(Some(queue)),
            Err(_) => {
                std::mem::forget(queue);
                self.give_back(None);
            }
        }
        let mut failed = failed?;
        failed.sort_unstable();
        failed.dedup();
        Ok(failed)
    }

    fn take(&self) -> io::Result<Queue> {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(queue) = queues.idle.pop() {
                return Ok(queue);
            }
            if queues.made < QUEUES {
                let queue = Queue::new(self.engine)?;
                queues.made += 1;
                return Ok(queue);
            }
            queues = self.freed.wait(queues).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// `None` for one that is lost.
    fn give_back(&self, queue: Option<Queue>) {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        match queue {
            Some(queue) => queues.idle.push(queue),
            None => queues.made -= 1,
        }
        drop(queues);
        self.freed.notify_one();
    }
}

impl Queue {
    fn new(engine: ReadEngine) -> io::Result<Queue> {
        let landing = MmapMut::map_anon(DEPTH * CHUNK_BYTES)?;
        // Where there are no huge pages, small ones serve.
        let _ = landing.advise(Advice::HugePage);
        let ring = match engine {
            ReadEngine::IoUring => Some(IoUring::new(DEPTH as u32)?),
            ReadEngine::Threads => None,
        };
        Ok(Queue { ring, landing })
    }
}

fn chunks_of((read, what): (usize, &DeviceRead<'_>)) -> impl Iterator<Item = Chunk> + use<> {
    let start = what.offset / BLOCK_BYTES * BLOCK_BYTES;
    let end = match what.target.len() as u64 {
        0 => start,
        len => (what.offset + len).next_multiple_of(BLOCK_BYTES),
    };
    (start..end).step_by(CHUNK_BYTES).map(move |at| Chunk {
        read,
        start: at,
        len: (end - at).min(CHUNK_BYTES as u64) as usize,
    })
}

/// Moves what landed to where it belongs; false when less came than that. A file may end inside its last block.
fn deliver(chunk: &Chunk, landed: &[u8], read: &mut DeviceRead<'_>) -> bool {
    let from = chunk.start.max(read.offset);
    let end = (chunk.start + chunk.len as u64).min(read.offset + read.target.len() as u64);
    let wanted = (from - chunk.start) as usize..(end - chunk.start) as usize;
    let Some(bytes) = landed.get(wanted) else { return false };
    let at = (from - read.offset) as usize;
    read.target[at..at + bytes.len()].copy_from_slice(bytes);
    true
}

fn by_io_uring(
    ring: &mut IoUring,
    landing: &mut MmapMut,
    chunks: &[Chunk],
    reads: &mut [DeviceRead<'_>],
) -> io::Result<Vec<usize>> {
    let mut failed = Vec::new();
    let mut places: Vec<usize> = (0..DEPTH).collect();
    let mut under_way = [0; DEPTH];
    let mut next = 0;
    while next < chunks.len() || places.len() < DEPTH {
        while let (Some(chunk), Some(&place)) = (chunks.get(next), places.last()) {
            let file = types::Fd(reads[chunk.read].file.as_raw_fd());
            let target = landing[place * CHUNK_BYTES..].as_mut_ptr();
            let entry = opcode::Read::new(file, target, chunk.len as u32).offset(chunk.start);
            // SAFETY: each place has one read at a time, and `landing` lives until all have ended.
            let pushed = unsafe { ring.submission().push(&entry.build().user_data(place as u64)) };
            if pushed.is_err() {
                break;
            }
            places.pop();
            under_way[place] = next;
            next += 1;
        }
        match ring.submit_and_wait(1) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        for ended in ring.completion() {
            let place = ended.user_data() as usize;
            let chunk = &chunks[under_way[place]];
            let landed = usize::try_from(ended.result()).unwrap_or(0);
            let bytes = &landing[place * CHUNK_BYTES..][..landed];
            if !deliver(chunk, bytes, &mut reads[chunk.read]) {
                failed.push(chunk.read);
            }
            places.push(place);
        }
    }
    Ok(failed)
}

/// Each thread has a place of its own, and takes whole reads, so that no two write to one target.
fn by_threads(landing: &mut MmapMut, chunks: &[Chunk], reads: &mut [DeviceRead<'_>]) -> Vec<usize> {
    let runs: Vec<Mutex<(&[Chunk], &mut DeviceRead<'_>)>> = chunks
        .chunk_by(|one, other| one.read == other.read)
        .zip(reads.iter_mut().filter(|read| !read.target.is_empty()))
        .map(Mutex::new)
        .collect();
    let next = AtomicUsize::new(0);
    let work = |place: &mut [u8]| {
        let mut failed = Vec::new();
        while let Some(run) = runs.get(next.fetch_add(1, Ordering::Relaxed)) {
            let mut run = run.lock().unwrap_or_else(PoisonError::into_inner);
            let (chunks, read) = &mut *run;
            for chunk in *chunks {
                let landed = read_some(read.file, &mut place[..chunk.len], chunk.start);
                if !deliver(chunk, &place[..landed.unwrap_or(0)], read) {
                    failed.push(chunk.read);
                }
            }
        }
        failed
    };
    std::thread::scope(|scope| {
        let places = landing.chunks_exact_mut(CHUNK_BYTES).take(runs.len());
        let threads: Vec<_> = places.map(|place| scope.spawn(|| work(place))).collect();
        // What a thread that ended by a fault left is not told from what it read.
        let ended = threads.into_iter().map(|thread| thread.join());
        ended.flat_map(|failed| failed.unwrap_or_else(|_| (0..chunks.len()).collect())).collect()
    })
}

fn read_some(file: &File, target: &mut [u8], offset: u64) -> io::Result<usize> {
    loop {
        match file.read_at(target, offset) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::OpenOptionsExt;

    use proptest::prelude::*;

    use super::*;

    const FILE_BYTES: usize = 3 * CHUNK_BYTES + 777;

    fn byte(at: usize) -> u8 {
        (at.wrapping_mul(0x9e37_79b9) >> 13) as u8
    }

    /// A file on a device, opened past the page cache where its filesystem can.
    fn file() -> (tempfile::TempDir, File) {
        let place = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).expect("a directory");
        let path = place.path().join("file");
        std::fs::write(&path, (0..FILE_BYTES).map(byte).collect::<Vec<_>>()).expect("written");
        let mut options = File::options();
        let direct = options.read(true).custom_flags(libc::O_DIRECT).open(&path);
        (place, direct.or_else(|_| File::open(&path)).expect("opened"))
    }

    fn readers() -> Vec<DeviceReader> {
        let threads = DeviceReader::with(ReadEngine::Threads);
        let own = DeviceReader::default();
        if own.engine() == ReadEngine::Threads {
            println!("skipped: io_uring, which this machine does not allow");
            return vec![threads];
        }
        vec![threads, own]
    }

    /// Now and then nothing.
    fn lengths() -> impl Strategy<Value = usize> {
        prop_oneof![1 => Just(0), 9 => 0..2 * CHUNK_BYTES]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn any_ranges_come_as_they_lie_in_the_file(
            ranges in proptest::collection::vec((0..FILE_BYTES, lengths()), 0..80),
        ) {
            let (_place, file) = file();
            for reader in readers() {
                let cut = |&(at, len): &(usize, usize)| (at, len.min(FILE_BYTES - at));
                let mut targets: Vec<(usize, Vec<u8>)> =
                    ranges.iter().map(cut).map(|(at, len)| (at, vec![0; len])).collect();
                let mut reads: Vec<_> = targets
                    .iter_mut()
                    .map(|(at, target)| DeviceRead { file: &file, offset: *at as u64, target })
                    .collect();
                prop_assert_eq!(reader.read(&mut reads).unwrap(), Vec::<usize>::new());
                for (at, target) in targets {
                    prop_assert!(target.iter().enumerate().all(|(n, is)| *is == byte(at + n)));
                }
            }
        }
    }

    #[test]
    fn what_lies_behind_the_end_is_named_and_the_rest_is_read() {
        let (_place, file) = file();
        for reader in readers() {
            let (mut good, mut cut, mut behind) = (vec![0; 100], vec![0; 100], vec![0; 9000]);
            let mut reads = [
                DeviceRead { file: &file, offset: FILE_BYTES as u64 - 50, target: &mut cut },
                DeviceRead { file: &file, offset: FILE_BYTES as u64 - 100, target: &mut good },
                DeviceRead { file: &file, offset: FILE_BYTES as u64 + 5000, target: &mut behind },
            ];
            assert_eq!(reader.read(&mut reads).expect("read"), [0, 2]);
            assert!(good.iter().enumerate().all(|(n, is)| *is == byte(FILE_BYTES - 100 + n)));
        }
    }

    #[test]
    fn more_callers_than_queues_all_get_theirs() {
        let (_place, file) = file();
        for reader in readers() {
            std::thread::scope(|scope| {
                for caller in 0..3 * QUEUES {
                    let (reader, file) = (&reader, &file);
                    scope.spawn(move || {
                        let mut target = vec![0; 5000];
                        let offset = caller * 4097;
                        let read = DeviceRead { file, offset: offset as u64, target: &mut target };
                        assert!(reader.read(&mut [read]).expect("read").is_empty());
                        assert!(target.iter().enumerate().all(|(n, is)| *is == byte(offset + n)));
                    });
                }
            });
        }
    }
}
