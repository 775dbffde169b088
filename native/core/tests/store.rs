//! The store against a map of key to bytes, through crashes, evictions, damage and full devices.

mod harness;

use std::fs;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use harness::{Bytes, SECONDS, content, get, key, open_at, put, segment_files};
use millpool_core::{
    Admission, Code, DeviceConfig, DeviceState, Identity, PIECE_BYTES, Store, StoreConfig, Tier,
};

#[test]
fn records_of_every_size_come_back_before_and_after_a_restart() {
    let place = tempfile::tempdir().unwrap();
    let paths = [place.path().to_path_buf()];
    let sizes = [
        1,
        63,
        64,
        65,
        2047,
        2048,
        4095,
        4096,
        4097,
        100_000,
        PIECE_BYTES as usize - 1,
        PIECE_BYTES as usize,
    ];
    for pass in 0..2 {
        let store = open_at(&paths, 1 << 30);
        for (n, size) in sizes.iter().enumerate() {
            if pass == 0 {
                assert_eq!(put(&store, n as u64, *size), Admission::Queued);
            }
        }
        store.flush(SECONDS).unwrap();
        for (n, size) in sizes.iter().enumerate() {
            assert_eq!(
                get(&store, n as u64),
                Some(content(n as u64, *size)),
                "{size} bytes, pass {pass}"
            );
        }
        store.close();
    }
    assert!(
        segment_files(place.path())
            .iter()
            .all(|path| path.extension().is_some_and(|suffix| suffix == "seg"))
    );
}

#[test]
fn empty_and_oversized_records_and_unknown_attachments_are_declined() {
    let place = tempfile::tempdir().unwrap();
    let store = open_at(&[place.path().to_path_buf()], 1 << 30);
    assert_eq!(put(&store, 1, 0), Admission::Declined);
    assert_eq!(put(&store, 2, PIECE_BYTES as usize + 1), Admission::Declined);
    assert_eq!(store.append(9, key(3), 0, Arc::new(Bytes(vec![1]))), Admission::Declined);
    store.attach(1, Identity::of("test"), false);
    assert_eq!(put(&store, 4, 10), Admission::Declined);
}

#[test]
fn a_second_store_on_the_same_directory_is_refused_by_directory_and_process() {
    let place = tempfile::tempdir().unwrap();
    let _first = open_at(&[place.path().to_path_buf()], 1 << 30);
    let devices = vec![DeviceConfig {
        path: place.path().to_path_buf(),
        tier: Tier::Fast,
        size_bytes: 1 << 30,
        reserve_bytes: 0,
    }];
    let config = StoreConfig {
        devices,
        extent_delay: Duration::ZERO,
        idle_seal: SECONDS,
        table_bytes: 1 << 30,
    };
    let error = Store::open(config).err().expect("it is refused");
    assert_eq!(error.code, Code::Exists);
    assert!(error.message.contains(&place.path().display().to_string()), "{error}");
    assert!(error.message.contains(&std::process::id().to_string()), "{error}");
}

#[test]
fn a_directory_is_free_once_its_store_is_closed_though_a_child_has_its_files_open() {
    let place = tempfile::tempdir().unwrap();
    let store = open_at(&[place.path().to_path_buf()], 1 << 30);
    // SAFETY: the child does nothing but wait to be killed.
    let child = unsafe { libc::fork() };
    if child == 0 {
        loop {
            // SAFETY: touches nothing.
            unsafe { libc::pause() };
        }
    }
    store.close();
    let again = std::panic::catch_unwind(|| open_at(&[place.path().to_path_buf()], 1 << 30));
    // SAFETY: our own child, which has not been waited for.
    unsafe {
        libc::kill(child, libc::SIGKILL);
        libc::waitpid(child, std::ptr::null_mut(), 0);
    }
    assert!(again.is_ok());
}

#[test]
fn records_spread_over_devices_and_one_that_is_lost_costs_only_its_own() {
    let place = tempfile::tempdir().unwrap();
    let paths = ["a", "b", "c"].map(|name| place.path().join(name));
    let store = open_at(&paths, 1 << 30);
    for n in 0..300 {
        put(&store, n, 50_000);
        if n % 30 == 29 {
            store.flush(SECONDS).unwrap();
        }
    }
    store.flush(SECONDS).unwrap();
    store.close();
    drop(store);
    fs::remove_dir_all(paths[1].join("segments")).unwrap();
    let store = open_at(&paths, 1 << 30);
    let left = (0..300).filter(|n| get(&store, *n).is_some()).count();
    assert!(left > 100 && left < 300, "{left} of 300 records are left of three devices less one");
    for n in 0..300 {
        assert!(get(&store, n).is_none_or(|bytes| bytes == content(n, 50_000)));
    }
}

#[test]
fn devices_that_are_equally_busy_take_turns() {
    let place = tempfile::tempdir().unwrap();
    let paths = ["a", "b", "c"].map(|name| place.path().join(name));
    let store = open_at(&paths, 1 << 30);
    for n in 0..30 {
        put(&store, n, 50_000);
        store.flush(SECONDS).unwrap();
    }
    let mut records: Vec<_> =
        store.segments().iter().map(|segment| (segment.device, segment.live_records)).collect();
    records.sort();
    assert_eq!(records, [(0, 10), (1, 10), (2, 10)]);
}

#[test]
fn a_segment_that_nothing_is_added_to_is_sealed() {
    let place = tempfile::tempdir().unwrap();
    let device = DeviceConfig {
        path: place.path().into(),
        tier: Tier::Fast,
        size_bytes: 1 << 30,
        reserve_bytes: 0,
    };
    let idle_seal = Duration::from_millis(20);
    let config = StoreConfig {
        devices: vec![device],
        extent_delay: Duration::ZERO,
        idle_seal,
        table_bytes: 1 << 30,
    };
    let store = Store::open(config).unwrap();
    store.attach(1, Identity::of("test"), true);
    put(&store, 1, 5000);
    store.flush(SECONDS).unwrap();
    let deadline = Instant::now() + SECONDS;
    let is_settled = || {
        let [file] = &segment_files(place.path())[..] else { panic!("one segment") };
        let is_named = file.extension().is_some_and(|suffix| suffix == "seg");
        is_named
            && store.segments()[0].sealed
            && fs::metadata(file).is_ok_and(|file| file.len() == store.segments()[0].file_bytes)
    };
    while !is_settled() {
        assert!(Instant::now() < deadline, "it is sealed");
        std::thread::yield_now();
    }
    let status = &store.segments()[0];
    assert_eq!(store.devices()[0].used_bytes, status.file_bytes);
    put(&store, 2, 5000);
    store.flush(SECONDS).unwrap();
    assert_eq!((get(&store, 1), get(&store, 2)), (Some(content(1, 5000)), Some(content(2, 5000))));
}

#[test]
fn nobody_else_can_read_what_is_cached() {
    let place = tempfile::tempdir().unwrap();
    let store = open_at(&[place.path().join("data")], 1 << 30);
    put(&store, 1, 5000);
    store.close();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&place.path().join("data/segments")), 0o700);
    assert_eq!(mode(&segment_files(&place.path().join("data"))[0]), 0o600);
}

#[test]
fn what_no_store_wrote_is_told_and_keeps_nothing_else_from_being_served() {
    let place = tempfile::tempdir().unwrap();
    let store = open_at(&[place.path().to_path_buf()], 1 << 30);
    put(&store, 1, 5000);
    store.close();
    drop(store);
    let segments = place.path().join("segments");
    fs::create_dir(segments.join("a-directory.seg")).unwrap();
    fs::write(segments.join("text.seg"), "no segment").unwrap();
    fs::write(segments.join("notes.txt"), "not ours").unwrap();
    let huge = fs::File::create(segments.join("huge.open")).unwrap();
    huge.set_len(5 << 30).unwrap();
    let store = open_at(&[place.path().to_path_buf()], 1 << 30);
    assert_eq!(get(&store, 1), Some(content(1, 5000)));
    for name in ["a-directory.seg", "huge.open"] {
        assert!(
            store.notices().iter().any(|notice| notice.contains(name)),
            "{:?}",
            store.notices()
        );
    }
    assert!(segments.join("notes.txt").exists() && !segments.join("text.seg").exists());
}

#[test]
fn a_full_device_declines_and_takes_records_again_when_something_is_evicted() {
    let place = tempfile::tempdir().unwrap();
    let store = open_at(&[place.path().to_path_buf()], 24 << 20);
    for n in 0..400 {
        put(&store, n, 100_000);
        store.flush(SECONDS).unwrap();
    }
    assert!(store.segments().iter().map(|segment| segment.file_bytes).sum::<u64>() <= 24 << 20);
    let device = store.devices().remove(0);
    assert!(device.state == DeviceState::Full || device.room_bytes < 100_000, "{device:?}");
    let kept = (0..400).filter(|n| get(&store, *n).is_some()).count();
    assert!(kept > 100, "{kept} records are kept");
    let all: Vec<_> = store.segments().iter().map(|segment| segment.number).collect();
    assert_eq!(store.evict(&all).records as usize, kept);
    put(&store, 1000, 100_000);
    store.flush(SECONDS).unwrap();
    assert_eq!(get(&store, 1000), Some(content(1000, 100_000)));
}

#[test]
fn an_identity_takes_no_more_than_its_quota_and_what_it_has_is_counted() {
    let place = tempfile::tempdir().unwrap();
    let store = open_at(&[place.path().to_path_buf()], 1 << 30);
    let identity = Identity::of("test");
    store.set_quota(&identity, Some(12 << 20));
    for n in 0..200 {
        put(&store, n, 100_000);
    }
    store.flush(SECONDS).unwrap();
    let of_test =
        || store.tenants().into_iter().find(|tenant| tenant.identity == identity).unwrap();
    let kept = (0..200).filter(|n| get(&store, *n).is_some()).count() as u64;
    let before = of_test();
    assert!((110..=125).contains(&kept), "{kept} records of 100,000 bytes in 12 MiB");
    assert_eq!(before.declined_bytes, (200 - kept) * 100_000);
    assert_eq!(before.queued_bytes, 0);
    assert!(store.room(&identity) < 100_000);
    store.set_quota(&identity, None);
    assert_eq!(put(&store, 500, 100_000), Admission::Queued);
    store.close();
    let segments = store.segments();
    let space: u64 = segments.iter().map(|segment| segment.file_bytes).sum();
    assert_eq!(of_test().stored_bytes, space);
    assert_eq!(space, store.devices()[0].used_bytes);
    store.evict(&segments.iter().map(|segment| segment.number).collect::<Vec<_>>());
    assert_eq!((of_test().stored_bytes, store.devices()[0].used_bytes), (0, 0));
}

#[test]
fn what_is_pinned_is_not_evicted_and_is_kept_above_a_quota() {
    let place = tempfile::tempdir().unwrap();
    let store = open_at(&[place.path().to_path_buf()], 1 << 30);
    let pinned_bytes = |store: &Store| -> u64 {
        store.segments().iter().map(|segment| segment.pinned_bytes).sum()
    };
    put(&store, 1, 5000);
    put(&store, 2, 7000);
    store.flush(SECONDS).unwrap();
    // One that is here, and one that is to come.
    store.pin(&[key(1), key(9)]);
    store.pin(&[key(1)]);
    assert_eq!(pinned_bytes(&store), 5000);
    let all: Vec<_> = store.segments().iter().map(|segment| segment.number).collect();
    assert_eq!(store.evict(&all).records, 0);
    assert_eq!(get(&store, 2), Some(content(2, 7000)));
    store.set_quota(&Identity::of("test"), Some(0));
    assert_eq!(put(&store, 3, 100), Admission::Declined);
    assert_eq!(put(&store, 9, 300), Admission::Queued);
    store.flush(SECONDS).unwrap();
    assert_eq!(pinned_bytes(&store), 5300);
    // The same record once more moves to its new place, and is pinned there.
    put(&store, 9, 300);
    store.flush(SECONDS).unwrap();
    assert_eq!(pinned_bytes(&store), 5300);
    store.forget(&[key(9)]);
    assert_eq!(pinned_bytes(&store), 5000);
    store.unpin_all();
    assert_eq!(pinned_bytes(&store), 0);
    assert!(store.evict(&all).records > 0);
    assert!(get(&store, 1).is_none());
}

#[test]
fn there_is_no_room_for_what_is_not_admitted() {
    let place = tempfile::tempdir().unwrap();
    let store = open_at(&[place.path().to_path_buf()], 1 << 30);
    let identity = Identity::of("test");
    assert_eq!(store.room(&identity), 1 << 30);
    store.attach(1, identity, false);
    assert_eq!(store.room(&identity), 0);
}

#[test]
fn an_evicted_segment_stays_readable_for_who_holds_it_and_its_number_gets_a_new_generation() {
    let place = tempfile::tempdir().unwrap();
    let store = open_at(&[place.path().to_path_buf()], 1 << 30);
    put(&store, 1, 5000);
    store.flush(SECONDS).unwrap();
    let location = store.lookup(&key(1)).unwrap();
    let held = store.segment(location.segment, location.generation).unwrap();
    store.evict(&[location.segment]);
    assert!(store.lookup(&key(1)).is_none());
    assert!(store.segment(location.segment, location.generation).is_none());
    let mut bytes = vec![0u8; 5000];
    held.file.read_exact_at(&mut bytes, u64::from(location.offset)).unwrap();
    assert_eq!(bytes, content(1, 5000));
    put(&store, 2, 5000);
    store.flush(SECONDS).unwrap();
    let next = store.lookup(&key(2)).unwrap();
    assert_eq!(next.segment, location.segment);
    assert_ne!(next.generation, location.generation);
    assert_eq!(store.read(&location).unwrap_err().code, Code::NotFound);
}

#[test]
fn a_location_of_an_earlier_run_is_of_no_segment_of_this_one() {
    let place = tempfile::tempdir().unwrap();
    let runs = [true, false].map(|is_first| {
        let store = open_at(&[place.path().to_path_buf()], 1 << 30);
        if is_first {
            put(&store, 1, 5000);
        }
        store.close();
        store.lookup(&key(1)).unwrap()
    });
    assert_eq!(runs[0].segment, runs[1].segment);
    assert_ne!(runs[0].generation, runs[1].generation);
}

#[test]
fn a_file_of_a_newer_format_is_set_aside_and_said() {
    let place = tempfile::tempdir().unwrap();
    let store = open_at(&[place.path().to_path_buf()], 1 << 30);
    put(&store, 1, 5000);
    store.close();
    drop(store);
    let [file] = &segment_files(place.path())[..] else { panic!("one segment") };
    let mut bytes = fs::read(file).unwrap();
    bytes[4] = 9;
    let trailer = bytes.len() - 4096;
    bytes[trailer + 4] = 9;
    fs::write(file, bytes).unwrap();
    let store = open_at(&[place.path().to_path_buf()], 1 << 30);
    assert!(get(&store, 1).is_none());
    let told = |what: &str| store.notices().iter().any(|notice| notice.contains(what));
    assert!(told("version 9: set aside"), "{:?}", store.notices());
    assert!(place.path().join("aside").join(file.file_name().unwrap()).exists());
}

/// Every byte of a small sealed segment, flipped one at a time: each record is right or absent, never wrong.
#[test]
fn no_flipped_byte_of_a_segment_gives_a_wrong_record() {
    let place = tempfile::tempdir().unwrap();
    let store = open_at(&[place.path().to_path_buf()], 1 << 30);
    let sizes = [100usize, 3000, 700];
    sizes
        .iter()
        .enumerate()
        .for_each(|(n, size)| assert_eq!(put(&store, n as u64, *size), Admission::Queued));
    store.close();
    drop(store);
    let [file] = &segment_files(place.path())[..] else { panic!("one segment") };
    let whole = fs::read(file).unwrap();
    // In memory: thousands of stores are closed here, and each syncs what it saves.
    let other = tempfile::tempdir_in("/dev/shm").unwrap();
    let mut healed = 0;
    let mut absent = 0;
    // Zero padding is most of the file and protects nothing: every 16th byte of long zero runs stands for it.
    for at in (0..whole.len()).filter(|at| whole[*at] != 0 || at % 16 == 0) {
        let copy = other.path().join("segments").join(file.file_name().unwrap());
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        fs::write(&copy, bytes).unwrap();
        let store = open_at(&[other.path().to_path_buf()], 1 << 30);
        for (n, size) in sizes.iter().enumerate() {
            match get(&store, n as u64) {
                Some(bytes) => {
                    assert_eq!(bytes, content(n as u64, *size), "byte {at} flipped");
                    healed += 1;
                }
                None => absent += 1,
            }
        }
        store.close();
        drop(store);
        fs::remove_dir_all(other.path().join("segments")).unwrap();
    }
    assert!(healed > 0 && absent > 0, "{healed} records were right, {absent} absent");
}
