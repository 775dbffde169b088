//! Devices that take no more: a filesystem without room, which is a small one in memory, mounted where only the process
//! that looks at it can see it; and one that gives an error.

mod harness;

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use harness::{SECONDS, content, get, open_at, put, segment_files};
use millpool_core::{Admission, DeviceState};

const DIRECTORY: &str = "MILLPOOL_TEST_DIRECTORY";
const FILESYSTEM_BYTES: u64 = 1 << 20;

/// Runs the test of this name once more, in a mount namespace of its own with a small filesystem at a path that it
/// finds in its environment. Only root can.
fn in_small_filesystem(test: &str) {
    // SAFETY: always succeeds, and touches nothing.
    if unsafe { libc::geteuid() } != 0 {
        println!("skipped: mounting a small filesystem takes root");
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]).env(DIRECTORY, place.path());
    let target = std::ffi::CString::new(place.path().to_str().unwrap()).unwrap();
    let options = std::ffi::CString::new(format!("size={FILESYSTEM_BYTES}")).unwrap();
    // SAFETY: system calls alone, and memory that was taken before the fork.
    unsafe {
        command.pre_exec(move || {
            let private = libc::MS_REC | libc::MS_PRIVATE;
            let (none, kind) = (c"none".as_ptr(), c"tmpfs".as_ptr());
            let mounted = libc::unshare(libc::CLONE_NEWNS) == 0
                && libc::mount(none, c"/".as_ptr(), none, private, std::ptr::null()) == 0
                && libc::mount(none, target.as_ptr(), kind, 0, options.as_ptr().cast()) == 0;
            if mounted { Ok(()) } else { Err(std::io::Error::last_os_error()) }
        });
    }
    let output = match command.output() {
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            return println!("skipped: mounting a small filesystem is not allowed here");
        }
        output => output.unwrap(),
    };
    let said = |bytes| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}", said(&output.stderr));
    assert!(said(&output.stdout).contains("1 passed"), "{test} is the name of a test");
}

/// Takes all the room there is; the file is to be removed again.
fn fill(directory: &Path) -> std::path::PathBuf {
    let path = directory.join("filler");
    let mut file = File::create(&path).unwrap();
    let full = std::iter::repeat_with(|| file.write(&[1; 4096])).find_map(Result::err).unwrap();
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    path
}

#[test]
fn a_start_on_a_full_device_serves_what_is_there_and_seals_when_there_is_room() {
    let Some(directory) = std::env::var_os(DIRECTORY) else {
        let name = "a_start_on_a_full_device_serves_what_is_there_and_seals_when_there_is_room";
        return in_small_filesystem(name);
    };
    let elsewhere = tempfile::tempdir().unwrap();
    let (first, full) = (elsewhere.path().to_path_buf(), Path::new(&directory).to_path_buf());
    let store = open_at(std::slice::from_ref(&first), 1 << 30);
    put(&store, 1, 300_000);
    store.flush(SECONDS).unwrap();
    store.close();
    drop(store);
    // Killed before it was sealed, on a filesystem that did not allocate ahead.
    let [sealed] = &segment_files(&first)[..] else { panic!("one segment") };
    let bytes = fs::read(sealed).unwrap();
    fs::create_dir(full.join("segments")).unwrap();
    let open = full.join("segments").join(sealed.with_extension("open").file_name().unwrap());
    fs::write(&open, &bytes[..bytes.len() - 8192]).unwrap();
    fs::write(full.join("lock"), "").unwrap();
    let filler = fill(&full);

    let store = open_at(std::slice::from_ref(&full), 1 << 30);
    assert_eq!(get(&store, 1), Some(content(1, 300_000)));
    assert!(store.notices()[0].contains("stays unsealed"), "{:?}", store.notices());
    assert!(open.exists());
    put(&store, 2, 1000);
    store.flush(SECONDS).unwrap();
    assert_eq!((get(&store, 2), store.devices()[0].state), (None, DeviceState::Full));
    store.close();
    drop(store);

    fs::remove_file(filler).unwrap();
    let store = open_at(std::slice::from_ref(&full), 1 << 30);
    assert_eq!((get(&store, 1), store.notices().len()), (Some(content(1, 300_000)), 0));
    assert!(!open.exists());
}

#[test]
fn a_device_that_fills_up_declines_and_recovers() {
    let Some(directory) = std::env::var_os(DIRECTORY) else {
        return in_small_filesystem("a_device_that_fills_up_declines_and_recovers");
    };
    let full = Path::new(&directory).to_path_buf();
    let store = open_at(std::slice::from_ref(&full), 1 << 30);
    for n in 0..20 {
        put(&store, n, 100_000);
        store.flush(SECONDS).unwrap();
    }
    assert_eq!(store.devices()[0].state, DeviceState::Full);
    let kept: Vec<u64> = (0..20).filter(|n| get(&store, *n).is_some()).collect();
    assert!((5..10).contains(&kept.len()), "{kept:?} of 100,000 bytes each in {FILESYSTEM_BYTES}");
    assert!(kept.iter().all(|n| get(&store, *n) == Some(content(*n, 100_000))));
    // It is tried again after a while, and is full until a write says otherwise.
    let deadline = Instant::now() + SECONDS;
    while put(&store, 50, 100_000) == Admission::Declined {
        assert!(Instant::now() < deadline, "it is tried again");
        std::thread::yield_now();
    }
    assert_eq!(store.devices()[0].state, DeviceState::Full);
    store.flush(SECONDS).unwrap();
    assert_eq!((get(&store, 50), store.devices()[0].state), (None, DeviceState::Full));

    store.evict(&store.segments().iter().map(|segment| segment.number).collect::<Vec<_>>());
    assert!(segment_files(&full).is_empty());
    put(&store, 100, 100_000);
    store.flush(SECONDS).unwrap();
    assert_eq!(get(&store, 100), Some(content(100, 100_000)));
    let used = store.segments().iter().map(|segment| segment.file_bytes).sum::<u64>();
    assert_eq!(store.devices()[0].used_bytes, used);
}

#[test]
fn what_a_device_refuses_goes_to_another_that_has_room() {
    let Some(directory) = std::env::var_os(DIRECTORY) else {
        return in_small_filesystem("what_a_device_refuses_goes_to_another_that_has_room");
    };
    let elsewhere = tempfile::tempdir().unwrap();
    let small = Path::new(&directory).to_path_buf();
    let store = open_at(&[small.clone(), elsewhere.path().to_path_buf()], 1 << 30);
    // Each in an extent of its own: a device that refused a large extent is full until a small one fits.
    for n in 0..60 {
        assert_eq!(put(&store, n, 100_000), Admission::Queued);
        store.flush(SECONDS).unwrap();
    }
    assert!((0..60).all(|n| get(&store, n) == Some(content(n, 100_000))));
    assert_eq!(
        (store.devices()[0].state, store.devices()[1].state),
        (DeviceState::Full, DeviceState::Ok)
    );
    assert!(
        store.tenants().iter().all(|tenant| (tenant.declined_bytes, tenant.queued_bytes) == (0, 0))
    );
}

#[test]
fn a_device_that_is_unmounted_is_read_while_it_can_be_and_nothing_goes_where_it_was() {
    let Some(directory) = std::env::var_os(DIRECTORY) else {
        let name =
            "a_device_that_is_unmounted_is_read_while_it_can_be_and_nothing_goes_where_it_was";
        return in_small_filesystem(name);
    };
    let elsewhere = tempfile::tempdir().unwrap();
    let mounted = Path::new(&directory).to_path_buf();
    let other = elsewhere.path().to_path_buf();
    let store = open_at(std::slice::from_ref(&mounted), 1 << 20);
    put(&store, 1, 100_000);
    store.flush(SECONDS).unwrap();
    drop(store);
    let store = open_at(&[mounted.clone(), other], 1 << 30);
    let target = std::ffi::CString::new(mounted.to_str().unwrap()).unwrap();
    // SAFETY: in the mount namespace of this process alone.
    assert_eq!(unsafe { libc::umount2(target.as_ptr(), libc::MNT_DETACH) }, 0);
    // As an earlier start without the mount could have left it.
    fs::create_dir(mounted.join("segments")).unwrap();
    for n in 2..30 {
        put(&store, n, 100_000);
    }
    store.flush(SECONDS).unwrap();
    assert!((1..30).all(|n| get(&store, n) == Some(content(n, 100_000))));
    let devices = store.devices();
    assert_eq!((devices[0].state, devices[1].state), (DeviceState::Failed, DeviceState::Ok));
    let reason = devices[0].reason.clone().unwrap();
    assert!(reason.contains(mounted.to_str().unwrap()) && reason.contains("unmounted"), "{reason}");
    store.close();
    assert!(segment_files(&mounted).is_empty(), "nothing of it is on the filesystem below");
    assert!(!mounted.join("table.image").exists());
}

#[test]
fn a_device_that_gives_an_error_is_left_alone_and_read() {
    let Some(directory) = std::env::var_os(DIRECTORY) else {
        let place = tempfile::tempdir().unwrap();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "a_device_that_gives_an_error_is_left_alone_and_read"]);
        let output = command.env(DIRECTORY, place.path()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        return;
    };
    let path = Path::new(&directory).to_path_buf();
    let store = open_at(std::slice::from_ref(&path), 1 << 30);
    put(&store, 1, 10_000);
    store.flush(SECONDS).unwrap();
    // From here on the kernel refuses to make a file longer than this, with an error that no device is full by.
    let limit = libc::rlimit { rlim_cur: 1 << 20, rlim_max: 1 << 20 };
    // SAFETY: of this process alone, which runs nothing but this test.
    unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
        assert_eq!(libc::setrlimit(libc::RLIMIT_FSIZE, &limit), 0);
    }
    for n in 2..4 {
        put(&store, n, 4 << 20);
        store.flush(SECONDS).unwrap();
        assert_eq!(get(&store, n), None);
    }
    let device = &store.devices()[0];
    assert_eq!(device.state, DeviceState::Failed, "{device:?}");
    assert!(
        device.reason.as_ref().is_some_and(|reason| reason.contains("too large")),
        "{device:?}"
    );
    assert_eq!(put(&store, 5, 100), Admission::Declined);
    assert_eq!(get(&store, 1), Some(content(1, 10_000)));
}
