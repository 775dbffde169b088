//! The header that every frame begins with, and what kinds there are. docs/formats.md "Flow frames" has the layouts.

use millpool_core::{Code, Error, Result};

/// Both sides name theirs in HELLO and WELCOME; other versions are refused. Those two frames never change.
pub const VERSION: u16 = 1;

pub const HEADER_BYTES: usize = 16;

/// Longest payload of a frame: a 4 MiB piece with its head, a control message, or a read of some 200,000 pieces.
pub const PAYLOAD_MAX: u32 = 16 << 20;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Kind {
    Hello = 1,
    Welcome = 2,
    Control = 3,
    ControlReply = 4,
    Descriptor = 5,
    DescriptorReply = 6,
    Read = 7,
    Piece = 8,
    End = 9,
    Receipt = 10,
    Cancel = 11,
    Notice = 12,
    Error = 13,
}

impl Kind {
    const ALL: [Kind; 13] = [
        Kind::Hello,
        Kind::Welcome,
        Kind::Control,
        Kind::ControlReply,
        Kind::Descriptor,
        Kind::DescriptorReply,
        Kind::Read,
        Kind::Piece,
        Kind::End,
        Kind::Receipt,
        Kind::Cancel,
        Kind::Notice,
        Kind::Error,
    ];

    fn from_number(number: u8) -> Option<Kind> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == number)
    }
}

/// A descriptor came with the frame's first byte.
pub const FLAG_DESCRIPTOR: u8 = 1;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    pub payload_len: u32,
    pub kind: Kind,
    pub flags: u8,
    /// Chosen by the client, not 0; a reply has its request's. 0 where a frame belongs to the connection.
    pub request: u64,
}

impl Header {
    pub fn new(kind: Kind, request: u64, payload_len: usize) -> Header {
        debug_assert!(payload_len <= PAYLOAD_MAX as usize);
        Header { payload_len: payload_len as u32, kind, flags: 0, request }
    }

    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0u8; HEADER_BYTES];
        bytes[0..4].copy_from_slice(&self.payload_len.to_le_bytes());
        bytes[4] = self.kind as u8;
        bytes[5] = self.flags;
        bytes[8..16].copy_from_slice(&self.request.to_le_bytes());
        bytes
    }

    /// `Invalid` for an unknown kind or flag, a reserved field in use, or a payload over [`PAYLOAD_MAX`].
    pub fn decode(bytes: &[u8; HEADER_BYTES]) -> Result<Header> {
        let payload_len = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        let Some(kind) = Kind::from_number(bytes[4]) else {
            return Err(broken(format!("unknown kind {}", bytes[4])));
        };
        if payload_len > PAYLOAD_MAX {
            return Err(broken(format!("a payload of {payload_len} bytes")));
        }
        if bytes[5] & !FLAG_DESCRIPTOR != 0 || bytes[6] != 0 || bytes[7] != 0 {
            return Err(broken("flags or reserved bytes that are not 0"));
        }
        let request = u64::from_le_bytes(bytes[8..16].try_into().expect("8 bytes"));
        Ok(Header { payload_len, kind, flags: bytes[5], request })
    }
}

/// A small frame in one piece. The payload is at most [`PAYLOAD_MAX`] long, as all of our own are.
pub fn frame(kind: Kind, request: u64, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES + payload.len());
    bytes.extend_from_slice(&Header::new(kind, request, payload.len()).encode());
    bytes.extend_from_slice(payload);
    bytes
}

/// The error of a peer that does not keep to the protocol.
pub fn broken(what: impl std::fmt::Display) -> Error {
    Error::new(Code::Invalid, format!("broken flow frame: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_sixteen_bytes_decode_to_what_encodes_back_or_are_refused(bytes: [u8; 16]) {
            if let Ok(header) = Header::decode(&bytes) {
                prop_assert_eq!(header.encode(), bytes);
                prop_assert!(header.payload_len <= PAYLOAD_MAX);
            }
        }
    }
}
