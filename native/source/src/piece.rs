//! What is fetched at once: one piece of an object.

use std::sync::Arc;

use millpool_core::{ObjectRef, PIECE_BYTES, piece_len};

use crate::buffer::RecordBuffer;

/// A key of S3 has at most 1,024 bytes.
const MOST_KEY_BYTES_SHOWN: usize = 1024;

/// One piece of an object, as bytes of it.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    pub object: Arc<ObjectRef>,
    pub index: u32,
}

impl Piece {
    pub fn offset(&self) -> u64 {
        u64::from(self.index) * PIECE_BYTES
    }

    pub fn len(&self) -> u32 {
        piece_len(self.object.size, self.index)
    }

    pub fn is_whole_object(&self) -> bool {
        u64::from(self.len()) == self.object.size
    }

    /// The object's key as a message shows it.
    pub fn key_text(&self) -> String {
        let key = &self.object.source_key;
        String::from_utf8_lossy(&key[..key.len().min(MOST_KEY_BYTES_SHOWN)]).into_owned()
    }
}

pub(crate) struct Fetched {
    pub record: RecordBuffer,
    /// The object was written less than two seconds before it was read: what was read may be of two versions that have
    /// one name, so it is served and not kept.
    pub young: bool,
}

/// In seconds. docs/semantics.md, 6.
pub(crate) const YOUNG_SECONDS: i64 = 2;
