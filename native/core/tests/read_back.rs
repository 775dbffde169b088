//! Reading records back from where they lie.

mod harness;

use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

use harness::{SECONDS, key, open_at, put};
use millpool_core::{Admission, Code, PIECE_BYTES, ReadBack};

#[test]
fn records_are_read_back_from_their_device_and_damage_is_told_of_each() {
    // A file system without a device (tmpfs) has nothing but memory.
    let place = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
    let store = open_at(&[place.path().to_path_buf()], 1 << 30);
    let sizes = [1, 4096, 100_000, PIECE_BYTES as usize, PIECE_BYTES as usize, 5000];
    for (n, size) in sizes.iter().enumerate() {
        assert_eq!(put(&store, n as u64, *size), Admission::Queued);
    }
    store.flush(SECONDS).unwrap();
    let locations: Vec<_> =
        (0..sizes.len()).map(|n| store.lookup(&key(n as u64)).expect("resident")).collect();
    // Those that hold them: others come and go, as room is made ahead.
    for at in &locations {
        let segment = store.segment(at.segment, at.generation).unwrap();
        segment.file.sync_all().unwrap();
        rustix::fs::fadvise(&segment.file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
    }
    let cached = || locations.iter().map(|at| store.cached_bytes(at).unwrap()).sum::<u64>();
    let before = cached();
    let results = ReadBack::of(&store).check(&locations);
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    if before == 0 {
        assert_eq!(cached(), 0, "it was not read through the page cache");
    } else {
        println!("skipped: this file system does not drop pages when it is asked to");
    }
    let victim = locations[3];
    let segment = store.segment(victim.segment, victim.generation).unwrap();
    let path = fs::read_link(format!("/proc/self/fd/{}", segment.file.as_raw_fd())).unwrap();
    let file = fs::File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, u64::from(victim.offset) + 77).unwrap();
    file.write_all_at(&[byte[0] ^ 4], u64::from(victim.offset) + 77).unwrap();
    let results = ReadBack::of(&store).check(&locations);
    let codes: Vec<_> = results.into_iter().map(|result| result.err().map(|e| e.code)).collect();
    assert_eq!(codes, [None, None, None, Some(Code::Corrupt), None, None]);
}
