//! What a PIECE begins with. Layout: docs/formats.md "Flow frames".

use millpool_core::{Code, Result};

use crate::cursor::Cursor;
use crate::frame::broken;

/// Where a piece came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u16)]
pub enum Origin {
    /// A segment.
    Stored = 0,
    /// The source, which was asked for this read.
    Fetched = 1,
    /// The source, which was being asked for somebody else.
    Joined = 2,
}

impl Origin {
    fn from_number(number: u16) -> Result<Origin> {
        match number {
            0 => Ok(Origin::Stored),
            1 => Ok(Origin::Fetched),
            2 => Ok(Origin::Joined),
            other => Err(broken(format!("a piece of origin {other}"))),
        }
    }
}

/// What a PIECE begins with; then `len` bytes, or the error's text when there is a code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PieceHead {
    pub item: u32,
    pub error: Option<Code>,
    pub origin: Origin,
    /// CRC32C of the whole piece; says something about the bytes only where the item is a whole piece.
    pub crc: u32,
}

impl PieceHead {
    pub const BYTES: usize = 12;

    pub fn encode(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0u8; Self::BYTES];
        bytes[0..4].copy_from_slice(&self.item.to_le_bytes());
        bytes[4..6].copy_from_slice(&self.error.map_or(0, |code| code as u16).to_le_bytes());
        bytes[6..8].copy_from_slice(&(self.origin as u16).to_le_bytes());
        bytes[8..12].copy_from_slice(&self.crc.to_le_bytes());
        bytes
    }

    pub fn decode(bytes: &[u8; Self::BYTES]) -> Result<PieceHead> {
        let mut cursor = Cursor::new(bytes);
        let item = cursor.u32()?;
        let error = match cursor.u16()? {
            0 => None,
            number => Some(Code::from_number(number).unwrap_or(Code::Internal)),
        };
        let origin = Origin::from_number(cursor.u16()?)?;
        Ok(PieceHead { item, error, origin, crc: cursor.u32()? })
    }
}
