//! What earlier runs left on a device, taken over at the start.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::catalog::{Catalog, Published};
use crate::device::Device;
use crate::open_segment::OpenSegment;
use crate::segment::{OPEN_SUFFIX, SEALED_SUFFIX, Segment, SegmentParts};
use crate::segment_contents::{Found, Unusable, examine};
use crate::{Error, Result};

/// A file that cannot be used costs its records and is told in a notice; it never keeps the others from being served.
pub(crate) struct Recovery<'a> {
    device: &'a Arc<Device>,
    catalog: &'a Catalog,
    notices: Vec<String>,
}

impl<'a> Recovery<'a> {
    pub fn new(device: &'a Arc<Device>, catalog: &'a Catalog) -> Recovery<'a> {
        Recovery { device, catalog, notices: Vec::new() }
    }

    /// What a person should know of it. Fails where the directory cannot be read, or the key table cannot grow.
    pub fn run(mut self) -> Result<Vec<String>> {
        let directory = self.device.segments_dir();
        let io = |error: io::Error| Error::io(format!("reading {}", directory.display()), &error);
        for path in oldest_first(&directory).map_err(io)? {
            match self.take_over(&path) {
                Ok(Published::TableFull(error)) => return Err(error),
                Ok(Published::Done | Published::SegmentGone) => {}
                Err(error) => self.notices.push(format!("{}: {error}", path.display())),
            }
        }
        Ok(self.notices)
    }

    fn take_over(&mut self, path: &Path) -> io::Result<Published> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let found = match examine(&file) {
            Ok(found) => found,
            Err(unusable) => {
                self.put_away(path, unusable)?;
                return Ok(Published::Done);
            }
        };
        let segment = self.adopt(path, &file, &found)?;
        let published = self.catalog.publish(&segment, &found.entries, !found.sealed);
        if matches!(published, Published::Done) {
            self.complete(path, OpenSegment::resume(segment, file, &found), found.sealed);
        }
        Ok(published)
    }

    /// Does what is left of sealing. Where that fails, on a full device say, the records are served all the same.
    fn complete(&mut self, path: &Path, open: OpenSegment, has_footer: bool) {
        let is_named = path.extension().is_some_and(|suffix| suffix == SEALED_SUFFIX);
        let sealed = match (has_footer, is_named) {
            (true, true) => Ok(()),
            (true, false) => open.name_sealed(),
            (false, _) => open.seal(),
        };
        if let Err(error) = sealed {
            self.notices.push(format!("{} stays unsealed: {error}", path.display()));
        }
    }

    fn put_away(&mut self, path: &Path, unusable: Unusable) -> io::Result<()> {
        let shown = path.display();
        match unusable {
            Unusable::Unreadable(error) => return Err(error),
            Unusable::Empty => return fs::remove_file(path),
            Unusable::Damaged => {
                fs::remove_file(path)?;
                self.notices.push(format!("{shown} was damaged from its first extent on: removed"));
            }
            Unusable::Version(version) => {
                self.device.set_aside(path)?;
                self.notices.push(format!(
                    "{shown} has format version {version}: set aside, its data comes from the source again"
                ));
            }
        }
        Ok(())
    }

    fn adopt(&self, path: &Path, file: &File, found: &Found) -> io::Result<Arc<Segment>> {
        let metadata = file.metadata()?;
        let reader = File::open(path)?;
        self.device.adopt(metadata.len());
        Ok(self.catalog.register(SegmentParts {
            device: self.device.clone(),
            label: found.label,
            path: path.to_path_buf(),
            file: reader,
            space: metadata.len(),
            sealed: found.sealed,
            last_read: u64::try_from(metadata.mtime()).unwrap_or(0),
        }))
    }
}

/// Segment files in the order in which they were begun, where the filesystem knows, else of their last change. Of two
/// copies of a record the later one counts: it may have come in the place of one that was found damaged.
fn oldest_first(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let path = entry.path();
        let suffix = path.extension().and_then(|suffix| suffix.to_str());
        if matches!(suffix, Some(OPEN_SUFFIX | SEALED_SUFFIX)) {
            let metadata = entry.metadata()?;
            found.push((metadata.created().or_else(|_| metadata.modified())?, path));
        }
    }
    found.sort();
    Ok(found.into_iter().map(|(_, path)| path).collect())
}
