//! One read, in one slot of the ring.

use std::ffi::c_int;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use millpool_core::Error;
use millpool_flow::{Batch as FlowBatch, KnownBatch, Sample, Tally, Waits};
use pyo3::exceptions::{PyBufferError, PyIndexError};
use pyo3::ffi;
use pyo3::prelude::*;
use rustix::time::{ClockId, clock_gettime};

use crate::failure::exception;
use crate::samples::Samples;
use crate::slot::{Slot, refused};

#[pyclass(frozen, module = "millpool._native")]
pub struct Batch {
    layout: Vec<(usize, usize)>,
    failures: Vec<(usize, Error)>,
    totals: Totals,
    waits: Waits,
    came: f64,
    slot: Mutex<Option<Py<Slot>>>,
}

/// What a loop counts of a batch.
#[derive(Default)]
struct Totals {
    hits: u64,
    bytes: u64,
    fetched_bytes: u64,
    device: Tally,
}

impl Batch {
    /// `came`: when its read ended.
    pub fn of_read(py: Python<'_>, batch: FlowBatch, came: Instant) -> PyResult<Batch> {
        let FlowBatch { slot, layout, samples, device, waits } = batch;
        let mut totals = Totals { device, ..Totals::default() };
        let mut failures = Vec::new();
        for (place, (sample, (_, len))) in samples.into_iter().zip(&layout).enumerate() {
            let len = *len as u64;
            match sample {
                Sample::Failed(error) => {
                    failures.push((place, error));
                    continue;
                }
                Sample::Hit | Sample::Joined => totals.hits += 1,
                Sample::Fetched => totals.fetched_bytes += len,
            }
            totals.bytes += len;
        }
        let slot = Mutex::new(Some(Py::new(py, Slot(slot))?));
        Ok(Batch { layout, failures, totals, waits, came: monotonic(came), slot })
    }

    /// One that was read at once: all of its samples are hits.
    pub fn of_known(py: Python<'_>, known: KnownBatch) -> PyResult<Batch> {
        let KnownBatch { slot, layout, bytes, waits } = known;
        let hits = layout.len() as u64;
        let totals = Totals { hits, bytes, ..Totals::default() };
        let slot = Mutex::new(Some(Py::new(py, Slot(slot.into()))?));
        let came = monotonic(Instant::now());
        Ok(Batch { layout, failures: Vec::new(), totals, waits, came, slot })
    }

    fn slot(&self, py: Python<'_>) -> Option<Py<Slot>> {
        let slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        slot.as_ref().map(|slot| slot.clone_ref(py))
    }
}

#[pymethods]
impl Batch {
    fn __len__(&self) -> usize {
        self.layout.len()
    }

    /// Start in the slot, and length.
    fn span(&self, place: usize) -> PyResult<(usize, usize)> {
        let outside = || PyIndexError::new_err(format!("sample {place} of {}", self.layout.len()));
        self.layout.get(place).copied().ok_or_else(outside)
    }

    /// Start and length of one after the other.
    fn spans(&self) -> Samples {
        let numbers = self.layout.iter().flat_map(|(start, len)| [*start as u64, *len as u64]);
        numbers.collect::<Vec<u64>>().into()
    }

    /// Bytes from one sample to the next, and of each, where that is the same for all and none failed.
    fn stride(&self) -> Option<(usize, usize)> {
        let (first, size) = *self.layout.first()?;
        let stride = self.layout.get(1).map_or(size, |(second, _)| second - first);
        let mut places = self.layout.iter().enumerate();
        let is_even = places.all(|(n, span)| *span == (first + n * stride, size));
        (is_even && size > 0 && self.failures.is_empty()).then_some((stride, size))
    }

    /// By place, those that could not be read: exceptions, not raised.
    fn failures<'py>(&self, py: Python<'py>) -> PyResult<Vec<(usize, Bound<'py, PyAny>)>> {
        let of = |(place, error): &(usize, Error)| Ok((*place, exception(py, error)?));
        self.failures.iter().map(of).collect()
    }

    #[getter]
    fn failed(&self) -> usize {
        self.failures.len()
    }

    /// Samples that needed no GET of their own.
    #[getter]
    fn hits(&self) -> u64 {
        self.totals.hits
    }

    /// Of all samples that were read.
    #[getter]
    fn bytes(&self) -> u64 {
        self.totals.bytes
    }

    /// Of samples for which this read began a GET.
    #[getter]
    fn fetched_bytes(&self) -> u64 {
        self.totals.fetched_bytes
    }

    /// Samples in segments that were not in this process's memory.
    #[getter]
    fn device(&self) -> u64 {
        self.totals.device.samples
    }

    #[getter]
    fn device_bytes(&self) -> u64 {
        self.totals.device.bytes
    }

    /// Seconds: source, peer, device, gather, queue.
    #[getter]
    fn waits(&self) -> (f64, f64, f64, f64, f64) {
        let Waits { source, device, gather, queue } = self.waits;
        let [source, device, gather, queue] =
            [source, device, gather, queue].map(|wait: Duration| wait.as_secs_f64());
        (source, 0.0, device, gather, queue)
    }

    /// When the read ended, by `time.monotonic()`.
    #[getter]
    fn came(&self) -> f64 {
        self.came
    }

    /// Lets go of the slot: true where it is free now, false where views hold it (or it was released before).
    fn release(&self) -> bool {
        let slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner).take();
        // SAFETY: a live object. Where ours is the last reference, it goes when this returns.
        slot.is_some_and(|slot| unsafe { ffi::Py_REFCNT(slot.as_ptr()) } == 1)
    }

    #[getter]
    fn released(&self) -> bool {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    /// A view of the slot: what it exports is the slot's object, so that a view outlives the batch.
    ///
    /// # Safety
    /// `view` is of the interpreter, as for every `bf_getbuffer`.
    unsafe fn __getbuffer__(
        slf: Bound<'_, Self>,
        view: *mut ffi::Py_buffer,
        flags: c_int,
    ) -> PyResult<()> {
        let py = slf.py();
        let Some(slot) = slf.get().slot(py) else {
            return Err(PyBufferError::new_err("the batch was released"));
        };
        // SAFETY: `view` is handed on as it came.
        let made = unsafe { ffi::PyObject_GetBuffer(slot.as_ptr(), view, flags) };
        if made == 0 { Ok(()) } else { Err(refused(py)) }
    }
}

/// The clock of `time.monotonic()`, at an instant that is past.
fn monotonic(then: Instant) -> f64 {
    let now = clock_gettime(ClockId::Monotonic);
    let now = Duration::new(now.tv_sec as u64, now.tv_nsec as u32);
    now.saturating_sub(then.elapsed()).as_secs_f64()
}
