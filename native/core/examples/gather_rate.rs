//! How close a gather comes to a bare copy of the same bytes: 256 records of 100 KiB, random ones out of 2 GiB that lie
//! in the page cache, into a ring slot. Prints the best of many rounds of each way, and their ratios.
//!
//! `cargo run --release --example gather_rate -- DIRECTORY` (2.1 GiB are written there, and removed)

use std::hint::black_box;
use std::path::PathBuf;
use std::ptr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use memmap2::{Mmap, MmapOptions};
use millpool_core::{
    Copy, DeviceConfig, Identity, Location, Mapping, ObjectKey, Outcome, PiecePart, RecordBytes,
    RecordKey, Result, Ring, SegmentFile, SegmentName, Slot, Store, StoreConfig, TableReader, Tier,
    fault, gather,
};

const RECORD_BYTES: usize = 100 << 10;
const RECORDS: usize = (2 << 30) / RECORD_BYTES;
const BATCH: usize = 256;
const ROUNDS: usize = 300;
const TIMEOUT: Duration = Duration::from_secs(120);
const IN_FLIGHT: usize = 256;

struct Bytes(Vec<u8>);

impl RecordBytes for Bytes {
    fn bytes(&self) -> &[u8] {
        &self.0
    }

    fn crc(&self) -> u32 {
        crc_fast::crc32_iscsi(&self.0)
    }
}

/// splitmix64, to choose records and their content.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }
}

fn fill(store: &Store, random: &mut Random) -> Result<Vec<RecordKey>> {
    let identity = Identity::of("gather rate");
    store.attach(1, identity, true);
    let mut keys = Vec::with_capacity(RECORDS);
    for n in 0..RECORDS {
        let key =
            ObjectKey::new(&identity, &n.to_le_bytes(), RECORD_BYTES as u64, b"\"1\"").piece(0);
        let content = (0..RECORD_BYTES / 8).flat_map(|_| random.next().to_le_bytes()).collect();
        store.append(1, key, 0, Arc::new(Bytes(content)));
        keys.push(key);
        if n % IN_FLIGHT == 0 {
            store.flush(TIMEOUT)?;
        }
    }
    store.flush(TIMEOUT)?;
    Ok(keys)
}

/// A segment as a client maps it, and as a bare copy does.
struct Mapped {
    mapping: Mapping,
    bare: Mmap,
}

fn map_all(store: &Store) -> Result<Vec<Mapped>> {
    let status = store.segments();
    let segments = status.iter().filter_map(|of| store.segment(of.number, of.generation));
    let map = |segment: Arc<SegmentFile>| {
        let SegmentFile { number, generation, id, identity, ref file } = *segment;
        let mapping = Mapping::map(file, &SegmentName { number, generation, id, identity })?;
        // SAFETY: the store writes behind what is looked at here, and cuts nothing of it.
        let bare = unsafe { MmapOptions::new().populate().map(file) }.expect("mapped a moment ago");
        Ok(Mapped { mapping, bare })
    };
    segments.map(map).collect()
}

/// Best time of a round, in microseconds a batch.
struct Best(f64);

impl Best {
    fn time(&mut self, work: impl FnOnce()) {
        let start = Instant::now();
        work();
        self.0 = self.0.min(start.elapsed().as_secs_f64() * 1e6);
    }

    fn report(&self, what: &str, floor: &Best) {
        let rate = (BATCH * RECORD_BYTES) as f64 / self.0 * 1e6 / f64::from(1 << 30);
        println!(
            "{what:<28} {:>8.0} us  {rate:>5.1} GiB/s  {:>5.2} x bare copy",
            self.0,
            self.0 / floor.0
        );
    }
}

struct Bench<'a> {
    table: &'a TableReader,
    segments: &'a [Mapped],
    slot: Slot,
    found: Vec<Option<Location>>,
    outcomes: Vec<Outcome>,
}

impl Bench<'_> {
    fn segment_of(&self, location: &Location) -> &Mapped {
        let found = self.segments.iter().find(|of| of.mapping.name().number == location.segment);
        found.expect("every segment is mapped")
    }

    fn locate(&mut self, keys: &[RecordKey], best: &mut Best) -> Vec<Location> {
        let (table, found) = (self.table, &mut self.found);
        best.time(|| table.get_many(keys, found));
        self.found.iter().map(|location| location.expect("resident")).collect()
    }

    fn target(&self, n: usize) -> *mut u8 {
        assert!((n + 1) * RECORD_BYTES <= self.slot.len());
        self.slot.as_ptr().wrapping_add(n * RECORD_BYTES)
    }

    fn bare(&self, locations: &[Location], best: &mut Best) {
        let record =
            |at: &Location| &self.segment_of(at).bare[at.offset as usize..][..RECORD_BYTES];
        let records: Vec<&[u8]> = locations.iter().map(record).collect();
        best.time(|| {
            for (n, record) in records.iter().enumerate() {
                // SAFETY: the target has room for a record, and nobody else uses it.
                unsafe { ptr::copy_nonoverlapping(record.as_ptr(), self.target(n), RECORD_BYTES) };
            }
        });
        black_box(self.slot.as_ptr());
    }

    fn gather(&mut self, locations: &[Location], verify: bool, best: &mut Best) {
        let mut outcomes = std::mem::take(&mut self.outcomes);
        best.time(|| {
            let copies: Vec<Copy> = locations
                .iter()
                .enumerate()
                .map(|(n, location)| {
                    let mapping = &self.segment_of(location).mapping;
                    let piece_len = RECORD_BYTES as u32;
                    let whole = PiecePart { piece_len, range: 0..piece_len };
                    // SAFETY: each record has its own part of the slot.
                    let copy = unsafe { Copy::new(mapping, location, whole, self.target(n)) };
                    let mut copy = copy.expect("mapped");
                    copy.verify = verify;
                    copy
                })
                .collect();
            gather(&copies, &mut outcomes);
        });
        let wanted = if verify { Outcome::Verified } else { Outcome::Copied };
        assert!(outcomes.iter().all(|outcome| *outcome == wanted));
        self.outcomes = outcomes;
    }
}

/// Each way has a batch of its own, so that none finds what the one before left in the processor's caches.
fn measure(bench: &mut Bench, keys: &[RecordKey], random: &mut Random) {
    let [mut bare, mut plain, mut checked, mut look_up] = [const { Best(f64::INFINITY) }; 4];
    let mut unmeasured = Best(f64::INFINITY);
    for batch in keys.chunks(BATCH) {
        let locations = bench.locate(batch, &mut unmeasured);
        bench.gather(&locations, true, &mut unmeasured);
    }
    let mut batch = || -> Vec<RecordKey> {
        (0..BATCH).map(|_| keys[random.next() as usize % keys.len()]).collect()
    };
    for _ in 0..ROUNDS {
        let locations = bench.locate(&batch(), &mut look_up);
        bench.bare(&locations, &mut bare);
        let locations = bench.locate(&batch(), &mut look_up);
        bench.gather(&locations, false, &mut plain);
        let locations = bench.locate(&batch(), &mut look_up);
        bench.gather(&locations, true, &mut checked);
    }
    bare.report("bare copy", &bare);
    plain.report("gather", &bare);
    checked.report("gather with CRC32C", &bare);
    let each_ns = look_up.0 * 1e3 / BATCH as f64;
    println!("look-up of {BATCH} keys: {:.1} us ({each_ns:.0} ns each)", look_up.0);
}

fn main() -> Result<()> {
    let place = PathBuf::from(std::env::args().nth(1).expect("usage: gather_rate DIRECTORY"));
    let directory = tempfile::tempdir_in(place).expect("a directory to write to");
    let device = DeviceConfig {
        path: directory.path().into(),
        tier: Tier::Fast,
        size_bytes: 4 << 30,
        reserve_bytes: 0,
    };
    let store = Store::open(StoreConfig {
        devices: vec![device],
        extent_delay: Duration::from_millis(50),
        idle_seal: Duration::from_secs(3600),
        table_bytes: 1 << 30,
    })?;
    fault::install()?;
    let mut random = Random(1);
    let mut keys = fill(&store, &mut random)?;
    let table = TableReader::map(&store.table().file)?;
    keys.retain(|key| table.get(key).is_some());
    println!("{} of {RECORDS} records resident, handler on top: {}", keys.len(), fault::on_top());
    let segments = map_all(&store)?;
    let slot =
        Ring::new(BATCH * RECORD_BYTES).lease(BATCH * RECORD_BYTES, Instant::now() + TIMEOUT)?;
    let (found, outcomes) = (Vec::new(), Vec::new());
    let mut bench = Bench { table: &table, segments: &segments, slot, found, outcomes };
    measure(&mut bench, &keys, &mut random);
    store.close();
    Ok(())
}
