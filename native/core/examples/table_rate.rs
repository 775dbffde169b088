//! What a look-up costs in a key table much larger than the processor's caches, on huge pages where the machine gives
//! them to memory files (`/sys/kernel/mm/transparent_hugepage/shmem_enabled` is `advise`), and on small ones.
//!
//! `cargo run --release --example table_rate -- RECORDS` (52 bytes of memory each)

use std::fs;
use std::hint::black_box;
use std::time::Instant;

use millpool_core::{Codec, Location, RecordKey, Result, TableReader, TableWriter};

const BATCH: usize = 256;
const ROUNDS: usize = 4000;
const LAPS: usize = 5;

/// splitmix64.
fn mix(n: u64) -> u64 {
    let mut x = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

fn key(n: u64) -> RecordKey {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&mix(2 * n).to_le_bytes());
    bytes[8..].copy_from_slice(&mix(2 * n + 1).to_le_bytes());
    RecordKey(bytes)
}

fn location(n: u64) -> Location {
    Location {
        segment: (n >> 16) as u32,
        generation: 1,
        offset: (n as u32 & 0xffff) * 64,
        stored_len: 64,
        crc: n as u32,
        codec: Codec::Raw,
        verified: true,
    }
}

/// Kilobytes of this process's memory files that lie on huge pages.
fn on_huge_pages() -> u64 {
    let maps = fs::read_to_string("/proc/self/smaps_rollup").unwrap_or_default();
    let line = maps.lines().find_map(|line| line.strip_prefix("ShmemPmdMapped:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok()).unwrap_or(0)
}

fn main() -> Result<()> {
    let records: u64 =
        std::env::args().nth(1).and_then(|n| n.parse().ok()).expect("usage: table_rate RECORDS");
    let begin = Instant::now();
    let mut table = TableWriter::create(records as usize)?;
    for n in 0..records {
        table.insert(&key(n), &location(n)).expect("the table has room");
    }
    println!("{records} records inserted in {:.2} s", begin.elapsed().as_secs_f64());
    let reader = TableReader::map(&table.handle().file)?;
    let (mut one, mut many) = (f64::INFINITY, f64::INFINITY);
    let mut found = Vec::new();
    for lap in 0..LAPS as u64 {
        let batches: Vec<Vec<RecordKey>> = (0..ROUNDS as u64)
            .map(|round| {
                let first = (lap * ROUNDS as u64 + round) * BATCH as u64;
                (first..first + BATCH as u64).map(|n| key(mix(n) % records)).collect()
            })
            .collect();
        let begin = Instant::now();
        for batch in &batches {
            for key in batch {
                black_box(reader.get(key));
            }
        }
        one = one.min(begin.elapsed().as_secs_f64());
        let begin = Instant::now();
        for batch in &batches {
            reader.get_many(batch, &mut found);
            black_box(&found);
        }
        many = many.min(begin.elapsed().as_secs_f64());
    }
    let each = |seconds: f64| seconds * 1e9 / (ROUNDS * BATCH) as f64;
    println!(
        "one by one {:.0} ns, in batches of {BATCH} {:.0} ns; {} MiB mapped on huge pages",
        each(one),
        each(many),
        on_huge_pages() >> 10
    );
    Ok(())
}
