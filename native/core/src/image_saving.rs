//! The last act of a clean stop: each device gets an image of what the key table has of it.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::sync::Arc;

use crate::bucket::{Bucket, Entry};
use crate::cuckoo::Cuckoo;
use crate::device::{Device, TEMPORARY_SUFFIX, sync_directory};
use crate::live::Live;
use crate::segment::Segment;
use crate::table_image::{
    IMAGED_BYTES, ImageHead, ImagedChunk, ImagedRecord, ImagedSegment, buckets_of, chunk_count,
    nanoseconds,
};

/// What is being written for one device.
struct Saving<'a> {
    device: &'a Device,
    file: File,
    head: ImageHead,
    at: u64,
    /// Of the chunk that is being gathered.
    records: Vec<u8>,
}

/// Saves what the table has of each device that works and whose segments are all sealed: no others can be described by
/// their length. Says why a device got none; its next start reads footers then. `save` tells this stop from others.
pub(crate) fn save_images(
    save: [u8; 16],
    devices: &[Arc<Device>],
    buckets: &[Bucket],
    segments: &[Option<Arc<Segment>>],
) -> Vec<String> {
    let mut notices = Vec::new();
    let mut told = |device: &Device, error: io::Error| {
        let path = device.image_path();
        let _ = fs::remove_file(path.with_extension(TEMPORARY_SUFFIX));
        notices.push(format!(
            "{} is not saved, the next start reads all footers: {error}",
            path.display()
        ));
    };
    let mut savings = Vec::new();
    let mut places = Places { segments, by_number: vec![None; segments.len()] };
    for device in devices.iter().filter(|device| !device.has_failed()) {
        match Saving::begin(device, save, buckets.len(), segments) {
            Ok((saving, numbers)) => {
                for (index, number) in numbers.into_iter().enumerate() {
                    places.by_number[number as usize] = Some((savings.len(), index as u32));
                }
                savings.push(Some(saving));
            }
            Err(error) => told(device, error),
        }
    }
    for chunk in 0..chunk_count(buckets.len()) {
        places.gather(chunk, buckets, &mut savings);
        for place in &mut savings {
            if let Some(saving) = place
                && let Err(error) = saving.write_chunk()
            {
                told(saving.device, error);
                *place = None;
            }
        }
    }
    for saving in savings.into_iter().flatten() {
        let device = saving.device;
        if let Err(error) = saving.finish() {
            told(device, error);
        }
    }
    notices
}

/// Where the records of a segment go, by its number: index into the savings, and among the segments of that image.
struct Places<'a> {
    segments: &'a [Option<Arc<Segment>>],
    by_number: Vec<Option<(usize, u32)>>,
}

impl Places<'_> {
    /// Adds what lies in the buckets of a chunk to the images of the devices that it is on.
    fn gather(&self, chunk: usize, buckets: &[Bucket], savings: &mut [Option<Saving<'_>>]) {
        let cuckoo = Cuckoo::new(buckets);
        for bucket in buckets_of(chunk, buckets.len()) {
            for entry in buckets[bucket].owned().iter().filter(|entry| entry.occupied()) {
                let (Some(location), Some((saving, segment))) = (entry.location(), self.of(entry))
                else {
                    continue;
                };
                let Some(saving) = &mut savings[saving] else { continue };
                let record = ImagedRecord {
                    key: entry.record_key(),
                    segment,
                    offset: location.offset,
                    stored_len: location.stored_len,
                    crc: location.crc,
                    codec: location.codec,
                    in_second: cuckoo.homes(entry.key())[0] != bucket,
                };
                saving.records.extend_from_slice(&record.encode());
            }
        }
    }

    /// `None` for what is left of a segment that is gone.
    fn of(&self, entry: &Entry) -> Option<(usize, u32)> {
        let number = entry.segment() as usize;
        let segment = self.segments.get(number)?.as_ref()?;
        let is_live = entry.location()?.generation == segment.generation();
        self.by_number[number].filter(|_| is_live)
    }
}

impl<'a> Saving<'a> {
    /// With the numbers of the segments that are in its list, in that order.
    fn begin(
        device: &'a Device,
        save: [u8; 16],
        buckets: usize,
        segments: &[Option<Arc<Segment>>],
    ) -> io::Result<(Saving<'a>, Vec<u32>)> {
        let own: Vec<_> = segments
            .iter()
            .flatten()
            .filter(|segment| segment.device.index == device.index)
            .collect();
        let imaged = own.iter().map(|segment| imaged(segment)).collect::<io::Result<Vec<_>>>()?;
        let numbers = own.iter().map(|segment| segment.number()).collect();
        let records: u64 = own.iter().map(|segment| segment.live_records()).sum();
        let head = ImageHead { save, buckets, segments: imaged, chunks: Vec::new() };
        let at = head.records_at();
        device.check_mounted()?;
        device.has_room_beside(at + records * IMAGED_BYTES as u64)?;
        let path = device.image_path().with_extension(TEMPORARY_SUFFIX);
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(true).mode(0o600).open(path)?;
        Ok((Saving { device, file, head, at, records: Vec::new() }, numbers))
    }

    fn write_chunk(&mut self) -> io::Result<()> {
        let records = (self.records.len() / IMAGED_BYTES) as u32;
        self.head.chunks.push(ImagedChunk { records, crc: crc_fast::crc32_iscsi(&self.records) });
        self.file.write_all_at(&self.records, self.at)?;
        self.at += self.records.len() as u64;
        self.records.clear();
        Ok(())
    }

    fn finish(self) -> io::Result<()> {
        self.file.write_all_at(&self.head.encode(), 0)?;
        self.file.sync_data()?;
        let path = self.device.image_path();
        fs::rename(path.with_extension(TEMPORARY_SUFFIX), &path)?;
        sync_directory(&path)
    }
}

fn imaged(segment: &Segment) -> io::Result<ImagedSegment> {
    let status = segment.status();
    if !status.sealed {
        return Err(io::Error::other(format!("segment {} is not sealed", status.number)));
    }
    let metadata = segment.reader.file.metadata()?;
    Ok(ImagedSegment {
        id: segment.reader.id,
        identity: segment.reader.identity,
        bytes: metadata.len(),
        changed_ns: nanoseconds(metadata.modified()?),
        last_read: status.last_read,
        saved_bytes: segment.totals().saved_bytes,
        live: Live { records: status.live_records, bytes: status.live_bytes },
    })
}
