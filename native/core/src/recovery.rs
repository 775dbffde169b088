//! What earlier runs left on the devices, taken over at the start: a footer a segment, read on several threads, into a
//! key table that has its size from the start.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::SystemTime;

use crate::catalog::Catalog;
use crate::device::Device;
use crate::fan_out::fan_out;
use crate::open_segment::OpenSegment;
use crate::segment::{OPEN_SUFFIX, SEALED_SUFFIX, Segment, SegmentParts};
use crate::segment_contents::{Found, Glance, Unusable, examine_extents, glance};
use crate::table_builder::TableBuilder;
use crate::{Error, Result};

/// Footers that are held at once take no more than this, or are one.
const FOOTERS_BYTES: usize = 64 << 20;
/// Of a table's records: what comes next finds room before the table must grow.
const HEADROOM: usize = 8;

/// A file that cannot be used costs its records and is told in a notice; it never keeps the others from being served.
pub(crate) struct Recovery<'a> {
    catalog: &'a Catalog,
    notices: Vec<String>,
}

/// A file in a directory of segments.
struct Left {
    device: Arc<Device>,
    path: PathBuf,
    began: SystemTime,
    changed: SystemTime,
    bytes: u64,
}

/// One that is of a segment.
struct Adopted<'a> {
    left: &'a Left,
    segment: Arc<Segment>,
    glance: Glance,
}

impl<'a> Recovery<'a> {
    pub fn new(catalog: &'a Catalog) -> Recovery<'a> {
        Recovery { catalog, notices: Vec::new() }
    }

    /// What a person should know of it. Fails where a directory cannot be read, or the key table gets no memory.
    pub fn run(mut self, devices: &[Arc<Device>]) -> Result<Vec<String>> {
        let left = self.oldest_first(devices)?;
        let looked = fan_out(&left, look);
        let mut adopted = Vec::new();
        for (left, looked) in left.iter().zip(looked) {
            match looked {
                Ok((file, glance)) => adopted.push(self.adopt(left, file, glance)),
                Err(unusable) => self.put_away(left, unusable),
            }
        }
        let records: usize = adopted.iter().map(Adopted::records).sum();
        let builder = TableBuilder::create(records + records / HEADROOM, adopted.len())?;
        let filling = Filling { builder: Mutex::new(builder), held: Room::default() };
        let filled = fan_out(&adopted, |one| filling.add(one));
        let built = filling.builder.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut whole = Vec::new();
        for (adopted, filled) in adopted.into_iter().zip(filled) {
            match filled {
                Ok(unsealed) => whole.push((adopted, unsealed)),
                Err(unusable) => {
                    self.catalog.unregister(&adopted.segment);
                    self.put_away(adopted.left, unusable);
                }
            }
        }
        self.catalog.install(built.finish()?)?;
        for (adopted, unsealed) in whole {
            self.complete(adopted, unsealed);
        }
        Ok(self.notices)
    }

    /// Segment files in the order in which they were begun, where the filesystem knows, else of their last change. Of
    /// two copies of a record the later one counts: it may have come in the place of one that was found damaged.
    fn oldest_first(&mut self, devices: &[Arc<Device>]) -> Result<Vec<Left>> {
        let mut found = Vec::new();
        for device in devices {
            let directory = device.segments_dir();
            let read = files_in(device, &directory, &mut self.notices);
            found.extend(read.map_err(|error| {
                Error::io(format_args!("reading {}", directory.display()), &error)
            })?);
        }
        found.sort_by(|one, other| (one.began, &one.path).cmp(&(other.began, &other.path)));
        Ok(found)
    }

    fn adopt<'l>(&self, left: &'l Left, file: File, glance: Glance) -> Adopted<'l> {
        left.device.adopt(left.bytes);
        let label = match &glance {
            Glance::Sealed(trailer) => trailer.label,
            Glance::Unsealed(found) => found.label,
        };
        let segment = self.catalog.register(SegmentParts {
            device: left.device.clone(),
            label,
            path: left.path.clone(),
            file,
            space: left.bytes,
            sealed: matches!(glance, Glance::Sealed(_)),
            last_read: left
                .changed
                .duration_since(SystemTime::UNIX_EPOCH)
                .map_or(0, |at| at.as_secs()),
        });
        Adopted { left, segment, glance }
    }

    /// Does what is left of sealing. Where that fails, on a full device say, the records are served all the same.
    fn complete(&mut self, adopted: Adopted<'_>, unsealed: Option<Found>) {
        let Adopted { left: Left { path, .. }, segment, .. } = adopted;
        // Its records are all in later ones: it is gone.
        if segment.live_records() == 0 {
            return;
        }
        let is_named = path.extension().is_some_and(|suffix| suffix == SEALED_SUFFIX);
        let sealed = match unsealed {
            None if is_named => Ok(()),
            // Whether its footer is durable is not known either.
            None => segment.reader.file.sync_data().and_then(|()| segment.rename_sealed()),
            Some(found) => OpenOptions::new()
                .read(true)
                .write(true)
                .open(path)
                .and_then(|file| OpenSegment::resume(segment, file, &found).seal()),
        };
        if let Err(error) = sealed {
            self.notices.push(format!("{} stays unsealed: {error}", path.display()));
        }
    }

    fn put_away(&mut self, left: &Left, unusable: Unusable) {
        let Left { path, device, .. } = left;
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
        };
        match done {
            Ok(()) => self.notices.extend(notice),
            Err(error) => self.notices.push(format!("{shown}: {error}")),
        }
    }
}

fn files_in(
    device: &Arc<Device>,
    directory: &Path,
    notices: &mut Vec<String>,
) -> io::Result<Vec<Left>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let suffix = path.extension().and_then(|suffix| suffix.to_str());
        if !matches!(suffix, Some(OPEN_SUFFIX | SEALED_SUFFIX)) {
            continue;
        }
        let metadata = fs::symlink_metadata(&path)?;
        if !metadata.is_file() {
            notices.push(format!("{}: is no file", path.display()));
            continue;
        }
        let changed = metadata.modified()?;
        let began = metadata.created().unwrap_or(changed);
        found.push(Left { device: device.clone(), path, began, changed, bytes: metadata.len() });
    }
    Ok(found)
}

fn look(left: &Left) -> std::result::Result<(File, Glance), Unusable> {
    let file = File::open(&left.path).map_err(Unusable::Unreadable)?;
    let glance = glance(&file)?;
    Ok((file, glance))
}

impl Adopted<'_> {
    fn records(&self) -> usize {
        match &self.glance {
            Glance::Sealed(trailer) => trailer.records,
            Glance::Unsealed(found) => found.entries.len(),
        }
    }
}

/// What all threads that read footers share.
struct Filling {
    builder: Mutex<TableBuilder>,
    held: Room,
}

impl Filling {
    /// Says what was found of a segment that is to be sealed.
    fn add(&self, one: &Adopted<'_>) -> std::result::Result<Option<Found>, Unusable> {
        let Adopted { segment, glance, .. } = one;
        let (number, generation) = (segment.number(), segment.generation());
        if let Glance::Sealed(trailer) = glance {
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
