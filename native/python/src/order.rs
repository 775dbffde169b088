//! The order of an epoch.

use millpool_core::{MAX_SAMPLES, Permutation};
use pyo3::prelude::*;

use crate::failure::invalid;
use crate::samples::Samples;

#[pyclass(frozen, module = "millpool._native")]
pub struct Order {
    permutation: Permutation,
    shuffle: bool,
}

#[pymethods]
impl Order {
    #[new]
    fn new(count: u64, seed: u64, epoch: u64, shuffle: bool) -> PyResult<Order> {
        if count > MAX_SAMPLES {
            return Err(invalid(format!("{count} samples are more than an order can hold")));
        }
        Ok(Order { permutation: Permutation::new(count, seed, epoch), shuffle })
    }

    /// The samples of `count` positions from `start` on. A position at or past the end wraps to the start.
    fn samples(&self, py: Python<'_>, start: u64, count: u64) -> PyResult<Samples> {
        let len = self.permutation.len();
        if len == 0 && count > 0 {
            return Err(invalid("an order of 0 samples has no positions"));
        }
        let end = start.checked_add(count).filter(|_| count <= MAX_SAMPLES);
        let end = end.ok_or_else(|| invalid(format!("{count} positions from {start} on")))?;
        Ok(py
            .detach(|| match self.shuffle {
                true => {
                    let mut samples = vec![0; count as usize];
                    self.permutation.fill(start.checked_rem(len).unwrap_or(0), &mut samples);
                    samples
                }
                false => (start..end).map(|position| position % len).collect::<Vec<u64>>(),
            })
            .into())
    }

    fn position_of(&self, sample: u64) -> PyResult<u64> {
        let len = self.permutation.len();
        if sample >= len {
            return Err(invalid(format!("sample {sample} of {len}")));
        }
        Ok(if self.shuffle { self.permutation.position_of(sample) } else { sample })
    }
}
