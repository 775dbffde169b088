//! A store is used while it still loads what earlier runs left.

mod harness;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use harness::{SECONDS, content, crash_copy, get, key, open_at, put};
use millpool_core::{DeviceConfig, Identity, Store, StoreConfig, TableReader, Tier};

/// More than are loaded before the store opens.
const RECORDS: u64 = 100_000;

fn len(n: u64) -> usize {
    20 + n as usize % 60
}

fn open_early(path: &Path) -> Arc<Store> {
    let tier = Tier::Fast;
    let devices =
        vec![DeviceConfig { path: path.into(), tier, size_bytes: 1 << 30, reserve_bytes: 0 }];
    let (extent_delay, idle_seal) = (Duration::from_millis(5), Duration::from_secs(30));
    let config = StoreConfig { devices, extent_delay, idle_seal, table_bytes: 1 << 30 };
    let store = Store::claim(config).unwrap().open().unwrap();
    store.attach(1, Identity::of("test"), true);
    store
}

fn assert_right(store: &Store, records: impl Iterator<Item = u64>) {
    for n in records {
        assert!(get(store, n) == Some(content(n, len(n))), "record {n}");
    }
}

#[test]
fn a_store_reads_and_writes_from_the_first_moment_after_any_ending() {
    let place = tempfile::tempdir().unwrap();
    let [clean, crash] = ["clean", "crash"].map(|name| place.path().join(name));
    let store = open_at(std::slice::from_ref(&clean), 1 << 30);
    for n in 0..RECORDS {
        put(&store, n, len(n));
    }
    store.flush(SECONDS).unwrap();
    crash_copy(&clean, &crash);
    store.close();
    for directory in [clean, crash] {
        let store = open_early(&directory);
        let reader = TableReader::map(&store.table().file).unwrap();
        assert_right(&store, [0, RECORDS / 2, RECORDS - 1].into_iter());
        put(&store, RECORDS, len(RECORDS));
        store.flush(SECONDS).unwrap();
        assert!(!store.is_loading(), "nothing is written before all is loaded");
        assert!(reader.retired(), "whoever came early asks for the table anew");
        assert!(store.notices().is_empty(), "{:?}", store.notices());
        assert_right(&store, 0..=RECORDS);
        let live: u64 = store.segments().iter().map(|segment| segment.live_records).sum();
        assert_eq!(live, RECORDS + 1);
        store.close();
        // Stopped before it has loaded anything, it saves all of it.
        assert_eq!(open_early(&directory).close(), Vec::<String>::new());
        assert!(directory.join("table.image").exists());
        let store = open_early(&directory);
        assert_eq!(store.forget(&[key(1)]).records, 1);
        assert_right(&store, 2..=RECORDS);
    }
}
