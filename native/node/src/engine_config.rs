//! What an engine is told and what it answers, as plain objects.

use millpool_core::{Code, Compression};
use millpool_source::SourceConfig;
use napi::Result;
use napi_derive::napi;

use crate::failure::invalid;

#[napi(object)]
pub struct NativeDeviceConfig {
    pub path: String,
    pub tier: String,
    pub size_bytes: f64,
    pub reserve_bytes: f64,
}

#[napi(object)]
pub struct NativeEngineConfig {
    pub devices: Vec<NativeDeviceConfig>,
    pub extent_delay_ms: f64,
    pub idle_seal_ms: f64,
    pub budget_bytes: f64,
    pub source_timeout_ms: f64,
    pub hedge: bool,
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
    pub authority_files: Option<Vec<String>>,
    pub code: Option<u32>,
    pub why: Option<String>,
}

#[napi(object)]
pub struct NativeTerms {
    pub admit: bool,
    pub compression: String,
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

pub(crate) fn code_of(number: u32) -> Code {
    u16::try_from(number).ok().and_then(Code::from_number).unwrap_or(Code::Internal)
}

pub(crate) fn compression_of(name: &str) -> Result<Compression> {
    match name {
        "off" => Ok(Compression::Off),
        "auto" => Ok(Compression::Auto),
        "lz4" => Ok(Compression::Lz4),
        other => Err(invalid(format!("there is no compression {other}"))),
    }
}

pub(crate) fn source_of(source: NativeSource) -> Result<SourceConfig> {
    let missing = |what: &str| invalid(format!("a source of kind {} needs {what}", source.kind));
    match source.kind.as_str() {
        "folder" => Ok(SourceConfig::Folder {
            root: source.root.clone().ok_or_else(|| missing("root"))?.into(),
        }),
        "s3" => Ok(SourceConfig::S3 {
            endpoint: source.endpoint.clone().ok_or_else(|| missing("endpoint"))?,
            region: source.region.clone().ok_or_else(|| missing("region"))?,
            bucket: source.bucket.clone().ok_or_else(|| missing("bucket"))?,
            path_style: source.path_style.unwrap_or(false),
            anonymous: source.anonymous.unwrap_or(false),
            requester_pays: source.requester_pays.unwrap_or(false),
            authority_files: source
                .authority_files
                .iter()
                .flatten()
                .map(std::path::PathBuf::from)
                .collect(),
        }),
        "away" => Ok(SourceConfig::Away {
            code: code_of(source.code.unwrap_or_default()),
            why: source.why.clone().ok_or_else(|| missing("why"))?,
        }),
        other => Err(invalid(format!("there is no source of kind {other}"))),
    }
}
