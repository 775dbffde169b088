//! What a record is called: a hash of where it truly lives and which version of it this is.

use sha2::{Digest, Sha256};

/// A record holds at most this many bytes of an object; a larger object is cut at its multiples.
pub const PIECE_BYTES: u64 = 4 << 20;

/// Of an attachment: which under-storage its bytes truly come from. Hash of the canonical text that TypeScript makes
/// (`s3\0ENDPOINT\0BUCKET`, `local\0DEVICE\0REAL ROOT`); two attachments of one bucket share it, and so share records.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Identity(pub [u8; 16]);

impl Identity {
    pub fn of(canonical: &str) -> Self {
        Identity(hash(&[canonical.as_bytes()]))
    }
}

/// One version of one object.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct ObjectKey(pub [u8; 16]);

/// One piece of one version of one object: what the key table and the segments are keyed by.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct RecordKey(pub [u8; 16]);

impl ObjectKey {
    /// The hash of identity (16), size (u64), length of the tag (u16), tag, source key; little endian.
    /// The tag is the source's own name of the version: see [`crate::ObjectRef::tag`].
    pub fn new(identity: &Identity, source_key: &[u8], size: u64, tag: &[u8]) -> Self {
        let tag_len = (tag.len() as u16).to_le_bytes();
        ObjectKey(hash(&[&identity.0, &size.to_le_bytes(), &tag_len, tag, source_key]))
    }

    /// Piece 0 has the object's own key; piece n has the hash of the object's key and n (u32, little endian).
    pub fn piece(&self, n: u32) -> RecordKey {
        if n == 0 {
            return RecordKey(self.0);
        }
        RecordKey(hash(&[&self.0, &n.to_le_bytes()]))
    }
}

/// The first 128 bits of SHA-256. Whoever can put objects into one bucket must not be able to name one so that its
/// bytes are given out as those of another: a hash that only spreads well would let him.
fn hash(parts: &[&[u8]]) -> [u8; 16] {
    let mut sum = Sha256::new();
    parts.iter().for_each(|part| sum.update(part));
    let whole: [u8; 32] = sum.finalize().into();
    *whole.first_chunk().expect("32 bytes have 16")
}

/// Pieces of an object of `size` bytes. An empty object has none: nothing of it is stored or fetched.
pub fn piece_count(size: u64) -> u32 {
    u32::try_from(size.div_ceil(PIECE_BYTES)).unwrap_or(u32::MAX)
}

/// Bytes in piece `n` of an object of `size` bytes; 0 past its end.
pub fn piece_len(size: u64, n: u32) -> u32 {
    size.saturating_sub(u64::from(n) * PIECE_BYTES).min(PIECE_BYTES) as u32
}
