//! What a clean stop saved of the key table, as far as it describes exactly the segments that are there.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::device::Device;
use crate::fan_out::fan_out;
use crate::live::Live;
use crate::segment_files::LeftFile;
use crate::sorted_list::Doubtful;
use crate::table_builder::TableBuilder;
use crate::table_image::{
    IMAGED_BYTES, ImageBreak, ImagedRecord, ImagedSegment, TableImage, buckets_of, chunk_count,
    nanoseconds,
};
use crate::table_memory::{buckets_for, capacity_of};
use crate::{Location, RecordKey};

/// A saved table may have this many times the buckets that its records need, before a smaller one is made anew.
const ROOMY: usize = 8;
/// Nor is a small one ever too roomy.
const SMALL_BUCKETS: usize = 1 << 16;

/// Images of one stop, at most one a device.
pub(crate) struct SavedTable {
    images: Vec<DeviceImage>,
}

struct DeviceImage {
    device: Arc<Device>,
    image: TableImage,
    /// Index of a segment in its list.
    by_id: HashMap<[u8; 16], usize>,
    /// By that index; empty where the file of one could not be opened after all.
    names: Vec<Name>,
}

/// What a segment has now: number and generation.
pub(crate) type Name = (u32, u32);

impl SavedTable {
    /// `None` where there is none to be believed; why one is not is told.
    pub fn find(
        devices: &[Arc<Device>],
        left: &[LeftFile],
        notices: &mut Vec<String>,
    ) -> Option<SavedTable> {
        let mut believed: Vec<DeviceImage> = Vec::new();
        for device in devices {
            match DeviceImage::find(device, left) {
                Ok(found) => believed.extend(found),
                Err(why) => notices.push(not_used(device, &why)),
            }
        }
        let mut records: HashMap<[u8; 16], usize> = HashMap::new();
        for of in &believed {
            *records.entry(of.image.head.save).or_default() += 1 + of.image.head.records();
        }
        let save = records.into_iter().max_by_key(|(save, records)| (*records, *save))?.0;
        let buckets = believed.iter().find(|of| of.image.head.save == save)?.image.head.buckets;
        let is_of_save =
            |of: &DeviceImage| (of.image.head.save, of.image.head.buckets) == (save, buckets);
        for other in believed.extract_if(.., |of| !is_of_save(of)) {
            notices.push(not_used(&other.device, "it was saved with another list of devices"));
        }
        Some(SavedTable { images: believed })
    }

    /// How the segment was, where it is told.
    pub fn segment(&self, left: &LeftFile) -> Option<&ImagedSegment> {
        let of = self.images.iter().find(|of| of.device.index == left.device.index)?;
        of.image.head.segments.get(*of.by_id.get(&left.id()?)?)
    }

    pub fn buckets(&self) -> usize {
        self.images[0].image.head.buckets
    }

    /// Whether its buckets are as many as its records and `others` want, and not far too many.
    pub fn fits(&self, others: usize) -> bool {
        let wanted = self.records() + others;
        let most = buckets_for(wanted).saturating_mul(ROOMY).max(SMALL_BUCKETS);
        wanted <= capacity_of(self.buckets()) && self.buckets() <= most
    }

    /// Its segments are named so now.
    pub fn name(&mut self, names: &HashMap<[u8; 16], Name>) {
        for DeviceImage { image, names: own, .. } in &mut self.images {
            let named = image.head.segments.iter().map(|segment| names.get(&segment.id).copied());
            *own = named.collect::<Option<_>>().unwrap_or_default();
        }
    }

    /// Where the record of a key is, by what nobody has checked yet.
    pub fn locate(
        &self,
        key: &RecordKey,
        reads_left: &AtomicI64,
    ) -> Result<Option<Location>, Doubtful> {
        for of in &self.images {
            if let Some(record) = of.image.find(key, reads_left)? {
                let name = of.names.get(record.segment as usize).ok_or(Doubtful)?;
                return Ok(Some(record.location(*name)));
            }
        }
        Ok(None)
    }

    pub fn records(&self) -> usize {
        self.images.iter().map(|of| of.image.head.records()).sum()
    }

    /// Puts all records where they were. Answers with the devices whose image was found damaged: what was placed of
    /// those is right, but it is not all.
    pub fn fill(&self, builder: &mut TableBuilder, notices: &mut Vec<String>) -> Vec<u32> {
        let fillings: Vec<_> = self.images.iter().map(Filling::of).collect();
        let buffers = Mutex::new(Vec::new());
        let chunks: Vec<_> = (0..chunk_count(self.buckets())).collect();
        fan_out(&chunks, |chunk| {
            let taken = || buffers.lock().unwrap_or_else(PoisonError::into_inner);
            let mut bytes = taken().pop().unwrap_or_default();
            for filling in &fillings {
                filling.fill_chunk(*chunk, builder, &mut bytes);
            }
            taken().push(bytes);
        });
        let mut damaged = Vec::new();
        for filling in fillings {
            let device = &filling.of.device;
            if filling.is_damaged.into_inner() {
                notices.push(not_used(device, "it is damaged"));
                damaged.push(device.index);
            }
            let live = filling.live.into_inner().unwrap_or_else(PoisonError::into_inner);
            let names = filling.of.names.iter();
            names.zip(live).for_each(|((number, _), live)| builder.count(*number, live));
        }
        damaged
    }
}

fn not_used(device: &Device, why: &str) -> String {
    format!("{} is not used, footers are read instead: {why}", device.image_path().display())
}

impl DeviceImage {
    fn find(device: &Arc<Device>, left: &[LeftFile]) -> Result<Option<DeviceImage>, String> {
        let image = match TableImage::open(&device.image_path()) {
            Ok(image) => image,
            Err(ImageBreak::Absent) => return Ok(None),
            Err(ImageBreak::Version(version)) => {
                return Err(format!("it has format version {version}"));
            }
            Err(ImageBreak::Damaged) => return Err("it is damaged".into()),
            Err(ImageBreak::Unreadable(error)) => return Err(error.to_string()),
        };
        let list = &image.head.segments;
        let by_id: HashMap<_, _> =
            list.iter().enumerate().map(|(n, segment)| (segment.id, n)).collect();
        let mut files = 0;
        for file in left.iter().filter(|file| file.device.index == device.index) {
            let named = file.id().filter(|_| file.is_sealed());
            let Some(segment) = named.and_then(|id| list.get(*by_id.get(&id)?)) else {
                return Err(format!("it does not know {}", file.path.display()));
            };
            if (segment.bytes, segment.changed_ns) != (file.bytes, nanoseconds(file.changed)) {
                return Err(format!("{} was changed since", file.path.display()));
            }
            files += 1;
        }
        if files != list.len() {
            return Err(format!("of its {} segments {files} are there", list.len()));
        }
        Ok(Some(DeviceImage { device: device.clone(), image, by_id, names: Vec::new() }))
    }
}

/// What all threads know of one image.
struct Filling<'a> {
    of: &'a DeviceImage,
    live: Mutex<Vec<Live>>,
    is_damaged: AtomicBool,
}

impl<'a> Filling<'a> {
    fn of(of: &'a DeviceImage) -> Filling<'a> {
        let is_damaged = of.names.len() != of.image.head.segments.len();
        let live = Mutex::new(vec![Live::default(); of.names.len()]);
        Filling { of, live, is_damaged: is_damaged.into() }
    }

    fn fill_chunk(&self, chunk: usize, builder: &TableBuilder, bytes: &mut Vec<u8>) {
        if self.is_damaged.load(Ordering::Relaxed) {
            return;
        }
        let mut live = vec![Live::default(); self.of.names.len()];
        let is_whole = self.of.image.read_chunk(chunk, bytes).is_some_and(|records| {
            records
                .chunks_exact(IMAGED_BYTES)
                .all(|record| self.place(chunk, record, builder, &mut live))
        });
        if !is_whole {
            self.is_damaged.store(true, Ordering::Relaxed);
        }
        let mut all = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter_mut().zip(live).for_each(|(all, live)| all.merge(live));
    }

    #[inline]
    fn place(
        &self,
        chunk: usize,
        record: &[u8],
        builder: &TableBuilder,
        live: &mut [Live],
    ) -> bool {
        let DeviceImage { image, names, .. } = self.of;
        let Some(record) = ImagedRecord::decode(record, &image.head.segments) else {
            return false;
        };
        let bucket = record.bucket(image.head.buckets);
        let segment = record.segment as usize;
        let is_placed = buckets_of(chunk, image.head.buckets).contains(&bucket)
            && builder.put(bucket, record.entry(names[segment]));
        if is_placed {
            live[segment].add(record.stored_len);
        }
        is_placed
    }
}
