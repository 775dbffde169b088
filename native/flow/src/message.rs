//! The payloads of frames that have fields. Everything is little endian; docs/formats.md "Flow frames" has each layout.

use millpool_core::{Code, Error, Identity, ObjectRef, RecordKey, Result};

use crate::cursor::Cursor;
use crate::frame::broken;
use crate::object_list::{decode_objects, encode_objects};

const MAGIC: [u8; 8] = *b"MILLFLOW";

/// The first frame of a client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hello {
    pub version: u16,
    /// The client maps segments itself and wants the table's descriptor.
    pub wants_mapping: bool,
    pub pid: u32,
}

impl Hello {
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&self.version.to_le_bytes());
        bytes.extend_from_slice(&u16::from(self.wants_mapping).to_le_bytes());
        bytes.extend_from_slice(&self.pid.to_le_bytes());
        bytes
    }

    pub fn decode(bytes: &[u8]) -> Result<Hello> {
        let mut cursor = Cursor::new(bytes);
        if cursor.array::<8>()? != MAGIC {
            return Err(broken("the first frame is not a HELLO of Millpool"));
        }
        let version = cursor.u16()?;
        let wants_mapping = cursor.u16()? & 1 != 0;
        Ok(Hello { version, wants_mapping, pid: cursor.u32()? })
    }
}

/// The answer to HELLO; the table's descriptor comes with it if it was wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Welcome {
    pub version: u16,
    pub pid: u32,
    /// Of the daemon's run: another one means that nothing learnt before holds.
    pub incarnation: u64,
    /// Bytes that the server has under way for one connection; more wait on its side.
    pub in_flight_max: u64,
}

impl Welcome {
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(24);
        bytes.extend_from_slice(&self.version.to_le_bytes());
        bytes.extend_from_slice(&[0; 2]);
        bytes.extend_from_slice(&self.pid.to_le_bytes());
        bytes.extend_from_slice(&self.incarnation.to_le_bytes());
        bytes.extend_from_slice(&self.in_flight_max.to_le_bytes());
        bytes
    }

    pub fn decode(bytes: &[u8]) -> Result<Welcome> {
        let mut cursor = Cursor::new(bytes);
        let version = cursor.u16()?;
        cursor.u16()?;
        Ok(Welcome {
            version,
            pid: cursor.u32()?,
            incarnation: cursor.u64()?,
            in_flight_max: cursor.u64()?,
        })
    }
}

/// What a client asks to be given, or told, once.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Wanted {
    /// The key table of now.
    Table,
    Segment {
        number: u32,
        generation: u32,
    },
    /// A dataset version's file.
    Dataset([u8; 32]),
    /// The identity of an attachment; no descriptor.
    Attachment(u32),
    /// The number of an attachment of this identity; no descriptor.
    Identity(Identity),
}

impl Wanted {
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Wanted::Table => vec![1],
            Wanted::Segment { number, generation } => {
                let mut bytes = vec![2];
                bytes.extend_from_slice(&number.to_le_bytes());
                bytes.extend_from_slice(&generation.to_le_bytes());
                bytes
            }
            Wanted::Dataset(version) => {
                let mut bytes = vec![3];
                bytes.extend_from_slice(version);
                bytes
            }
            Wanted::Attachment(number) => {
                let mut bytes = vec![4];
                bytes.extend_from_slice(&number.to_le_bytes());
                bytes
            }
            Wanted::Identity(identity) => {
                let mut bytes = vec![5];
                bytes.extend_from_slice(&identity.0);
                bytes
            }
        }
    }

    pub fn decode(bytes: &[u8]) -> Result<Wanted> {
        let mut cursor = Cursor::new(bytes);
        let wanted = match cursor.u8()? {
            1 => Wanted::Table,
            2 => Wanted::Segment { number: cursor.u32()?, generation: cursor.u32()? },
            3 => Wanted::Dataset(cursor.array()?),
            4 => Wanted::Attachment(cursor.u32()?),
            5 => Wanted::Identity(Identity(cursor.array()?)),
            other => return Err(broken(format!("a descriptor of kind {other}"))),
        };
        cursor.end()?;
        Ok(wanted)
    }
}

/// The answer to [`Wanted`]. Not found: it is gone, and the client asks by READ instead.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Described {
    pub found: bool,
    /// Of a segment; zeros otherwise.
    pub segment_id: [u8; 16],
    /// Of the segment's or the asked attachment; zeros otherwise.
    pub identity: Identity,
    /// Of the asked identity; [`NOT_ATTACHED`] otherwise.
    pub attachment: u32,
}

/// A number that no attachment has.
pub const NOT_ATTACHED: u32 = 0;

impl Described {
    pub const ABSENT: Described = Described {
        found: false,
        segment_id: [0; 16],
        identity: Identity([0; 16]),
        attachment: NOT_ATTACHED,
    };
    pub const FOUND: Described = Described { found: true, ..Described::ABSENT };

    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![u8::from(self.found)];
        bytes.extend_from_slice(&self.segment_id);
        bytes.extend_from_slice(&self.identity.0);
        bytes.extend_from_slice(&self.attachment.to_le_bytes());
        bytes
    }

    pub fn decode(bytes: &[u8]) -> Result<Described> {
        let mut cursor = Cursor::new(bytes);
        let found = cursor.u8()? == 1;
        Ok(Described {
            found,
            segment_id: cursor.array()?,
            identity: Identity(cursor.array()?),
            attachment: cursor.u32()?,
        })
    }
}

/// A part of one piece: `len` bytes from `skip`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReadItem {
    /// Index in the request's objects.
    pub object: u32,
    pub piece: u32,
    pub skip: u32,
    pub len: u32,
    /// What lies in the segment was found wrong: read it against its checksum, and get it anew if it is.
    pub distrust: bool,
}

const READ_ITEM_BYTES: usize = 20;
/// Most items, and most objects, of one READ.
pub const ITEMS_MAX: usize = 1 << 16;

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ReadRequest {
    pub objects: Vec<ObjectRef>,
    pub items: Vec<ReadItem>,
}

impl ReadRequest {
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(8 + self.items.len() * READ_ITEM_BYTES);
        bytes.extend_from_slice(&(self.items.len() as u32).to_le_bytes());
        for item in &self.items {
            bytes.extend_from_slice(&item.object.to_le_bytes());
            bytes.extend_from_slice(&item.piece.to_le_bytes());
            bytes.extend_from_slice(&item.skip.to_le_bytes());
            bytes.extend_from_slice(&item.len.to_le_bytes());
            bytes.extend_from_slice(&u32::from(item.distrust).to_le_bytes());
        }
        bytes.extend_from_slice(&encode_objects(self.objects.iter()));
        bytes
    }

    /// Every item is checked against its object: a piece that it has, and a part that lies inside the piece.
    pub fn decode(bytes: &[u8]) -> Result<ReadRequest> {
        let mut cursor = Cursor::new(bytes);
        let count = cursor.count(READ_ITEM_BYTES)?;
        let mut items = Vec::with_capacity(count);
        for _ in 0..count {
            items.push(ReadItem {
                object: cursor.u32()?,
                piece: cursor.u32()?,
                skip: cursor.u32()?,
                len: cursor.u32()?,
                distrust: cursor.u32()? & 1 != 0,
            });
        }
        let objects = decode_objects(cursor.rest())?;
        if items.len() > ITEMS_MAX || objects.len() > ITEMS_MAX {
            return Err(broken(format!(
                "a read of {} pieces of {} objects",
                items.len(),
                objects.len()
            )));
        }
        for item in &items {
            check_item(item, &objects)?;
        }
        Ok(ReadRequest { objects, items })
    }
}

fn check_item(item: &ReadItem, objects: &[ObjectRef]) -> Result<()> {
    let Some(object) = objects.get(item.object as usize) else {
        return Err(broken(format!("object {} of {}", item.object, objects.len())));
    };
    let piece_len = millpool_core::piece_len(object.size, item.piece);
    let end = u64::from(item.skip) + u64::from(item.len);
    if item.len == 0 || end > u64::from(piece_len) {
        let ReadItem { piece, skip, len, .. } = item;
        return Err(broken(format!(
            "{len} bytes from {skip} of piece {piece}, which has {piece_len}"
        )));
    }
    Ok(())
}

/// What a client read in one batch. Never acknowledged.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Receipt {
    /// 0: no plan.
    pub plan: u32,
    /// Of the plan, after this batch.
    pub position: u64,
    pub samples: u32,
    /// Those that needed no GET.
    pub hit_samples: u32,
    pub bytes: u64,
    /// Records that the client found to match their checksum.
    pub verified: Vec<RecordKey>,
    /// Numbers of the segments it read from.
    pub segments: Vec<u32>,
}

impl Receipt {
    /// Of this batch and a later one of the same plan.
    pub fn merge(&mut self, later: Receipt) {
        self.position = later.position;
        self.samples += later.samples;
        self.hit_samples += later.hit_samples;
        self.bytes += later.bytes;
        self.verified.extend(later.verified);
        self.segments.extend(later.segments);
        self.segments.sort_unstable();
        self.segments.dedup();
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(36 + self.verified.len() * 16 + self.segments.len() * 4);
        bytes.extend_from_slice(&self.plan.to_le_bytes());
        bytes.extend_from_slice(&self.position.to_le_bytes());
        bytes.extend_from_slice(&self.samples.to_le_bytes());
        bytes.extend_from_slice(&self.hit_samples.to_le_bytes());
        bytes.extend_from_slice(&self.bytes.to_le_bytes());
        bytes.extend_from_slice(&(self.verified.len() as u32).to_le_bytes());
        for key in &self.verified {
            bytes.extend_from_slice(&key.0);
        }
        bytes.extend_from_slice(&(self.segments.len() as u32).to_le_bytes());
        for number in &self.segments {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes
    }

    pub fn decode(bytes: &[u8]) -> Result<Receipt> {
        let mut cursor = Cursor::new(bytes);
        let plan = cursor.u32()?;
        let position = cursor.u64()?;
        let samples = cursor.u32()?;
        let hit_samples = cursor.u32()?;
        let read_bytes = cursor.u64()?;
        let keys = cursor.count(16)?;
        let verified = (0..keys).map(|_| cursor.array().map(RecordKey)).collect::<Result<_>>()?;
        let numbers = cursor.count(4)?;
        let segments = (0..numbers).map(|_| cursor.u32()).collect::<Result<_>>()?;
        cursor.end()?;
        Ok(Receipt { plan, position, samples, hit_samples, bytes: read_bytes, verified, segments })
    }
}

/// Said by the server unasked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Notice {
    /// The daemon stops; calls under way end with `Closed`.
    Stopping,
    /// These (number, generation) are unlinked: drop their mappings, so that the device gets its room back.
    SegmentsGone(Vec<(u32, u32)>),
}

impl Notice {
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Notice::Stopping => vec![1],
            Notice::SegmentsGone(segments) => {
                let mut bytes = vec![2];
                bytes.extend_from_slice(&(segments.len() as u32).to_le_bytes());
                for (number, generation) in segments {
                    bytes.extend_from_slice(&number.to_le_bytes());
                    bytes.extend_from_slice(&generation.to_le_bytes());
                }
                bytes
            }
        }
    }

    pub fn decode(bytes: &[u8]) -> Result<Notice> {
        let mut cursor = Cursor::new(bytes);
        match cursor.u8()? {
            1 => Ok(Notice::Stopping),
            2 => {
                let count = cursor.count(8)?;
                let pairs = (0..count)
                    .map(|_| Ok((cursor.u32()?, cursor.u32()?)))
                    .collect::<Result<_>>()?;
                Ok(Notice::SegmentsGone(pairs))
            }
            other => Err(broken(format!("a notice of kind {other}"))),
        }
    }
}

/// CONTROL: how long the caller waits, then the message itself.
pub fn encode_control(timeout_ms: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(4 + body.len());
    bytes.extend_from_slice(&timeout_ms.to_le_bytes());
    bytes.extend_from_slice(body);
    bytes
}

pub fn decode_control(bytes: &[u8]) -> Result<(u32, &[u8])> {
    let mut cursor = Cursor::new(bytes);
    Ok((cursor.u32()?, cursor.rest()))
}

/// ERROR: a code and one sentence.
pub fn encode_error(error: &Error) -> Vec<u8> {
    let mut bytes = (error.code as u16).to_le_bytes().to_vec();
    bytes.extend_from_slice(error.message.as_bytes());
    bytes
}

pub fn decode_error(bytes: &[u8]) -> Error {
    let mut cursor = Cursor::new(bytes);
    let code = cursor.u16().ok().and_then(Code::from_number).unwrap_or(Code::Internal);
    Error::new(code, String::from_utf8_lossy(cursor.rest()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::piece::{Origin, PieceHead};
    use proptest::prelude::*;

    fn request() -> ReadRequest {
        let object = ObjectRef {
            attachment: 1,
            source_key: b"k".to_vec(),
            size: 9 << 20,
            tag: b"t".to_vec(),
        };
        let item = ReadItem { object: 0, piece: 2, skip: 5, len: (1 << 20) - 5, distrust: true };
        ReadRequest { objects: vec![object], items: vec![item] }
    }

    #[test]
    fn messages_come_back_as_they_went() {
        let hello = Hello { version: 3, wants_mapping: true, pid: 77 };
        assert_eq!(Hello::decode(&hello.encode()).unwrap(), hello);
        let welcome = Welcome { version: 3, pid: 7, incarnation: 1 << 40, in_flight_max: 5 };
        assert_eq!(Welcome::decode(&welcome.encode()).unwrap(), welcome);
        let segment = Wanted::Segment { number: 3, generation: 4 };
        let attached = [Wanted::Attachment(9), Wanted::Identity(Identity([5; 16]))];
        for wanted in [Wanted::Table, segment, Wanted::Dataset([7; 32])].into_iter().chain(attached)
        {
            assert_eq!(Wanted::decode(&wanted.encode()).unwrap(), wanted);
        }
        let described = Described {
            found: true,
            segment_id: [1; 16],
            identity: Identity([2; 16]),
            attachment: 3,
        };
        assert_eq!(Described::decode(&described.encode()).unwrap(), described);
        assert_eq!(ReadRequest::decode(&request().encode()).unwrap(), request());
        let (error, origin) = (Some(Code::SourceChanged), Origin::Joined);
        let head = PieceHead { item: 5, error, origin, crc: 9 };
        assert_eq!(PieceHead::decode(&head.encode()).unwrap(), head);
        for notice in [Notice::Stopping, Notice::SegmentsGone(vec![(1, 2), (3, 4)])] {
            assert_eq!(Notice::decode(&notice.encode()).unwrap(), notice);
        }
        let receipt = Receipt {
            plan: 1,
            position: 2,
            samples: 3,
            hit_samples: 2,
            bytes: 9,
            ..Receipt::default()
        };
        let receipt =
            Receipt { verified: vec![RecordKey([4; 16])], segments: vec![8, 9], ..receipt };
        assert_eq!(Receipt::decode(&receipt.encode()).unwrap(), receipt);
        let error = Error::new(Code::Timeout, "waited");
        assert_eq!(decode_error(&encode_error(&error)).to_string(), error.to_string());
    }

    #[test]
    fn a_read_outside_its_object_is_refused() {
        for (object, piece, skip, len) in [
            (1, 0, 0, 1),
            (0, 3, 0, 1),
            (0, 2, 0, (1 << 20) + 1),
            (0, 0, 1, u32::MAX),
            (0, 0, 0, 0),
        ] {
            let mut wrong = request();
            wrong.items[0] = ReadItem { object, piece, skip, len, distrust: false };
            assert_eq!(ReadRequest::decode(&wrong.encode()).unwrap_err().code, Code::Invalid);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = (Hello::decode(&bytes), Welcome::decode(&bytes), Wanted::decode(&bytes), Described::decode(&bytes));
            let _ = (ReadRequest::decode(&bytes), Receipt::decode(&bytes), Notice::decode(&bytes));
            let _ = (decode_control(&bytes), decode_error(&bytes));
        }
    }
}
