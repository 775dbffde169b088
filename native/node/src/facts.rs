//! What the engine knows of one object's records, and of one attachment's source.

use std::time::UNIX_EPOCH;

use millpool_core::{Dated, Error, Fate, RecordKey};
use millpool_flow::decode_objects;
use millpool_source::UnderWay;
use napi::bindgen_prelude::Object;
use napi::{Env, Result};
use napi_derive::napi;

use crate::dataset::hex;
use crate::engine::NativeEngine;
use crate::engine_parts::Parts;
use crate::failure::{invalid, thrown};
use crate::work::promise;

#[napi(object)]
pub struct NativeRecordFacts {
    pub bytes: f64,
    /// `resident`, `queued`, `fetching`, `fetched` or `absent`.
    pub state: String,
    /// Where it is resident.
    pub place: Option<NativeRecordPlace>,
    /// Where it is not: what became of it last.
    pub fate: Option<NativeFate>,
}

#[napi(object)]
pub struct NativeRecordPlace {
    pub stored_bytes: f64,
    /// As in the name of its file.
    pub segment: String,
    pub number: u32,
    /// Of the device, among all.
    pub device: u32,
    pub sealed: bool,
    pub verified: bool,
    /// Of its bytes, those that the kernel has in memory.
    pub page_cache_bytes: f64,
}

#[napi(object)]
pub struct NativeFate {
    pub kind: String,
    /// Of a fetch that failed.
    pub code: Option<u32>,
    pub at_seconds: f64,
}

#[napi(object)]
pub struct NativeObjectFacts {
    pub records: Vec<NativeRecordFacts>,
    /// False: fates of some records were forgotten, and none need mean that nothing happened.
    pub fates_complete: bool,
}

#[napi(object)]
pub struct NativeSourceTally {
    pub fetches: f64,
    pub bytes: f64,
    pub errors: f64,
    pub last_error: Option<NativeDatedError>,
    /// How many fetches took up to each bound and more than the one before; those above all come last.
    pub durations: Vec<f64>,
    pub bounds_seconds: Vec<f64>,
    pub seconds: f64,
    pub hedges: f64,
    pub hedges_won: f64,
}

#[napi(object)]
pub struct NativeDatedError {
    pub code: u32,
    pub message: String,
    pub at_seconds: f64,
}

#[napi]
impl NativeEngine {
    /// Of a packed list of one object.
    #[napi(catch_unwind)]
    pub fn facts<'env>(&self, env: &'env Env, objects: &[u8]) -> Result<Object<'env>> {
        let parts = self.parts();
        let objects = decode_objects(objects).map_err(thrown)?;
        let [object] = <[_; 1]>::try_from(objects).map_err(|_| invalid("one object is wanted"))?;
        promise(env, move || {
            let fates_complete = parts.store.fates().is_complete();
            let records = parts.records(&object)?;
            let facts = records.into_iter().map(|(key, len)| parts.facts(&key, len));
            Ok(NativeObjectFacts { records: facts.collect(), fates_complete })
        })
    }

    #[napi(catch_unwind)]
    pub fn source_tally(&self, attachment: u32) -> NativeSourceTally {
        let tally = self.parts().filler.tally(attachment);
        let dated = |(at, error): (std::time::SystemTime, Error)| NativeDatedError {
            code: error.code as u32,
            message: error.message,
            at_seconds: at.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64()),
        };
        NativeSourceTally {
            fetches: tally.fetches as f64,
            bytes: tally.bytes as f64,
            errors: tally.errors as f64,
            last_error: tally.last_error.map(dated),
            durations: tally.durations.iter().map(|count| *count as f64).collect(),
            bounds_seconds: millpool_source::FETCH_SECONDS.to_vec(),
            seconds: tally.seconds,
            hedges: tally.hedges as f64,
            hedges_won: tally.hedges_won as f64,
        }
    }
}

impl Parts {
    fn facts(&self, key: &RecordKey, len: u32) -> NativeRecordFacts {
        let place = self.place(key, len);
        let state = match (&place, self.filler.under_way(key)) {
            (Some(_), _) => "resident",
            (None, Some(UnderWay::Queued)) => "queued",
            (None, Some(UnderWay::Fetching)) => "fetching",
            (None, Some(UnderWay::Fetched)) => "fetched",
            (None, None) => "absent",
        };
        let fate = place.is_none().then(|| self.store.fates().of(key)).flatten().map(fate_of);
        NativeRecordFacts { bytes: f64::from(len), state: state.to_owned(), place, fate }
    }

    fn place(&self, key: &RecordKey, len: u32) -> Option<NativeRecordPlace> {
        let location = self.store.lookup(key).filter(|location| location.holds(len))?;
        let file = self.store.segment(location.segment, location.generation)?;
        let status = self.store.segments().into_iter().find(|segment| {
            (segment.number, segment.generation) == (location.segment, location.generation)
        })?;
        Some(NativeRecordPlace {
            stored_bytes: f64::from(location.stored_len),
            segment: hex(&file.id),
            number: location.segment,
            device: status.device,
            sealed: status.sealed,
            verified: location.verified,
            page_cache_bytes: self.store.cached_bytes(&location).unwrap_or(0) as f64,
        })
    }
}

fn fate_of(Dated { fate, at }: Dated) -> NativeFate {
    let (kind, code) = match fate {
        Fate::NoRoom => ("no-room", None),
        Fate::TableFull => ("table-full", None),
        Fate::OverShare => ("over-share", None),
        Fate::ReadLater => ("read-later", None),
        Fate::NotAdmitted => ("not-admitted", None),
        Fate::Young => ("young", None),
        Fate::Failed(code) => ("failed", Some(code as u32)),
        Fate::Freed => ("freed", None),
        Fate::Evicted => ("evicted", None),
        Fate::Damaged => ("damaged", None),
    };
    NativeFate { kind: kind.to_owned(), code, at_seconds: at as f64 }
}
