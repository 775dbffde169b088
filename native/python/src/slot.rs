//! The memory of one batch, as Python sees it: read-only bytes. Views of it hold this object, whoever makes them, and
//! the slot goes back to the ring with the last of them.

use std::ffi::c_int;
use std::sync::Arc;

use millpool_core::Slot as CoreSlot;
use pyo3::exceptions::PyBufferError;
use pyo3::ffi;
use pyo3::prelude::*;

#[pyclass(frozen, module = "millpool._native")]
pub struct Slot(pub Arc<CoreSlot>);

#[pymethods]
impl Slot {
    fn __len__(&self) -> usize {
        self.0.len()
    }

    /// # Safety
    /// `view` is of the interpreter, as for every `bf_getbuffer`.
    unsafe fn __getbuffer__(
        slf: Bound<'_, Self>,
        view: *mut ffi::Py_buffer,
        flags: c_int,
    ) -> PyResult<()> {
        let slot = &slf.get().0;
        let len = isize::try_from(slot.len()).unwrap_or(isize::MAX);
        // SAFETY: the memory is the slot's, which `view` holds from now on.
        let filled = unsafe {
            ffi::PyBuffer_FillInfo(view, slf.as_ptr(), slot.as_ptr().cast(), len, 1, flags)
        };
        if filled == 0 { Ok(()) } else { Err(refused(slf.py())) }
    }
}

/// What a failed C call has set.
pub fn refused(py: Python<'_>) -> PyErr {
    PyErr::take(py).unwrap_or_else(|| PyBufferError::new_err("no such view"))
}
