//! Segments without a name whose bytes somebody still holds: their room comes back only when the last mapping goes.
//!
//! The kernel says whether anybody does: it gives a write lease on a file only to the one who alone has it open, mapped
//! or not (fcntl(2), F_SETLEASE). Readers get descriptors that were opened anew, so that each counts by itself.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::device::Device;
use crate::segment::{Segment, SegmentFile};

/// Clients are told again of what they hold longer than this: one may have been given it as it went.
const TELL_AGAIN: Duration = Duration::from_secs(2);

/// One that is unlinked and held.
#[derive(Clone, Debug)]
pub struct LingeringStatus {
    /// As in the name that its file had.
    pub id: [u8; 16],
    /// Index into the store's devices.
    pub device: u32,
    /// Space taken on the device.
    pub bytes: u64,
    pub since: Duration,
}

struct Lingerer {
    file: Arc<SegmentFile>,
    device: Arc<Device>,
    bytes: u64,
    since: Instant,
    told: Instant,
}

#[derive(Default)]
pub(crate) struct Lingering {
    held: Mutex<Vec<Lingerer>>,
    /// Names (number, generation) of segments that clients were not told of yet.
    untold: Mutex<Vec<(u32, u32)>>,
}

impl Lingering {
    /// Takes over the space of a segment that was just unlinked: gives it back as soon as nobody holds the file.
    pub fn add(&self, segment: &Segment, bytes: u64) {
        let lingerer = Lingerer {
            file: segment.reader.clone(),
            device: segment.device.clone(),
            bytes,
            since: Instant::now(),
            told: Instant::now(),
        };
        let untold = (segment.number(), segment.generation());
        self.untold.lock().unwrap_or_else(PoisonError::into_inner).push(untold);
        // What is being filled is held by its writer, which lets go as soon as it comes to it: to wait for that would
        // keep a full device full.
        if segment.is_sealed() && is_held(&lingerer.file.file) {
            self.held().push(lingerer);
        } else {
            lingerer.device.release(bytes);
        }
    }

    /// Gives back what nobody holds any more. The names of those that clients are to be told of, once or again.
    pub fn reap(&self) -> Vec<(u32, u32)> {
        let mut untold =
            std::mem::take(&mut *self.untold.lock().unwrap_or_else(PoisonError::into_inner));
        self.held().retain_mut(|lingerer| {
            let is_held = is_held(&lingerer.file.file);
            if !is_held {
                lingerer.device.release(lingerer.bytes);
            } else if lingerer.told.elapsed() >= TELL_AGAIN {
                lingerer.told = Instant::now();
                untold.push((lingerer.file.number, lingerer.file.generation));
            }
            is_held
        });
        untold
    }

    pub fn statuses(&self) -> Vec<LingeringStatus> {
        let held = self.held();
        let statuses = held.iter().map(|lingerer| LingeringStatus {
            id: lingerer.file.id,
            device: lingerer.device.index,
            bytes: lingerer.bytes,
            since: lingerer.since.elapsed(),
        });
        statuses.collect()
    }

    fn held(&self) -> MutexGuard<'_, Vec<Lingerer>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether anybody has the file open or mapped beside this descriptor. False where its filesystem cannot tell.
fn is_held(file: &File) -> bool {
    let lease = |kind: libc::c_int| {
        // SAFETY: the descriptor is open; the call takes numbers and touches no memory of ours.
        match unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, kind) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    };
    match lease(libc::F_WRLCK) {
        Ok(()) => {
            // Should it fail, the lease ends with the descriptor, which is closed next.
            let _ = lease(libc::F_UNLCK);
            false
        }
        Err(error) => error.kind() == io::ErrorKind::WouldBlock,
    }
}
