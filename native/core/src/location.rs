//! Where a record's bytes lie.

use crate::{Code, Error, Result};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Location {
    /// Number of the segment in this run of the daemon; numbers are reused, generations are not.
    pub segment: u32,
    /// Of the segment's number: a location whose generation is not the segment's is of a segment that is gone.
    pub generation: u32,
    /// Bytes from the start of the segment's file, a multiple of 64.
    pub offset: u32,
    /// Bytes as stored; equal to the piece's length while no codec is in use.
    pub stored_len: u32,
    /// CRC32C of the stored bytes.
    pub crc: u32,
    /// Some reader of this run found the bytes to match `crc`.
    pub verified: bool,
}

impl Location {
    /// `Corrupt` where the bytes that were read have another checksum.
    pub(crate) fn judge(&self, crc: u32) -> Result<()> {
        if crc == self.crc {
            return Ok(());
        }
        let Location { offset, segment, .. } = self;
        let message = format!("a record at {offset} of segment {segment} is damaged");
        Err(Error::new(Code::Corrupt, message))
    }
}
