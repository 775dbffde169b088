//! Real faults in real processes: a fault kills, changes handlers for good, or both, so each test runs itself again as
//! a child and judges how that ended.

use std::fs::{self, File};
use std::ops::Range;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

use millpool_core::{
    Code, Codec, Compression, Copy, Dataset, DatasetRoot, DatasetWriter, DeviceConfig, Identity,
    Location, Mapping, ObjectKey, ObjectRef, Outcome, PiecePart, RecordBytes, RecordKey,
    SegmentFile, SegmentName, Store, StoreConfig, Tier, fault, gather,
};

const CHILD: &str = "MILLPOOL_TEST_CHILD";
const RECORDS: usize = 8;
const RECORD_BYTES: usize = 100 << 10;
const FLUSH_TIMEOUT: Duration = Duration::from_secs(20);

/// Runs `child` in a process of its own, named by the test that calls this.
fn in_child(test: &str, child: fn()) -> Option<Output> {
    if std::env::var_os(CHILD).is_some() {
        child();
        return None;
    }
    let program = std::env::current_exe().unwrap();
    let output = Command::new(program)
        .args([test, "--exact", "--nocapture"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    Some(output)
}

fn assert_success(output: Option<Output>) {
    if let Some(output) = output {
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {said}", output.status);
    }
}

struct Bytes(Vec<u8>);

impl RecordBytes for Bytes {
    fn bytes(&self) -> &[u8] {
        &self.0
    }

    fn crc(&self) -> u32 {
        crc_fast::crc32_iscsi(&self.0)
    }
}

/// Half of it shrinks, and the other does not: compressed it still takes several pages. Never zero.
fn content(n: usize) -> Vec<u8> {
    let mut state = n as u32;
    let mut noise = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8 | 1
    };
    let plain = |at: usize| (at * 7 + n * 13 + at / 251) as u8 | 1;
    (0..RECORD_BYTES).map(|at| if at % 2048 < 1024 { noise() } else { plain(at) }).collect()
}

/// A segment with some records, mapped.
struct Stored {
    store: Arc<Store>,
    segment: Arc<SegmentFile>,
    mapping: Mapping,
    locations: Vec<Location>,
    directory: tempfile::TempDir,
}

fn stored() -> Stored {
    stored_by(Compression::Off)
}

fn packed() -> Stored {
    let packed = stored_by(Compression::Lz4);
    assert!(packed.locations.iter().all(|location| location.codec == Codec::Lz4));
    packed
}

fn part(range: Range<u32>) -> PiecePart {
    PiecePart { piece_len: RECORD_BYTES as u32, range }
}

fn stored_by(compression: Compression) -> Stored {
    let directory = tempfile::tempdir().unwrap();
    let device = DeviceConfig {
        path: directory.path().into(),
        tier: Tier::Fast,
        size_bytes: 256 << 20,
        reserve_bytes: 0,
    };
    let config = StoreConfig {
        devices: vec![device],
        extent_delay: Duration::from_millis(1),
        idle_seal: Duration::from_secs(3600),
        table_bytes: 1 << 30,
    };
    let store = Store::open(config).unwrap();
    let identity = Identity::of("fault test");
    store.attach(1, identity, true);
    store.set_compression(1, compression);
    let keys: Vec<RecordKey> = (0..RECORDS)
        .map(|n| ObjectKey::new(&identity, &[n as u8], RECORD_BYTES as u64, b"\"v\"").piece(0))
        .collect();
    for (n, key) in keys.iter().enumerate() {
        store.append(1, *key, 0, Arc::new(Bytes(content(n))));
    }
    store.flush(FLUSH_TIMEOUT).unwrap();
    let locations: Vec<Location> = keys.iter().map(|key| store.lookup(key).unwrap()).collect();
    let segment = store.segment(locations[0].segment, locations[0].generation).unwrap();
    let mapping = Mapping::map(&segment.file, &name_of(&segment)).unwrap();
    Stored { store, segment, mapping, locations, directory }
}

fn name_of(segment: &SegmentFile) -> SegmentName {
    let SegmentFile { number, generation, id, identity, .. } = *segment;
    SegmentName { number, generation, id, identity }
}

impl Stored {
    /// The segment's file, opened for writing: what only a failing disk or a stranger does.
    fn writable(&self) -> File {
        let mut files = vec![self.directory.path().to_path_buf()];
        while let Some(path) = files.pop() {
            if path.is_dir() {
                files.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
            } else if path.extension().is_some_and(|suffix| suffix == "open" || suffix == "seg") {
                return File::options().write(true).open(path).unwrap();
            }
        }
        panic!("no segment file in {}", self.directory.path().display());
    }

    /// Cuts the file so that the record's first page is gone.
    fn cut_at(&self, record: usize) {
        self.writable().set_len(self.locations[record].offset.into()).unwrap();
    }

    fn gather(&self, verified: bool) -> (Vec<Outcome>, Vec<Vec<u8>>) {
        let mut targets = vec![vec![0xEE; RECORD_BYTES]; RECORDS];
        let locations = self.locations.iter().map(|location| Location { verified, ..*location });
        let copies: Vec<Copy> = locations
            .zip(&mut targets)
            .map(|(location, target)| {
                // SAFETY: the target is as long as the record, and read only after the gather.
                unsafe {
                    Copy::new(
                        &self.mapping,
                        &location,
                        part(0..RECORD_BYTES as u32),
                        target.as_mut_ptr(),
                    )
                }
                .unwrap()
            })
            .collect();
        let mut outcomes = Vec::new();
        gather(&copies, &mut outcomes);
        drop(copies);
        (outcomes, targets)
    }

    /// In file order: the store may place records in another.
    fn last(&self) -> usize {
        (0..RECORDS).max_by_key(|n| self.locations[*n].offset).unwrap()
    }
}

#[test]
fn a_gather_gives_what_was_stored() {
    [stored(), packed()].into_iter().for_each(assert_gathered);
}

fn assert_gathered(stored: Stored) {
    for (verified, expected) in [(false, Outcome::Verified), (true, Outcome::Copied)] {
        let (outcomes, targets) = stored.gather(verified);
        assert_eq!(outcomes, [expected; RECORDS]);
        assert!((0..RECORDS).all(|n| targets[n] == content(n)));
    }
    stored.store.close();
}

#[test]
fn a_part_is_checked_with_its_whole_record() {
    [stored(), packed()].into_iter().for_each(assert_parts_checked);
}

fn assert_parts_checked(stored: Stored) {
    let location = stored.locations[3];
    let mut target = [0u8; 100];
    let mut outcomes = Vec::new();
    // SAFETY: the target has as many bytes as the part.
    let mut copy =
        unsafe { Copy::new(&stored.mapping, &location, part(5000..5100), target.as_mut_ptr()) }
            .unwrap();
    assert!(copy.verify);
    gather(std::slice::from_ref(&copy), &mut outcomes);
    assert_eq!((&outcomes[..], &target[..]), (&[Outcome::Verified][..], &content(3)[5000..5100]));
    copy.verify = false;
    gather(&[copy], &mut outcomes);
    assert_eq!(outcomes, [Outcome::Copied]);
    let wrong = Location { crc: !location.crc, ..location };
    for range in [0..RECORD_BYTES as u32, 7..9] {
        let mut target = vec![0; range.len()];
        // SAFETY: as above.
        let copy = unsafe { Copy::new(&stored.mapping, &wrong, part(range), target.as_mut_ptr()) }
            .unwrap();
        gather(&[copy], &mut outcomes);
        assert_eq!(outcomes, [Outcome::Mismatch]);
    }
}

#[test]
fn what_is_not_in_the_segment_is_no_copy() {
    let stored = stored();
    let good = stored.locations[0];
    let copy = |location: Location, range| {
        // SAFETY: never gathered.
        unsafe { Copy::new(&stored.mapping, &location, part(range), std::ptr::null_mut()) }
            .is_some()
    };
    assert!(copy(good, 0..10));
    assert!(!copy(Location { generation: good.generation + 1, ..good }, 0..10));
    assert!(!copy(Location { segment: good.segment + 1, ..good }, 0..10));
    assert!(!copy(good, 0..RECORD_BYTES as u32 + 1));
    assert!(!copy(Location { offset: u32::MAX - 63, ..good }, 0..10));
    assert!(!copy(Location { offset: 200 << 20, ..good }, 0..10));
    assert!(!copy(Location { stored_len: u32::MAX, ..good }, 0..10));
    assert!(!copy(Location { codec: Codec::Lz4, ..good }, 0..10), "it is as long as the piece");
    let other = SegmentName { id: [9; 16], ..name_of(&stored.segment) };
    assert!(Mapping::map(&stored.segment.file, &other).is_err());
    let other = SegmentName { identity: Identity::of("other"), ..name_of(&stored.segment) };
    assert!(Mapping::map(&stored.segment.file, &other).is_err());
    let blank = tempfile::tempfile().unwrap();
    assert!(Mapping::map(&blank, &name_of(&stored.segment)).is_err());
    blank.set_len(1 << 20).unwrap();
    assert!(Mapping::map(&blank, &name_of(&stored.segment)).is_err());
}

fn cut_and_gather() {
    [stored(), packed()].into_iter().for_each(assert_cut_costs_its_own);
}

fn assert_cut_costs_its_own(stored: Stored) {
    let last = stored.last();
    assert!(fault::on_top() && !stored.mapping.failed());
    assert_eq!(stored.gather(true).0, [Outcome::Copied; RECORDS]);
    stored.cut_at(last);
    let (outcomes, targets) = stored.gather(true);
    assert!(stored.mapping.failed(), "the fault was in force");
    for n in 0..RECORDS {
        if n == last {
            assert_eq!(outcomes[n], Outcome::Faulted);
        } else {
            assert_eq!(outcomes[n], Outcome::Verified, "read again and checked");
            assert_eq!(targets[n], content(n));
        }
    }
    let sound = self::stored();
    assert!(!sound.mapping.failed());
    assert_eq!(sound.gather(true).0, [Outcome::Copied; RECORDS]);
}

#[test]
fn a_cut_segment_costs_its_own_records_only() {
    assert_success(in_child("a_cut_segment_costs_its_own_records_only", cut_and_gather));
}

fn cut_while_gathering() {
    [stored(), packed()].into_iter().for_each(assert_no_zeros);
}

fn assert_no_zeros(stored: Stored) {
    let last = stored.last();
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    loop {
                        let (outcomes, targets) = stored.gather(true);
                        for n in 0..RECORDS {
                            assert!(
                                outcomes[n] == Outcome::Faulted || targets[n] == content(n),
                                "record {n}"
                            );
                        }
                        if outcomes.contains(&Outcome::Faulted) {
                            return;
                        }
                    }
                })
            })
            .collect();
        stored.cut_at(last);
        readers.into_iter().for_each(|reader| reader.join().unwrap());
    });
    assert!(stored.mapping.failed());
}

#[test]
fn a_cut_in_the_middle_of_gathers_gives_no_zeros() {
    assert_success(in_child("a_cut_in_the_middle_of_gathers_gives_no_zeros", cut_while_gathering));
}

fn cut_a_dataset() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().join("x.dataset");
    let root = DatasetRoot { path: "/d".into(), identity: Identity::of("fault test") };
    let mut writer = DatasetWriter::create(&place, root).unwrap();
    for n in 0..10_000 {
        let path = format!("{n:05}");
        let object = ObjectRef {
            attachment: 1,
            source_key: path.clone().into(),
            size: n,
            tag: b"\"1\"".to_vec(),
        };
        writer.push(&path, &object).unwrap();
    }
    writer.finish().unwrap();
    let dataset = Dataset::map(&File::open(&place).unwrap()).unwrap();
    assert_eq!(dataset.size(9_999), Some(9_999));
    File::options().write(true).open(&place).unwrap().set_len(8192).unwrap();
    assert_eq!((dataset.size(9_999), dataset.object_key(9_998)), (None, None));
    assert_eq!(dataset.object(9_999, 1).unwrap_err().code, Code::Corrupt);
    assert_eq!(dataset.len(), 10_000);
}

#[test]
fn a_cut_dataset_version_is_an_error() {
    assert_success(in_child("a_cut_dataset_version_is_an_error", cut_a_dataset));
}

/// Reads behind the end of a file that is mapped without us.
fn fault_elsewhere() {
    let file = tempfile::tempfile().unwrap();
    file.set_len(4096).unwrap();
    // SAFETY: cut below on purpose.
    let memory = unsafe { memmap2::Mmap::map(&file) }.unwrap();
    file.set_len(0).unwrap();
    std::hint::black_box(memory[0]);
}

fn install_and_fault_elsewhere() {
    fault::install().unwrap();
    assert!(fault::on_top());
    fault_elsewhere();
}

#[test]
fn a_foreign_fault_still_kills() {
    if let Some(output) = in_child("a_foreign_fault_still_kills", install_and_fault_elsewhere) {
        assert_eq!(output.status.signal(), Some(libc::SIGBUS), "{}", output.status);
    }
}

/// As in a program that is not Rust's: its runtime has a handler of its own, for stack overflows.
fn install_over_nothing() {
    // SAFETY: the default needs no code.
    unsafe { libc::signal(libc::SIGBUS, libc::SIG_DFL) };
    fault::install().unwrap();
    assert!(fault::on_top());
}

fn install_and_be_sent_the_signal() {
    install_over_nothing();
    // SAFETY: a signal to ourselves.
    unsafe { libc::raise(libc::SIGBUS) };
}

fn install_over_nothing_and_fault_elsewhere() {
    install_over_nothing();
    fault_elsewhere();
}

#[test]
fn a_foreign_fault_still_kills_where_no_handler_was() {
    let name = "a_foreign_fault_still_kills_where_no_handler_was";
    if let Some(output) = in_child(name, install_over_nothing_and_fault_elsewhere) {
        assert_eq!(output.status.signal(), Some(libc::SIGBUS), "{}", output.status);
    }
}

#[test]
fn a_signal_that_was_sent_still_kills() {
    if let Some(output) =
        in_child("a_signal_that_was_sent_still_kills", install_and_be_sent_the_signal)
    {
        assert_eq!(output.status.signal(), Some(libc::SIGBUS), "{}", output.status);
    }
}

extern "C" fn leave_with_77(_: i32) {
    // SAFETY: allowed in handlers.
    unsafe { libc::_exit(77) };
}

fn install_other_handler() {
    // SAFETY: the handler does nothing but leave.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = leave_with_77 as extern "C" fn(i32) as usize;
        assert_eq!(libc::sigaction(libc::SIGBUS, &action, std::ptr::null_mut()), 0);
    }
}

fn install_over_another() {
    install_other_handler();
    install_and_fault_elsewhere();
}

#[test]
fn a_foreign_fault_goes_to_the_handler_before_ours() {
    if let Some(output) =
        in_child("a_foreign_fault_goes_to_the_handler_before_ours", install_over_another)
    {
        assert_eq!(output.status.code(), Some(77), "{}", output.status);
    }
}

fn gather_below_another() {
    let both = [stored(), packed()];
    install_other_handler();
    both.into_iter().for_each(assert_read_by_descriptor);
}

fn assert_read_by_descriptor(stored: Stored) {
    let last = stored.last();
    assert!(!fault::on_top());
    assert_eq!(stored.gather(false).0, [Outcome::Verified; RECORDS]);
    stored.cut_at(last);
    let (outcomes, targets) = stored.gather(true);
    assert!(!stored.mapping.failed(), "nothing was read through the mapping");
    for n in (0..RECORDS).filter(|n| *n != last) {
        assert_eq!((outcomes[n], &targets[n]), (Outcome::Copied, &content(n)));
    }
    assert_eq!(outcomes[last], Outcome::Faulted);
}

#[test]
fn under_another_handler_a_gather_reads_by_descriptor() {
    assert_success(in_child(
        "under_another_handler_a_gather_reads_by_descriptor",
        gather_below_another,
    ));
}
