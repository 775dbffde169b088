//! What a device's writer does to records before it lays them out: it compresses those that are to be.

use std::ops::Range;

use crate::Codec;
use crate::codec::{encode_lz4, most_encoded};
use crate::compression::Compression;
use crate::extent::{Payload, Record};
use crate::tenant::Tenant;

#[derive(Default)]
pub(crate) struct Packer {
    /// What became of the records of one extent, one behind the other.
    packed: Vec<u8>,
    /// A record as it comes out again.
    unpacked: Vec<u8>,
}

/// A record that shrank, and where its bytes lie.
struct Packed {
    at: Range<usize>,
    crc: u32,
}

impl Packer {
    /// The payloads of `records`, in their order, none longer than its record.
    pub fn pack<'a>(&'a mut self, tenant: &Tenant, records: &'a [Record]) -> Vec<Payload<'a>> {
        let mut end = 0;
        let mut packed = Vec::with_capacity(records.len());
        for record in records {
            let is_wanted = match record.compression {
                Compression::Off => false,
                Compression::Auto => tenant.is_short() && tenant.trial.wants(),
                Compression::Lz4 => true,
            };
            let one = if is_wanted { self.pack_one(record, end) } else { None };
            if is_wanted {
                let stored = one.as_ref().map_or(record.len() as usize, |one| one.at.len());
                tenant.trial.saw(record.len().into(), stored as u64);
            }
            end = one.as_ref().map_or(end, |one| one.at.end);
            packed.push(one);
        }
        let payloads = records.iter().zip(packed).map(|(record, packed)| match packed {
            None => Payload::of(record),
            Some(Packed { at, crc }) => {
                Payload { stored: &self.packed[at], crc, codec: Codec::Lz4, ..Payload::of(record) }
            }
        });
        payloads.collect()
    }

    /// Behind `end`. What was compressed is compressed back: only what has the checksum that the record came with is
    /// believed, so no fault between its arrival and the device goes unseen.
    fn pack_one(&mut self, record: &Record, end: usize) -> Option<Packed> {
        let raw = record.bytes.bytes();
        let most = end + most_encoded(raw.len());
        if self.packed.len() < most {
            self.packed.resize(most, 0);
        }
        let len = encode_lz4(raw, &mut self.packed[end..])?;
        let at = end..end + len;
        let stored = &self.packed[at.clone()];
        if self.unpacked.len() < raw.len() {
            self.unpacked.resize(raw.len(), 0);
        }
        let unpacked = &mut self.unpacked[..raw.len()];
        let is_whole = Codec::Lz4.decode(stored, unpacked)
            && crc_fast::crc32_iscsi(unpacked) == record.bytes.crc();
        is_whole.then(|| Packed { crc: crc_fast::crc32_iscsi(stored), at })
    }
}
