//! One version of one object, as a namespace entry names it and as a source is asked for it.

use crate::{Identity, ObjectKey};

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ObjectRef {
    /// The daemon's number of the attachment; says which source to ask and whose policy holds.
    pub attachment: u32,
    /// Object key in its bucket, or path below the folder's root; bytes, since not every file name is UTF-8.
    pub source_key: Vec<u8>,
    pub size: u64,
    /// The source's name of this version, at most 1,024 bytes. Its first byte tells its kind:
    /// `"` an S3 ETag as sent, quotes included (strong; goes into If-Match); `m` `m:SECONDS` an S3 object without an
    /// ETag: Last-Modified (weak); `f` `f:DEVICE:INODE:MTIME_NS:CTIME_NS` a file (weak); `v` `v:ID` a version id.
    pub tag: Vec<u8>,
}

impl ObjectRef {
    pub fn key(&self, identity: &Identity) -> ObjectKey {
        ObjectKey::new(identity, &self.source_key, self.size, &self.tag)
    }
}

/// Writes one object of an object list (docs/formats.md), whose count the caller writes. Its key is `key`'s two halves,
/// which are 65,535 bytes at most.
pub fn write_object(
    list: &mut Vec<u8>,
    (attachment, size): (u32, u64),
    tag: &[u8],
    key: [&[u8]; 2],
) {
    list.extend_from_slice(&attachment.to_le_bytes());
    list.extend_from_slice(&size.to_le_bytes());
    list.extend_from_slice(&(tag.len() as u16).to_le_bytes());
    list.extend_from_slice(tag);
    list.extend_from_slice(&((key[0].len() + key[1].len()) as u16).to_le_bytes());
    list.extend_from_slice(key[0]);
    list.extend_from_slice(key[1]);
}

/// One piece of one object.
#[derive(Clone, Debug)]
pub struct Want {
    pub object: std::sync::Arc<ObjectRef>,
    pub piece: u32,
}
