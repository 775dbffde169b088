//! Fills from a real folder into a real store: once however many want it, never a wrong version, never out of the root.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use millpool_core::{Code, Filled, ObjectRef, PIECE_BYTES, Want};
use millpool_source::SourceConfig;

use crate::bed::{Bed, PATIENCE, Terms};

fn bed() -> Bed {
    let bed = Bed::new(Terms::default());
    fs::create_dir(bed.folder()).unwrap();
    bed.attach(1, SourceConfig::Folder { root: bed.folder() });
    bed
}

impl Bed {
    /// Old enough to be kept, as far as its mtime says; its ctime is of now, so `settle` is needed too.
    fn write(&self, name: &str, bytes: &[u8]) -> Arc<ObjectRef> {
        let path = self.folder().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(3600)).unwrap();
        self.object(name)
    }

    fn object(&self, name: &str) -> Arc<ObjectRef> {
        object_at(&self.folder(), name)
    }
}

fn object_at(root: &Path, name: &str) -> Arc<ObjectRef> {
    let found = fs::metadata(root.join(name)).unwrap();
    let time = |seconds: i64, nanoseconds: i64| {
        i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds)
    };
    let tag = format!(
        "f:{}:{}:{}:{}",
        found.dev(),
        found.ino(),
        time(found.mtime(), found.mtime_nsec()),
        time(found.ctime(), found.ctime_nsec())
    );
    Arc::new(ObjectRef {
        attachment: 1,
        source_key: name.into(),
        size: found.len(),
        tag: tag.into(),
    })
}

/// Until the files that were written so far are no longer young. Nothing can set a ctime.
fn settle(bed: &Bed) {
    let newest = bed.write("newest", b"").tag.clone();
    let ctime = String::from_utf8(newest).unwrap().rsplit(':').next().unwrap().parse().unwrap();
    let settled = SystemTime::UNIX_EPOCH + Duration::from_nanos(ctime) + Duration::from_secs(2);
    while let Ok(left) = settled.duration_since(SystemTime::now()) {
        std::thread::sleep(left);
    }
}

#[test]
fn a_file_is_fetched_once_kept_and_then_resident() {
    let bed = bed();
    let large: Vec<u8> = (0..9u32 << 20).map(|i| (i / 7) as u8).collect();
    let objects = [bed.write("a/small", b"hello"), bed.write("large", &large)];
    settle(&bed);
    let wants: Vec<_> = [(0, 0), (1, 0), (1, 1), (1, 2)]
        .map(|(object, piece): (usize, u32)| Want { object: objects[object].clone(), piece })
        .into();
    for pass in 0..2 {
        let answers = bed.fill(wants.clone());
        let pieces: Vec<_> =
            answers.iter().map(|answer| bed.bytes_of(answer.as_ref().unwrap())).collect();
        assert_eq!(pieces[0], b"hello");
        assert_eq!(pieces[1..].concat(), large);
        bed.store.flush(PATIENCE).unwrap();
        assert!(
            answers.iter().all(|answer| matches!(answer, Ok(Filled::Resident(_))) == (pass == 1))
        );
    }
    assert_eq!(bed.filler.counters().gets, 4);
    assert_eq!(bed.error(&objects[0], 1).code, Code::Invalid);
}

#[test]
fn many_who_want_the_same_at_once_cause_one_read() {
    let bed = bed();
    let objects: Vec<_> =
        (0..20).map(|n| bed.write(&format!("f{n}"), &vec![n as u8; 50_000])).collect();
    settle(&bed);
    let wants = (0..400).map(|n| Want { object: objects[n * 7 % 20].clone(), piece: 0 }).collect();
    for (n, answer) in bed.fill(wants).iter().enumerate() {
        assert_eq!(bed.bytes_of(answer.as_ref().unwrap()), vec![(n * 7 % 20) as u8; 50_000]);
    }
    assert_eq!(bed.filler.counters().gets, 20);
}

#[test]
fn a_file_that_was_just_written_is_served_and_not_kept() {
    let bed = bed();
    let object = bed.write("new", b"new");
    assert!(matches!(bed.fill_one(&object, 0), Ok(Filled::Fetched { .. })));
    bed.store.flush(PATIENCE).unwrap();
    assert!(matches!(bed.fill_one(&object, 0), Ok(Filled::Fetched { .. })));
    assert_eq!(bed.filler.counters().young, 2);
}

#[test]
fn another_version_a_lost_file_and_a_cut_one_are_errors_by_name() {
    let bed = bed();
    let changed = bed.write("changed", b"first");
    bed.write("changed", b"other");
    let cut = bed.write("cut", b"long enough");
    bed.write("cut", b"l");
    let lost = bed.write("lost", b"x");
    fs::remove_file(bed.folder().join("lost")).unwrap();
    for (object, code) in
        [(changed, Code::SourceChanged), (cut, Code::SourceChanged), (lost, Code::NotFound)]
    {
        let error = bed.error(&object, 0);
        assert_eq!(error.code, code, "{error}");
        assert!(
            error.message.contains(&String::from_utf8_lossy(&object.source_key)[..]),
            "{error}"
        );
    }
}

#[test]
fn nothing_outside_the_root_is_read_and_no_pipe_is_waited_for() {
    let bed = bed();
    let root = bed.folder();
    fs::write(bed.place.path().join("secret"), b"secret").unwrap();
    bed.write("inside", b"inside");
    symlink("../secret", root.join("out")).unwrap();
    symlink("inside", root.join("in")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        root.join("pipe"),
        rustix::fs::FileType::Fifo,
        0o600.into(),
        0,
    )
    .unwrap();
    let escape = ObjectRef {
        source_key: b"../secret".to_vec(),
        ..(*object_at(bed.place.path(), "secret")).clone()
    };
    let pipe = ObjectRef { source_key: b"pipe".to_vec(), ..(*bed.object("inside")).clone() };
    for refused in [Arc::new(escape), bed.object("out"), Arc::new(pipe)] {
        assert_eq!(bed.error(&refused, 0).code, Code::Refused);
    }
    assert_eq!(bed.bytes_of(&bed.fill_one(&bed.object("in"), 0).unwrap()), b"inside");
}

#[test]
fn after_close_every_want_is_answered_with_closed() {
    let bed = bed();
    let object = bed.write("x", &vec![1; PIECE_BYTES as usize]);
    bed.filler.close();
    assert_eq!(bed.error(&object, 0).code, Code::Closed);
}
