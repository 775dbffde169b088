//! What compressed records cost and save: records of 100 KiB, of text, of label maps and of noise, stored as they are
//! and as LZ4 blocks. For each: how much they shrink, CPU time of storing a record (page cache and all), and of
//! gathering one out of memory in batches of 256.
//!
//! `cargo run --release --example packed_rate -- DIRECTORY` (some 200 MiB at a time are written there, and removed)

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use millpool_core::{
    Compression, Copy, DeviceConfig, Identity, Mapping, ObjectKey, Outcome, PiecePart, RecordBytes,
    RecordKey, Result, Ring, SegmentName, Slot, Store, StoreConfig, Tier, gather,
};

const RECORD_BYTES: usize = 100 << 10;
const RECORDS: usize = 2048;
const BATCH: usize = 256;
const LAPS: usize = 6;
const TIMEOUT: Duration = Duration::from_secs(120);

struct Bytes(Vec<u8>, u32);

impl RecordBytes for Bytes {
    fn bytes(&self) -> &[u8] {
        &self.0
    }

    fn crc(&self) -> u32 {
        self.1
    }
}

/// splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    fn below(&mut self, most: u64) -> u64 {
        self.next() % most
    }
}

type Content = fn(&mut Random) -> Vec<u8>;

/// Annotations, a line of JSON each.
fn text(random: &mut Random) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(RECORD_BYTES + 200);
    while bytes.len() < RECORD_BYTES {
        let [x, y, class, image] = [640, 480, 80, 118_287].map(|most| random.below(most));
        let line = format!(
            "{{\"image_id\": {image}, \"category_id\": {class}, \"bbox\": [{x}.5, {y}.25, 64, 48], \"iscrowd\": 0}}\n"
        );
        bytes.extend_from_slice(line.as_bytes());
    }
    bytes.truncate(RECORD_BYTES);
    bytes
}

/// Segmentation, a byte a pixel: runs of one class along lines of 320, each line much like the one above.
fn labels(random: &mut Random) -> Vec<u8> {
    let mut line = vec![0u8; 320];
    let mut bytes = Vec::with_capacity(RECORD_BYTES + line.len());
    while bytes.len() < RECORD_BYTES {
        for _ in 0..3 {
            let start = random.below(320) as usize;
            let end = (start + random.below(40) as usize).min(320);
            let class = random.below(21) as u8;
            line[start..end].fill(class);
        }
        bytes.extend_from_slice(&line);
    }
    bytes.truncate(RECORD_BYTES);
    bytes
}

fn noise(random: &mut Random) -> Vec<u8> {
    (0..RECORD_BYTES / 8).flat_map(|_| random.next().to_le_bytes()).collect()
}

/// User and system, of all threads.
fn cpu_seconds() -> f64 {
    // SAFETY: a plain structure, which the call fills.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &mut usage);
        usage
    };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

fn open(directory: &Path) -> Result<Arc<Store>> {
    let device = DeviceConfig {
        path: directory.into(),
        tier: Tier::Fast,
        size_bytes: 4 << 30,
        reserve_bytes: 0,
    };
    Store::open(StoreConfig {
        devices: vec![device],
        extent_delay: Duration::from_millis(50),
        idle_seal: Duration::from_secs(3600),
        table_bytes: 1 << 30,
    })
}

/// Keys, and CPU time.
fn fill(
    store: &Store,
    content: Content,
    compression: Compression,
) -> Result<(Vec<RecordKey>, f64)> {
    let (identity, mut random) = (Identity::of("packed rate"), Random(1));
    store.attach(1, identity, true);
    store.set_compression(1, compression);
    let (mut keys, mut spent) = (Vec::new(), 0.0);
    for first in (0..RECORDS).step_by(BATCH) {
        let records: Vec<_> = (first..first + BATCH)
            .map(|n| {
                let bytes = content(&mut random);
                let crc = crc_fast::crc32_iscsi(&bytes);
                let size = RECORD_BYTES as u64;
                let key = ObjectKey::new(&identity, &n.to_le_bytes(), size, b"\"1\"").piece(0);
                (key, Arc::new(Bytes(bytes, crc)))
            })
            .collect();
        let begin = cpu_seconds();
        for (key, record) in records {
            store.append(1, key, 0, record);
            keys.push(key);
        }
        store.flush(TIMEOUT)?;
        spent += cpu_seconds() - begin;
    }
    Ok((keys, spent))
}

/// The least CPU time of a lap over all records.
fn read(store: &Store, keys: &[RecordKey], slot: &Slot) -> Result<f64> {
    let status = store.segments();
    let mapped = status.iter().filter_map(|of| store.segment(of.number, of.generation)).map(|of| {
        let (number, generation, id, identity) = (of.number, of.generation, of.id, of.identity);
        Mapping::map(&of.file, &SegmentName { number, generation, id, identity })
    });
    let mappings = mapped.collect::<Result<Vec<_>>>()?;
    let (mut random, mut outcomes, mut best) = (Random(2), Vec::new(), f64::INFINITY);
    for _ in 0..LAPS {
        let begin = cpu_seconds();
        for _ in 0..RECORDS / BATCH {
            let copies: Vec<Copy> = (0..BATCH)
                .map(|n| {
                    let key = &keys[random.below(keys.len() as u64) as usize];
                    let at = store.lookup(key).expect("resident");
                    let of = mappings.iter().find(|of| of.name().number == at.segment);
                    let piece_len = RECORD_BYTES as u32;
                    let whole = PiecePart { piece_len, range: 0..piece_len };
                    // SAFETY: each record has its own part of the slot.
                    let target = unsafe { slot.as_ptr().add(n * RECORD_BYTES) };
                    // SAFETY: as above, and the slot is held.
                    let copy = unsafe { Copy::new(of.expect("mapped"), &at, whole, target) };
                    let mut copy = copy.expect("in its segment");
                    copy.verify = false;
                    copy
                })
                .collect();
            gather(&copies, &mut outcomes);
            assert!(outcomes.iter().all(|outcome| *outcome == Outcome::Copied));
        }
        best = best.min(cpu_seconds() - begin);
    }
    Ok(best)
}

fn main() -> Result<()> {
    let place = PathBuf::from(std::env::args().nth(1).expect("usage: packed_rate DIRECTORY"));
    let bytes = BATCH * RECORD_BYTES;
    let slot = Ring::new(bytes).lease(bytes, Instant::now() + TIMEOUT)?;
    println!(
        "{:<8} {:<5} {:>10} {:>14} {:>14}",
        "content", "", "raw/stored", "store, us", "gather, us"
    );
    let contents: [(&str, Content); 3] = [("text", text), ("labels", labels), ("noise", noise)];
    for (name, content) in contents {
        for compression in [Compression::Off, Compression::Lz4] {
            let directory = tempfile::tempdir_in(&place).expect("a directory to write to");
            let store = open(directory.path())?;
            let (keys, filled) = fill(&store, content, compression)?;
            let stored: u64 = store.segments().iter().map(|segment| segment.live_bytes).sum();
            let gathered = read(&store, &keys, &slot)?;
            let each = 1e6 / RECORDS as f64;
            println!(
                "{name:<8} {:<5} {:>10.2} {:>14.1} {:>14.1}",
                format!("{compression:?}"),
                (RECORDS * RECORD_BYTES) as f64 / stored as f64,
                filled * each,
                gathered * each
            );
            store.close();
        }
    }
    Ok(())
}
