//! A file in memory, read-only, that may be cut or lose its device at any time without taking the program with it.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::atomic::{AtomicU64, Ordering};

use memmap2::{Advice, MmapOptions, MmapRaw};

use crate::extent::{Extent, ExtentBreak, FORMAT_VERSION};
use crate::fault::{self, Registration};
use crate::segment::MAX_SEGMENT_BYTES;
use crate::{Code, Error, Identity, Result};

/// Pages that the kernel is asked about at once: a record of the largest size has few times as many.
const PAGES_ASKED: usize = 256;

/// Mapped bytes that the fault handler guards. Reading past the file's end is allowed, gives zeros, and is remembered.
#[derive(Debug)]
pub(crate) struct GuardedBytes {
    // Dropped in this order: the handler must not know an address that may be somebody else's next.
    registration: Registration,
    memory: MmapRaw,
}

impl GuardedBytes {
    pub fn map(file: &File, len: usize) -> Result<GuardedBytes> {
        fault::install()?;
        let io = |error: std::io::Error| Error::io("mapping a file", &error);
        let memory = MmapOptions::new().len(len).map_raw_read_only(file).map_err(io)?;
        let registration = Registration::new(memory.as_ptr(), memory.len())?;
        Ok(GuardedBytes { registration, memory })
    }

    pub fn as_ptr(&self) -> *const u8 {
        self.memory.as_ptr()
    }

    /// All of it. What is read is believed only if `failed` is false afterwards.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: mapped for as long as self, readable throughout by the handler's doing; files of ours never change.
        unsafe { std::slice::from_raw_parts(self.memory.as_ptr(), self.memory.len()) }
    }

    /// Pages are read one by one where they are looked at, not with their neighbours. It may be refused.
    pub fn expect_random_reads(&self) {
        let _ = self.memory.advise(Advice::Random);
    }

    /// Begins to read these bytes, which must lie in the mapping.
    pub fn read_ahead(&self, at: usize, len: usize) {
        let _ = self.memory.advise_range(Advice::WillNeed, at, len);
    }

    /// Asked after reading: some of it may have been zeros put in place of bytes.
    pub fn failed(&self) -> bool {
        self.registration.failed()
    }
}

/// Which segment a descriptor is said to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SegmentName {
    pub number: u32,
    pub generation: u32,
    pub id: [u8; 16],
    pub identity: Identity,
}

/// A segment's file, mapped at its largest possible length, since an open one grows.
#[derive(Debug)]
pub struct Mapping {
    bytes: GuardedBytes,
    file: File,
    name: SegmentName,
    /// Of the file when it was last looked at, as far as it is mapped. The daemon cuts only what it never published.
    known_len: AtomicU64,
}

impl Mapping {
    /// `Corrupt` when the file does not begin with an extent of the segment that it is said to be.
    pub fn map(file: &File, name: &SegmentName) -> Result<Mapping> {
        let io =
            |error: std::io::Error| Error::io(format!("mapping segment {}", name.number), &error);
        let file = file.try_clone().map_err(io)?;
        let len = file.metadata().map_err(io)?.len();
        check_label(&file, len, name)?;
        let bytes = GuardedBytes::map(&file, MAX_SEGMENT_BYTES as usize)?;
        Ok(Mapping { bytes, file, name: *name, known_len: AtomicU64::new(mapped_len(len)) })
    }

    #[inline]
    pub fn name(&self) -> &SegmentName {
        &self.name
    }

    /// Whether the file has `len` bytes at `offset`; looks again when it did not the last time.
    #[inline]
    pub fn readable(&self, offset: u32, len: u32) -> bool {
        let end = u64::from(offset) + u64::from(len);
        end <= self.known_len.load(Ordering::Relaxed) || self.has_grown_to(end)
    }

    #[cold]
    fn has_grown_to(&self, end: u64) -> bool {
        let Ok(metadata) = self.file.metadata() else { return false };
        let len = mapped_len(metadata.len());
        self.known_len.store(len, Ordering::Relaxed);
        end <= len
    }

    /// Whether all pages of these bytes are in memory, so that reading them waits for no device. By mincore, which says
    /// yes of everything to a process that neither owns the file nor may write it.
    pub(crate) fn in_memory(&self, offset: u32, len: u32) -> bool {
        let page = rustix::param::page_size();
        let start = offset as usize / page * page;
        let bytes = (offset as usize + len as usize - start).next_multiple_of(page);
        let mut pages = [0u8; PAGES_ASKED];
        (0..bytes.div_ceil(page)).step_by(PAGES_ASKED).all(|first| {
            let count = (bytes / page - first).min(PAGES_ASKED);
            // SAFETY: the range lies in the mapping, and the array has a byte for each of its pages.
            let asked = unsafe {
                let address = self.start().add(start + first * page).cast_mut().cast();
                libc::mincore(address, count * page, pages.as_mut_ptr())
            };
            asked != 0 || pages[..count].iter().all(|page| page & 1 == 1)
        })
    }

    /// The file once more, for reads past the page cache; `None` where its filesystem or its owner does not let us.
    pub(crate) fn open_direct(&self) -> Option<File> {
        let path = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        File::options().read(true).custom_flags(libc::O_DIRECT).open(path).ok()
    }

    /// Asked after copying: everything that was read of this segment since the last time it was false is worthless.
    pub fn failed(&self) -> bool {
        self.bytes.failed()
    }

    pub(crate) fn start(&self) -> *const u8 {
        self.bytes.as_ptr()
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }
}

/// What lies behind the largest possible length is not mapped.
fn mapped_len(file_len: u64) -> u64 {
    file_len.min(MAX_SEGMENT_BYTES.into())
}

fn check_label(file: &File, len: u64, name: &SegmentName) -> Result<()> {
    let refuse =
        |code, what: &str| Err(Error::new(code, format!("segment {} {what}", name.number)));
    match Extent::read(file, 0, u32::try_from(len).unwrap_or(u32::MAX)) {
        Ok(extent) if extent.label.id == name.id && extent.label.identity == name.identity => {
            Ok(())
        }
        Ok(_) => refuse(Code::Corrupt, "is another segment than it is said to be"),
        Err(ExtentBreak::End | ExtentBreak::Damaged) => {
            refuse(Code::Corrupt, "does not begin like one")
        }
        Err(ExtentBreak::Version(version)) => {
            let what = format!("has format version {version}, this program reads {FORMAT_VERSION}");
            refuse(Code::Unsupported, &what)
        }
        Err(ExtentBreak::Codec(codec)) => refuse(
            Code::Unsupported,
            &format!("has records of codec {codec}, which is not known here"),
        ),
        Err(ExtentBreak::Unreadable(error)) => {
            Err(Error::io(format!("reading the first extent of segment {}", name.number), &error))
        }
    }
}
