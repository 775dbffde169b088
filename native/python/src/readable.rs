//! What samples are read of by number: a dataset, or several as one.

use std::sync::Arc;

use millpool_core::Dataset;
use millpool_flow::Selection;
use pyo3::prelude::*;

use crate::dataset::DatasetFile;
use crate::mixture::{Concatenation, MixtureFile};

#[derive(Clone)]
pub enum Readable {
    Dataset(Arc<Dataset>),
    Mixture(Arc<Concatenation>),
}

impl Readable {
    pub fn selection(&self, numbers: &[u64]) -> PyResult<Selection> {
        match self {
            Readable::Dataset(dataset) => Ok(Selection::Dataset(dataset.clone(), numbers.to_vec())),
            Readable::Mixture(mixture) => mixture.selection(numbers),
        }
    }

    /// The one whose samples may be known to lie in memory.
    pub fn dataset(&self) -> Option<&Arc<Dataset>> {
        match self {
            Readable::Dataset(dataset) => Some(dataset),
            Readable::Mixture(_) => None,
        }
    }
}

impl<'py> FromPyObject<'_, 'py> for Readable {
    type Error = PyErr;

    fn extract(given: Borrowed<'_, 'py, PyAny>) -> PyResult<Readable> {
        if let Ok(mixture) = given.cast::<MixtureFile>() {
            return Ok(Readable::Mixture(mixture.get().shared()));
        }
        Ok(Readable::Dataset(given.cast::<DatasetFile>()?.get().0.clone()))
    }
}
