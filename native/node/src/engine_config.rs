//! What an engine is told and what it answers, as plain objects.

use napi_derive::napi;

#[napi(object)]
pub struct NativeDeviceConfig {
    pub path: String,
    pub size_bytes: f64,
    pub reserve_bytes: f64,
}

#[napi(object)]
pub struct NativeEngineConfig {
    pub devices: Vec<NativeDeviceConfig>,
    pub extent_delay_ms: f64,
    pub idle_seal_ms: f64,
    pub budget_bytes: f64,
    pub threads: u32,
}

#[napi(object)]
pub struct NativeServeConfig {
    pub socket: String,
    pub mode: u32,
    pub datasets: String,
}

#[napi(object)]
pub struct NativeSource {
    pub kind: String,
    pub root: Option<String>,
    pub endpoint: Option<String>,
    pub region: Option<String>,
    pub bucket: Option<String>,
    pub path_style: Option<bool>,
    pub anonymous: Option<bool>,
    pub requester_pays: Option<bool>,
}

#[napi(object)]
pub struct NativeCredentials {
    pub access_key: String,
    pub secret_key: String,
    pub session_token: Option<String>,
    pub expires_at_ms: Option<f64>,
}

#[napi(object)]
pub struct NativeFreed {
    pub records: f64,
    pub bytes: f64,
}

#[napi(object)]
pub struct NativeVerified {
    pub records: f64,
    pub bytes: f64,
    pub missing: f64,
    pub corrupt: Vec<u32>,
}
