//! A process's connection to its node's daemon.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use millpool_flow::{
    BatchRequest, Cancel, Client, ClientConfig, Limits, PlanPosition, Ranges, Replay, Replayed,
    Selection, decode_objects,
};
use napi::bindgen_prelude::{Float64Array, Object, Reference, Uint8Array};
use napi::{Env, Result};
use napi_derive::napi;

use crate::batch::NativeBatch;
use crate::dataset::{NativeDataset, version_of};
use crate::failure::{invalid, thrown, whole};
use crate::known::NativeKnown;
use crate::work::promise;

#[napi(object)]
pub struct NativeClientConfig {
    pub socket: String,
    pub timeout_ms: f64,
    pub ring_bytes: f64,
    pub can_map: bool,
}

#[napi(object, object_to_js = false)]
pub struct NativeReadRequest {
    pub timeout_ms: f64,
    pub cancel: Reference<NativeCancel>,
    pub offsets: Option<Float64Array>,
    pub lengths: Option<Float64Array>,
    pub plan: Option<u32>,
    pub position: Option<f64>,
}

#[napi(object, object_to_js = false)]
pub struct NativeRunRequest {
    pub timeout_ms: f64,
    pub cancel: Reference<NativeCancel>,
    /// 0 is none.
    pub plan: u32,
    /// After each batch; not needed without a plan.
    pub positions: Vec<f64>,
}

#[napi(object)]
pub struct NativeClientState {
    pub pid: u32,
    pub incarnation: f64,
    pub mapping: bool,
    pub segments: u32,
    pub slots_bytes: f64,
    /// Some read waits for a slot that others hold.
    pub short_of_slots: bool,
}

/// By which a call is given up.
#[napi]
pub struct NativeCancel(Cancel);

#[napi]
impl NativeCancel {
    #[napi(constructor, catch_unwind)]
    #[allow(clippy::new_without_default)]
    pub fn new() -> NativeCancel {
        NativeCancel(Cancel::default())
    }

    #[napi(catch_unwind)]
    pub fn cancel(&self) {
        self.0.cancel();
    }
}

#[napi]
pub struct NativeClient(Arc<Client>);

#[napi(catch_unwind)]
pub fn connect_flow<'env>(env: &'env Env, config: NativeClientConfig) -> Result<Object<'env>> {
    let timeout = milliseconds(config.timeout_ms)?;
    let config = ClientConfig {
        socket: PathBuf::from(config.socket),
        ring_bytes: whole("ringBytes", config.ring_bytes)? as usize,
        maps: config.can_map,
    };
    promise(env, move || Ok(NativeClient(Arc::new(Client::connect(config, timeout)?))))
}

#[napi]
impl NativeClient {
    #[napi(catch_unwind)]
    pub fn control<'env>(
        &self,
        env: &'env Env,
        body: &[u8],
        timeout_ms: f64,
        cancel: &NativeCancel,
    ) -> Result<Object<'env>> {
        let (client, body) = (self.0.clone(), body.to_vec());
        let limits = limits(timeout_ms, cancel.0.clone())?;
        promise(env, move || Ok(Uint8Array::new(client.control(&body, &limits)?)))
    }

    #[napi(catch_unwind)]
    pub fn dataset<'env>(
        &self,
        env: &'env Env,
        version: String,
        timeout_ms: f64,
    ) -> Result<Object<'env>> {
        let (client, version) = (self.0.clone(), version_of(&version)?);
        let limits = limits(timeout_ms, Cancel::default())?;
        promise(env, move || Ok(NativeDataset(Arc::new(client.dataset(&version, &limits)?))))
    }

    #[napi(catch_unwind)]
    pub fn read_objects<'env>(
        &self,
        env: &'env Env,
        objects: &[u8],
        request: NativeReadRequest,
    ) -> Result<Object<'env>> {
        let selection = Selection::Objects(decode_objects(objects).map_err(thrown)?);
        self.read(env, selection, request)
    }

    #[napi(catch_unwind)]
    pub fn read_samples<'env>(
        &self,
        env: &'env Env,
        dataset: &NativeDataset,
        samples: Float64Array,
        request: NativeReadRequest,
    ) -> Result<Object<'env>> {
        let selection = Selection::Dataset(dataset.0.clone(), wholes("a sample", &samples)?);
        self.read(env, selection, request)
    }

    /// Batches one after another: the first, and those behind it that are resident and quick. Each has its place in the
    /// plan, if there is one.
    #[napi(catch_unwind)]
    pub fn read_run<'env>(
        &self,
        env: &'env Env,
        dataset: &NativeDataset,
        batches: Vec<Float64Array>,
        request: NativeRunRequest,
    ) -> Result<Object<'env>> {
        let mut requests = Vec::with_capacity(batches.len());
        for (n, samples) in batches.iter().enumerate() {
            let position = request.positions.get(n).copied().unwrap_or(0.0);
            let plan = PlanPosition { plan: request.plan, position: whole("position", position)? };
            let selection = Selection::Dataset(dataset.0.clone(), wholes("a sample", samples)?);
            requests.push(BatchRequest { selection, ranges: None, plan });
        }
        let limits = limits(request.timeout_ms, request.cancel.0.clone())?;
        let client = self.0.clone();
        promise(env, move || {
            let batches = client.read_run(&requests, &limits)?;
            Ok(batches.into_iter().map(NativeBatch::from).collect::<Vec<_>>())
        })
    }

    /// Samples, bytes and nanoseconds of a gather out of memory, and the same of reads past the page cache.
    #[napi(catch_unwind)]
    pub fn replay<'env>(
        &self,
        env: &'env Env,
        dataset: &NativeDataset,
        samples: Float64Array,
        request: NativeReadRequest,
    ) -> Result<Object<'env>> {
        let selection = Selection::Dataset(dataset.0.clone(), wholes("a sample", &samples)?);
        let limits = limits(request.timeout_ms, request.cancel.0.clone())?;
        let client = self.0.clone();
        promise(env, move || {
            let Replay { gather, device } = client.replay(&selection.into(), &limits)?;
            let numbers = |stage: Replayed| {
                [stage.samples as f64, stage.bytes as f64, stage.spent.as_nanos() as f64]
            };
            Ok([numbers(gather), numbers(device)].concat())
        })
    }

    fn read<'env>(
        &self,
        env: &'env Env,
        selection: Selection,
        request: NativeReadRequest,
    ) -> Result<Object<'env>> {
        let ranges = match (&request.offsets, &request.lengths) {
            (Some(offsets), Some(lengths)) => Some(Ranges {
                offsets: wholes("an offset", offsets)?,
                lengths: wholes("a length", lengths)?,
            }),
            (None, None) => None,
            _ => return Err(invalid("offsets and lengths go together")),
        };
        let plan = PlanPosition {
            plan: request.plan.unwrap_or(0),
            position: whole("position", request.position.unwrap_or(0.0))?,
        };
        let limits = limits(request.timeout_ms, request.cancel.0.clone())?;
        let client = self.0.clone();
        let request = BatchRequest { selection, ranges, plan };
        promise(env, move || Ok(NativeBatch::from(client.read(&request, &limits)?)))
    }

    #[napi(catch_unwind)]
    pub fn known(&self, dataset: &NativeDataset) -> NativeKnown {
        NativeKnown { client: self.0.clone(), dataset: dataset.0.clone(), samples: Vec::new() }
    }

    #[napi(catch_unwind)]
    pub fn state(&self) -> NativeClientState {
        let status = self.0.status();
        NativeClientState {
            pid: status.daemon_pid,
            incarnation: status.incarnation as f64,
            mapping: status.maps,
            segments: status.mapped_segments as u32,
            slots_bytes: status.ring_bytes as f64,
            short_of_slots: self.0.is_short_of_slots(),
        }
    }

    #[napi(catch_unwind)]
    pub fn close(&self) {
        self.0.close();
    }
}

fn limits(timeout_ms: f64, cancel: Cancel) -> Result<Limits> {
    Ok(Limits { cancel, ..Limits::until(Instant::now() + milliseconds(timeout_ms)?) })
}

pub(crate) fn milliseconds(ms: f64) -> Result<Duration> {
    Ok(Duration::from_millis(whole("a time-out in milliseconds", ms.ceil())?.min(86_400_000)))
}

fn wholes(name: &str, values: &Float64Array) -> Result<Vec<u64>> {
    values.iter().map(|value| whole(name, *value)).collect()
}
