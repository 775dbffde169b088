//! Each frame against `test/vectors/layouts.tsv`, which a program that shares nothing with this one has written: its
//! bytes are read as its fields, and its fields are written as its bytes.

use millpool_core::{Code, Error, Identity, ObjectRef, RecordKey, piece_len};
use proptest::prelude::*;

use crate::frame::{FLAG_DESCRIPTOR, HEADER_BYTES, Header, Kind, VERSION, frame};
use crate::message::{
    Described, Hello, Notice, ReadItem, ReadRequest, Receipt, Wanted, Welcome, decode_control,
    decode_error, encode_control, encode_error,
};
use crate::object_list::{decode_objects, encode_objects};
use crate::piece::{Origin, PieceHead};

#[path = "../../../test/vectors/layout_vector.rs"]
mod layout_vector;
use layout_vector::LayoutVector;

/// Checks the header both ways, and gives the payload.
fn payload(vector: &LayoutVector, kind: Kind) -> &[u8] {
    let (header, payload) = vector.bytes.split_first_chunk::<HEADER_BYTES>().unwrap();
    let decoded = Header::decode(header).unwrap();
    let path = |field: &str| format!("frame-header/0/{field}");
    assert_eq!(decoded.payload_len, vector.number::<u32>(&path("payload length")));
    assert_eq!(decoded.payload_len as usize, payload.len());
    assert_eq!((decoded.kind, kind as u8), (kind, vector.number(&path("kind"))));
    assert_eq!(decoded.flags, vector.number::<u8>(&path("flags")));
    assert_eq!(decoded.request, vector.number::<u64>(&path("request")));
    assert_eq!(&decoded.encode(), header);
    payload
}

/// A frame without a descriptor, made by the product.
fn assert_frame(vector: &LayoutVector, kind: Kind, written: &[u8]) {
    let request = vector.number("frame-header/0/request");
    assert_eq!(frame(kind, request, written), vector.bytes);
}

#[test]
fn hello_and_welcome() {
    let vector = LayoutVector::named("flow-hello");
    let hello = Hello {
        version: vector.number("hello/0/version"),
        wants_mapping: true,
        pid: vector.number("hello/0/pid"),
    };
    assert_eq!(Hello::decode(payload(&vector, Kind::Hello)).unwrap(), hello);
    assert_frame(&vector, Kind::Hello, &hello.encode());
    let vector = LayoutVector::named("flow-welcome");
    let welcome = Welcome {
        version: vector.number("welcome/0/version"),
        pid: vector.number("welcome/0/pid"),
        incarnation: vector.number("welcome/0/incarnation"),
        in_flight_max: vector.number("welcome/0/credit"),
    };
    assert_eq!(Welcome::decode(payload(&vector, Kind::Welcome)).unwrap(), welcome);
    assert_eq!(welcome.encode(), payload(&vector, Kind::Welcome));
    assert_eq!((hello.version, welcome.version), (VERSION, VERSION));
    assert_eq!(vector.number::<u8>("frame-header/0/flags"), FLAG_DESCRIPTOR);
}

#[test]
fn control_and_its_reply() {
    let vector = LayoutVector::named("flow-control");
    let (timeout_ms, body) = (vector.number("control/0/timeout"), vector.part("control/0/body"));
    assert_eq!(decode_control(payload(&vector, Kind::Control)).unwrap(), (timeout_ms, body));
    assert_frame(&vector, Kind::Control, &encode_control(timeout_ms, body));
    let vector = LayoutVector::named("flow-control-reply");
    assert_eq!(payload(&vector, Kind::ControlReply), vector.part("control-reply/0/body"));
}

#[test]
fn descriptors_and_their_reply() {
    let attachment = LayoutVector::named("flow-descriptor-attachment");
    let number = u32::from_le_bytes(attachment.array("descriptor/0/subject"));
    let version = LayoutVector::named("flow-descriptor-dataset").array("descriptor/0/subject");
    let identity = LayoutVector::named("flow-descriptor-identity").array("descriptor/0/subject");
    for (name, wanted) in [
        ("table", Wanted::Table),
        ("segment", Wanted::Segment { number: 70_000, generation: 3 }),
        ("dataset", Wanted::Dataset(version)),
        ("attachment", Wanted::Attachment(number)),
        ("identity", Wanted::Identity(Identity(identity))),
    ] {
        let vector = LayoutVector::named(&format!("flow-descriptor-{name}"));
        assert_eq!(Wanted::decode(payload(&vector, Kind::Descriptor)).unwrap(), wanted);
        assert_frame(&vector, Kind::Descriptor, &wanted.encode());
    }
    let vector = LayoutVector::named("flow-descriptor-reply");
    let described = Described {
        found: vector.number::<u8>("descriptor-reply/0/found") == 1,
        segment_id: vector.array("descriptor-reply/0/segment id"),
        identity: Identity(vector.array("descriptor-reply/0/identity")),
        attachment: vector.number("descriptor-reply/0/attachment"),
    };
    let bytes = payload(&vector, Kind::DescriptorReply);
    assert_eq!(Described::decode(bytes).unwrap(), described);
    assert_eq!(described.encode(), bytes);
}

fn objects_of(vector: &LayoutVector) -> Vec<ObjectRef> {
    (0..vector.number("object-list/0/objects"))
        .map(|n: usize| {
            let path = |field: &str| format!("object/{n}/{field}");
            ObjectRef {
                attachment: vector.number(&path("attachment")),
                source_key: vector.part(&path("source key")).to_vec(),
                size: vector.number(&path("size")),
                tag: vector.part(&path("tag")).to_vec(),
            }
        })
        .collect()
}

#[test]
fn an_object_list() {
    let vector = LayoutVector::named("object-list");
    let objects = objects_of(&vector);
    assert_eq!(decode_objects(&vector.bytes).unwrap(), objects);
    assert_eq!(encode_objects(objects.iter()), vector.bytes);
}

#[test]
fn a_read() {
    let vector = LayoutVector::named("flow-read");
    let items = (0..vector.number("read/0/items")).map(|n: usize| {
        let path = |field: &str| format!("read-item/{n}/{field}");
        ReadItem {
            object: vector.number(&path("object")),
            piece: vector.number(&path("piece")),
            skip: vector.number(&path("skip")),
            len: vector.number(&path("length")),
            distrust: vector.number::<u32>(&path("flags")) == 1,
        }
    });
    let read = ReadRequest { items: items.collect(), objects: objects_of(&vector) };
    assert_eq!(ReadRequest::decode(payload(&vector, Kind::Read)).unwrap(), read);
    assert_frame(&vector, Kind::Read, &read.encode());
}

#[test]
fn a_piece_and_a_failed_one() {
    for name in ["flow-piece", "flow-piece-failed"] {
        let vector = LayoutVector::named(name);
        let head = PieceHead {
            item: vector.number("piece/0/item"),
            error: Code::from_number(vector.number("piece/0/error")),
            origin: [Origin::Stored, Origin::Fetched]
                [vector.number::<u16>("piece/0/origin") as usize],
            crc: vector.number("piece/0/checksum"),
        };
        let (bytes, rest) =
            payload(&vector, Kind::Piece).split_first_chunk::<{ PieceHead::BYTES }>().unwrap();
        assert_eq!(PieceHead::decode(bytes).unwrap(), head);
        assert_eq!((&head.encode(), rest), (bytes, vector.part("piece/0/bytes")));
        assert!(head.error.is_some() || crc_fast::crc32_iscsi(rest) == head.crc);
    }
}

#[test]
fn a_receipt() {
    let vector = LayoutVector::named("flow-receipt");
    let keys = vector.part("receipt/0/keys").chunks_exact(16);
    let numbers = vector.part("receipt/0/numbers").chunks_exact(4);
    let receipt = Receipt {
        plan: vector.number("receipt/0/plan"),
        position: vector.number("receipt/0/position"),
        samples: vector.number("receipt/0/samples"),
        hit_samples: vector.number("receipt/0/hits"),
        bytes: vector.number("receipt/0/bytes"),
        verified: keys.map(|key| RecordKey(key.try_into().unwrap())).collect(),
        segments: numbers.map(|each| u32::from_le_bytes(each.try_into().unwrap())).collect(),
    };
    assert_eq!(receipt.verified.len(), vector.number::<usize>("receipt/0/verified"));
    assert_eq!(receipt.segments.len(), vector.number::<usize>("receipt/0/segments"));
    assert_eq!(Receipt::decode(payload(&vector, Kind::Receipt)).unwrap(), receipt);
    assert_frame(&vector, Kind::Receipt, &receipt.encode());
}

#[test]
fn notices() {
    let gone = LayoutVector::named("flow-notice-segments");
    let segments = (0..gone.number("notice/0/segments")).map(|n: usize| {
        (gone.number(&format!("gone/{n}/segment")), gone.number(&format!("gone/{n}/generation")))
    });
    let stopping = LayoutVector::named("flow-notice-stopping");
    for (vector, notice) in
        [(&gone, Notice::SegmentsGone(segments.collect())), (&stopping, Notice::Stopping)]
    {
        assert_eq!(Notice::decode(payload(vector, Kind::Notice)).unwrap(), notice);
        assert_frame(vector, Kind::Notice, &notice.encode());
    }
}

#[test]
fn errors_and_frames_without_a_payload() {
    let vector = LayoutVector::named("flow-error");
    let sentence = std::str::from_utf8(vector.part("error/0/sentence")).unwrap();
    let error = Error::new(Code::from_number(vector.number("error/0/code")).unwrap(), sentence);
    let decoded = decode_error(payload(&vector, Kind::Error));
    assert_eq!((decoded.code, &decoded.message), (error.code, &error.message));
    assert_frame(&vector, Kind::Error, &encode_error(&error));
    for (name, kind) in [("flow-end", Kind::End), ("flow-cancel", Kind::Cancel)] {
        let vector = LayoutVector::named(name);
        assert!(payload(&vector, kind).is_empty());
        assert_frame(&vector, kind, b"");
    }
}

const FRAMES: [&str; 11] = [
    "hello",
    "welcome",
    "control",
    "descriptor-segment",
    "descriptor-dataset",
    "descriptor-reply",
    "read",
    "piece",
    "receipt",
    "notice-segments",
    "error",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    /// Frames that are nearly right: an error, or a message all of whose numbers fit each other.
    #[test]
    fn a_damaged_frame_is_an_error_or_another_sound_message(
        name in prop::sample::select(FRAMES.to_vec()),
        flips in prop::collection::vec((any::<prop::sample::Index>(), 1u8..), 0..4),
        len in any::<prop::sample::Index>(),
        cut: bool,
    ) {
        let mut bytes = LayoutVector::named(&format!("flow-{name}")).bytes.split_off(HEADER_BYTES);
        for (at, change) in flips {
            let at = at.index(bytes.len());
            bytes[at] ^= change;
        }
        bytes.truncate(if cut { len.index(bytes.len() + 1) } else { bytes.len() });
        let _ = (Hello::decode(&bytes), Welcome::decode(&bytes), Described::decode(&bytes));
        let _ = (decode_control(&bytes), decode_error(&bytes));
        if let Ok(wanted) = Wanted::decode(&bytes) {
            prop_assert_eq!(wanted.encode(), &bytes[..]);
        }
        if let Ok(receipt) = Receipt::decode(&bytes) {
            prop_assert_eq!(receipt.encode(), &bytes[..]);
        }
        if let Ok(objects) = decode_objects(&bytes) {
            prop_assert_eq!(encode_objects(objects.iter()), &bytes[..]);
        }
        if let Ok(read) = ReadRequest::decode(&bytes) {
            for item in &read.items {
                let size = read.objects[item.object as usize].size;
                prop_assert!(item.len > 0);
                prop_assert!(u64::from(item.skip) + u64::from(item.len) <= piece_len(size, item.piece).into());
            }
        }
    }
}
