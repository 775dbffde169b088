//! The native half of a cache daemon: store, filler and server, as one thing that TypeScript decides over.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use millpool_core::{
    Asker, DeviceConfig, DeviceState, Error, Identity, ObjectRef, Store, StoreConfig, Tier, Urgency,
};
use millpool_flow::{Server, ServerConfig, decode_objects};
use millpool_source::{Credentials, Filler, FillerConfig, Timeouts};
use napi::bindgen_prelude::{Float64Array, Function, Object, Uint8Array, Uint32Array};
use napi::{Env, Result};
use napi_derive::napi;
use tokio::runtime::Builder;

use crate::allocator::bound_allocator;
use crate::client::milliseconds;
use crate::dataset::{hex, version_of};
use crate::engine_config::{
    NativeCredentials, NativeDeviceConfig, NativeEngineConfig, NativeFreed, NativeServeConfig,
    NativeSource, NativeTerms, NativeVerified, code_of, compression_of, source_of,
};
use crate::engine_parts::{Parts, Serving};
use crate::events::{Events, NativeEvent};
use crate::failure::{invalid, thrown, whole};
use crate::fetch::{Fetching, NativeFetch};
use crate::pace::{NativePace, Pace};
use crate::status::{
    NativeCounters, NativeDeviceStatus, NativeLingering, NativeSegmentStatus, NativeTenantStatus,
};
use crate::work::promise;

/// Bytes of pieces under way for one connection.
const IN_FLIGHT_MAX: u64 = 64 << 20;
/// Of all connections together: requests that are not answered, and answers that nobody has taken. One of the largest
/// has room, and packages/cli/src/budget-parts.ts counts both.
const REQUEST_BYTES: usize = 16 << 20;
const REPLY_BYTES: usize = 16 << 20;
/// A client that takes nothing for so long is dropped.
const STALL: Duration = Duration::from_secs(60);
const REQUESTS_MAX: usize = 512;

#[napi]
pub struct NativeEngine(Arc<Parts>);

impl NativeEngine {
    pub(crate) fn parts(&self) -> Arc<Parts> {
        self.0.clone()
    }
}

/// The hash that segments of this identity carry, as 32 hex digits.
#[napi(catch_unwind)]
pub fn identity_hash(canonical: String) -> String {
    hex(&Identity::of(&canonical).0)
}

#[napi(catch_unwind)]
pub fn open_engine<'env>(env: &'env Env, config: NativeEngineConfig) -> Result<Object<'env>> {
    let device = |device: NativeDeviceConfig| {
        Ok(DeviceConfig {
            path: PathBuf::from(device.path),
            tier: tier_of(&device.tier)?,
            size_bytes: whole("sizeBytes", device.size_bytes)?,
            reserve_bytes: whole("reserveBytes", device.reserve_bytes)?,
        })
    };
    let budget_bytes = whole("budgetBytes", config.budget_bytes)?;
    let store = StoreConfig {
        devices: config.devices.into_iter().map(device).collect::<Result<_>>()?,
        extent_delay: milliseconds(config.extent_delay_ms)?,
        idle_seal: milliseconds(config.idle_seal_ms)?,
        table_bytes: budget_bytes / 4 * 3,
    };
    let source_timeout = milliseconds(config.source_timeout_ms)?;
    let threads = config.threads.max(1) as usize;
    bound_allocator();
    // At once: whoever keeps something else in these directories may open it from now on.
    let claim = Store::claim(store).map_err(thrown)?;
    promise(env, move || {
        let store = claim.open()?;
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name("millpool")
            .enable_all()
            .build();
        let runtime = runtime.map_err(|error| Error::io("starting threads", &error))?;
        let filler = Filler::new(FillerConfig {
            store: store.clone(),
            budget_bytes,
            runtime: runtime.handle().clone(),
            timeouts: Timeouts::within(source_timeout),
            max_requests: REQUESTS_MAX,
            hedge: config.hedge,
        })?;
        Ok(NativeEngine(Arc::new(Parts {
            store,
            filler,
            identities: RwLock::default(),
            datasets: Mutex::default(),
            whole: Mutex::default(),
            serving: Mutex::default(),
            fetches: AtomicU64::default(),
            runtime: Mutex::new(Some(runtime)),
        })))
    })
}

#[napi]
impl NativeEngine {
    #[napi(catch_unwind)]
    pub fn serve<'env>(
        &self,
        env: &'env Env,
        config: NativeServeConfig,
        on_event: Function<'_, NativeEvent, ()>,
    ) -> Result<Object<'env>> {
        let listener = on_event.build_threadsafe_function().weak::<true>().build()?;
        let parts = self.0.clone();
        promise(env, move || {
            let runtime = parts.runtime()?;
            let events = Events::new(listener, runtime.clone());
            let datasets = PathBuf::from(config.datasets);
            // What is attached meanwhile waits for this.
            let mut serving = parts.serving.lock().unwrap_or_else(PoisonError::into_inner);
            let identities = parts.identities.read().unwrap_or_else(PoisonError::into_inner);
            let server = Server::start(ServerConfig {
                socket: PathBuf::from(config.socket),
                mode: config.mode,
                store: parts.store.clone(),
                fill: parts.filler.clone(),
                control: events.clone(),
                attachments: identities.clone(),
                datasets: datasets.clone(),
                in_flight_max: IN_FLIGHT_MAX,
                request_bytes: REQUEST_BYTES,
                reply_bytes: REPLY_BYTES,
                stall: STALL,
                runtime,
            })?;
            *serving = Some(Serving { server: Arc::new(server), events, datasets });
            Ok(())
        })
    }

    #[napi(catch_unwind)]
    pub fn reply(&self, connection: f64, call: f64, body: &[u8]) -> Result<()> {
        if let Some(reply) =
            self.0.take_reply(whole("connection", connection)?, whole("call", call)?)
        {
            reply.send(body);
        }
        Ok(())
    }

    #[napi(catch_unwind)]
    pub fn reply_error(
        &self,
        connection: f64,
        call: f64,
        code: u32,
        message: String,
    ) -> Result<()> {
        let code = code_of(code);
        if let Some(reply) =
            self.0.take_reply(whole("connection", connection)?, whole("call", call)?)
        {
            reply.fail(&Error::new(code, message));
        }
        Ok(())
    }

    #[napi(catch_unwind)]
    pub fn attach(
        &self,
        attachment: u32,
        identity: String,
        source: NativeSource,
        terms: NativeTerms,
    ) -> Result<()> {
        let identity = Identity::of(&identity);
        let compression = compression_of(&terms.compression)?;
        self.0.filler.attach(attachment, identity, source_of(source)?).map_err(thrown)?;
        self.0.store.attach(attachment, identity, terms.admit);
        self.0.store.set_compression(attachment, compression);
        let serving = self.0.serving.lock().unwrap_or_else(PoisonError::into_inner);
        self.0
            .identities
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(attachment, identity);
        if let Some(serving) = &*serving {
            serving.server.attach(attachment, identity);
        }
        Ok(())
    }

    #[napi(catch_unwind)]
    pub fn detach(&self, attachment: u32) {
        self.0.filler.detach(attachment);
        self.0.store.detach(attachment);
        self.0.identities.write().unwrap_or_else(PoisonError::into_inner).remove(&attachment);
        if let Some(serving) = &*self.0.serving.lock().unwrap_or_else(PoisonError::into_inner) {
            serving.server.detach(attachment);
        }
    }

    #[napi(catch_unwind)]
    pub fn set_admission(&self, attachment: u32, admit: bool) -> Result<()> {
        let identity = self.0.identity(attachment).map_err(thrown)?;
        self.0.store.attach(attachment, identity, admit);
        Ok(())
    }

    #[napi(catch_unwind)]
    pub fn set_credentials(&self, attachment: u32, credentials: Option<NativeCredentials>) {
        let instant = |ms: f64| UNIX_EPOCH + Duration::from_millis(ms as u64);
        let credentials = credentials.map(|given| Credentials {
            access_key: given.access_key,
            secret_key: given.secret_key,
            session_token: given.session_token,
            expires: given.expires_at_ms.map(instant),
        });
        self.0.filler.set_credentials(attachment, credentials);
    }

    #[napi(catch_unwind)]
    pub fn devices(&self) -> Vec<NativeDeviceStatus> {
        let state = |state| match state {
            DeviceState::Ok => "ok",
            DeviceState::Full => "full",
            DeviceState::Failed => "failed",
        };
        let devices = self.0.store.devices().into_iter().map(|device| NativeDeviceStatus {
            path: device.path.to_string_lossy().into_owned(),
            tier: tier_name(device.tier).to_owned(),
            size_bytes: device.size_bytes as f64,
            used_bytes: device.used_bytes as f64,
            room_bytes: device.room_bytes as f64,
            copy_room_bytes: device.copy_room_bytes as f64,
            state: state(device.state).to_owned(),
            reason: device.reason.unwrap_or_default(),
        });
        devices.collect()
    }

    /// When all that earlier runs left is loaded: what a person should know of the opening, a sentence each.
    #[napi(catch_unwind)]
    pub fn loaded<'env>(&self, env: &'env Env) -> Result<Object<'env>> {
        let parts = self.0.clone();
        promise(env, move || Ok(parts.store.notices().to_vec()))
    }

    #[napi(catch_unwind)]
    pub fn segments(&self) -> Vec<NativeSegmentStatus> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let segments = self.0.store.segments().into_iter().map(|segment| NativeSegmentStatus {
            number: segment.number,
            generation: segment.generation,
            identity: Uint8Array::new(segment.identity.0.to_vec()),
            device: segment.device,
            bytes: segment.file_bytes as f64,
            live_bytes: segment.live_bytes as f64,
            raw_bytes: segment.raw_bytes as f64,
            records: segment.live_records as f64,
            pinned_bytes: segment.pinned_bytes as f64,
            sealed: segment.sealed,
            idle_seconds: now.saturating_sub(segment.last_read) as f64,
            reads: segment.reads as f64,
        });
        segments.collect()
    }

    /// Segments that are unlinked and still held, after those were given back that are not.
    #[napi(catch_unwind)]
    pub fn lingering(&self) -> Vec<NativeLingering> {
        self.0.reap();
        let lingering = self.0.store.lingering().into_iter().map(|segment| NativeLingering {
            segment: hex(&segment.id),
            device: segment.device,
            bytes: segment.bytes as f64,
            seconds: segment.since.as_secs_f64(),
        });
        lingering.collect()
    }

    /// What each identity has of the cache.
    #[napi(catch_unwind)]
    pub fn tenants(&self) -> Vec<NativeTenantStatus> {
        let tenants = self.0.store.tenants().into_iter().map(|tenant| NativeTenantStatus {
            identity: hex(&tenant.identity.0),
            stored_bytes: tenant.stored_bytes as f64,
            slow_bytes: tenant.slow_bytes as f64,
            queued_bytes: tenant.queued_bytes as f64,
            quota_bytes: tenant.quota_bytes.map(|bytes| bytes as f64),
            declined_bytes: tenant.declined_bytes as f64,
            read_bytes: tenant.read_bytes as f64,
        });
        tenants.collect()
    }

    #[napi(catch_unwind)]
    pub fn segment_bytes(&self) -> u32 {
        self.0.store.segment_bytes()
    }

    #[napi(catch_unwind)]
    pub fn counters(&self) -> NativeCounters {
        let serving = self.0.serving.lock().unwrap_or_else(PoisonError::into_inner);
        let server = serving.as_ref().map(|serving| serving.server.status());
        NativeCounters::of(&self.0.store, &self.0.filler.counters(), server)
    }

    /// Of answers that no client has taken yet.
    #[napi(catch_unwind)]
    pub fn unsent_bytes(&self) -> f64 {
        let serving = self.0.serving.lock().unwrap_or_else(PoisonError::into_inner);
        serving.as_ref().map_or(0.0, |serving| serving.server.unsent_bytes() as f64)
    }

    #[napi(catch_unwind)]
    pub fn residency(&self, objects: &[u8]) -> Result<Float64Array> {
        let objects = decode_objects(objects).map_err(thrown)?;
        let resident = |object: &ObjectRef| {
            let records = self.0.records(object).map_err(thrown)?;
            let here = records.iter().filter(|(key, len)| {
                self.0.store.lookup(key).is_some_and(|location| location.holds(*len))
            });
            Ok(here.map(|(_, len)| f64::from(*len)).sum())
        };
        Ok(Float64Array::new(objects.iter().map(resident).collect::<Result<_>>()?))
    }

    #[napi(catch_unwind)]
    pub fn evict<'env>(&self, env: &'env Env, segments: Uint32Array) -> Result<Object<'env>> {
        let (parts, numbers) = (self.0.clone(), segments.to_vec());
        promise(env, move || {
            let freed = parts.store.evict(&numbers);
            parts.reap();
            Ok(NativeFreed { records: freed.records as f64, bytes: freed.bytes as f64 })
        })
    }

    #[napi(catch_unwind)]
    pub fn forget<'env>(&self, env: &'env Env, objects: &[u8]) -> Result<Object<'env>> {
        let (parts, objects) = (self.0.clone(), decode_objects(objects).map_err(thrown)?);
        promise(env, move || {
            let keys = parts.keys(&objects)?;
            let freed = parts.store.forget(&keys);
            parts.reap();
            Ok(NativeFreed { records: freed.records as f64, bytes: freed.bytes as f64 })
        })
    }

    /// What is resident of these objects, or will be, is not evicted from now on.
    #[napi(catch_unwind)]
    pub fn pin<'env>(&self, env: &'env Env, objects: &[u8]) -> Result<Object<'env>> {
        let (parts, objects) = (self.0.clone(), decode_objects(objects).map_err(thrown)?);
        promise(env, move || {
            parts.store.pin(&parts.keys(&objects)?);
            Ok(())
        })
    }

    #[napi(catch_unwind)]
    pub fn unpin_all(&self) {
        self.0.store.unpin_all();
    }

    #[napi(catch_unwind)]
    pub fn verify<'env>(&self, env: &'env Env, objects: &[u8]) -> Result<Object<'env>> {
        let (parts, objects) = (self.0.clone(), decode_objects(objects).map_err(thrown)?);
        promise(env, move || {
            let mut verified =
                NativeVerified { records: 0.0, bytes: 0.0, missing: 0.0, corrupt: Vec::new() };
            parts.verify(&objects, &mut verified)?;
            Ok(verified)
        })
    }

    #[napi(catch_unwind)]
    pub fn fetch_objects(
        &self,
        objects: &[u8],
        urgency: u32,
        pace: &NativePace,
    ) -> Result<NativeFetch> {
        let objects = decode_objects(objects).map_err(thrown)?;
        let number = self.0.fetches.fetch_add(1, Ordering::Relaxed);
        let asker = Asker { urgency: urgency_of(urgency)?, number };
        let parts = self.0.clone();
        let prepare = move || {
            // What is loaded is to stay, whatever a plan thinks of it.
            if asker.urgency == Urgency::Load {
                parts.store.let_in(&parts.keys(&objects)?);
            }
            Ok(objects)
        };
        let terms = (asker, pace.0.clone());
        Ok(NativeFetch(Fetching::start(self.0.filler.clone(), terms, prepare)?))
    }

    #[napi(catch_unwind)]
    pub fn fetch_samples(
        &self,
        version: String,
        samples: Float64Array,
        plan: f64,
    ) -> Result<NativeFetch> {
        let version = version_of(&version)?;
        let samples: Vec<u64> =
            samples.iter().map(|sample| whole("a sample", *sample)).collect::<Result<_>>()?;
        let asker = Asker { urgency: Urgency::Plan, number: whole("a plan", plan)? };
        let parts = self.0.clone();
        let prepare = move || {
            let dataset = parts.dataset(&version)?;
            let attachment = parts.attachment_of(dataset.root())?;
            let missing =
                samples.into_iter().filter(|sample| !parts.is_resident(&dataset, *sample));
            missing.map(|sample| dataset.object(sample, attachment)).collect()
        };
        let terms = (asker, Arc::new(Pace::new(None, None)));
        Ok(NativeFetch(Fetching::start(self.0.filler.clone(), terms, prepare)?))
    }

    /// The count of removals at which every byte of a dataset version was resident; null where it is not. A look-up for
    /// each of its records, unless nothing was removed since it was found whole.
    #[napi(catch_unwind)]
    pub fn whole_at<'env>(&self, env: &'env Env, version: String) -> Result<Object<'env>> {
        let (parts, version) = (self.0.clone(), version_of(&version)?);
        promise(env, move || Ok(parts.whole_at(&version)?.map(|removals| removals as f64)))
    }

    /// How often records were made unreachable.
    #[napi(catch_unwind)]
    pub fn removals(&self) -> f64 {
        self.0.store.removals() as f64
    }

    #[napi(catch_unwind)]
    pub fn flush<'env>(&self, env: &'env Env, timeout_ms: f64) -> Result<Object<'env>> {
        let (parts, timeout) = (self.0.clone(), milliseconds(timeout_ms)?);
        promise(env, move || parts.store.flush(timeout))
    }

    /// What a person should know of the closing, a sentence each.
    #[napi(catch_unwind)]
    pub fn close<'env>(&self, env: &'env Env) -> Result<Object<'env>> {
        let parts = self.0.clone();
        promise(env, move || Ok(parts.close()))
    }
}

/// Of 32 hex digits, as `identity_hash` gives them.
pub(crate) fn identity_of(digits: &str) -> Result<Identity> {
    let number = u128::from_str_radix(digits, 16).ok().filter(|_| digits.len() == 32);
    let number = number.ok_or_else(|| invalid(format!("{digits:?} is no identity's hash")))?;
    Ok(Identity(number.to_be_bytes()))
}

fn tier_name(tier: Tier) -> &'static str {
    match tier {
        Tier::Fast => "fast",
        Tier::Slow => "slow",
    }
}

fn tier_of(name: &str) -> Result<Tier> {
    let tiers = [Tier::Fast, Tier::Slow];
    let found = tiers.into_iter().find(|tier| tier_name(*tier) == name);
    found.ok_or_else(|| invalid(format!("{name:?} is no tier")))
}

fn urgency_of(number: u32) -> Result<Urgency> {
    match number {
        0 => Ok(Urgency::Reader),
        1 => Ok(Urgency::Plan),
        2 => Ok(Urgency::Load),
        _ => Err(invalid(format!("{number} is no urgency"))),
    }
}
