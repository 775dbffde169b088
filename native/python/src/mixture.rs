//! Several datasets as one: their samples are numbered one dataset behind the other.

use std::sync::Arc;

use millpool_core::{Dataset, Drawn, Mixture};
use millpool_flow::Selection;
use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;

use crate::dataset::DatasetFile;
use crate::failure::{invalid, raised};
use crate::samples::Samples;

/// The first number of each dataset, and the end of the last.
#[derive(Clone)]
struct Numbers(Vec<u64>);

impl Numbers {
    fn of(counts: impl Iterator<Item = u64>) -> PyResult<Numbers> {
        let mut starts = vec![0u64];
        for count in counts {
            let end = starts.last().and_then(|start| start.checked_add(count));
            starts
                .push(end.ok_or_else(|| invalid("a mixture of more samples than can be counted"))?);
        }
        Ok(Numbers(starts))
    }

    fn len(&self) -> u64 {
        self.0.last().copied().unwrap_or(0)
    }

    fn number(&self, Drawn { source, sample }: Drawn) -> u64 {
        self.0[source] + sample
    }

    fn drawn(&self, number: u64) -> PyResult<Drawn> {
        if number >= self.len() {
            return Err(PyIndexError::new_err(format!("sample {number} of {}", self.len())));
        }
        let source = self.0.partition_point(|start| *start <= number) - 1;
        Ok(Drawn { source, sample: number - self.0[source] })
    }
}

#[pyclass(frozen, module = "millpool._native")]
pub struct MixtureFile(Arc<Concatenation>);

pub struct Concatenation {
    datasets: Vec<Arc<Dataset>>,
    numbers: Numbers,
}

impl Concatenation {
    pub fn selection(&self, numbers: &[u64]) -> PyResult<Selection> {
        let drawn: PyResult<Vec<Drawn>> =
            numbers.iter().map(|number| self.numbers.drawn(*number)).collect();
        Ok(Selection::Mixture(self.datasets.clone(), drawn?))
    }
}

impl MixtureFile {
    pub fn shared(&self) -> Arc<Concatenation> {
        self.0.clone()
    }
}

#[pymethods]
impl MixtureFile {
    #[new]
    fn new(datasets: Vec<PyRef<'_, DatasetFile>>) -> PyResult<MixtureFile> {
        let datasets: Vec<_> = datasets.iter().map(|file| file.0.clone()).collect();
        let numbers = Numbers::of(datasets.iter().map(|dataset| dataset.len()))?;
        Ok(MixtureFile(Arc::new(Concatenation { datasets, numbers })))
    }

    fn __len__(&self) -> usize {
        usize::try_from(self.0.numbers.len()).unwrap_or(usize::MAX)
    }

    #[getter]
    fn bytes(&self) -> u64 {
        self.0.datasets.iter().map(|dataset| dataset.summary().bytes).sum()
    }

    /// Which dataset a number is of, and its number there.
    fn source(&self, number: u64) -> PyResult<(usize, u64)> {
        let Drawn { source, sample } = self.0.numbers.drawn(number)?;
        Ok((source, sample))
    }

    /// The numbers that samples have in their own datasets, by dataset, each in the order given.
    fn by_source(&self, samples: PyRef<'_, Samples>) -> PyResult<Vec<Samples>> {
        let mut found = vec![Vec::new(); self.0.datasets.len()];
        for number in &samples.numbers {
            let Drawn { source, sample } = self.0.numbers.drawn(*number)?;
            found[source].push(sample);
        }
        Ok(found.into_iter().map(Samples::from).collect())
    }
}

/// The order of a mixture, over all epochs.
#[pyclass(frozen, module = "millpool._native")]
pub struct MixtureOrder {
    mixture: Mixture,
    numbers: Numbers,
}

#[pymethods]
impl MixtureOrder {
    #[new]
    fn new(
        counts: Vec<u64>,
        weights: Vec<f64>,
        seed: u64,
        shuffle: bool,
    ) -> PyResult<MixtureOrder> {
        let mixture =
            Mixture::new(&counts, &weights, seed, shuffle).map_err(|error| raised(&error))?;
        Ok(MixtureOrder { mixture, numbers: Numbers::of(counts.into_iter())? })
    }

    /// The numbers of the samples of `count` positions from `start` on.
    fn samples(&self, py: Python<'_>, start: u64, count: u64) -> PyResult<Samples> {
        let end = start.checked_add(count).filter(|_| count <= u32::MAX.into());
        let end = end.ok_or_else(|| invalid(format!("{count} positions from {start} on")))?;
        let number = |position| self.numbers.number(self.mixture.at(position));
        Ok(py.detach(|| (start..end).map(number).collect::<Vec<u64>>()).into())
    }
}
