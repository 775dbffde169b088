//! Reads under way ahead of a loop. No Python runs in their threads.

use std::sync::Arc;
use std::time::{Duration, Instant};

use millpool_flow::{
    Ahead as FlowAhead, BatchRequest, Client as FlowClient, KnownRequest, PlanPosition,
};
use pyo3::prelude::*;

use crate::batch::Batch;
use crate::failure::raised;
use crate::readable::Readable;
use crate::samples::Samples;
use crate::waiting::{SLICE, limits_of};

#[pyclass(frozen, module = "millpool._native")]
pub struct Ahead {
    ahead: FlowAhead,
    client: Arc<FlowClient>,
    readable: Readable,
}

impl Ahead {
    pub fn new(client: Arc<FlowClient>, readable: Readable, threads: usize) -> Ahead {
        Ahead { ahead: FlowAhead::new(client.clone(), threads), client, readable }
    }
}

#[pymethods]
impl Ahead {
    /// Batches that one thread may read together, each with its place in the plan.
    fn submit(&self, run: Vec<(PyRef<'_, Samples>, u64)>, plan: u32, timeout: f64) -> PyResult<()> {
        let limits = limits_of(timeout)?;
        let request = |(samples, position): &(PyRef<'_, Samples>, u64)| {
            let selection = self.readable.selection(&samples.numbers)?;
            let plan = PlanPosition { plan, position: *position };
            Ok(BatchRequest { selection, ranges: None, plan })
        };
        let requests = run.iter().map(request).collect::<PyResult<_>>()?;
        let timeout = limits.deadline.saturating_duration_since(limits.since);
        self.ahead.submit(requests, timeout).map_err(|error| raised(&error))
    }

    /// The oldest that was submitted. Waits for as long as its read may take, or not at all: then None says that it has
    /// not come.
    #[pyo3(signature = (wait=true))]
    fn next(&self, py: Python<'_>, wait: bool) -> PyResult<Option<Batch>> {
        let slice = if wait { SLICE } else { Duration::ZERO };
        loop {
            let came = py.detach(|| self.ahead.next(Instant::now() + slice));
            if let Some(came) = came.map_err(|error| raised(&error))? {
                return Batch::of_read(py, came.batch, came.at).map(Some);
            }
            if !wait {
                return Ok(None);
            }
            py.check_signals()?;
        }
    }

    /// Samples that are small, known and in memory, read by this thread; else None, and nothing was read.
    fn at_once(
        &self,
        py: Python<'_>,
        samples: PyRef<'_, Samples>,
        plan: u32,
        position: u64,
    ) -> PyResult<Option<Batch>> {
        let Some(dataset) = self.readable.dataset() else { return Ok(None) };
        let (samples, plan) = (&samples.numbers[..], PlanPosition { plan, position });
        let request = KnownRequest { dataset, samples, plan };
        let known = py.detach(|| self.client.read_known(&request));
        known.map(|known| Batch::of_known(py, known)).transpose()
    }

    /// Submitted, and not taken.
    fn __len__(&self) -> usize {
        self.ahead.len()
    }

    /// Gives all of it up, and its slots back. Idempotent.
    fn close(&self, py: Python<'_>) {
        py.detach(|| self.ahead.close());
    }
}
