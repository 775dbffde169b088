//! Numbers of samples, in native memory: what is handed from an order to a read costs nothing a sample.

use std::ffi::{CStr, c_int};
use std::ptr::{from_ref, null_mut};

use pyo3::buffer::PyBuffer;
use pyo3::exceptions::{PyBufferError, PyIndexError};
use pyo3::ffi;
use pyo3::prelude::*;

use crate::failure::invalid;

const FORMAT: &CStr = c"Q";

#[pyclass(frozen, module = "millpool._native")]
pub struct Samples {
    pub numbers: Vec<u64>,
    /// For views, which point to it.
    len: isize,
}

impl From<Vec<u64>> for Samples {
    fn from(numbers: Vec<u64>) -> Samples {
        Samples { len: numbers.len() as isize, numbers }
    }
}

#[pymethods]
impl Samples {
    /// Of a list, a range, an array of 64-bit integers, or anything else that gives whole numbers of 0 or more.
    #[new]
    fn new(numbers: &Bound<'_, PyAny>) -> PyResult<Samples> {
        let py = numbers.py();
        if let Ok(samples) = numbers.cast::<Samples>() {
            return Ok(samples.get().numbers.clone().into());
        }
        if let Ok(buffer) = PyBuffer::<u64>::get(numbers) {
            return Ok(buffer.to_vec(py)?.into());
        }
        if let Ok(buffer) = PyBuffer::<i64>::get(numbers) {
            let found: Result<Vec<u64>, _> =
                buffer.to_vec(py)?.into_iter().map(u64::try_from).collect();
            return Ok(found.map_err(|_| invalid("a sample's number is below 0"))?.into());
        }
        let found: PyResult<Vec<u64>> =
            numbers.try_iter()?.map(|number| number?.extract()).collect();
        Ok(found?.into())
    }

    fn __len__(&self) -> usize {
        self.numbers.len()
    }

    fn __getitem__(&self, place: isize) -> PyResult<u64> {
        let place = if place < 0 { place + self.len } else { place };
        let found = usize::try_from(place).ok().and_then(|place| self.numbers.get(place));
        found.copied().ok_or_else(|| PyIndexError::new_err("there are not so many samples"))
    }

    /// # Safety
    /// `view` is of the interpreter, as for every `bf_getbuffer`.
    unsafe fn __getbuffer__(
        slf: Bound<'_, Self>,
        view: *mut ffi::Py_buffer,
        flags: c_int,
    ) -> PyResult<()> {
        if view.is_null() || flags & ffi::PyBUF_WRITABLE == ffi::PyBUF_WRITABLE {
            return Err(PyBufferError::new_err("numbers of samples are read-only"));
        }
        let Samples { numbers, len } = slf.get();
        let wants = |flag: c_int| flags & flag == flag;
        // SAFETY: the interpreter gave `view` for this; all of it is filled, and what it points to lives as long as
        // the object, which it holds.
        unsafe {
            (*view).obj = slf.clone().into_ptr();
            (*view).buf = numbers.as_ptr().cast_mut().cast();
            (*view).len = *len * 8;
            (*view).readonly = 1;
            (*view).itemsize = 8;
            (*view).format =
                if wants(ffi::PyBUF_FORMAT) { FORMAT.as_ptr().cast_mut() } else { null_mut() };
            (*view).ndim = 1;
            (*view).shape =
                if wants(ffi::PyBUF_ND) { from_ref(len).cast_mut() } else { null_mut() };
            (*view).strides =
                if wants(ffi::PyBUF_STRIDES) { &raw mut (*view).itemsize } else { null_mut() };
            (*view).suboffsets = null_mut();
            (*view).internal = null_mut();
        }
        Ok(())
    }
}
