//! Errors become what `millpool.errors` makes of their code: it has the kinds and the remedies.

use millpool_core::{Code, Error};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

pub fn raised(error: &Error) -> PyErr {
    Python::attach(|py| exception(py, error).map_or_else(|failure| failure, PyErr::from_value))
}

/// The exception, not raised.
pub fn exception<'py>(py: Python<'py>, error: &Error) -> PyResult<Bound<'py, PyAny>> {
    static ERROR_OF: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let error_of = ERROR_OF.import(py, "millpool.errors", "error_of")?;
    error_of.call1((error.code.name(), &error.message))
}

pub fn invalid(message: impl Into<String>) -> PyErr {
    raised(&Error::new(Code::Invalid, message))
}
