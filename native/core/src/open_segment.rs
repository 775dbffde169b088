//! A segment that is being filled: where its next extent goes, and how it is sealed.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::Arc;

use rustix::fs::FallocateFlags;
use rustix::io::Errno;

use crate::device::Device;
use crate::extent::{Extent, ExtentSize, Payload, SegmentLabel};
use crate::footer::{Footer, StripePlace, footer_bytes};
use crate::record_entry::{RecordEntry, Totals};
use crate::segment::{OPEN_SUFFIX, Segment, SegmentParts, unix_seconds};
use crate::segment_contents::Found;

/// Room is claimed and allocated this much at a time, while there is so much.
const GROWTH_STEP: u32 = 32 << 20;

/// Why a segment took nothing.
pub(crate) enum Refusal {
    /// This segment has no place for it; the next one may.
    SegmentFull,
    NoRoom(String),
    Failed(io::Error),
    /// It was written, and the key table has no room for it.
    TableFull,
}

pub(crate) struct OpenSegment {
    pub segment: Arc<Segment>,
    file: File,
    label: SegmentLabel,
    stripe: StripePlace,
    /// Where the next extent goes.
    at: u32,
    allocated: u32,
    extents: u32,
    records: usize,
    limit: u32,
}

/// What a new segment is to be.
pub(crate) struct SegmentPlan {
    pub label: SegmentLabel,
    pub stripe: StripePlace,
    /// Size at which it is full.
    pub limit: u32,
}

impl OpenSegment {
    /// Makes the file; `register` gives the segment its number. No room is claimed before the first extent.
    pub fn begin(
        device: &Arc<Device>,
        plan: SegmentPlan,
        register: impl FnOnce(SegmentParts) -> Arc<Segment>,
    ) -> io::Result<OpenSegment> {
        let SegmentPlan { label, stripe, limit } = plan;
        device.check_mounted()?;
        let path = segment_path(device, &label.id);
        let mut options = OpenOptions::new();
        // What a bucket keeps from others, its cache keeps from them too: readers get descriptors over the socket.
        let file = options.read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        let reader = File::open(&path)?;
        let segment = register(SegmentParts {
            device: device.clone(),
            label,
            path,
            file: reader,
            space: 0,
            sealed: false,
            last_read: unix_seconds(),
            totals: Totals::default(),
        });
        Ok(OpenSegment {
            segment,
            file,
            label,
            stripe,
            at: 0,
            allocated: 0,
            extents: 0,
            records: 0,
            limit,
        })
    }

    /// Goes on with a file that recovery found unsealed, only to seal it.
    pub fn resume(segment: Arc<Segment>, file: File, found: &Found) -> OpenSegment {
        let (label, at, extents, records) =
            (found.label, found.data_end, found.extents, found.entries.len());
        let stripe = StripePlace::default();
        OpenSegment { segment, file, label, stripe, at, allocated: at, extents, records, limit: at }
    }

    /// Writes `payloads` as one extent. Their entries may be published when this returns, not before.
    pub fn write(&mut self, payloads: &mut [Payload<'_>]) -> Result<Vec<RecordEntry>, Refusal> {
        let size = ExtentSize::of(payloads);
        let end = size.end(self.at) + footer_bytes(self.records + size.records);
        if end > self.limit {
            return Err(Refusal::SegmentFull);
        }
        self.allocate(end)?;
        let mut extent = Extent::lay_out(self.label, self.extents, self.at, payloads);
        extent.written_at = unix_seconds() as u32;
        extent.write(&self.file, self.at, payloads)?;
        self.segment.change_claimed(
            u64::from(self.allocated - self.at),
            u64::from(self.allocated - self.at - extent.bytes),
        );
        self.at += extent.bytes;
        self.extents += 1;
        self.records += payloads.len();
        Ok(extent.entries)
    }

    /// Where the next extent goes.
    pub fn at(&self) -> u32 {
        self.at
    }

    pub fn is_empty(&self) -> bool {
        self.extents == 0
    }

    /// Claims and allocates room up to `end`, so that a write never finds the device full half-way.
    fn allocate(&mut self, end: u32) -> Result<(), Refusal> {
        if end <= self.allocated {
            return Ok(());
        }
        let device = &self.segment.device;
        let mut wanted = end.next_multiple_of(GROWTH_STEP).min(self.limit).max(end);
        if device.claim(u64::from(wanted - self.allocated)).is_err() {
            wanted = end;
            let least = device.claim(u64::from(end - self.allocated));
            least.map_err(|no_room| Refusal::NoRoom(no_room.0))?;
        }
        let more = u64::from(wanted - self.allocated);
        match rustix::fs::fallocate(
            &self.file,
            FallocateFlags::empty(),
            u64::from(self.allocated),
            more,
        ) {
            // A filesystem without fallocate: the write itself will say whether there is room.
            Ok(()) | Err(Errno::OPNOTSUPP) => {}
            Err(error) => {
                device.unclaim(more);
                return Err(io::Error::from(error).into());
            }
        }
        let unwritten = u64::from(self.allocated - self.at);
        self.segment.change_claimed(unwritten, unwritten + more);
        self.segment.add_space(more);
        self.allocated = wanted;
        Ok(())
    }

    /// Nothing more is written but the footer: what was claimed beyond it goes back at once, since sealing takes its
    /// time and others look for room meanwhile.
    pub fn give_back_tail(&mut self) -> io::Result<()> {
        let end = self.at + footer_bytes(self.records);
        if end < self.allocated {
            self.file.set_len(end.into())?;
            self.segment.change_claimed((self.allocated - self.at).into(), (end - self.at).into());
            self.segment.settle_space(end.into());
            self.allocated = end;
        }
        Ok(())
    }

    /// Data, fdatasync; footer and trailer, fdatasync; rename; fsync of the directory. The tail behind the footer was
    /// never published, and cutting it is the one truncation there is.
    pub fn seal(self) -> io::Result<()> {
        let mut footer = Footer {
            label: self.label,
            stripe: self.stripe,
            extents: self.extents,
            data_end: self.at,
            sealed_at: unix_seconds(),
            entries: self.segment.entries(),
        };
        self.file.sync_data()?;
        let bytes = footer.encode();
        let len = u64::from(self.at) + bytes.len() as u64;
        self.file.write_all_at(&bytes, u64::from(self.at))?;
        self.file.set_len(len)?;
        self.file.sync_data()?;
        self.segment.rename_sealed()?;
        self.segment.change_claimed(u64::from(self.allocated - self.at), 0);
        self.segment.settle_space(len);
        Ok(())
    }

    /// Its segment was evicted, or nothing was ever written to it: the file is gone or goes with it.
    pub fn abandon(self) {
        self.segment.change_claimed(u64::from(self.allocated - self.at), 0);
        self.segment.give_back_space();
    }
}

impl From<io::Error> for Refusal {
    /// What may pass (no space, no descriptors left) is told from a device that gives errors.
    fn from(error: io::Error) -> Refusal {
        let is_passing = matches!(
            Errno::from_io_error(&error),
            Some(Errno::NOSPC | Errno::DQUOT | Errno::MFILE | Errno::NFILE)
        );
        if is_passing { Refusal::NoRoom(error.to_string()) } else { Refusal::Failed(error) }
    }
}

fn segment_path(device: &Device, id: &[u8; 16]) -> PathBuf {
    device.segments_dir().join(format!("{:032x}.{OPEN_SUFFIX}", u128::from_be_bytes(*id)))
}
