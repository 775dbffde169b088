//! No SIGBUS reaches the program because of a mapped file. A mapping faults when its file was cut or its device died;
//! the handler first marks the whole mapping as failed, then puts zero pages where it faulted, so that the reader runs
//! on, sees the mark after its copy, and throws away what it read. Other faults go to whoever was there before.
//!
//! The handler does only what signal-safety(7) allows, and mmap, which is a bare system call in glibc and musl.

use std::mem::MaybeUninit;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::{Code, Error, Result};

/// Mapped ranges that may be registered at once; a segment has one, and 65,536 segments of 8 MiB are 512 GiB.
const RANGES: usize = 65_536;
/// In `start`: nobody's, or being filled in. No mapping begins at either address.
const FREE: usize = 0;
const TAKEN: usize = 1;

struct Range {
    start: AtomicUsize,
    end: AtomicUsize,
    failed: AtomicBool,
}

/// Read by the handler, so never moved, locked or freed. Pages of it that no range was ever in take no memory.
static REGISTRY: [Range; RANGES] = [const {
    Range {
        start: AtomicUsize::new(FREE),
        end: AtomicUsize::new(0),
        failed: AtomicBool::new(false),
    }
}; RANGES];
/// Ranges at and past this index were never used.
static USED: AtomicUsize = AtomicUsize::new(0);
static PAGE_BYTES: AtomicUsize = AtomicUsize::new(4096);
static PREVIOUS: OnceLock<libc::sigaction> = OnceLock::new();

/// A range of mapped memory that the handler knows, until this is dropped. Drop it before unmapping.
#[derive(Debug)]
pub(crate) struct Registration(usize);

impl Registration {
    /// `start` and `len` are of a mapping that nobody has read yet.
    pub fn new(start: *const u8, len: usize) -> Result<Registration> {
        for (index, range) in REGISTRY.iter().enumerate() {
            if range.start.load(Ordering::Relaxed) != FREE {
                continue;
            }
            let claim =
                range.start.compare_exchange(FREE, TAKEN, Ordering::AcqRel, Ordering::Relaxed);
            if claim.is_ok() {
                range.failed.store(false, Ordering::Relaxed);
                range.end.store(start as usize + len, Ordering::Relaxed);
                USED.fetch_max(index + 1, Ordering::AcqRel);
                range.start.store(start as usize, Ordering::Release);
                return Ok(Registration(index));
            }
        }
        Err(Error::new(
            Code::Full,
            format!("{RANGES} files are mapped already, as many as one process may"),
        ))
    }

    /// Some byte of the range could not be read, now or before: what was copied from it may be zeros.
    pub fn failed(&self) -> bool {
        REGISTRY[self.0].failed.load(Ordering::Acquire)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        REGISTRY[self.0].start.store(FREE, Ordering::Release);
    }
}

/// Puts the handler in place, once a process; what was there before is kept and called for faults that are not ours.
pub fn install() -> Result<()> {
    if PREVIOUS.get().is_some() {
        return Ok(());
    }
    // SAFETY: sysconf has no preconditions.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    PAGE_BYTES.store(usize::try_from(page).unwrap_or(4096), Ordering::Relaxed);
    let io = |error| Error::io("installing the handler for SIGBUS", &error);
    let previous = current().map_err(io)?;
    if PREVIOUS.set(previous).is_err() {
        return Ok(());
    }
    // SAFETY: all zeros is a valid sigaction; the handler has the signature that SA_SIGINFO asks for.
    let failed = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler_address();
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        libc::sigemptyset(&mut action.sa_mask);
        libc::sigaction(libc::SIGBUS, &action, ptr::null_mut()) != 0
    };
    if failed { Err(io(std::io::Error::last_os_error())) } else { Ok(()) }
}

/// Whether a fault now would come to our handler first: others (pytest's faulthandler, DataLoader workers) install
/// theirs later. One system call; asked once a batch.
pub fn on_top() -> bool {
    current().is_ok_and(|action| action.sa_sigaction == handler_address())
}

/// How often this thread waited for the device because a page was not in memory.
pub fn major_faults() -> i64 {
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: zeros are a valid structure, which the call fills; it cannot fail for this thread.
    unsafe {
        libc::getrusage(libc::RUSAGE_THREAD, usage.as_mut_ptr());
        usage.assume_init().ru_majflt
    }
}

fn handler_address() -> usize {
    on_fault as extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::c_void) as usize
}

fn current() -> std::io::Result<libc::sigaction> {
    let mut action = MaybeUninit::uninit();
    // SAFETY: only asks; on success the structure is filled.
    unsafe {
        if libc::sigaction(libc::SIGBUS, ptr::null(), action.as_mut_ptr()) != 0 {
            return Err(std::io::Error::last_os_error());
        }
        Ok(action.assume_init())
    }
}

extern "C" fn on_fault(signal: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel gives a valid siginfo; errno is this thread's own, and stays as the interrupted code left it.
    unsafe {
        let errno = *libc::__errno_location();
        let is_fault = (*info).si_code > 0;
        if !(is_fault && absorb((*info).si_addr() as usize)) {
            pass_on(signal, info, context);
        }
        *libc::__errno_location() = errno;
    }
}

/// True when `address` lies in a range of ours and can be read now.
///
/// # Safety
/// Called by the thread that faulted at `address`.
unsafe fn absorb(address: usize) -> bool {
    let used = USED.load(Ordering::Acquire);
    for range in &REGISTRY[..used] {
        let start = range.start.load(Ordering::Acquire);
        let end = range.end.load(Ordering::Relaxed);
        if start > TAKEN && (start..end).contains(&address) {
            range.failed.store(true, Ordering::SeqCst);
            let page = address & !(PAGE_BYTES.load(Ordering::Relaxed) - 1);
            // Up to the end, so that a mapping is split once and not once a page: the kernel counts the parts.
            // SAFETY: the pages are of a mapping that is registered, so alive.
            let placed = unsafe {
                let flags =
                    libc::MAP_FIXED | libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
                libc::mmap(page as *mut libc::c_void, end - page, libc::PROT_READ, flags, -1, 0)
            };
            return placed != libc::MAP_FAILED;
        }
    }
    false
}

/// # Safety
/// Called from the handler with its own arguments.
unsafe fn pass_on(signal: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let Some(previous) = PREVIOUS.get() else { return };
    // SAFETY: a handler that was installed by sigaction is called as its flags say it wants to be.
    unsafe {
        match previous.sa_sigaction {
            libc::SIG_IGN if (*info).si_code <= 0 => {}
            libc::SIG_DFL | libc::SIG_IGN => {
                libc::sigaction(signal, previous, ptr::null_mut());
                if (*info).si_code <= 0 {
                    libc::raise(signal);
                }
            }
            address if previous.sa_flags & libc::SA_SIGINFO != 0 => {
                let call: extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::c_void) =
                    std::mem::transmute(address);
                call(signal, info, context);
            }
            address => {
                let call: extern "C" fn(i32) = std::mem::transmute(address);
                call(signal);
            }
        }
    }
}
