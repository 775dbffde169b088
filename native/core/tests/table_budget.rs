//! A key table that has no room to grow: admission stops and says so, and nothing that is found is lost.

mod harness;

use std::sync::Arc;
use std::time::Duration;

use harness::{Bytes, SECONDS, content};
use millpool_core::{
    Admission, DeviceConfig, Fate, Identity, ObjectKey, RecordKey, Store, StoreConfig, Tier,
};

/// The first table has room for 65,536 records; one twice as large does not fit beside it.
const TABLE_BYTES: u64 = 6 << 20;
const FIT: u64 = 65_536;
const MORE_THAN_FIT: u64 = 69_000;

fn open(directory: &std::path::Path, table_bytes: u64) -> Arc<Store> {
    let device = DeviceConfig {
        path: directory.into(),
        tier: Tier::Fast,
        size_bytes: 1 << 30,
        reserve_bytes: 0,
    };
    let (extent_delay, idle_seal) = (Duration::from_millis(5), SECONDS);
    let config = StoreConfig { devices: vec![device], extent_delay, idle_seal, table_bytes };
    let store = Store::open(config).unwrap();
    store.attach(1, Identity::of("test"), true);
    store
}

/// Hashes, as real ones are: they fill a table evenly.
fn key(n: u64) -> RecordKey {
    ObjectKey::new(&Identity::of("test"), &n.to_le_bytes(), 8, b"").piece(0)
}

fn put(store: &Store, n: u64) -> Admission {
    store.append(1, key(n), 0, Arc::new(Bytes(content(n, 8))))
}

fn found(store: &Store) -> u64 {
    (0..MORE_THAN_FIT).filter(|n| store.lookup(&key(*n)).is_some()).count() as u64
}

#[test]
fn a_full_table_stops_admission_until_something_is_forgotten_or_there_is_more_memory() {
    let place = tempfile::tempdir().unwrap();
    let store = open(place.path(), TABLE_BYTES);
    let mut declined = None;
    for n in 0..MORE_THAN_FIT {
        if put(&store, n) == Admission::Declined {
            declined.get_or_insert(n);
        }
        if n % 1000 == 0 {
            store.flush(SECONDS).unwrap();
        }
    }
    store.flush(SECONDS).unwrap();
    let declined = declined.expect("some were declined");
    assert!(declined >= FIT, "{declined}");
    assert!(store.table_room().is_full());
    let fate = store.fates().of(&key(MORE_THAN_FIT - 1)).map(|dated| dated.fate);
    assert_eq!(fate, Some(Fate::TableFull), "it is not the devices that had no room");
    let held = found(&store);
    assert!((FIT..MORE_THAN_FIT).contains(&held), "{held}");
    assert!(store.table_room().taken_bytes() <= TABLE_BYTES);
    assert_eq!(store.forget(&[key(0), key(1)]).records, 2);
    assert!(!store.table_room().is_full());
    assert_eq!(put(&store, 0), Admission::Queued);
    store.flush(SECONDS).unwrap();
    assert!(store.lookup(&key(0)).is_some());
    store.close();
    drop(store);

    // Without what was saved, into less than its records need, and into enough.
    std::fs::remove_file(place.path().join("table.image")).unwrap();
    let less = open(place.path(), 1 << 20);
    let told = less.notices();
    assert!(told.len() == 1 && told[0].contains("MILLPOOL_BUDGET"), "{told:?}");
    assert!(less.table_room().taken_bytes() <= 1 << 20);
    let held_by_less = found(&less);
    assert!(held_by_less > 10_000 && held_by_less < held, "{held_by_less}");
    less.close();
    drop(less);
    std::fs::remove_file(place.path().join("table.image")).unwrap();
    let enough = open(place.path(), 1 << 30);
    assert!(enough.notices().is_empty() && found(&enough) >= held);
}
