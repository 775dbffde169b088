//! A process's connection to its node's daemon.

use std::ffi::{c_int, c_uint, c_void};
use std::mem::transmute;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use millpool_core::{Dataset, PageLock};
use millpool_flow::{
    BatchRequest, Client as FlowClient, ClientConfig, KnownRequest, PlanPosition, Ranges, Replay,
    Replayed, Selection, decode_objects,
};
use pyo3::prelude::*;

use crate::ahead::Ahead;
use crate::batch::Batch;
use crate::dataset::{DatasetFile, version_of};
use crate::failure::raised;
use crate::readable::Readable;
use crate::samples::Samples;
use crate::waiting::waited;

/// Samples, bytes, seconds.
type Stage = (u64, u64, f64);

#[pyclass(frozen, module = "millpool._native")]
pub struct Client(pub Arc<FlowClient>);

#[pymethods]
impl Client {
    #[new]
    fn new(py: Python<'_>, socket: PathBuf, timeout: f64, ring_bytes: usize) -> PyResult<Client> {
        let config = ClientConfig { socket, ring_bytes, maps: true };
        let client = waited(py, timeout, move |limits| {
            FlowClient::connect(config, limits.deadline.saturating_duration_since(Instant::now()))
        })?;
        Ok(Client(Arc::new(client)))
    }

    /// One control message and its answer.
    fn control(&self, py: Python<'_>, body: &[u8], timeout: f64) -> PyResult<Vec<u8>> {
        let (client, body) = (self.0.clone(), body.to_vec());
        waited(py, timeout, move |limits| client.control(&body, limits))
    }

    fn dataset(&self, py: Python<'_>, version: &str, timeout: f64) -> PyResult<DatasetFile> {
        let (client, version) = (self.0.clone(), version_of(version)?);
        let dataset = waited(py, timeout, move |limits| client.dataset(&version, limits))?;
        Ok(DatasetFile(Arc::new(dataset)))
    }

    #[pyo3(signature = (objects, timeout, ranges=None))]
    fn read_objects(
        &self,
        py: Python<'_>,
        objects: &[u8],
        timeout: f64,
        ranges: Option<(PyRef<'_, Samples>, PyRef<'_, Samples>)>,
    ) -> PyResult<Batch> {
        let objects = decode_objects(objects).map_err(|error| raised(&error))?;
        let ranges = ranges.map(|(offsets, lengths)| Ranges {
            offsets: offsets.numbers.clone(),
            lengths: lengths.numbers.clone(),
        });
        let selection = Selection::Objects(objects);
        self.read(py, BatchRequest { ranges, ..BatchRequest::from(selection) }, timeout)
    }

    /// A small batch of samples that this process has read before, and that are in memory, is copied at once.
    fn read_samples(
        &self,
        py: Python<'_>,
        readable: Readable,
        samples: PyRef<'_, Samples>,
        timeout: f64,
    ) -> PyResult<Batch> {
        let numbers = &samples.numbers;
        if let Some(dataset) = readable.dataset()
            && let Some(batch) = self.at_once(py, dataset, numbers)?
        {
            return Ok(batch);
        }
        self.read(py, readable.selection(numbers)?.into(), timeout)
    }

    /// Reads ahead of one loop, by as many threads at most.
    fn ahead(&self, readable: Readable, threads: usize) -> Ahead {
        Ahead::new(self.0.clone(), readable, threads)
    }

    /// Samples, bytes and seconds of a gather out of memory, and the same of reads past the page cache.
    fn replay(
        &self,
        py: Python<'_>,
        readable: Readable,
        samples: PyRef<'_, Samples>,
        timeout: f64,
    ) -> PyResult<(Stage, Stage)> {
        let request: BatchRequest = readable.selection(&samples.numbers)?.into();
        let client = self.0.clone();
        let Replay { gather, device } =
            waited(py, timeout, move |limits| client.replay(&request, limits))?;
        let stage = |Replayed { samples, bytes, spent }| (samples, bytes, spent.as_secs_f64());
        Ok((stage(gather), stage(device)))
    }

    /// Of the daemon; 0 while there is none.
    #[getter]
    fn daemon_pid(&self, py: Python<'_>) -> u32 {
        py.detach(|| self.0.status().daemon_pid)
    }

    /// Of one run of the daemon; another says that it was started anew.
    #[getter]
    fn incarnation(&self, py: Python<'_>) -> u64 {
        py.detach(|| self.0.status().incarnation)
    }

    /// Whether resident samples are read from mapped segments.
    #[getter]
    fn mapping(&self, py: Python<'_>) -> bool {
        py.detach(|| self.0.status().maps)
    }

    #[getter]
    fn mapped_segments(&self, py: Python<'_>) -> usize {
        py.detach(|| self.0.status().mapped_segments)
    }

    /// Memory that batches have taken, held and free.
    #[getter]
    fn ring_bytes(&self, py: Python<'_>) -> usize {
        py.detach(|| self.0.status().ring_bytes)
    }

    /// Of these, in batches and views that are held.
    #[getter]
    fn ring_held_bytes(&self, py: Python<'_>) -> usize {
        py.detach(|| self.0.status().ring_held_bytes)
    }

    /// From now on batches lie in memory that a GPU copies from by itself. The functions are given by their addresses:
    /// cudaGetDevice, cudaSetDevice, cudaHostRegister, cudaHostUnregister, cudaGetLastError.
    fn lock_pages(&self, py: Python<'_>, device: c_int, functions: [usize; 5]) {
        let [get_device, set_device, register, unregister, take_error] = functions;
        // SAFETY: `millpool.torch.page_lock` looked them up by these names in the runtime that torch has loaded.
        let page_lock = unsafe {
            PageLock {
                device,
                get_device: transmute::<usize, unsafe extern "C" fn(*mut c_int) -> c_int>(
                    get_device,
                ),
                set_device: transmute::<usize, unsafe extern "C" fn(c_int) -> c_int>(set_device),
                register: transmute::<
                    usize,
                    unsafe extern "C" fn(*mut c_void, usize, c_uint) -> c_int,
                >(register),
                unregister: transmute::<usize, unsafe extern "C" fn(*mut c_void) -> c_int>(
                    unregister,
                ),
                take_error: transmute::<usize, unsafe extern "C" fn() -> c_int>(take_error),
            }
        };
        py.detach(|| self.0.lock_pages(page_lock));
    }

    /// Ends calls under way, and all later ones. Batches stay readable.
    fn close(&self, py: Python<'_>) {
        py.detach(|| self.0.close());
    }
}

impl Client {
    fn read(&self, py: Python<'_>, request: BatchRequest, timeout: f64) -> PyResult<Batch> {
        let client = self.0.clone();
        let (batch, came) = waited(py, timeout, move |limits| {
            client.read(&request, limits).map(|batch| (batch, Instant::now()))
        })?;
        Batch::of_read(py, batch, came)
    }

    fn at_once(
        &self,
        py: Python<'_>,
        dataset: &Arc<Dataset>,
        samples: &[u64],
    ) -> PyResult<Option<Batch>> {
        let plan = PlanPosition::default();
        let known = py.detach(|| self.0.read_known(&KnownRequest { dataset, samples, plan }));
        known.map(|known| Batch::of_known(py, known)).transpose()
    }
}
