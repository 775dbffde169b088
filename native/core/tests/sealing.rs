//! A daemon that dies while it seals a segment, at each step: the next one finds every record that was published.

mod harness;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use harness::{RENAME, SECONDS, content, die_at, get, open_at, put, segment_files};
use proptest::prelude::*;

/// Some of each kind: below a unit, below a block, blocks.
const SIZES: [usize; 8] = [1, 64, 700, 2047, 2048, 5000, 40_000, 300_000];
const PUBLISHED: &[u8] = b"published\n";

/// Directory and system call, for the program that `child` starts.
const DIRECTORY: &str = "MILLPOOL_TEST_DIRECTORY";
const DEADLY_CALL: &str = "MILLPOOL_TEST_DEADLY_CALL";

fn put_all(directory: &Path) -> std::sync::Arc<millpool_core::Store> {
    let store = open_at(&[directory.to_path_buf()], 1 << 30);
    for (n, size) in SIZES.into_iter().enumerate() {
        put(&store, n as u64, size);
        if n % 3 == 2 {
            store.flush(SECONDS).unwrap();
        }
    }
    store.flush(SECONDS).unwrap();
    store
}

fn assert_all(directory: &Path, what: &str) {
    let store = open_at(&[directory.to_path_buf()], 1 << 30);
    for (n, size) in SIZES.into_iter().enumerate() {
        assert!(get(&store, n as u64) == Some(content(n as u64, size)), "record {n}, {what}");
    }
    assert_eq!(store.segments()[0].live_records, SIZES.len() as u64, "{what}");
    assert!(store.notices().is_empty(), "{what}: {:?}", store.notices());
}

/// Not a test by itself: what the child of the tests below does.
#[test]
fn child() {
    let Ok(directory) = std::env::var(DIRECTORY) else { return };
    let store = put_all(Path::new(&directory));
    std::io::stderr().write_all(PUBLISHED).unwrap();
    match std::env::var(DEADLY_CALL) {
        Ok(call) => die_at(call.parse().unwrap()),
        Err(_) => std::process::abort(),
    }
    store.close();
}

/// Runs `child` in a process of its own, to its end.
fn run_child(directory: &Path, deadly_call: Option<libc::c_long>) -> ExitStatus {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "child", "--nocapture"]).env(DIRECTORY, directory);
    if let Some(call) = deadly_call {
        command.env(DEADLY_CALL, call.to_string());
    }
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = Vec::new();
    child.stderr.take().unwrap().read_to_end(&mut said).unwrap();
    assert!(said.starts_with(PUBLISHED), "{}", String::from_utf8_lossy(&said));
    child.wait().unwrap()
}

#[test]
fn a_death_before_each_step_of_sealing_loses_nothing() {
    let steps = [
        ("before the data is synced", libc::SYS_fdatasync, "open"),
        ("before the footer is written", libc::SYS_pwrite64, "open"),
        ("before the tail is cut", libc::SYS_ftruncate, "open"),
        ("before the rename", RENAME, "open"),
        ("before the directory is synced", libc::SYS_fsync, "seg"),
    ];
    for (what, call, suffix) in steps {
        let place = tempfile::tempdir().unwrap();
        let status = run_child(place.path(), Some(call));
        assert_eq!(status.signal(), Some(libc::SIGSYS), "{what}: {status}");
        let [file] = &segment_files(place.path())[..] else { panic!("one segment, {what}") };
        assert!(file.extension().is_some_and(|found| found == suffix), "{what}: {file:?}");
        assert_all(place.path(), what);
        let [file] = &segment_files(place.path())[..] else { panic!("one segment, {what}") };
        assert!(file.extension().is_some_and(|found| found == "seg"), "{what}: {file:?}");
        assert_all(place.path(), what);
    }
}

#[test]
fn a_death_before_sealing_loses_nothing() {
    let place = tempfile::tempdir().unwrap();
    assert_eq!(run_child(place.path(), None).signal(), Some(libc::SIGABRT));
    assert_all(place.path(), "unsealed");
}

/// Footer and trailer reach the device in any part, when the power goes before they are synced.
#[test]
fn a_footer_that_was_written_in_part_loses_nothing() {
    let place = tempfile::tempdir().unwrap();
    put_all(place.path()).close();
    let [sealed] = &segment_files(place.path())[..] else { panic!("one segment") };
    let whole = fs::read(sealed).unwrap();
    let footer_at = whole.len() - 8192;
    let open = sealed.with_extension("open");
    fs::remove_file(sealed).unwrap();
    for page in 0..4 {
        for len in (footer_at..=whole.len()).step_by(512) {
            let mut bytes = whole[..len].to_vec();
            // What the allocated tail is, behind a footer that is not the end.
            bytes.resize(len + page * 4096, 0);
            fs::write(&open, bytes).unwrap();
            fs::remove_file(place.path().join("table.image")).unwrap();
            assert_all(place.path(), &format!("{len} bytes of {} and {page} pages", whole.len()));
            fs::remove_file(sealed).unwrap();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    /// An extent that was being written was not published: it is found whole or not at all, whatever is there of it.
    #[test]
    fn an_extent_that_was_written_in_part_is_never_given_out_wrong(cut: prop::sample::Index, keeps_length: bool) {
        let place = tempfile::tempdir().unwrap();
        put_all(place.path()).close();
        let [sealed] = &segment_files(place.path())[..] else { panic!("one segment") };
        let mut bytes = fs::read(sealed).unwrap();
        let data_end = bytes.len() - 8192;
        let len = cut.index(data_end + 1);
        bytes.truncate(len);
        if keeps_length {
            bytes.resize(data_end + 100_000, 0);
        }
        fs::write(sealed.with_extension("open"), bytes).unwrap();
        fs::remove_file(sealed).unwrap();
        let store = open_at(&[place.path().to_path_buf()], 1 << 30);
        for (n, size) in SIZES.into_iter().enumerate() {
            let found = get(&store, n as u64);
            prop_assert!(found.is_none_or(|found| found == content(n as u64, size)), "record {}", n);
        }
    }
}
