//! What earlier runs left on the devices, taken over at the start: the key table as a clean stop saved it, else a
//! footer a segment, read on several threads, into a table that has its size from the start.

use std::fs::{self, File, OpenOptions};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use crate::Result;
use crate::catalog::{Catalog, FIRST_TABLE_RECORDS};
use crate::device::Device;
use crate::extent::SegmentLabel;
use crate::fan_out::fan_out;
use crate::footer::Trailer;
use crate::live::Live;
use crate::loading::Ending;
use crate::open_segment::OpenSegment;
use crate::record_entry::Totals;
use crate::saved_table::SavedTable;
use crate::segment::{Segment, SegmentParts};
use crate::segment_contents::{Found, Glance, Unusable, examine_extents, glance};
use crate::segment_files::{LeftFile, oldest_first};
use crate::table_builder::TableBuilder;
use crate::table_image::{ImagedSegment, nanoseconds};
use crate::table_memory::buckets_for;
use crate::unloaded::{Entries, Unloaded};

/// Footers that are held at once take no more than this, or are one.
const FOOTERS_BYTES: usize = 64 << 20;
/// Of a table's records: what comes next finds room before the table must grow.
const HEADROOM: usize = 8;

/// What is known of the devices by the ends of files, or a saved table's head. A file that cannot be used costs its
/// records and is told in a notice; it never keeps the others from being served.
pub(crate) struct Recovery {
    devices: Vec<Arc<Device>>,
    saved: Option<Arc<SavedTable>>,
    /// It has its memory, and nothing in it.
    builder: TableBuilder,
    records: usize,
    adopted: Vec<Adopted>,
    unusable: Vec<(LeftFile, Unusable)>,
    notices: Vec<String>,
}

/// What tells which segment a file is of.
enum Contents {
    /// Its own end, or its extents.
    Seen(Glance),
    /// The saved table, which has its records too.
    Saved(ImagedSegment),
}

/// One that is of a segment.
struct Adopted {
    left: LeftFile,
    segment: Arc<Segment>,
    contents: Contents,
}

type Looked = std::result::Result<(File, Contents), Unusable>;
/// What was found of a segment that is to be sealed.
type Filled = std::result::Result<Option<Found>, Unusable>;

impl Recovery {
    /// The short half: all segments are known, and their records found one by one. Nothing is changed yet. Fails where
    /// a directory cannot be read, or the key table gets no memory.
    pub fn begin(catalog: &Catalog, devices: &[Arc<Device>]) -> Result<Recovery> {
        let mut notices = Vec::new();
        let left = oldest_first(devices, &mut notices)?;
        let (mut saved, looked) = look_at(catalog, devices, &left, &mut notices);
        mark_unreadable(devices, &left, &looked);
        let (mut adopted, mut unusable) = (Vec::new(), Vec::new());
        for (left, looked) in left.into_iter().zip(looked) {
            match looked {
                Ok((file, contents)) => adopted.push(Adopted::of(catalog, left, file, contents)),
                Err(why) => unusable.push((left, why)),
            }
        }
        let others: usize = adopted.iter().map(|one| one.contents.footer_records()).sum();
        let wanted = buckets_for((others + others / HEADROOM).max(FIRST_TABLE_RECORDS));
        let buckets =
            saved.as_ref().map_or(wanted.min(catalog.room.most_buckets()), SavedTable::buckets);
        let builder = TableBuilder::with_buckets(buckets, adopted.len())?;
        if let Some(saved) = &mut saved {
            saved.name(&adopted.iter().map(Adopted::name).collect());
        }
        let records = others + saved.as_ref().map_or(0, SavedTable::records);
        let saved = saved.map(Arc::new);
        let others = adopted.iter_mut().filter_map(Adopted::entries).collect();
        catalog.begin_loading(Unloaded::new(saved.clone(), others, records));
        let devices = devices.to_vec();
        Ok(Recovery { devices, saved, builder, records, adopted, unusable, notices })
    }

    /// So many are to be loaded.
    pub fn records(&self) -> usize {
        self.records
    }

    /// The long half: all records come into the key table. Says what a person should know of both.
    pub fn finish(self, catalog: &Catalog) -> Result<Vec<String>> {
        let mut ending = Ending::of(&catalog.loading);
        let Recovery { devices, saved, mut builder, adopted, mut unusable, mut notices, .. } = self;
        let damaged = match saved {
            Some(saved) => saved.fill(&mut builder, &mut notices),
            None => {
                builder.populate();
                Vec::new()
            }
        };
        let filling = Filling { builder: Mutex::new(builder), held: Room::default(), damaged };
        let filled = fan_out(&adopted, |one| filling.add(one));
        let built =
            filling.builder.into_inner().unwrap_or_else(PoisonError::into_inner).finish()?;
        // The first change of what is there, and from now on nobody can believe them.
        forget_images(&devices, &mut notices);
        let mut whole = Vec::new();
        for (one, filled) in adopted.into_iter().zip(filled) {
            match filled {
                Ok(unsealed) => whole.push((one, unsealed)),
                Err(why) => {
                    catalog.unregister(&one.segment);
                    unusable.push((one.left, why));
                }
            }
        }
        notices.extend(unusable.into_iter().filter_map(|(left, why)| put_away(&left, why)));
        let left_out = catalog.install(built)?;
        if left_out > 0 {
            let most = catalog.room.most_bytes();
            notices.push(format!(
                "{left_out} records are on the devices and not used: the key table has {most} bytes of the memory \
                 budget; give the daemon more memory (MILLPOOL_BUDGET)"
            ));
        }
        notices.extend(whole.into_iter().filter_map(|(one, unsealed)| one.complete(unsealed)));
        ending.is_whole();
        Ok(notices)
    }
}

/// Opens all; reads ends only of those that the saved table does not tell of.
fn look_at(
    catalog: &Catalog,
    devices: &[Arc<Device>],
    left: &[LeftFile],
    notices: &mut Vec<String>,
) -> (Option<SavedTable>, Vec<Looked>) {
    let Some(saved) = SavedTable::find(devices, left, notices) else {
        return (None, fan_out(left, look));
    };
    let looked = fan_out(left, |left| match saved.segment(left) {
        Some(segment) => Ok((open(left)?, Contents::Saved(segment.clone()))),
        None => look(left),
    });
    let records = looked.iter().flatten().map(|(_, contents)| contents.footer_records()).sum();
    if saved.fits(records) && catalog.room.fits(0, saved.buckets()) {
        return (Some(saved), looked);
    }
    let why = "the saved table has too much room or too little: it is made anew from footers";
    notices.push(why.into());
    (None, fan_out(left, look))
}

/// A device of which no segment can be read is dead: what would be written there would not be read back either.
fn mark_unreadable(devices: &[Arc<Device>], left: &[LeftFile], looked: &[Looked]) {
    for device in devices {
        let of_device =
            || left.iter().zip(looked).filter(|(file, _)| Arc::ptr_eq(&file.device, device));
        let errors = of_device().filter_map(|(_, looked)| match looked {
            Err(Unusable::Unreadable(error)) => Some(error),
            _ => None,
        });
        let errors: Vec<_> = errors.collect();
        let Some(error) = errors.last() else { continue };
        if errors.len() == of_device().count() {
            device.mark_failed(format!("none of its segments can be read: {error}"));
        }
    }
}

fn look(left: &LeftFile) -> Looked {
    let file = open(left)?;
    let glance = glance(&file)?;
    Ok((file, Contents::Seen(glance)))
}

fn open(left: &LeftFile) -> std::result::Result<File, Unusable> {
    File::open(&left.path).map_err(Unusable::Unreadable)
}

/// Before the first write. A device that cannot forget its image gets none.
fn forget_images(devices: &[Arc<Device>], notices: &mut Vec<String>) {
    for device in devices {
        if let Err(error) = device.forget_image() {
            let what = format!("removing {}: {error}", device.image_path().display());
            notices.push(what.clone());
            device.mark_failed(what);
        }
    }
}

/// Says what a person should know of it.
fn put_away(left: &LeftFile, unusable: Unusable) -> Option<String> {
    let LeftFile { path, device, .. } = left;
    let shown = path.display();
    let (done, notice) = match unusable {
        Unusable::Unreadable(error) => (Err(error), None),
        Unusable::Empty => (fs::remove_file(path), None),
        Unusable::Damaged => (
            fs::remove_file(path),
            Some(format!("{shown} was damaged from its first extent on: removed")),
        ),
        Unusable::Version(version) => (
            device.set_aside(path),
            Some(format!(
                "{shown} has format version {version}: set aside, its data comes from the source again"
            )),
        ),
        Unusable::Codec(codec) => (
            device.set_aside(path),
            Some(format!(
                "{shown} has records of codec {codec}, which is not known here: set aside, its data comes from the \
                 source again"
            )),
        ),
    };
    done.map_or_else(|error| Some(format!("{shown}: {error}")), |()| notice)
}

impl Adopted {
    fn of(catalog: &Catalog, left: LeftFile, file: File, contents: Contents) -> Adopted {
        left.device.adopt(left.bytes);
        let (id, identity, last_read) = match &contents {
            Contents::Saved(segment) => (segment.id, segment.identity, segment.last_read),
            Contents::Seen(glance) => {
                let SegmentLabel { id, identity } = glance.label();
                (id, identity, nanoseconds(left.changed) / 1_000_000_000)
            }
        };
        let sealed = !matches!(contents, Contents::Seen(Glance::Unsealed(_)));
        let segment = catalog.register(SegmentParts {
            device: left.device.clone(),
            label: SegmentLabel { id, identity },
            path: left.path.clone(),
            file,
            space: left.bytes,
            sealed,
            last_read,
            totals: contents.totals(),
        });
        segment.set_live(contents.live());
        Adopted { left, segment, contents }
    }

    fn name(&self) -> ([u8; 16], (u32, u32)) {
        (self.segment.reader.id, (self.segment.number(), self.segment.generation()))
    }

    /// What its records are found by until they are loaded, where the saved table does not tell of them.
    fn entries(&mut self) -> Option<(Arc<Segment>, Entries)> {
        let entries = match &mut self.contents {
            Contents::Saved(_) => return None,
            Contents::Seen(Glance::Sealed(trailer)) => Entries::Footer(trailer.clone()),
            Contents::Seen(Glance::Unsealed(found)) => {
                let mut entries = std::mem::take(&mut found.entries);
                entries.sort_by_key(|entry| entry.key);
                Entries::Here(entries)
            }
        };
        Some((self.segment.clone(), entries))
    }

    /// Does what is left of sealing. Where that fails, on a full device say, the records are served all the same.
    fn complete(self, unsealed: Option<Found>) -> Option<String> {
        let Adopted { left, segment, .. } = self;
        let path = &left.path;
        // Its records are all in later ones: it is gone.
        if segment.live_records() == 0 {
            return None;
        }
        let sealed = match unsealed {
            None if left.is_sealed() => Ok(()),
            // Whether its footer is durable is not known either.
            None => segment.reader.file.sync_data().and_then(|()| segment.rename_sealed()),
            Some(found) => OpenOptions::new()
                .read(true)
                .write(true)
                .open(path)
                .and_then(|file| OpenSegment::resume(segment, file, &found).seal()),
        };
        sealed.err().map(|error| format!("{} stays unsealed: {error}", path.display()))
    }
}

impl Contents {
    fn totals(&self) -> Totals {
        match self {
            Contents::Seen(Glance::Sealed(trailer)) => trailer.totals,
            Contents::Seen(Glance::Unsealed(found)) => Totals::of(&found.entries),
            Contents::Saved(segment) => {
                Totals { stored_bytes: segment.bytes, saved_bytes: segment.saved_bytes }
            }
        }
    }

    /// As far as it is known before they are loaded.
    fn live(&self) -> Live {
        let records = self.footer_records() as u64;
        match self {
            Contents::Seen(_) => Live { records, bytes: self.totals().stored_bytes },
            Contents::Saved(segment) => segment.live,
        }
    }

    /// That are to be read from its footer or extents.
    fn footer_records(&self) -> usize {
        match self {
            Contents::Seen(Glance::Sealed(trailer)) => trailer.records,
            Contents::Seen(Glance::Unsealed(found)) => found.entries.len(),
            Contents::Saved(_) => 0,
        }
    }
}

/// What all threads that read footers share.
struct Filling {
    builder: Mutex<TableBuilder>,
    held: Room,
    /// Devices whose image turned out not to be whole.
    damaged: Vec<u32>,
}

impl Filling {
    fn add(&self, one: &Adopted) -> Filled {
        let Adopted { segment, contents, .. } = one;
        let (number, generation) = (segment.number(), segment.generation());
        let trailer = match contents {
            Contents::Saved(_) if !self.damaged.contains(&segment.device.index) => return Ok(None),
            Contents::Saved(_) => Trailer::read(&segment.reader.file, one.left.bytes as u32).ok(),
            Contents::Seen(Glance::Sealed(trailer)) => Some(trailer.clone()),
            Contents::Seen(Glance::Unsealed(_)) => None,
        };
        if let Some(trailer) = trailer {
            let _held = self.held.take(trailer.entries_bytes());
            let mut bytes = Vec::new();
            if let Some(footer) = trailer.entries(&segment.reader.file, &mut bytes) {
                self.builder().add_segment(number, generation, footer.records());
                return Ok(None);
            }
        }
        let found = examine_extents(&segment.reader.file)?;
        self.builder().add_segment(number, generation, found.entries.iter().copied());
        segment.remember(&found.entries);
        Ok(Some(found))
    }

    fn builder(&self) -> std::sync::MutexGuard<'_, TableBuilder> {
        self.builder.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Memory for footers, which threads wait for.
#[derive(Default)]
struct Room {
    held: Mutex<usize>,
    given_back: Condvar,
}

struct Held<'a> {
    room: &'a Room,
    bytes: usize,
}

impl Room {
    fn take(&self, bytes: usize) -> Held<'_> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let is_full = |held: &mut usize| *held > 0 && *held + bytes > FOOTERS_BYTES;
        let mut held =
            self.given_back.wait_while(held, is_full).unwrap_or_else(PoisonError::into_inner);
        *held += bytes;
        Held { room: self, bytes }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        *self.room.held.lock().unwrap_or_else(PoisonError::into_inner) -= self.bytes;
        self.room.given_back.notify_all();
    }
}
