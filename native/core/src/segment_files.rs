//! What lies in the directories of segments when a daemon starts.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use crate::device::Device;
use crate::segment::{OPEN_SUFFIX, SEALED_SUFFIX};
use crate::{Error, Result};

/// A file in a directory of segments.
pub(crate) struct LeftFile {
    pub device: Arc<Device>,
    pub path: PathBuf,
    pub began: SystemTime,
    pub changed: SystemTime,
    pub bytes: u64,
}

impl LeftFile {
    /// By its name.
    pub fn is_sealed(&self) -> bool {
        self.path.extension().is_some_and(|suffix| suffix == SEALED_SUFFIX)
    }

    /// By its name; `None` where that is not one that a store gives.
    pub fn id(&self) -> Option<[u8; 16]> {
        let digits = self.path.file_stem().and_then(OsStr::to_str)?;
        let is_hex = digits.len() == 32 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        let id = u128::from_str_radix(digits, 16).ok().filter(|_| is_hex)?;
        Some(id.to_be_bytes())
    }
}

/// Segment files in the order in which they were begun, where the filesystem knows, else of their last change. Of
/// two copies of a record the later one counts: it may have come in the place of one that was found damaged.
pub(crate) fn oldest_first(
    devices: &[Arc<Device>],
    notices: &mut Vec<String>,
) -> Result<Vec<LeftFile>> {
    let mut found = Vec::new();
    for device in devices {
        let directory = device.segments_dir();
        match files_in(device, &directory, notices) {
            Ok(files) => found.extend(files),
            // What lies on the others is served without it.
            Err(error) if devices.len() > 1 => {
                let what = format!("reading {}: {error}", directory.display());
                notices.push(what.clone());
                device.mark_failed(what);
            }
            Err(error) => {
                return Err(Error::io(format_args!("reading {}", directory.display()), &error));
            }
        }
    }
    found.sort_by(|one, other| (one.began, &one.path).cmp(&(other.began, &other.path)));
    Ok(found)
}

fn files_in(
    device: &Arc<Device>,
    directory: &Path,
    notices: &mut Vec<String>,
) -> io::Result<Vec<LeftFile>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let suffix = path.extension().and_then(OsStr::to_str);
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
        let (device, bytes) = (device.clone(), metadata.len());
        found.push(LeftFile { device, path, began, changed, bytes });
    }
    Ok(found)
}
