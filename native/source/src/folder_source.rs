//! Reads from files below one root, and never from anywhere else.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use millpool_core::{Code, Error, Result};
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use crate::buffer::RecordWriter;
use crate::counters::Counters;
use crate::lane::{Lane, Slot};
use crate::source::{Fetched, Piece, YOUNG_SECONDS};

/// Read at once; a piece is few of these.
const READ_BYTES: usize = 1 << 20;

pub(crate) struct FolderSource {
    root: File,
    root_path: PathBuf,
    lane: Arc<Lane>,
    counters: Arc<Counters>,
}

impl FolderSource {
    pub fn open(root: &Path, lane: Arc<Lane>, counters: Arc<Counters>) -> Result<FolderSource> {
        let io =
            |error: io::Error| Error::io(format!("opening the folder {}", root.display()), &error);
        let root_path = root.canonicalize().map_err(io)?;
        let root = File::open(&root_path).map_err(io)?;
        if !root.metadata().map_err(io)?.is_dir() {
            return Err(Error::new(
                Code::Invalid,
                format!("{} is not a folder", root_path.display()),
            ));
        }
        Ok(FolderSource { root, root_path, lane, counters })
    }

    pub async fn fetch(
        self: &Arc<Self>,
        piece: &Piece,
        into: RecordWriter,
        slot: Slot,
    ) -> Result<Fetched> {
        let (source, piece) = (self.clone(), piece.clone());
        let read = tokio::task::spawn_blocking(move || {
            let fetched = source.read(&piece, into);
            drop(slot);
            fetched
        });
        read.await.map_err(|_| Error::new(Code::Internal, "a file read ended by a fault"))?
    }

    fn read(&self, piece: &Piece, mut into: RecordWriter) -> Result<Fetched> {
        self.counters.gets.add(1);
        let name = || format!("{}/{}", self.root_path.display(), piece.key_text());
        let file =
            self.open_below(&piece.object.source_key).map_err(|error| refusal(&name(), error))?;
        let stat = |file: &OwnedFd| {
            rustix::fs::fstat(file)
                .map_err(|error| Error::io(format!("looking at {}", name()), &error.into()))
        };
        let before = stat(&file)?;
        if FileType::from_raw_mode(before.st_mode) != FileType::RegularFile {
            return Err(Error::new(Code::Refused, format!("{} is not a regular file", name())));
        }
        let changed = || {
            let message = format!("{} is no longer the version that was listed", name());
            Error::new(Code::SourceChanged, message)
        };
        if !is_version(&before, piece) {
            return Err(changed());
        }
        while into.missing() > 0 {
            let at = piece.offset() + u64::from(piece.len()) - into.missing() as u64;
            let read = into.read_with(READ_BYTES, |spare| {
                rustix::io::pread(&file, spare, at).map(|(read, _)| read)
            });
            match read {
                Ok(0) => return Err(changed()),
                Ok(bytes) => self.counters.source_bytes.add(bytes as u64),
                Err(Errno::INTR) => {}
                Err(error) => return Err(Error::io(format!("reading {}", name()), &error.into())),
            }
        }
        // On the same descriptor: a file that was written meanwhile shows it by its times.
        let after = stat(&file)?;
        if !is_version(&after, piece) {
            return Err(changed());
        }
        self.lane.limit.succeeded(piece.len().into(), Instant::now());
        let record = into.finish().ok_or_else(changed)?;
        Ok(Fetched { record, young: is_young(&after) })
    }

    /// Links inside the root are followed, ones that leave it are not; a pipe or a device is opened without waiting.
    fn open_below(&self, key: &[u8]) -> rustix::io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let path = Path::new(std::ffi::OsStr::from_bytes(key));
        match rustix::fs::openat2(&self.root, path, flags, Mode::empty(), ResolveFlags::BENEATH) {
            // Kernels before 5.6, and sandboxes that do not know the call.
            Err(Errno::NOSYS | Errno::PERM) => {
                let real = self.root_path.join(path).canonicalize().map_err(|error| {
                    error.raw_os_error().map_or(Errno::IO, Errno::from_raw_os_error)
                })?;
                if !real.starts_with(&self.root_path) {
                    return Err(Errno::XDEV);
                }
                rustix::fs::open(&real, flags | OFlags::NOFOLLOW, Mode::empty())
            }
            opened => opened,
        }
    }
}

fn refusal(name: &str, error: Errno) -> Error {
    match error {
        Errno::XDEV => Error::new(Code::Refused, format!("{name} leads out of its folder")),
        Errno::LOOP => Error::new(Code::Refused, format!("{name} is a link that leads nowhere")),
        Errno::NXIO => Error::new(Code::Refused, format!("{name} is not a regular file")),
        _ => Error::io(format!("opening {name}"), &error.into()),
    }
}

/// Whether a file is the one that the tag `f:DEVICE:INODE:MTIME_NS:CTIME_NS` names, at the size that goes with it.
fn is_version(stat: &Stat, piece: &Piece) -> bool {
    let mtime = nanoseconds(stat.st_mtime, stat.st_mtime_nsec);
    let ctime = nanoseconds(stat.st_ctime, stat.st_ctime_nsec);
    let tag = format!("f:{}:{}:{mtime}:{ctime}", stat.st_dev, stat.st_ino);
    tag.as_bytes() == piece.object.tag && stat.st_size as u64 == piece.object.size
}

fn nanoseconds(seconds: i64, fraction: impl Into<i128>) -> i128 {
    i128::from(seconds) * 1_000_000_000 + fraction.into()
}

fn is_young(stat: &Stat) -> bool {
    let now =
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64);
    now - stat.st_mtime.max(stat.st_ctime) < YOUNG_SECONDS
}
