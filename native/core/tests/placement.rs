//! Devices of different sizes.

mod harness;

use std::time::Duration;

use harness::{SECONDS, content, get, put};
use millpool_core::{Admission, DeviceConfig, Identity, Store, StoreConfig, Tier};

const LEN: usize = 100_000;

fn open(place: &std::path::Path, sizes: &[u64]) -> std::sync::Arc<Store> {
    let device = |(n, size_bytes): (usize, &u64)| DeviceConfig {
        path: place.join(n.to_string()),
        tier: Tier::Fast,
        size_bytes: *size_bytes,
        reserve_bytes: 0,
    };
    let store = Store::open(StoreConfig {
        devices: sizes.iter().enumerate().map(device).collect(),
        extent_delay: Duration::from_millis(5),
        idle_seal: SECONDS,
        table_bytes: 1 << 30,
    });
    let store = store.unwrap();
    store.attach(1, Identity::of("test"), true);
    store
}

#[test]
fn devices_fill_in_proportion_to_their_sizes_and_all_of_them_to_their_ends() {
    let place = tempfile::tempdir().unwrap();
    let sizes = [1u64, 3, 7].map(|parts| parts * (16 << 20));
    let store = open(place.path(), &sizes);
    let total: u64 = sizes.iter().sum();
    let mut n = 0;
    let mut fill_to = |store: &Store, bytes: u64| {
        while n * (LEN as u64) < bytes {
            put(store, n, LEN);
            n += 1;
            if n.is_multiple_of(100) {
                store.flush(SECONDS).unwrap();
            }
        }
        store.flush(SECONDS).unwrap();
        n
    };
    let written = fill_to(&store, total / 2);
    assert!((0..written).all(|n| get(&store, n) == Some(content(n, LEN))), "nothing is refused");
    let live = |device: u32| -> f64 {
        let segments = store.segments();
        let own = segments.iter().filter(|segment| segment.device == device);
        own.map(|segment| segment.live_bytes).sum::<u64>() as f64
    };
    for (device, size) in sizes.iter().enumerate() {
        let share = live(device as u32) / *size as f64;
        assert!((0.38..0.62).contains(&share), "device {device} is filled to {share}");
    }
    // As long as there is room anywhere, nothing is refused.
    let mut last = written;
    while put(&store, last, LEN) == Admission::Queued {
        store.flush(SECONDS).unwrap();
        if get(&store, last).is_none() {
            break;
        }
        last += 1;
    }
    for (device, size) in sizes.iter().enumerate() {
        let share = live(device as u32) / *size as f64;
        assert!(share > 0.8, "device {device} is full at {share}");
    }
    assert!((0..last).all(|n| get(&store, n) == Some(content(n, LEN))));
}
