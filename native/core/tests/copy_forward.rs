//! Live records of segments copied to others: what is moved, what stays, and a kill at any moment.

mod harness;

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use harness::{RENAME, SECONDS, UNLINK, content, die_at, get, key, open_at, put, segment_files};
use millpool_core::{
    Code, Copied, CopyForward, Destination, DeviceConfig, Identity, SegmentStatus, Store,
    StoreConfig, Tier,
};

const LEN: usize = 50_000;

/// Sealed by a clean stop: records of these numbers, in one segment.
fn sealed(directory: &Path, numbers: std::ops::Range<u64>) {
    let store = open_at(&[directory.to_path_buf()], 1 << 30);
    numbers.for_each(|n| {
        put(&store, n, LEN);
    });
    store.flush(SECONDS).unwrap();
    store.close();
}

fn copy(store: &Store, of: &SegmentStatus, to: Destination) -> millpool_core::Result<Copied> {
    CopyForward::of(store, to).copy(of.number, of.generation, Instant::now() + SECONDS)
}

fn forget(store: &Store, numbers: impl Iterator<Item = u64>) {
    let keys: Vec<_> = numbers.map(key).collect();
    assert_eq!(store.forget(&keys).records, keys.len() as u64);
}

fn assert_found(store: &Store, found: impl Fn(u64) -> bool) {
    for n in 0..60 {
        let expected = found(n).then(|| content(n, LEN));
        assert!(get(store, n) == expected, "record {n}");
    }
}

#[test]
fn what_is_live_moves_and_the_rest_comes_free() {
    let place = tempfile::tempdir().unwrap();
    sealed(place.path(), 0..60);
    let store = open_at(&[place.path().to_path_buf()], 1 << 30);
    forget(&store, (0..60).filter(|n| n % 3 != 0));
    let old = store.segments().remove(0);
    let held = store.segment(old.number, old.generation).unwrap().for_reader().unwrap();
    let locations: Vec<_> = (0..60).map(|n| store.lookup(&key(n))).collect();

    let copied = copy(&store, &old, Destination::AnyDevice).unwrap();
    let live = 20 * LEN as u64;
    let expected = Copied { records: 20, bytes: live, left: 0, damaged: 0, retired: true };
    assert_eq!(copied, expected);
    assert_found(&store, |n| n % 3 == 0);
    let segments = store.segments();
    assert_eq!((segments.len(), segments[0].live_bytes), (1, live));
    let used = store.devices()[0].used_bytes;
    assert_eq!(used - segments[0].file_bytes, old.file_bytes, "what is held counts");

    // Whoever is in the middle of a gather has the old bytes, and its location leads to nothing else.
    for (n, location) in locations.iter().enumerate() {
        let Some(location) = location else { continue };
        let mut bytes = vec![0; LEN];
        held.read_exact_at(&mut bytes, location.offset.into()).unwrap();
        assert!(bytes == content(n as u64, LEN));
        assert_eq!(store.read(location).unwrap_err().code, Code::NotFound);
    }
    assert_eq!(copy(&store, &old, Destination::AnyDevice).unwrap_err().code, Code::NotFound);
    store.close();
    drop(store);
    let store = open_at(&[place.path().to_path_buf()], 1 << 30);
    assert_found(&store, |n| n % 3 == 0);
    let [file] = &segment_files(place.path())[..] else { panic!("one segment") };
    assert!(fs::metadata(file).unwrap().len() < old.file_bytes / 2);
}

#[test]
fn an_open_segment_is_not_copied() {
    let place = tempfile::tempdir().unwrap();
    let store = open_at(&[place.path().to_path_buf()], 1 << 30);
    put(&store, 1, LEN);
    store.flush(SECONDS).unwrap();
    let open = store.segments().remove(0);
    assert_eq!(copy(&store, &open, Destination::AnyDevice).unwrap_err().code, Code::NotFound);
}

#[test]
fn copies_go_to_the_devices_that_are_named() {
    let place = tempfile::tempdir().unwrap();
    let paths = ["fast", "slow", "other"].map(|name| place.path().join(name));
    let store = open_at(&paths, 1 << 30);
    for n in 0..60 {
        put(&store, n, LEN);
    }
    store.close();
    drop(store);
    let store = open_at(&paths, 1 << 30);
    for old in store.segments().iter().filter(|segment| segment.device == 0) {
        let copied = copy(&store, old, Destination::OneOf(vec![1])).unwrap();
        assert_eq!((copied.records, copied.retired), (old.live_records, true));
    }
    assert!(store.segments().iter().all(|segment| segment.device != 0));
    assert!(segment_files(&paths[0]).is_empty());
    assert_found(&store, |_| true);
    let nowhere = store.segments().remove(0);
    let copied = copy(&store, &nowhere, Destination::OneOf(vec![9])).unwrap();
    assert_eq!((copied.records, copied.left), (0, nowhere.live_records));
}

#[test]
fn without_room_all_stays_where_it_is_and_nothing_is_counted_as_lost() {
    let place = tempfile::tempdir().unwrap();
    sealed(place.path(), 0..60);
    let store = open_at(&[place.path().to_path_buf()], 4 << 20);
    let old = store.segments().remove(0);
    let copied = copy(&store, &old, Destination::AnyDevice).unwrap();
    assert!(copied.left > 0 && !copied.retired, "{copied:?}");
    assert_found(&store, |_| true);
    assert_eq!(store.tenants()[0].declined_bytes, 0);
    assert!((0..60).all(|n| store.fates().of(&key(n)).is_none()));
}

#[test]
fn a_damaged_record_is_forgotten_and_the_others_move() {
    let place = tempfile::tempdir().unwrap();
    sealed(place.path(), 0..60);
    let store = open_at(&[place.path().to_path_buf()], 1 << 30);
    let at = store.lookup(&key(7)).unwrap();
    let file = fs::OpenOptions::new().write(true).open(&segment_files(place.path())[0]).unwrap();
    file.write_all_at(b"damage", u64::from(at.offset) + 100).unwrap();
    let old = store.segments().remove(0);
    let copied = copy(&store, &old, Destination::AnyDevice).unwrap();
    assert_eq!((copied.records, copied.damaged, copied.retired), (59, 1, true));
    assert_eq!(store.damaged(), 1);
    assert_found(&store, |n| n != 7);
}

#[test]
fn what_is_forgotten_or_comes_anew_while_it_is_copied_stays_so() {
    let place = tempfile::tempdir().unwrap();
    // So few that none is written before it must be: a folio of 2 MiB would be.
    const FEW: u64 = 30;
    sealed(place.path(), 0..FEW);
    let (path, size_bytes) = (place.path().to_path_buf(), 1 << 30);
    // Copies wait long enough for others to be quicker.
    let config = StoreConfig {
        devices: vec![DeviceConfig { path, tier: Tier::Fast, size_bytes, reserve_bytes: 0 }],
        extent_delay: Duration::from_secs(3600),
        idle_seal: SECONDS,
        table_bytes: 1 << 30,
    };
    let store = Store::open(config).unwrap();
    store.attach(1, Identity::of("test"), true);
    let old = store.segments().remove(0);
    std::thread::scope(|scope| {
        let copying = scope.spawn(|| copy(&store, &old, Destination::AnyDevice).unwrap());
        let deadline = Instant::now() + SECONDS;
        while store.devices()[0].queued_bytes < FEW * LEN as u64 {
            assert!(Instant::now() < deadline, "all of it is on its way");
            std::thread::yield_now();
        }
        forget(&store, 10..20);
        forget(&store, 20..21);
        put(&store, 20, LEN);
        store.flush(SECONDS).unwrap();
        let copied = copying.join().unwrap();
        assert_eq!((copied.records, copied.left, copied.retired), (FEW - 10, 0, true));
    });
    assert_found(&store, |n| n < FEW && !(10..20).contains(&n));
    assert_eq!(store.segments().iter().map(|segment| segment.live_records).sum::<u64>(), FEW - 10);
}

#[test]
fn what_is_pinned_is_pinned_at_its_new_place() {
    let place = tempfile::tempdir().unwrap();
    sealed(place.path(), 0..60);
    let store = open_at(&[place.path().to_path_buf()], 1 << 30);
    store.pin(&[key(3), key(4)]);
    let old = store.segments().remove(0);
    assert!(copy(&store, &old, Destination::AnyDevice).unwrap().retired);
    let [new] = &store.segments()[..] else { panic!("one segment") };
    assert_eq!(new.pinned_bytes, 2 * LEN as u64);
}

const DIRECTORY: &str = "MILLPOOL_TEST_DIRECTORY";
const DEADLY_CALL: &str = "MILLPOOL_TEST_DEADLY_CALL";
/// Records of which none is ever forgotten, and those after them that come and go.
const KEPT: u64 = 40;
const ALL: u64 = 200;

/// Not a test by itself: what the children of the tests below do. Copies until it is killed.
#[test]
fn child() {
    let Ok(directory) = std::env::var(DIRECTORY) else { return };
    let store = open_at(&[PathBuf::from(directory)], 1 << 30);
    (0..ALL).filter(|n| store.lookup(&key(*n)).is_none()).for_each(|n| {
        put(&store, n, LEN);
    });
    store.flush(SECONDS).unwrap();
    println!("\npublished");
    if let Ok(call) = std::env::var(DEADLY_CALL) {
        die_at(call.parse().unwrap());
    }
    for round in 0.. {
        // Seals what is open, and lets others in.
        store.detach(1);
        store.attach(1, Identity::of("test"), true);
        let gone: Vec<_> = (KEPT..ALL).filter(|n| n % 3 == round % 3).map(key).collect();
        store.forget(&gone);
        for segment in store.segments().iter().filter(|segment| segment.sealed) {
            let _ = copy(&store, segment, Destination::AnyDevice);
        }
        (KEPT..ALL).filter(|n| n % 3 == round % 3).for_each(|n| {
            put(&store, n, LEN);
        });
    }
}

fn start_child(directory: &Path, deadly_call: Option<libc::c_long>) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "child", "--nocapture"]).env(DIRECTORY, directory);
    if let Some(call) = deadly_call {
        command.env(DEADLY_CALL, call.to_string());
    }
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "published"));
    // Nobody reads on: it says no more.
    child
}

/// Every record is right or absent, and those that nobody forgot are there.
fn assert_whole(directory: &Path, what: &str) -> usize {
    let store = open_at(&[directory.to_path_buf()], 1 << 30);
    let mut found = 0;
    for n in 0..ALL {
        match get(&store, n) {
            Some(bytes) => {
                assert!(bytes == content(n, LEN), "record {n} is another's, {what}");
                found += 1;
            }
            None => assert!(n >= KEPT, "record {n} is lost, {what}"),
        }
    }
    assert!(store.notices().is_empty(), "{what}: {:?}", store.notices());
    let device = &store.devices()[0];
    let used = store.segments().iter().map(|segment| segment.file_bytes).sum::<u64>();
    assert_eq!(device.used_bytes, used, "{what}");
    found
}

/// A kill can cut the write of an extent short: its header is there, and not all of its payloads.
#[test]
fn a_copy_that_was_torn_never_takes_the_place_of_its_original() {
    let place = tempfile::tempdir().unwrap();
    sealed(place.path(), 0..60);
    let [original] = &segment_files(place.path())[..] else { panic!("one segment") };
    let kept = fs::read(original).unwrap();
    let store = open_at(&[place.path().to_path_buf()], 1 << 30);
    let old = store.segments().remove(0);
    assert!(copy(&store, &old, Destination::AnyDevice).unwrap().retired);
    let [open] = &segment_files(place.path())[..] else { panic!("one segment") };
    let bytes = fs::read(open).unwrap();
    store.close();
    drop(store);

    let crashed = tempfile::tempdir().unwrap();
    let segments = crashed.path().join("segments");
    fs::create_dir(&segments).unwrap();
    fs::write(segments.join(original.file_name().unwrap()), kept).unwrap();
    // A later copy by its time, and torn in the middle of its last record.
    std::thread::sleep(Duration::from_millis(20));
    let torn = fs::File::create(segments.join(open.file_name().unwrap())).unwrap();
    let last = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    torn.write_all_at(&bytes[..last - LEN / 2], 0).unwrap();
    torn.set_len(bytes.len() as u64).unwrap();
    let store = open_at(&[crashed.path().to_path_buf()], 1 << 30);
    assert_found(&store, |_| true);
}

#[test]
fn killed_at_any_moment_of_copying_no_byte_is_wrong_and_none_is_lost() {
    let place = tempfile::tempdir().unwrap();
    for round in 0..12u64 {
        let mut child = start_child(place.path(), None);
        std::thread::sleep(Duration::from_millis(5 + round * 37 % 150));
        child.kill().unwrap();
        child.wait().unwrap();
        let found = assert_whole(place.path(), &format!("round {round}"));
        assert!(found >= KEPT as usize);
    }
}

#[test]
fn a_death_at_each_step_of_copying_loses_nothing() {
    for (what, call) in [
        ("before copies are written", libc::SYS_pwritev),
        ("before they are synced", libc::SYS_fdatasync),
        ("before the old file goes", UNLINK),
        ("before a seal", RENAME),
    ] {
        let place = tempfile::tempdir().unwrap();
        let status = start_child(place.path(), Some(call)).wait().unwrap();
        assert!(!status.success(), "{what}");
        assert_whole(place.path(), what);
    }
}

#[test]
fn whoever_reads_while_segments_are_copied_reads_right_bytes() {
    let place = tempfile::tempdir().unwrap();
    sealed(place.path(), 0..60);
    let store = open_at(&[place.path().to_path_buf()], 1 << 30);
    let reads = std::thread::scope(|scope| {
        let copying = scope.spawn(|| {
            for _ in 0..20 {
                store.detach(1);
                store.attach(1, Identity::of("test"), true);
                for segment in store.segments() {
                    let _ = copy(&store, &segment, Destination::AnyDevice);
                }
            }
        });
        let mut reads = 0;
        while !copying.is_finished() {
            for n in 0..60 {
                // As a reader does: a location may be old, and then it asks again.
                let found = (0..100).find_map(|_| get(&store, n));
                assert!(found == Some(content(n, LEN)), "record {n}");
                reads += 1;
            }
        }
        reads
    });
    assert!(reads > 0);
}
