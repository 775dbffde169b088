//! Fast and slow devices of one store: where records go, and what counts where.

mod harness;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use harness::{SECONDS, content, get, key, put};
use millpool_core::{
    Admission, Code, CopyForward, Destination, DeviceConfig, Identity, SegmentStatus, Store,
    StoreConfig, Tier,
};

const LEN: usize = 50_000;
const FAST: u32 = 0;
const SLOW: u32 = 1;

fn open(place: &Path, tiers: [Tier; 2]) -> millpool_core::Result<Arc<Store>> {
    let device = |(name, tier): (&str, Tier)| DeviceConfig {
        path: place.join(name),
        tier,
        size_bytes: 64 << 20,
        reserve_bytes: 0,
    };
    let devices = ["fast", "slow"].into_iter().zip(tiers).map(device).collect();
    let extent_delay = Duration::from_millis(5);
    let store = Store::open(StoreConfig {
        devices,
        extent_delay,
        idle_seal: SECONDS,
        table_bytes: 1 << 30,
    })?;
    store.attach(1, Identity::of("test"), true);
    Ok(store)
}

fn tiered(place: &Path) -> Arc<Store> {
    open(place, [Tier::Fast, Tier::Slow]).unwrap()
}

fn segments_on(store: &Store, device: u32) -> Vec<SegmentStatus> {
    store.segments().into_iter().filter(|segment| segment.device == device).collect()
}

fn move_all(store: &Store, from: u32, to: u32) {
    store.detach(1);
    store.attach(1, Identity::of("test"), true);
    let deadline = Instant::now() + SECONDS;
    while segments_on(store, from).iter().any(|segment| !segment.sealed) {
        assert!(Instant::now() < deadline, "all is sealed");
        std::thread::yield_now();
    }
    for of in segments_on(store, from) {
        let copy = CopyForward::of(store, Destination::OneOf(vec![to]));
        let copied = copy.copy(of.number, of.generation, deadline).unwrap();
        assert_eq!((copied.left, copied.retired), (0, true));
    }
}

#[test]
fn records_are_written_to_fast_devices_while_those_have_room_and_to_slow_ones_then() {
    let place = tempfile::tempdir().unwrap();
    let store = tiered(place.path());
    let identity = Identity::of("test");
    let slow_room = store.room(&identity) - store.devices()[0].room_bytes;
    assert!(slow_room > 0 && slow_room < store.devices()[1].room_bytes, "as much as may wait");
    for n in 0..200 {
        put(&store, n, LEN);
    }
    store.flush(SECONDS).unwrap();
    assert!(segments_on(&store, SLOW).is_empty());
    let mut queued = 200;
    while put(&store, queued, LEN) == Admission::Queued {
        queued += 1;
        if queued % 20 == 0 {
            store.flush(SECONDS).unwrap();
        }
    }
    store.flush(SECONDS).unwrap();
    let on = |device| segments_on(&store, device).iter().map(|of| of.live_records).sum::<u64>();
    // Whether the last extents fit is known when they are written.
    assert!(queued - (on(FAST) + on(SLOW)) < 100, "{} of {queued}", on(FAST) + on(SLOW));
    assert!(on(SLOW) > 1000 && on(FAST) > 1000, "{} and {}", on(FAST), on(SLOW));
    assert!(store.devices().iter().all(|device| device.used_bytes <= device.size_bytes));
    assert!((0..queued).all(|n| get(&store, n).is_none_or(|bytes| bytes == content(n, LEN))));
}

#[test]
fn what_is_beyond_a_quota_goes_to_slow_devices() {
    let place = tempfile::tempdir().unwrap();
    let store = tiered(place.path());
    store.set_quota(&Identity::of("test"), Some(10 << 20));
    for n in 0..400 {
        assert_eq!(put(&store, n, LEN), Admission::Queued);
        if n % 20 == 19 {
            store.flush(SECONDS).unwrap();
        }
    }
    let tenant = store.tenants()[0];
    assert!(tenant.stored_bytes <= 11 << 20 && tenant.slow_bytes >= 9 << 20, "{tenant:?}");
}

#[test]
fn what_moves_counts_where_it_lies_and_gives_its_quota_back() {
    let place = tempfile::tempdir().unwrap();
    let store = tiered(place.path());
    let identity = Identity::of("test");
    store.set_quota(&identity, Some(12 << 20));
    for n in 0..200 {
        put(&store, n, LEN);
    }
    store.flush(SECONDS).unwrap();
    let before = store.tenants()[0];
    assert_eq!(before.slow_bytes, 0);
    let room = store.room(&identity);
    move_all(&store, FAST, SLOW);
    let moved = store.tenants()[0];
    assert_eq!(moved.stored_bytes, 0);
    assert!(moved.slow_bytes >= 200 * LEN as u64);
    assert_eq!(store.room(&identity) - room, before.stored_bytes);
    assert!((0..200).all(|n| get(&store, n) == Some(content(n, LEN))));

    move_all(&store, SLOW, FAST);
    let back = store.tenants()[0];
    assert_eq!(back.slow_bytes, 0);
    assert!(segments_on(&store, SLOW).is_empty());
    assert!((0..200).all(|n| get(&store, n) == Some(content(n, LEN))));
}

#[test]
fn a_directory_may_be_of_another_tier_at_the_next_start() {
    let place = tempfile::tempdir().unwrap();
    let store = tiered(place.path());
    for n in 0..100 {
        put(&store, n, LEN);
    }
    store.flush(SECONDS).unwrap();
    move_all(&store, FAST, SLOW);
    for n in 100..200 {
        put(&store, n, LEN);
    }
    store.close();
    drop(store);
    let store = open(place.path(), [Tier::Slow, Tier::Fast]).unwrap();
    assert!((0..200).all(|n| get(&store, n) == Some(content(n, LEN))));
    let tenant = store.tenants()[0];
    let stored = |device| segments_on(&store, device).iter().map(|of| of.file_bytes).sum::<u64>();
    assert_eq!((tenant.stored_bytes, tenant.slow_bytes), (stored(1), stored(0)));
    assert!(store.lookup(&key(0)).is_some());
}

#[test]
fn a_store_of_slow_devices_alone_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let refused = open(place.path(), [Tier::Slow, Tier::Slow]).err().unwrap();
    assert_eq!(refused.code, Code::Invalid);
}
