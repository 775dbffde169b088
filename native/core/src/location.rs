//! Where a record's bytes lie.

use crate::{Code, Codec, Error, Result};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Location {
    /// Number of the segment in this run of the daemon; numbers are reused, generations are not.
    pub segment: u32,
    /// Of the segment's number: a location whose generation is not the segment's is of a segment that is gone.
    pub generation: u32,
    /// Bytes from the start of the segment's file, a multiple of 64.
    pub offset: u32,
    /// Bytes as stored.
    pub stored_len: u32,
    /// CRC32C of the stored bytes.
    pub crc: u32,
    pub codec: Codec,
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

    /// Whether a piece of `len` bytes can lie there; what it cannot be is a miss.
    #[inline]
    pub fn holds(&self, len: u32) -> bool {
        self.codec.fits(self.stored_len, len)
    }
}
