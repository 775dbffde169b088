//! The key table under a model checker that tries every interleaving, and every old value that a load may still return:
//! `RUSTFLAGS="--cfg loom" cargo test -p millpool-core --release loom_`
//!
//! Buckets have one entry here, and a table two buckets: as little as shows every step of the protocol.

use std::sync::atomic::Ordering;

use loom::sync::Arc;
use loom::sync::atomic::AtomicU64;
use loom::thread;

use crate::bucket::{Bucket, Entry, Word};
use crate::cuckoo::Cuckoo;
use crate::{Codec, Location};

/// The writer's own reads go to a copy: loom (0.7) remembers only the last access to an atomic, so a load by the writer
/// just before its store would hide the reader's load before that, and with it every interleaving that matters.
struct ModelWord {
    seen: AtomicU64,
    stored: std::sync::atomic::AtomicU64,
}

impl ModelWord {
    fn zero() -> Self {
        ModelWord { seen: AtomicU64::new(0), stored: Default::default() }
    }
}

impl Word for ModelWord {
    fn load(&self, order: Ordering) -> u64 {
        self.seen.load(order)
    }

    fn own(&self) -> u64 {
        self.stored.load(Ordering::Relaxed)
    }

    fn store(&self, value: u64, order: Ordering) {
        self.stored.store(value, Ordering::Relaxed);
        self.seen.store(value, order);
    }

    fn fence(order: Ordering) {
        loom::sync::atomic::fence(order);
    }

    fn pause() {
        thread::yield_now();
    }
}

type ModelBucket = Bucket<ModelWord, 1>;

/// The upper bit of each half says which of two buckets it names.
const BOTH: [u64; 2] = [0, 1 << 63];
const FIRST_ONLY: [u64; 2] = [1, 0];

/// Few words differ between entries: each that does doubles what the checker has to try.
fn entry(key: [u64; 2], n: u32) -> Entry {
    let location = Location {
        segment: n,
        generation: n,
        offset: 0,
        stored_len: 0,
        crc: 0,
        codec: Codec::Raw,
        verified: false,
    };
    Entry::new(key, &location)
}

fn buckets() -> Arc<[ModelBucket; 2]> {
    Arc::new(std::array::from_fn(|_| Bucket::empty(ModelWord::zero)))
}

fn table(buckets: &[ModelBucket; 2]) -> Cuckoo<'_, ModelWord, 1> {
    Cuckoo::new(buckets)
}

/// Runs `change` beside a reader that looks for `key`; what it finds must be nothing or one of `allowed`.
fn check(
    before: Option<Entry>,
    change: fn(&Cuckoo<'_, ModelWord, 1>),
    key: [u64; 2],
    allowed: &'static [u32],
) {
    loom::model(move || {
        let buckets = buckets();
        if let Some(entry) = before {
            table(&buckets).insert(entry).unwrap();
        }
        let writer = thread::spawn({
            let buckets = buckets.clone();
            move || change(&table(&buckets))
        });
        if let Some(found) = table(&buckets).find(key) {
            assert!(allowed.iter().any(|n| found == entry(key, *n)), "{found:?}");
        }
        writer.join().unwrap();
    });
}

#[test]
fn loom_insert_is_seen_whole_or_not_at_all() {
    check(None, |table| assert!(table.insert(entry(BOTH, 1)).is_ok()), BOTH, &[1]);
}

#[test]
fn loom_replacement_gives_the_old_or_the_new() {
    let change = |table: &Cuckoo<'_, ModelWord, 1>| assert!(table.insert(entry(BOTH, 2)).is_ok());
    check(Some(entry(BOTH, 1)), change, BOTH, &[1, 2]);
}

#[test]
fn loom_removal_gives_the_old_or_a_miss() {
    let change = |table: &Cuckoo<'_, ModelWord, 1>| {
        table.write(table.place_of(BOTH).unwrap(), Entry::EMPTY);
    };
    check(Some(entry(BOTH, 1)), change, BOTH, &[1]);
}

fn displace(table: &Cuckoo<'_, ModelWord, 1>) {
    assert!(table.insert(entry(FIRST_ONLY, 2)).is_ok());
    assert_eq!(table.place_of(BOTH), Some((1, 0)));
}

#[test]
fn loom_displaced_key_is_found_unchanged_or_missed() {
    check(Some(entry(BOTH, 1)), displace, BOTH, &[1]);
}

#[test]
fn loom_displacing_key_is_seen_whole_or_not_at_all() {
    check(Some(entry(BOTH, 1)), displace, FIRST_ONLY, &[2]);
}

#[test]
fn loom_a_place_used_again_gives_neither_owner_the_other() {
    let change = |table: &Cuckoo<'_, ModelWord, 1>| {
        table.write((0, 0), Entry::EMPTY);
        assert!(table.insert(entry(FIRST_ONLY, 2)).is_ok());
    };
    check(Some(entry(BOTH, 1)), change, BOTH, &[1]);
}

/// The checksum would hide a wrong seqlock from the tests above: a stable sequence must mean an intact bucket.
#[test]
fn loom_snapshots_are_of_one_moment_without_help_of_the_checksum() {
    loom::model(|| {
        let buckets = buckets();
        table(&buckets).insert(entry(BOTH, 1)).unwrap();
        let writer = thread::spawn({
            let buckets = buckets.clone();
            move || table(&buckets).insert(entry(BOTH, 2)).unwrap()
        });
        if let Some((head, entries)) = buckets[0].snapshot() {
            assert!(ModelBucket::intact(head, &entries), "{head:x} {entries:?}");
        }
        writer.join().unwrap();
    });
}

/// The daemon retires a table and then sends the next one: whoever has got it finds the old one retired.
#[test]
fn loom_retirement_is_seen_by_whoever_has_the_next_table() {
    loom::model(|| {
        let words = Arc::new([ModelWord::zero(), ModelWord::zero()]);
        let daemon = thread::spawn({
            let words = words.clone();
            move || {
                let [retired, sent] = &*words;
                retired.store(1, Ordering::Release);
                sent.store(1, Ordering::Release);
            }
        });
        let [retired, sent] = &*words;
        if sent.load(Ordering::Acquire) == 1 {
            assert_eq!(retired.load(Ordering::Acquire), 1);
        }
        daemon.join().unwrap();
    });
}
