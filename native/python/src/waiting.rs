//! Calls that may wait. Python runs signal handlers on its main thread alone, and only when that returns to the
//! interpreter: so a call of the main thread waits in a thread of its own, and the main one looks for signals.

use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use millpool_core::{Code, Error, Result};
use millpool_flow::{Cancel, Limits};
use pyo3::prelude::*;

use crate::failure::{invalid, raised};

/// Between two looks for signals.
pub const SLICE: Duration = Duration::from_millis(50);
const TIMEOUT_MAX: Duration = Duration::from_secs(86_400);

type Job = Box<dyn FnOnce() + Send>;

/// The thread in which the main one waits, kept for its next call.
struct Waiter {
    /// A forked child has no such thread.
    pid: u32,
    /// In a child its locks may be held for ever, so it is left alone there.
    jobs: ManuallyDrop<Sender<Job>>,
}

thread_local! {
    static WAITER: Cell<Option<Waiter>> = const { Cell::new(None) };
}

/// What `work` gives, which it begins with the limits that it is handed. A signal whose handler raises cancels it, and
/// is what is raised.
pub fn waited<T: Send + 'static>(
    py: Python<'_>,
    timeout: f64,
    work: impl FnOnce(&Limits) -> Result<T> + Send + 'static,
) -> PyResult<T> {
    let limits = limits_of(timeout)?;
    if !is_main_thread() {
        return py.detach(|| work(&limits)).map_err(|error| raised(&error));
    }
    let waiter = match WAITER.take().filter(Waiter::is_here) {
        Some(waiter) => waiter,
        None => Waiter::start().map_err(|error| raised(&error))?,
    };
    let (cancel, (answer, mut answers)) = (limits.cancel.clone(), channel());
    let job = move || {
        let outcome = catch_unwind(AssertUnwindSafe(|| work(&limits)));
        // Nobody listens any more to a call that was given up.
        let _ = answer.send(outcome.unwrap_or_else(|_| Err(ended_by_fault())));
    };
    waiter.jobs.send(Box::new(job)).map_err(|_| raised(&ended_by_fault()))?;
    loop {
        let outcome;
        (outcome, answers) = py.detach(move || (answers.recv_timeout(SLICE), answers));
        match outcome {
            Ok(outcome) => {
                WAITER.set(Some(waiter));
                return outcome.map_err(|error| raised(&error));
            }
            // The waiter is not kept: it may be busy for a while yet.
            Err(RecvTimeoutError::Timeout) => {
                py.check_signals().inspect_err(|_| cancel.cancel())?
            }
            Err(RecvTimeoutError::Disconnected) => return Err(raised(&ended_by_fault())),
        }
    }
}

impl Waiter {
    fn start() -> Result<Waiter> {
        let (jobs, given) = channel::<Job>();
        std::thread::Builder::new()
            .name("millpool-call".into())
            .spawn(move || given.into_iter().for_each(|job| job()))
            .map_err(|error| Error::io("starting a thread", &error))?;
        Ok(Waiter { pid: std::process::id(), jobs: ManuallyDrop::new(jobs) })
    }

    fn is_here(&self) -> bool {
        self.pid == std::process::id()
    }
}

/// The thread ends when it has done what it has.
impl Drop for Waiter {
    fn drop(&mut self) {
        if self.is_here() {
            // SAFETY: not used again.
            unsafe { ManuallyDrop::drop(&mut self.jobs) };
        }
    }
}

fn is_main_thread() -> bool {
    rustix::thread::gettid() == rustix::process::getpid()
}

pub fn limits_of(timeout: f64) -> PyResult<Limits> {
    if timeout > 0.0 {
        let timeout = Duration::try_from_secs_f64(timeout).unwrap_or(TIMEOUT_MAX).min(TIMEOUT_MAX);
        let cancel = Cancel::default();
        return Ok(Limits { cancel, ..Limits::until(Instant::now() + timeout) });
    }
    Err(invalid(format!("a timeout of {timeout} seconds; it must be above 0")))
}

fn ended_by_fault() -> Error {
    Error::new(Code::Internal, "a native call ended by a fault")
}
