//! Reads from files below one root, and never from anywhere else.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use millpool_core::{Code, Error, Result};
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, Stat, openat2};
use rustix::io::Errno;

use crate::buffer::RecordWriter;
use crate::counters::Counters;
use crate::lane::{Lane, Slot};
use crate::piece::{Fetched, Piece, YOUNG_SECONDS};

/// Read at once; a piece is few of these.
const READ_BYTES: usize = 1 << 20;
const OPEN_FLAGS: OFlags =
    OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);
const RENAME_RACES: usize = 8;

pub(crate) struct FolderSource {
    root: File,
    root_path: PathBuf,
    lane: Arc<Lane>,
    patience: Duration,
    counters: Arc<Counters>,
}

/// What a source has from its filler.
pub(crate) struct FolderTerms {
    pub lane: Arc<Lane>,
    /// For one read, waiting for the filesystem included.
    pub patience: Duration,
    pub counters: Arc<Counters>,
}

impl FolderSource {
    pub fn open(root: &Path, terms: FolderTerms) -> Result<FolderSource> {
        let FolderTerms { lane, patience, counters } = terms;
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
        Ok(FolderSource { root, root_path, lane, patience, counters })
    }

    /// A read that hangs (a network filesystem) is given up at the deadline; its thread and its slot stay taken until
    /// the kernel lets it go, so that there is never more than a slot's worth of such threads.
    pub async fn fetch(
        self: &Arc<Self>,
        piece: &Piece,
        into: RecordWriter,
        slot: Slot,
    ) -> Result<Fetched> {
        let (source, wanted) = (self.clone(), piece.clone());
        let read = tokio::task::spawn_blocking(move || {
            let fetched = source.read(&wanted, into);
            drop(slot);
            fetched
        });
        match tokio::time::timeout(self.patience, read).await {
            Ok(ended) => {
                ended.map_err(|_| Error::new(Code::Internal, "a file read ended by a fault"))?
            }
            Err(_) => {
                let seconds = self.patience.as_secs_f32();
                let message = format!("waited {seconds} s for a read of {}", self.name_of(piece));
                Err(Error::new(Code::SourceUnavailable, message))
            }
        }
    }

    fn name_of(&self, piece: &Piece) -> String {
        format!("{}/{}", self.root_path.display(), piece.key_text())
    }

    fn read(&self, piece: &Piece, mut into: RecordWriter) -> Result<Fetched> {
        self.counters.gets.add(1);
        let name = || self.name_of(piece);
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
        let path = Path::new(OsStr::from_bytes(key));
        match self.open_beneath(path) {
            // Perhaps an absolute link to a place inside the root, which the kernel refuses whatever it leads to.
            Err(Errno::XDEV) if path.is_relative() => {
                let inside = self.real_path_inside(path)?;
                self.open_beneath(&inside)
            }
            // Kernels before 5.6, and sandboxes that do not know the call.
            Err(Errno::NOSYS | Errno::PERM) => self.open_and_look_where(path),
            opened => opened,
        }
    }

    fn open_beneath(&self, path: &Path) -> rustix::io::Result<OwnedFd> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        let open = || openat2(&self.root, path, OPEN_FLAGS, Mode::empty(), resolve);
        // The kernel says AGAIN when something was renamed while it looked.
        let again =
            (0..RENAME_RACES).map(|_| open()).find(|opened| !matches!(opened, Err(Errno::AGAIN)));
        again.unwrap_or(Err(Errno::AGAIN))
    }

    /// Relative to the root, free of links. `XDEV` when it is not below the root.
    fn real_path_inside(&self, path: &Path) -> rustix::io::Result<PathBuf> {
        let real = self.root_path.join(path).canonicalize().map_err(|error| errno(&error))?;
        real.strip_prefix(&self.root_path).map(Path::to_path_buf).map_err(|_| Errno::XDEV)
    }

    /// Without the kernel's help: where a descriptor leads is known for certain only once it is open.
    fn open_and_look_where(&self, path: &Path) -> rustix::io::Result<OwnedFd> {
        let real = self.root_path.join(self.real_path_inside(path)?);
        let file = rustix::fs::open(&real, OPEN_FLAGS | OFlags::NOFOLLOW, Mode::empty())?;
        let opened = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()));
        match opened.map_err(|error| errno(&error))?.starts_with(&self.root_path) {
            true => Ok(file),
            false => Err(Errno::XDEV),
        }
    }
}

fn errno(error: &io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::IO, Errno::from_raw_os_error)
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
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    let mtime = nanoseconds(stat.st_mtime, stat.st_mtime_nsec);
    let ctime = nanoseconds(stat.st_ctime, stat.st_ctime_nsec);
    let age = i128::try_from(now).unwrap_or(i128::MAX) - mtime.max(ctime);
    age < i128::from(YOUNG_SECONDS) * 1_000_000_000
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read;
    use std::os::unix::fs::symlink;

    use tokio::sync::Notify;

    use super::*;

    struct Folder {
        source: FolderSource,
        place: tempfile::TempDir,
    }

    fn folder() -> Folder {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("root");
        fs::create_dir_all(root.join("deep/er")).unwrap();
        fs::write(root.join("deep/er/file"), "inside").unwrap();
        fs::write(place.path().join("secret"), "outside").unwrap();
        symlink(root.join("deep/er/file"), root.join("absolute")).unwrap();
        symlink("deep", root.join("relative")).unwrap();
        symlink(place.path(), root.join("up")).unwrap();
        symlink("../secret", root.join("out")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        let terms = FolderTerms {
            lane: Lane::new(1, false, Arc::new(Notify::new())),
            patience: Duration::from_secs(10),
            counters: Arc::default(),
        };
        Folder { source: FolderSource::open(&root, terms).unwrap(), place }
    }

    fn text(opened: rustix::io::Result<OwnedFd>) -> Result<String, Errno> {
        let mut text = String::new();
        File::from(opened?).read_to_string(&mut text).unwrap();
        Ok(text)
    }

    #[test]
    fn links_that_stay_inside_are_followed_and_others_refused_with_and_without_the_kernels_help() {
        let Folder { source, place } = folder();
        let secret = place.path().join("secret");
        let secret = secret.as_os_str().as_bytes();
        type Open = fn(&FolderSource, &[u8]) -> rustix::io::Result<OwnedFd>;
        let by_hand: Open =
            |source, key| source.open_and_look_where(Path::new(OsStr::from_bytes(key)));
        for open in [FolderSource::open_below as Open, by_hand] {
            for inside in
                ["deep/er/file", "absolute", "relative/er/file", "deep/../relative/er/file"]
            {
                assert_eq!(
                    text(open(&source, inside.as_bytes())),
                    Ok("inside".to_owned()),
                    "{inside}"
                );
            }
            for outside in [&b"out"[..], b"up/secret", b"../secret", b"deep/../../secret", secret] {
                assert_eq!(text(open(&source, outside)), Err(Errno::XDEV));
            }
            assert_eq!(text(open(&source, b"loop")), Err(Errno::LOOP));
            assert_eq!(text(open(&source, b"deep/none")), Err(Errno::NOENT));
            assert_eq!(text(open(&source, b"deep/er/file/x")), Err(Errno::NOTDIR));
        }
        assert!(source.open_below(b"a\0b").is_err());
    }
}
