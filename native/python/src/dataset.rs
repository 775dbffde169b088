//! A mapped dataset version.

use std::sync::Arc;

use millpool_core::Dataset;
use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;

use crate::failure::{invalid, raised};

#[pyclass(frozen, module = "millpool._native")]
pub struct DatasetFile(pub Arc<Dataset>);

#[pymethods]
impl DatasetFile {
    #[getter]
    fn root(&self) -> &str {
        &self.0.root().path
    }

    #[getter]
    fn version(&self) -> String {
        hex(&self.0.summary().version)
    }

    #[getter]
    fn bytes(&self) -> u64 {
        self.0.summary().bytes
    }

    fn __len__(&self) -> usize {
        usize::try_from(self.0.len()).unwrap_or(usize::MAX)
    }

    /// Below the root.
    fn path(&self, index: u64) -> PyResult<&str> {
        self.0.path(index).map_err(|error| raised(&error))
    }

    fn size(&self, index: u64) -> PyResult<u64> {
        let outside = || PyIndexError::new_err(format!("sample {index} of {}", self.0.len()));
        self.0.size(index).ok_or_else(outside)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn version_of(hex: &str) -> PyResult<[u8; 32]> {
    let byte =
        |i: usize| hex.get(2 * i..2 * i + 2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
    let bytes: Option<Vec<u8>> = (0..32).map(byte).collect();
    let bytes =
        bytes.filter(|_| hex.len() == 64).and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    bytes.ok_or_else(|| invalid(format!("{hex:?} is not a dataset version of 64 hex digits")))
}
