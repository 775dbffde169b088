//! Records that are stored compressed: what is read is what came, whatever happens to what is stored.

mod harness;

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use harness::{Bytes, SECONDS, content, key, open_at, segment_files};
use millpool_core::{
    Admission, Code, Codec, Compression, Copy, CopyForward, Destination, DeviceReader, Identity,
    Location, Mapping, Outcome, PIECE_BYTES, PiecePart, ReadBack, SegmentName, Store, gather,
    gather_direct,
};
use proptest::prelude::*;

const SIZE: u64 = 1 << 30;

/// Lines that repeat themselves, as logs and JSON do.
fn text(n: u64, len: usize) -> Vec<u8> {
    let line = |at: u64| format!("{{\"sample\": {n}, \"at\": {at}, \"label\": \"cat\"}}\n");
    let mut bytes = Vec::with_capacity(len + 64);
    for at in 0.. {
        if bytes.len() >= len {
            break;
        }
        bytes.extend_from_slice(line(at * 37 % 1009).as_bytes());
    }
    bytes.truncate(len);
    bytes
}

const LENGTHS: [usize; 6] = [300, 2048, 5000, 100_000, 1_000_003, PIECE_BYTES as usize];

/// Text, and what cannot be compressed, in turns.
fn wanted(n: u64) -> Vec<u8> {
    let len = LENGTHS[n as usize % LENGTHS.len()];
    if n < LENGTHS.len() as u64 { text(n, len) } else { content(n, len) }
}

const RECORDS: u64 = 2 * LENGTHS.len() as u64;

fn put(store: &Store, n: u64, bytes: Vec<u8>) {
    assert_eq!(store.append(1, key(n), 0, Arc::new(Bytes(bytes))), Admission::Queued);
}

fn filled(directory: &Path) -> Arc<Store> {
    let store = open_at(&[directory.to_path_buf()], SIZE);
    store.set_compression(1, Compression::Lz4);
    for n in 0..RECORDS {
        put(&store, n, wanted(n));
    }
    store.flush(SECONDS).unwrap();
    store
}

fn location(store: &Store, n: u64) -> Location {
    store.lookup(&key(n)).expect("resident")
}

fn read(store: &Store, n: u64) -> Result<Vec<u8>, Code> {
    let at = location(store, n);
    let stored = store.read(&at).map_err(|error| error.code)?;
    at.codec.unpack(stored, wanted(n).len() as u32).map_err(|error| error.code)
}

fn assert_right(store: &Store) {
    for n in 0..RECORDS {
        let (at, len) = (location(store, n), wanted(n).len() as u32);
        let is_text = n < LENGTHS.len() as u64;
        assert_eq!(at.codec, if is_text { Codec::Lz4 } else { Codec::Raw }, "record {n}");
        assert!(at.holds(len) && (at.stored_len < len) == is_text, "{at:?}");
        assert!(read(store, n).unwrap() == wanted(n), "record {n}");
    }
    let [stored, raw] = bytes_of(store);
    assert!(raw > stored + stored / 2, "{raw} of {stored}");
}

/// Stored and unpacked, as the store tells.
fn bytes_of(store: &Store) -> [u64; 2] {
    let segments = store.segments();
    let sum = |of: fn(&millpool_core::SegmentStatus) -> u64| segments.iter().map(of).sum();
    [sum(|segment| segment.live_bytes), sum(|segment| segment.raw_bytes)]
}

fn mapped(store: &Store, at: &Location) -> Mapping {
    let segment = store.segment(at.segment, at.generation).unwrap();
    let name = SegmentName {
        number: segment.number,
        generation: segment.generation,
        id: segment.id,
        identity: segment.identity,
    };
    Mapping::map(&segment.file, &name).unwrap()
}

/// Each record in whole and in parts, by a way to gather.
fn assert_gathered(store: &Store, way: impl Fn(&[Copy<'_>], &mut Vec<Outcome>)) {
    let locations: Vec<_> = (0..RECORDS).map(|n| location(store, n)).collect();
    let mappings: Vec<_> = locations.iter().map(|at| mapped(store, at)).collect();
    for verify in [true, false] {
        for (from, to) in [(0, 1), (1, 3), (2, 3)] {
            let ranges = |len: u32| len / 3 * from..if to == 3 { len } else { len / to };
            let mut targets: Vec<Vec<u8>> = Vec::new();
            let mut copies = Vec::new();
            for n in 0..RECORDS as usize {
                let piece_len = wanted(n as u64).len() as u32;
                let range = ranges(piece_len);
                let mut target = vec![0xEE; range.len()];
                let part = PiecePart { piece_len, range };
                // SAFETY: the target's memory stays where it is, and is read only after the gather.
                let copy =
                    unsafe { Copy::new(&mappings[n], &locations[n], part, target.as_mut_ptr()) };
                let mut copy = copy.expect("mapped");
                copy.verify = verify;
                copies.push(copy);
                targets.push(target);
            }
            let mut outcomes = Vec::new();
            way(&copies, &mut outcomes);
            let expected = if verify { Outcome::Verified } else { Outcome::Copied };
            assert!(outcomes.iter().all(|outcome| *outcome == expected), "{outcomes:?}");
            for (n, target) in targets.iter().enumerate() {
                let whole = wanted(n as u64);
                let range = ranges(whole.len() as u32);
                assert!(
                    target[..] == whole[range.start as usize..range.end as usize],
                    "record {n}"
                );
            }
        }
    }
}

#[test]
fn what_shrinks_is_stored_compressed_and_gathered_as_it_came() {
    let place = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
    let store = filled(place.path());
    assert_right(&store);
    assert_gathered(&store, gather);
    let reader = DeviceReader::default();
    assert_gathered(&store, |copies, outcomes| gather_direct(copies, &reader, outcomes));
    let locations: Vec<_> = (0..RECORDS).map(|n| location(&store, n)).collect();
    assert!(ReadBack::of(&store).check(&locations).iter().all(Result::is_ok));
}

#[test]
fn a_start_finds_them_in_a_saved_table_in_footers_and_in_extents() {
    let place = tempfile::tempdir().unwrap();
    let store = filled(place.path());
    // As a kill leaves it.
    let killed = tempfile::tempdir().unwrap();
    fs::create_dir(killed.path().join("segments")).unwrap();
    for path in segment_files(place.path()) {
        fs::copy(&path, killed.path().join("segments").join(path.file_name().unwrap())).unwrap();
    }
    let before = bytes_of(&store);
    store.close();
    for (directory, has_image) in
        [(place.path(), true), (place.path(), false), (killed.path(), false)]
    {
        let image = directory.join("table.image");
        if !has_image {
            let _ = fs::remove_file(&image);
        }
        assert_eq!(image.exists(), has_image);
        let store = open_at(&[directory.to_path_buf()], SIZE);
        assert_eq!(store.notices(), Vec::<String>::new());
        assert_right(&store);
        let [stored, raw] = bytes_of(&store);
        assert_eq!(stored, before[0]);
        assert!(raw.abs_diff(before[1]) < before[1] / 10, "{raw} for {}", before[1]);
        store.close();
    }
}

#[test]
fn a_copy_is_stored_as_its_original() {
    let place = tempfile::tempdir().unwrap();
    filled(place.path()).close();
    let store = open_at(&[place.path().to_path_buf()], SIZE);
    let before: Vec<_> = (0..RECORDS).map(|n| location(&store, n)).collect();
    let copier = CopyForward::of(&store, Destination::AnyDevice);
    for segment in store.segments() {
        let deadline = Instant::now() + SECONDS;
        let copied = copier.copy(segment.number, segment.generation, deadline).unwrap();
        assert!(copied.retired && copied.damaged == 0 && copied.left == 0, "{copied:?}");
    }
    assert_right(&store);
    for (n, before) in before.iter().enumerate() {
        let after = location(&store, n as u64);
        assert_ne!(after.segment, before.segment);
        assert_eq!((after.codec, after.stored_len), (before.codec, before.stored_len));
        assert_eq!(after.crc, before.crc);
    }
}

/// Makes the checksums of the first extent and the trailer right again.
fn reseal(bytes: &mut [u8]) {
    let put = |bytes: &mut [u8], at: usize, crc: u32| {
        bytes[at..at + 4].copy_from_slice(&crc.to_le_bytes());
    };
    let blocks = u16::from_le_bytes(bytes[6..8].try_into().unwrap()) as usize;
    put(bytes, 60, 0);
    let crc = crc_fast::crc32_iscsi(&bytes[..blocks * 4096]);
    put(bytes, 60, crc);
    let trailer = bytes.len() - 4096;
    let number = |bytes: &[u8], at: usize| {
        u32::from_le_bytes(bytes[trailer + at..trailer + at + 4].try_into().unwrap()) as usize
    };
    let (footer, records) = (number(bytes, 88), number(bytes, 68));
    let crc = crc_fast::crc32_iscsi(&bytes[footer..footer + records * 64]);
    put(bytes, trailer + 92, crc);
    let crc = crc_fast::crc32_iscsi(&bytes[trailer..trailer + 4092]);
    put(bytes, trailer + 4092, crc);
}

#[test]
fn a_codec_that_is_not_known_is_set_aside_with_its_segment() {
    let place = tempfile::tempdir().unwrap();
    let store = open_at(&[place.path().to_path_buf()], SIZE);
    store.set_compression(1, Compression::Lz4);
    put(&store, 1, text(1, 100_000));
    store.flush(SECONDS).unwrap();
    store.close();
    fs::remove_file(place.path().join("table.image")).unwrap();
    let [path] = <[_; 1]>::try_from(segment_files(place.path())).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let footer = bytes.len() - 8192;
    assert_eq!((bytes[64 + 36], bytes[footer + 36]), (1, 1), "the codec of the only record");
    (bytes[64 + 36], bytes[footer + 36]) = (9, 9);
    reseal(&mut bytes);
    fs::write(&path, &bytes).unwrap();
    let store = open_at(&[place.path().to_path_buf()], SIZE);
    assert_eq!(store.lookup(&key(1)), None);
    let [notice] = store.notices() else { panic!("{:?}", store.notices()) };
    assert!(notice.contains("codec 9") && notice.contains("set aside"), "{notice}");
    let aside = place.path().join("aside").join(path.file_name().unwrap());
    assert!(fs::read(aside).unwrap() == bytes, "as it was");
}

#[test]
fn auto_compresses_where_room_is_short_and_while_it_pays() {
    let place = tempfile::tempdir().unwrap();
    let store = open_at(&[place.path().to_path_buf()], SIZE);
    store.set_compression(1, Compression::Auto);
    let compressed = |numbers: std::ops::Range<u64>, of: fn(u64, usize) -> Vec<u8>| {
        for n in numbers.clone() {
            put(&store, n, of(n, 20_000));
        }
        store.flush(SECONDS).unwrap();
        numbers.filter(|n| location(&store, *n).codec == Codec::Lz4).count()
    };
    assert_eq!(compressed(0..100, text), 0, "there is room for all");
    store.set_short(&Identity::of("test"), true);
    assert_eq!(compressed(1000..1100, text), 100);
    assert_eq!(compressed(2000..2400, content), 0);
    // By now one in 65 is tried.
    let some = compressed(3000..3500, text);
    assert!((1..=20).contains(&some), "{some}");
    store.set_compression(1, Compression::Off);
    assert_eq!(compressed(4000..4100, text), 0);
    store.set_compression(1, Compression::Lz4);
    assert_eq!(compressed(5000..5100, text), 100);
}

fn writable(directory: &Path) -> File {
    let [path] = <[_; 1]>::try_from(segment_files(directory)).unwrap();
    File::options().read(true).write(true).open(path).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    /// Bits that fell over on the device: whoever checks sees it, whoever does not gets the bytes of a block or an
    /// error, and nobody reads or writes elsewhere.
    #[test]
    fn damage_on_the_device_is_found_and_does_no_harm(
        flips in prop::collection::vec((any::<prop::sample::Index>(), 1u8..), 1..5),
        n in 0..LENGTHS.len() as u64 - 2,
    ) {
        let place = tempfile::tempdir().unwrap();
        let store = filled(place.path());
        let at = location(&store, n);
        let file = writable(place.path());
        let mut stored = vec![0; at.stored_len as usize];
        file.read_exact_at(&mut stored, at.offset.into()).unwrap();
        let sound = stored.clone();
        for (index, change) in flips {
            let index = index.index(stored.len());
            stored[index] ^= change;
        }
        prop_assume!(stored != sound);
        file.write_all_at(&stored, at.offset.into()).unwrap();
        prop_assert_eq!(read(&store, n), Err(Code::Corrupt));
        let mapping = mapped(&store, &at);
        let piece_len = wanted(n).len() as u32;
        for range in [0..piece_len, piece_len / 2..piece_len] {
            for verify in [true, false] {
                let mut target = vec![0; range.len() + 64];
                let part = PiecePart { piece_len, range: range.clone() };
                // SAFETY: the target is longer than the part.
                let copy = unsafe { Copy::new(&mapping, &at, part, target.as_mut_ptr()) };
                let mut copy = copy.expect("mapped");
                copy.verify = verify;
                let mut outcomes = Vec::new();
                gather(&[copy], &mut outcomes);
                let allowed: &[Outcome] =
                    if verify { &[Outcome::Mismatch] } else { &[Outcome::Mismatch, Outcome::Copied] };
                prop_assert!(allowed.contains(&outcomes[0]), "{:?}", outcomes);
                prop_assert!(target[range.len()..].iter().all(|byte| *byte == 0));
            }
        }
        store.forget_damaged(&key(n), (at.segment, at.generation));
        prop_assert_eq!((store.lookup(&key(n)), store.damaged()), (None, 1));
    }
}
