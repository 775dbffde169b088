//! What a segment file holds, believed only as far as its checksums reach.

use std::fs::File;
use std::io;

use crate::extent::{Extent, ExtentBreak, SegmentLabel};
use crate::footer::Footer;
use crate::record_entry::RecordEntry;

#[derive(Debug)]
pub(crate) struct Found {
    pub label: SegmentLabel,
    /// Its footer is whole, so nothing needs to be written again.
    pub sealed: bool,
    pub extents: u32,
    /// Where the last whole extent ends.
    pub data_end: u32,
    pub entries: Vec<RecordEntry>,
}

/// Why nothing of a file can be used.
#[derive(Debug)]
pub(crate) enum Unusable {
    /// No extent was ever written whole.
    Empty,
    /// Of another version of this program, which may still want it.
    Version(u16),
    Damaged,
    Unreadable(io::Error),
}

/// By the footer where it is whole, else extent by extent up to the first break. Payloads are not read: their records
/// are unverified, and checked against their CRC when they are first read.
pub(crate) fn examine(file: &File) -> Result<Found, Unusable> {
    let len = file.metadata().map_err(Unusable::Unreadable)?.len();
    let len = u32::try_from(len).map_err(|_| Unusable::Damaged)?;
    if let Some(Footer { label, extents, data_end, entries, .. }) = Footer::read(file, len) {
        return Ok(Found { label, sealed: true, extents, data_end, entries });
    }
    let first = match Extent::read(file, 0, len) {
        Ok(extent) if extent.number == 0 => extent,
        Ok(_) | Err(ExtentBreak::Damaged) => return Err(Unusable::Damaged),
        Err(ExtentBreak::End) => return Err(Unusable::Empty),
        Err(ExtentBreak::Version(version)) => return Err(Unusable::Version(version)),
        Err(ExtentBreak::Unreadable(error)) => return Err(Unusable::Unreadable(error)),
    };
    let mut found = Found {
        label: first.label,
        sealed: false,
        extents: 1,
        data_end: first.bytes,
        entries: first.entries,
    };
    while let Ok(next) = Extent::read(file, found.data_end, len) {
        if next.label != found.label || next.number != found.extents {
            break;
        }
        found.extents += 1;
        found.data_end += next.bytes;
        found.entries.extend(next.entries);
    }
    Ok(found)
}
