//! The stored layouts against `test/vectors/layouts.tsv`, which a program that shares nothing with this one has
//! written: its bytes are read as its fields, and its fields are written as its bytes.

use std::fs::{self, File};
use std::io::Write;
use std::time::Duration;

use rustix::fs::{MemfdFlags, SealFlags};

use crate::dataset_blocks::HEADER_BYTES;
use crate::extent::{Extent, ExtentBreak, Payload, SegmentLabel};
use crate::footer::{Footer, StripePlace, Trailer};
use crate::live::Live;
use crate::record_entry::RecordEntry;
use crate::segment_contents::{Glance, examine, glance};
use crate::table_image::{
    ImageBreak, ImageHead, ImagedChunk, ImagedRecord, ImagedSegment, TableImage,
};
use crate::{
    Code, Codec, Dataset, DatasetRoot, DatasetWriter, DeviceConfig, Identity, Location, ObjectKey,
    ObjectRef, RecordKey, Store, StoreConfig, TableReader, TableWriter, Tier,
};

#[path = "../../../test/vectors/layout_vector.rs"]
pub(crate) mod layout_vector;
use layout_vector::LayoutVector;

#[test]
fn keys_are_the_published_hashes() {
    let vector = LayoutVector::named("keys");
    let identity = Identity::of("s3\0https://s3.example\0images");
    assert_eq!(identity.0, vector.array("keys/0/identity"));
    let key = ObjectKey::new(&identity, b"train/a.png", 9_437_185, b"\"5d41\"");
    assert_eq!(key.0, vector.array("keys/0/object key"));
    assert_eq!(key.piece(0).0, vector.array("keys/0/record key of piece 0"));
    assert_eq!(key.piece(2).0, vector.array("keys/0/record key of piece 2"));
}

fn entry_of(vector: &LayoutVector, n: usize) -> RecordEntry {
    let path = |field: &str| format!("record-entry/{n}/{field}");
    RecordEntry {
        key: RecordKey(vector.array(&path("key"))),
        offset: vector.number(&path("offset")),
        stored_len: vector.number(&path("stored length")),
        raw_len: vector.number(&path("raw length")),
        crc: vector.number(&path("checksum")),
        piece: vector.number(&path("piece")),
        codec: Codec::of_number(vector.number(&path("codec"))).unwrap(),
        flags: vector.number(&path("flags")),
    }
}

/// The vector has two extents, of the entries 0 and 1, and of 2; the footer has them again as 3, 4 and 5.
const ENTRIES_OF_EXTENTS: [std::ops::Range<usize>; 2] = [0..2, 2..3];
const ENTRIES_OF_FOOTER: std::ops::Range<usize> = 3..6;

fn entries(vector: &LayoutVector, of: std::ops::Range<usize>) -> Vec<RecordEntry> {
    of.map(|n| entry_of(vector, n)).collect()
}

fn extent_of(vector: &LayoutVector, n: usize) -> Extent {
    let path = |field: &str| format!("extent-header/{n}/{field}");
    Extent {
        label: SegmentLabel {
            id: vector.array(&path("segment id")),
            identity: Identity(vector.array(&path("identity"))),
        },
        number: vector.number(&path("extent number")),
        written_at: vector.number(&path("written at")),
        bytes: vector.number(&path("length")),
        entries: entries(vector, ENTRIES_OF_EXTENTS[n].clone()),
    }
}

fn footer_of(vector: &LayoutVector) -> Footer {
    let path = |field: &str| format!("segment-trailer/0/{field}");
    Footer {
        label: SegmentLabel {
            id: vector.array(&path("segment id")),
            identity: Identity(vector.array(&path("identity"))),
        },
        stripe: StripePlace {
            set: vector.array(&path("stripe set")),
            device: vector.number(&path("device")),
            devices: vector.number(&path("devices")),
        },
        extents: vector.number(&path("extents")),
        data_end: vector.number(&path("footer at")),
        sealed_at: vector.number(&path("sealed at")),
        entries: entries(vector, ENTRIES_OF_FOOTER),
    }
}

fn file_of(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn assert_same_extent(found: &Extent, wanted: &Extent) {
    assert_eq!(found.label, wanted.label);
    assert_eq!(
        (found.number, found.written_at, found.bytes),
        (wanted.number, wanted.written_at, wanted.bytes)
    );
    assert_eq!(found.entries, wanted.entries);
}

/// Of the version before there were codecs, and of the one after.
const SEGMENTS: [&str; 2] = ["segment", "packed-segment"];

#[test]
fn a_segment_is_read_as_its_fields() {
    SEGMENTS.iter().for_each(|name| assert_read_as_its_fields(&LayoutVector::named(name)));
}

fn assert_read_as_its_fields(vector: &LayoutVector) {
    let (file, len) = (file_of(&vector.bytes), vector.bytes.len() as u32);
    let [first, second] = [0, 1].map(|n| extent_of(vector, n));
    assert_same_extent(&Extent::read(&file, 0, len).unwrap(), &first);
    assert_same_extent(&Extent::read(&file, first.bytes, len).unwrap(), &second);
    let footer = footer_of(vector);
    let trailer = Trailer::read(&file, len).unwrap();
    assert_eq!((trailer.label, trailer.stripe), (footer.label, footer.stripe));
    assert_eq!((trailer.extents, trailer.data_end), (footer.extents, footer.data_end));
    assert_eq!((trailer.records, trailer.sealed_at), (footer.entries.len(), footer.sealed_at));
    let totals = ["payload bytes", "saved bytes"]
        .map(|field| vector.number::<u64>(&format!("segment-trailer/0/{field}")));
    assert_eq!([trailer.totals.stored_bytes, trailer.totals.saved_bytes], totals);
    let mut bytes = Vec::new();
    let entries = trailer.entries(&file, &mut bytes).unwrap();
    assert!(entries.records().eq(footer.entries.iter().copied()));
    let found = examine(&file).unwrap();
    assert_eq!((found.label, found.extents), (footer.label, 2));
    assert_eq!((found.data_end, &found.entries), (footer.data_end, &footer.entries));
    let unsealed = file_of(&vector.bytes[..footer.data_end as usize]);
    let found = examine(&unsealed).unwrap();
    assert!(matches!(glance(&unsealed), Ok(Glance::Unsealed(_))));
    assert_eq!((found.extents, found.data_end), (2, footer.data_end));
    assert_eq!(found.entries, [first.entries, second.entries].concat());
    let past_the_end = Extent::read(&unsealed, footer.data_end, footer.data_end);
    assert!(matches!(past_the_end, Err(ExtentBreak::End)));
}

/// As the writer has them before they have a place.
fn payload_of(vector: &LayoutVector, n: usize) -> Payload<'_> {
    let RecordEntry { key, piece, raw_len, crc, codec, .. } = entry_of(vector, n);
    let stored = vector.part(&format!("payload/{n}/bytes"));
    Payload { key, piece, stored, crc, raw_len, codec, original: None }
}

#[test]
fn fields_are_written_as_the_segment() {
    for name in SEGMENTS {
        let vector = LayoutVector::named(name);
        let (file, mut at) = (tempfile::tempfile().unwrap(), 0);
        for (n, of) in ENTRIES_OF_EXTENTS.into_iter().enumerate() {
            let wanted = extent_of(&vector, n);
            // Back to front: where the small and the large go is the layout's to say.
            let mut payloads: Vec<_> = of.rev().map(|record| payload_of(&vector, record)).collect();
            let mut extent = Extent::lay_out(wanted.label, n as u32, at, &mut payloads);
            extent.written_at = wanted.written_at;
            assert_same_extent(&extent, &wanted);
            extent.write(&file, at, &payloads).unwrap();
            at += extent.bytes;
        }
        let mut footer = footer_of(&vector);
        footer.entries.reverse();
        use std::os::unix::fs::FileExt;
        file.write_all_at(&footer.encode(), u64::from(at)).unwrap();
        let mut written = vec![0; vector.bytes.len()];
        file.read_exact_at(&mut written, 0).unwrap();
        assert_eq!(file.metadata().unwrap().len(), vector.bytes.len() as u64);
        assert!(written == vector.bytes, "{name}");
    }
}

#[test]
fn a_store_serves_the_records_of_a_segment_that_it_did_not_write() {
    SEGMENTS.iter().for_each(|name| assert_served(&LayoutVector::named(name)));
}

/// What a record is unpacked is beside it in the vector where that is not what is stored.
fn assert_served(vector: &LayoutVector) {
    let place = tempfile::tempdir().unwrap();
    fs::create_dir(place.path().join("segments")).unwrap();
    let name = "101112131415161718191a1b1c1d1e1f.seg";
    fs::write(place.path().join("segments").join(name), &vector.bytes).unwrap();
    let device = DeviceConfig {
        path: place.path().into(),
        tier: Tier::Fast,
        size_bytes: 1 << 30,
        reserve_bytes: 0,
    };
    let (extent_delay, idle_seal) = (Duration::ZERO, Duration::from_secs(30));
    let store = Store::open(StoreConfig {
        devices: vec![device],
        extent_delay,
        idle_seal,
        table_bytes: 1 << 30,
    })
    .unwrap();
    for record in 0..3 {
        let location = store.lookup(&entry_of(vector, record).key).expect("it is found");
        let stored = store.read(&location).unwrap();
        assert!(stored == vector.part(&format!("payload/{record}/bytes")), "record {record}");
        let raw_len = entry_of(vector, record).raw_len;
        let raw = location.codec.unpack(stored.clone(), raw_len).unwrap();
        match location.codec {
            Codec::Raw => assert!(raw == stored),
            Codec::Lz4 => assert!(raw == b"mill".repeat(1200), "as the vector says"),
        }
    }
    store.close();
    assert!(store.notices().is_empty());
    assert!(fs::read(place.path().join("segments").join(name)).unwrap() == vector.bytes);
}

fn location_of(vector: &LayoutVector, n: usize) -> (RecordKey, Location) {
    let path = |field: &str| format!("table-entry/{n}/{field}");
    let flags: u32 = vector.number(&path("flags"));
    assert_eq!(flags & 1, 1, "it is occupied");
    let location = Location {
        segment: vector.number(&path("segment")),
        generation: vector.number(&path("generation")),
        offset: vector.number::<u32>(&path("offset")) * 64,
        stored_len: vector.number(&path("stored length")),
        crc: vector.number(&path("checksum")),
        codec: if flags & 4 == 0 { Codec::Raw } else { Codec::Lz4 },
        verified: flags & 2 != 0,
    };
    (RecordKey(vector.array(&path("key"))), location)
}

#[test]
fn a_key_table_is_read_as_its_fields() {
    let vector = LayoutVector::named("key-table");
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let mut file = File::from(rustix::fs::memfd_create("golden", flags).unwrap());
    file.write_all(&vector.bytes).unwrap();
    rustix::fs::fcntl_add_seals(&file, SealFlags::SHRINK).unwrap();
    let reader = TableReader::map(&file).unwrap();
    assert_eq!(reader.incarnation(), vector.number::<u64>("table-header/0/incarnation"));
    assert!(!reader.retired());
    assert_eq!(reader.changes().unwrap().get(), vector.number::<u64>("table-header/0/changes"));
    for n in 0..3 {
        let (key, location) = location_of(&vector, n);
        assert_eq!(reader.get(&key), Some(location));
    }
    assert_eq!(reader.get(&RecordKey([9; 16])), None);
}

#[test]
fn fields_are_written_as_the_key_table() {
    let vector = LayoutVector::named("key-table");
    let mut table = TableWriter::create(0).unwrap();
    for n in 0..3 {
        let (key, location) = location_of(&vector, n);
        table.insert(&key, &location).unwrap();
    }
    let mut written = vec![0; vector.bytes.len()];
    use std::os::unix::fs::FileExt;
    let file = table.handle().file;
    assert_eq!(file.metadata().unwrap().len(), vector.bytes.len() as u64);
    file.read_exact_at(&mut written, 0).unwrap();
    // Each table has an incarnation of its own, which the header's checksum covers.
    assert_eq!(written[16..24], table.handle().incarnation.to_le_bytes());
    assert_eq!(written[32..40], u64::from(crc_fast::crc32_iscsi(&written[..32])).to_le_bytes());
    for own in [16..24, 32..40] {
        written[own.clone()].copy_from_slice(&vector.bytes[own]);
    }
    assert!(written == vector.bytes);
    table.retire();
    file.read_exact_at(&mut written, 0).unwrap();
    assert_eq!(written[128..136], 1u64.to_le_bytes());
}

fn image_of(vector: &LayoutVector) -> (ImageHead, Vec<ImagedRecord>) {
    let segment = |n: usize| {
        let path = |field: &str| format!("saved-segment/{n}/{field}");
        ImagedSegment {
            id: vector.array(&path("segment id")),
            identity: Identity(vector.array(&path("identity"))),
            bytes: vector.number(&path("length")),
            changed_ns: vector.number(&path("changed at")),
            last_read: vector.number(&path("last read")),
            saved_bytes: vector.number(&path("saved bytes")),
            live: Live {
                records: vector.number(&path("live records")),
                bytes: vector.number(&path("live bytes")),
            },
        }
    };
    let record = |n: usize| {
        let path = |field: &str| format!("saved-record/{n}/{field}");
        let place: u32 = vector.number(&path("place"));
        let stored: u32 = vector.number(&path("stored length"));
        ImagedRecord {
            key: RecordKey(vector.array(&path("key"))),
            segment: vector.number(&path("segment")),
            offset: (place & 0x7fff_ffff) * 64,
            stored_len: stored & 0x7fff_ffff,
            crc: vector.number(&path("checksum")),
            codec: if stored >> 31 == 0 { Codec::Raw } else { Codec::Lz4 },
            in_second: place >> 31 == 1,
        }
    };
    let chunk = ImagedChunk {
        records: vector.number("saved-chunk/0/records"),
        crc: vector.number("saved-chunk/0/checksum"),
    };
    let head = ImageHead {
        save: vector.array("saved-table-header/0/stop"),
        buckets: vector.number("saved-table-header/0/buckets"),
        segments: (0..2).map(segment).collect(),
        chunks: vec![chunk],
    };
    (head, (0..3).map(record).collect())
}

#[test]
fn a_saved_table_is_read_as_its_fields_and_written_as_its_bytes() {
    let vector = LayoutVector::named("saved-table");
    let (head, records) = image_of(&vector);
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("table.image");
    fs::write(&path, &vector.bytes).unwrap();
    let image = TableImage::open(&path).unwrap();
    assert_eq!(image.head, head);
    let mut bytes = Vec::new();
    let read = image.read_chunk(0, &mut bytes).unwrap().chunks_exact(32);
    let read: Vec<_> = read.map(|one| ImagedRecord::decode(one, &head.segments).unwrap()).collect();
    assert_eq!(read, records);
    let mut written = head.encode();
    written.extend(records.iter().flat_map(ImagedRecord::encode));
    assert!(written == vector.bytes);
    for other_version in [1, 3] {
        let mut bytes = vector.bytes.clone();
        bytes[8] = other_version;
        let crc = crc_fast::crc32_iscsi(&bytes[..4092]);
        bytes[4092..4096].copy_from_slice(&crc.to_le_bytes());
        fs::write(&path, bytes).unwrap();
        let found = TableImage::open(&path).err();
        assert!(
            matches!(found, Some(ImageBreak::Version(found)) if found == u32::from(other_version))
        );
    }
}

/// A version names none: an object is of whichever attachment has its identity.
const ATTACHMENT: u32 = 7;

/// Path and object of each file of the vector.
fn files_of(vector: &LayoutVector) -> Vec<(String, ObjectRef)> {
    let prefix = vector.part("dataset-header/0/key prefix");
    (0..vector.number("dataset-header/0/files"))
        .map(|n: usize| {
            let heap = |field: &str| format!("dataset-heap/{n}/{field}");
            let path = vector.part(&heap("path"));
            let source_key = match vector.number::<u16>(&heap("key length")) {
                u16::MAX => [prefix, path].concat(),
                _ => vector.part(&heap("source key")).to_vec(),
            };
            let object = ObjectRef {
                attachment: ATTACHMENT,
                source_key,
                size: vector.number(&format!("dataset-entry/{n}/size")),
                tag: vector.part(&heap("tag")).to_vec(),
            };
            (String::from_utf8(path.to_vec()).unwrap(), object)
        })
        .collect()
}

fn root_of(vector: &LayoutVector) -> DatasetRoot {
    DatasetRoot {
        path: String::from_utf8(vector.part("dataset-header/0/root").to_vec()).unwrap(),
        identity: Identity(vector.array("dataset-header/0/identity")),
    }
}

#[test]
fn a_dataset_version_is_read_as_its_fields() {
    let vector = LayoutVector::named("dataset-version");
    let dataset = Dataset::map(&file_of(&vector.bytes)).unwrap();
    let (root, wanted) = (dataset.root(), root_of(&vector));
    assert_eq!((&root.path, root.identity), (&wanted.path, wanted.identity));
    let summary = dataset.summary();
    assert_eq!(summary.version, vector.array("dataset-header/0/dataset version"));
    assert_eq!(summary.bytes, vector.number::<u64>("dataset-header/0/total bytes"));
    let files = files_of(&vector);
    assert_eq!(summary.count, files.len() as u64);
    for (n, (path, object)) in files.iter().enumerate() {
        assert_eq!(
            (dataset.path(n as u64).unwrap(), dataset.object(n as u64, ATTACHMENT).unwrap()),
            (&path[..], object.clone())
        );
        let key = vector.array(&format!("dataset-entry/{n}/object key"));
        assert_eq!(dataset.object_key(n as u64), Some(ObjectKey(key)));
    }
}

#[test]
fn a_dataset_version_of_the_format_before_is_read_whole() {
    let [old, new] = ["dataset-version-1", "dataset-version"].map(LayoutVector::named);
    let [old_file, new_file] = [&old, &new].map(|vector| Dataset::map(&file_of(&vector.bytes)));
    let (old_file, new_file) = (old_file.unwrap(), new_file.unwrap());
    assert_eq!(old_file.summary(), new_file.summary());
    for (n, (_, object)) in files_of(&new).into_iter().enumerate() {
        assert_eq!(old_file.object(n as u64, ATTACHMENT).unwrap(), object);
    }
    for at in HEADER_BYTES as usize..old.bytes.len() {
        let mut damaged = old.bytes.clone();
        damaged[at] ^= 1;
        let refused = Dataset::map(&file_of(&damaged)).err();
        assert_eq!(refused.map(|error| error.code), Some(Code::Corrupt));
    }
}

#[test]
fn fields_are_written_as_the_dataset_version() {
    let vector = LayoutVector::named("dataset-version");
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("x.dataset");
    let mut writer = DatasetWriter::create(&file, root_of(&vector)).unwrap();
    for (path, object) in files_of(&vector) {
        writer.push(&path, &object).unwrap();
    }
    let summary = writer.finish().unwrap();
    assert_eq!(summary.version, vector.array("dataset-header/0/dataset version"));
    assert!(fs::read(&file).unwrap() == vector.bytes);
}
