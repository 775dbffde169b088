//! What the engine says of itself.

use millpool_core::Store;
use millpool_flow::ServerStatus;
use millpool_source::FillCounters;
use napi::bindgen_prelude::Uint8Array;
use napi_derive::napi;

#[napi(object)]
pub struct NativeDeviceStatus {
    pub path: String,
    pub tier: String,
    pub size_bytes: f64,
    pub used_bytes: f64,
    pub room_bytes: f64,
    pub copy_room_bytes: f64,
    pub state: String,
    pub reason: String,
}

#[napi(object)]
pub struct NativeSegmentStatus {
    pub number: u32,
    pub generation: u32,
    pub identity: Uint8Array,
    pub device: u32,
    pub bytes: f64,
    pub live_bytes: f64,
    pub raw_bytes: f64,
    pub records: f64,
    pub pinned_bytes: f64,
    pub sealed: bool,
    pub idle_seconds: f64,
    pub reads: f64,
}

#[napi(object)]
pub struct NativeLingering {
    pub segment: String,
    pub device: u32,
    pub bytes: f64,
    pub seconds: f64,
}

#[napi(object)]
pub struct NativeTenantStatus {
    pub identity: String,
    pub stored_bytes: f64,
    pub slow_bytes: f64,
    pub queued_bytes: f64,
    pub quota_bytes: Option<f64>,
    pub declined_bytes: f64,
    pub read_bytes: f64,
}

#[napi(object)]
pub struct NativeCounters {
    pub records: f64,
    pub record_bytes: f64,
    pub raw_bytes: f64,
    pub table_bytes: f64,
    pub table_full: bool,
    pub loading: bool,
    pub damaged_records: f64,
    pub gets: f64,
    pub source_bytes: f64,
    pub retries: f64,
    pub hedges: f64,
    pub hedges_won: f64,
    pub hedged_bytes: f64,
    pub hedges_held: f64,
    pub errors: f64,
    pub in_flight: f64,
    pub queued: f64,
    pub declined: f64,
    pub memory_bytes: f64,
    pub limit: f64,
    pub connections: f64,
    pub served_records: f64,
    pub served_bytes: f64,
}

impl NativeCounters {
    pub(crate) fn of(
        store: &Store,
        fill: &FillCounters,
        server: Option<ServerStatus>,
    ) -> NativeCounters {
        let segments = store.segments();
        let table_bytes = store.table().file.metadata().map_or(0, |metadata| metadata.len());
        let server = |count: fn(&ServerStatus) -> u64| server.as_ref().map_or(0, count) as f64;
        NativeCounters {
            records: segments.iter().map(|segment| segment.live_records).sum::<u64>() as f64,
            record_bytes: segments.iter().map(|segment| segment.live_bytes).sum::<u64>() as f64,
            raw_bytes: segments.iter().map(|segment| segment.raw_bytes).sum::<u64>() as f64,
            table_bytes: table_bytes as f64,
            table_full: store.table_room().is_full(),
            loading: store.is_loading(),
            damaged_records: store.damaged() as f64,
            gets: fill.gets as f64,
            source_bytes: fill.source_bytes as f64,
            retries: fill.retries as f64,
            hedges: fill.hedges as f64,
            hedges_won: fill.hedges_won as f64,
            hedged_bytes: fill.hedged_bytes as f64,
            hedges_held: fill.hedges_held as f64,
            errors: fill.errors as f64,
            in_flight: fill.in_flight as f64,
            queued: fill.queued as f64,
            declined: fill.declined as f64,
            memory_bytes: fill.buffered_bytes as f64,
            limit: fill.limit as f64,
            connections: server(|status| status.connections),
            served_records: server(|status| status.served_records),
            served_bytes: server(|status| status.served_bytes),
        }
    }
}
