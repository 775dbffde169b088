//! What a clean stop saves of the key table is believed while it describes what is there, and never after.

mod harness;

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use harness::{RENAME, SECONDS, UNLINK, content, die_at, get, key, open_at, put, segment_files};
use millpool_core::Store;
use proptest::prelude::*;

const RECORDS: u64 = 60;
/// Forgotten before the stop: footers still have it, a saved table has not. So it tells which was read.
const FORGOTTEN: u64 = 7;
const ADDED: u64 = 1000;
const OPENED: &[u8] = b"opened\n";
const DIRECTORY: &str = "MILLPOOL_TEST_DIRECTORY";
const DEATH: &str = "MILLPOOL_TEST_DEATH";

type Change<'a> = &'a dyn Fn(&Path);

fn len(n: u64) -> usize {
    [1, 700, 2048, 5000, 40_000][n as usize % 5]
}

fn image(directory: &Path) -> PathBuf {
    directory.join("table.image")
}

fn open(directory: &Path) -> Arc<Store> {
    open_at(&[directory.to_path_buf()], 1 << 30)
}

/// Stopped cleanly. Says on which device that is which was forgotten.
fn filled(directories: &[PathBuf]) -> usize {
    let store = open_at(directories, 1 << 30);
    for n in 0..RECORDS {
        put(&store, n, len(n));
    }
    store.flush(SECONDS).unwrap();
    let at = store.lookup(&key(FORGOTTEN)).unwrap();
    let of = store.segments().into_iter().find(|segment| segment.number == at.segment).unwrap();
    store.forget(&[key(FORGOTTEN)]);
    assert_eq!(store.close(), Vec::<String>::new());
    assert!(directories.iter().all(|directory| image(directory).exists()));
    of.device as usize
}

fn assert_right(store: &Store, what: &str) {
    for n in (0..RECORDS).filter(|n| *n != FORGOTTEN) {
        assert!(get(store, n) == Some(content(n, len(n))), "record {n}, {what}");
    }
    let live: u64 = store.segments().iter().map(|segment| segment.live_records).sum();
    let forgotten = u64::from(store.lookup(&key(FORGOTTEN)).is_some());
    let added = u64::from(store.lookup(&key(ADDED)).is_some());
    assert_eq!(live, RECORDS - 1 + forgotten + added, "{what}");
}

fn is_by_image(store: &Store) -> bool {
    store.lookup(&key(FORGOTTEN)).is_none()
}

/// Opens what was changed since a clean stop: footers are read, and a notice that has `why` in it says so.
fn assert_not_believed(directory: &Path, why: &str) {
    let store = open(directory);
    assert!(!is_by_image(&store), "{why}");
    assert_right(&store, why);
    assert!(
        store.notices().iter().any(|notice| notice.contains(why)),
        "{why}: {:?}",
        store.notices()
    );
    assert!(!image(directory).exists());
    store.close();
}

#[test]
fn a_clean_stop_is_taken_up_where_it_was() {
    let place = tempfile::tempdir().unwrap();
    filled(&[place.path().to_path_buf()]);
    for start in 0..3 {
        let store = open(place.path());
        assert!(is_by_image(&store), "start {start}");
        assert_right(&store, "by the image");
        assert!(store.lookup(&key(0)).is_some_and(|location| !location.verified));
        assert!(store.notices().is_empty(), "{:?}", store.notices());
        assert!(!image(place.path()).exists(), "while it runs there is none");
        // What was saved can be changed as ever.
        assert_eq!(store.forget(&[key(1)]).records, 1);
        put(&store, 1, len(1));
        store.flush(SECONDS).unwrap();
        assert_right(&store, "after a change");
        store.close();
    }
}

#[test]
fn who_read_a_segment_last_is_known_over_a_clean_stop() {
    let place = tempfile::tempdir().unwrap();
    filled(&[place.path().to_path_buf()]);
    let [file] = &segment_files(place.path())[..] else { panic!("one segment") };
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
    File::options().write(true).open(file).unwrap().set_modified(long_ago).unwrap();
    let store = open(place.path());
    assert_eq!(store.segments()[0].last_read, 1_000_000);
    store.touch(&[store.segments()[0].number], 1);
    let touched = store.segments()[0].last_read;
    store.close();
    assert_eq!(open(place.path()).segments()[0].last_read, touched);
}

#[test]
fn a_segment_more_or_less_or_changed_is_no_longer_what_was_saved() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().to_path_buf();
    let other = tempfile::tempdir().unwrap();
    put(&open(other.path()), ADDED, 10);
    let changes: [(&str, Change<'_>); 4] = [
        ("does not know", &|_| {
            let [more] = &segment_files(other.path())[..] else { panic!("one segment") };
            fs::copy(more, directory.join("segments").join(more.file_name().unwrap())).unwrap();
        }),
        ("does not know", &|file| fs::rename(file, file.with_extension("open")).unwrap()),
        ("was changed since", &|file| {
            File::options()
                .write(true)
                .open(file)
                .unwrap()
                .set_modified(SystemTime::now())
                .unwrap();
        }),
        ("was changed since", &|file| {
            let bytes = fs::read(file).unwrap();
            let modified = fs::metadata(file).unwrap().modified().unwrap();
            fs::write(file, &bytes[..bytes.len() - 1]).unwrap();
            File::options().write(true).open(file).unwrap().set_modified(modified).unwrap();
        }),
    ];
    for (why, change) in changes {
        let _ = fs::remove_dir_all(&directory);
        filled(std::slice::from_ref(&directory));
        let [file] = &segment_files(&directory)[..] else { panic!("one segment") };
        change(file);
        assert_not_believed(&directory, why);
    }
    filled(std::slice::from_ref(&directory));
    segment_files(&directory).iter().for_each(|file| fs::remove_file(file).unwrap());
    let store = open(&directory);
    assert!(store.segments().is_empty() && store.lookup(&key(0)).is_none());
    assert!(store.notices()[0].contains("segments 0 are there"), "{:?}", store.notices());
}

#[test]
fn an_image_of_another_format_version_is_not_read() {
    let place = tempfile::tempdir().unwrap();
    filled(&[place.path().to_path_buf()]);
    let mut bytes = fs::read(image(place.path())).unwrap();
    bytes[8] = 1;
    let crc = crc_fast::crc32_iscsi(&bytes[..4092]);
    bytes[4092..4096].copy_from_slice(&crc.to_le_bytes());
    fs::write(image(place.path()), bytes).unwrap();
    assert_not_believed(place.path(), "format version 1");
}

/// Between two starts the table of a device may be lost or damaged; those of the others are used.
#[test]
fn one_device_is_read_by_footers_and_the_others_by_what_was_saved() {
    let place = tempfile::tempdir().unwrap();
    let directories = ["a", "b"].map(|name| place.path().join(name));
    for damaged in 0..2 {
        for change in [
            |path: &Path| {
                let mut bytes = fs::read(path).unwrap();
                *bytes.last_mut().unwrap() ^= 1;
                fs::write(path, bytes).unwrap();
            },
            |path: &Path| fs::remove_file(path).unwrap(),
        ] {
            let _ = directories.each_ref().map(fs::remove_dir_all);
            let device = filled(&directories);
            change(&image(&directories[damaged]));
            let store = open_at(&directories, 1 << 30);
            let is_back = store.lookup(&key(FORGOTTEN)).is_some();
            assert_eq!(is_back, device == damaged, "of {device}, {damaged} is damaged");
            assert_right(&store, "one of two");
            store.close();
        }
    }
}

#[test]
fn another_list_of_devices_costs_only_what_is_not_there() {
    let place = tempfile::tempdir().unwrap();
    let [a, b, c] = ["a", "b", "c"].map(|name| place.path().join(name));
    filled(&[a.clone(), b.clone()]);
    let held = |store: &Store| (0..RECORDS).filter(|n| get(store, *n).is_some()).count();
    let first = open_at(std::slice::from_ref(&a), 1 << 30);
    let on_a = held(&first);
    assert!(on_a > 0 && on_a < RECORDS as usize - 1 && first.notices().is_empty());
    first.close();
    // That of b is of the stop before.
    let both = open_at(&[a, c, b], 1 << 30);
    assert_right(&both, "with a third");
    let told = both.notices();
    assert!(told.len() == 1 && told[0].contains("another list of devices"), "{told:?}");
}

/// Not a test by itself: what the child of the tests below does.
#[test]
fn child() {
    let Ok(directory) = std::env::var(DIRECTORY) else { return };
    let death = std::env::var(DEATH).unwrap();
    let (when, call) = death.split_once(' ').unwrap();
    let die = || die_at(call.parse().unwrap());
    if when == "start" {
        std::io::stderr().write_all(OPENED).unwrap();
        die();
    }
    let store = open(Path::new(&directory));
    if when == "write" {
        put(&store, ADDED, len(ADDED));
        store.flush(SECONDS).unwrap();
    }
    if when != "start" {
        std::io::stderr().write_all(OPENED).unwrap();
        die();
    }
    store.close();
}

/// Runs `child` in a process of its own, to its death at a system call.
fn run_child(directory: &Path, when: &str, call: libc::c_long) -> ExitStatus {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "child", "--nocapture"]).env(DIRECTORY, directory);
    command.env(DEATH, format!("{when} {call}"));
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = Vec::new();
    child.stderr.take().unwrap().read_to_end(&mut said).unwrap();
    assert!(said.starts_with(OPENED), "{}", String::from_utf8_lossy(&said));
    child.wait().unwrap()
}

#[test]
fn a_death_at_any_step_leaves_an_image_that_is_right_or_none() {
    let steps = [
        ("start", UNLINK, true, "before it is unlinked"),
        ("start", libc::SYS_fsync, false, "before the directory is synced"),
        ("write", libc::SYS_fdatasync, false, "after the first write"),
        ("stop", libc::SYS_pwrite64, false, "before its records are written"),
        ("stop", libc::SYS_fdatasync, false, "before it is synced"),
        ("stop", RENAME, false, "before it takes its name"),
        ("stop", libc::SYS_fsync, true, "before its name is synced"),
    ];
    for (when, call, is_there, what) in steps {
        let place = tempfile::tempdir().unwrap();
        filled(&[place.path().to_path_buf()]);
        let status = run_child(place.path(), when, call);
        assert_eq!(status.signal(), Some(libc::SIGSYS), "{what}: {status}");
        assert_eq!(image(place.path()).exists(), is_there, "{what}");
        let store = open(place.path());
        assert_eq!(is_by_image(&store), is_there, "{what}");
        assert_right(&store, what);
        assert_eq!(get(&store, ADDED).is_some(), when == "write", "{what}");
        assert!(store.notices().is_empty(), "{what}: {:?}", store.notices());
        assert!(!place.path().join("table.new").exists(), "{what}");
        store.close();
    }
}

/// A filesystem that lost the unlinking although it was synced.
#[test]
fn a_stale_image_is_never_believed() {
    let place = tempfile::tempdir().unwrap();
    let kept = place.path().join("kept");
    let uses: [&dyn Fn(&Store); 2] = [
        &|store| {
            put(store, ADDED, len(ADDED));
            store.flush(SECONDS).unwrap();
        },
        &|store| {
            let numbers: Vec<_> = store.segments().iter().map(|segment| segment.number).collect();
            store.evict(&numbers);
        },
    ];
    for usage in uses {
        let directory = place.path().join("data");
        let _ = fs::remove_dir_all(&directory);
        filled(std::slice::from_ref(&directory));
        fs::copy(image(&directory), &kept).unwrap();
        let store = open(&directory);
        usage(&store);
        let wanted: Vec<_> = (0..RECORDS).map(|n| get(&store, n)).collect();
        store.close();
        fs::copy(&kept, image(&directory)).unwrap();
        let store = open(&directory);
        assert!(
            store.notices().iter().any(|notice| notice.contains("is not used")),
            "{:?}",
            store.notices()
        );
        for n in (0..RECORDS).filter(|n| *n != FORGOTTEN) {
            assert!(get(&store, n) == wanted[n as usize], "record {n}");
        }
        assert_eq!(store.lookup(&key(ADDED)).is_some(), wanted[0].is_some());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    /// Whatever became of it, every record is found, and right.
    #[test]
    fn a_damaged_image_costs_nothing_but_time(
        flips in prop::collection::vec((any::<prop::sample::Index>(), 1u8..), 0..3),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let place = tempfile::tempdir().unwrap();
        filled(&[place.path().to_path_buf()]);
        let saved = fs::read(image(place.path())).unwrap();
        let mut bytes = saved.clone();
        for (at, change) in flips {
            let at = at.index(bytes.len());
            bytes[at] ^= change;
        }
        bytes.truncate(cut.map_or(bytes.len(), |cut| cut.index(bytes.len())));
        fs::write(image(place.path()), &bytes).unwrap();
        let store = open(place.path());
        assert_right(&store, "damaged");
        prop_assert_eq!(is_by_image(&store), bytes == saved);
        prop_assert_eq!(store.notices().is_empty(), bytes == saved);
    }
}
