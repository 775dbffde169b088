//! Dataset versions, written and read.

use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use millpool_core::{
    ChangeKind, Code, Dataset, DatasetRoot, DatasetWriter, DiffPlace, Error, Identity,
    diff_datasets,
};
use millpool_flow::decode_objects;
use napi::bindgen_prelude::Object;
use napi::{Env, Result};
use napi_derive::napi;

use crate::failure::{invalid, thrown, whole};
use crate::work::promise;

#[napi(object)]
pub struct NativeDatasetConfig {
    pub path: String,
    pub attachment_path: String,
    pub identity: String,
}

#[napi(object)]
pub struct NativeDatasetSummary {
    pub version: String,
    pub count: f64,
    pub bytes: f64,
}

#[napi]
pub struct NativeDatasetWriter(Arc<Mutex<Option<DatasetWriter>>>);

#[napi(catch_unwind)]
pub fn create_dataset(config: NativeDatasetConfig) -> Result<NativeDatasetWriter> {
    let NativeDatasetConfig { path, attachment_path, identity } = config;
    let root = DatasetRoot { path: attachment_path, identity: Identity::of(&identity) };
    let writer = DatasetWriter::create(Path::new(&path), root).map_err(thrown)?;
    Ok(NativeDatasetWriter(Arc::new(Mutex::new(Some(writer)))))
}

#[napi]
impl NativeDatasetWriter {
    #[napi(catch_unwind)]
    pub fn push(&self, objects: &[u8], paths: &[u8]) -> Result<()> {
        let objects = decode_objects(objects).map_err(thrown)?;
        let paths = decode_texts(paths).filter(|paths| paths.len() == objects.len());
        let paths = paths.ok_or_else(|| invalid("there is not one path for each object"))?;
        let mut writer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let writer = writer.as_mut().ok_or_else(|| invalid("the dataset version is finished"))?;
        paths
            .iter()
            .zip(&objects)
            .try_for_each(|(path, object)| writer.push(path, object))
            .map_err(thrown)
    }

    #[napi(catch_unwind)]
    pub fn finish<'env>(&self, env: &'env Env) -> Result<Object<'env>> {
        let writer = self.0.clone();
        promise(env, move || {
            let writer = writer.lock().unwrap_or_else(PoisonError::into_inner).take();
            let finished = Error::new(Code::Closed, "the dataset version is finished");
            let summary = writer.ok_or(finished)?.finish()?;
            Ok(NativeDatasetSummary {
                version: hex(&summary.version),
                count: summary.count as f64,
                bytes: summary.bytes as f64,
            })
        })
    }

    #[napi(catch_unwind)]
    pub fn abandon(&self) {
        if let Some(writer) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            drop(writer);
        }
    }
}

#[napi]
pub struct NativeDataset(pub(crate) Arc<Dataset>);

#[napi(catch_unwind)]
pub fn open_dataset(path: String) -> Result<NativeDataset> {
    let file =
        File::open(&path).map_err(|error| thrown(Error::io(format!("opening {path}"), &error)))?;
    Ok(NativeDataset(Arc::new(Dataset::map(&file).map_err(thrown)?)))
}

/// What a file says of itself, by its header alone.
#[napi(object)]
pub struct NativeDatasetHeader {
    pub version: String,
    pub attachment_path: String,
    pub count: f64,
    pub bytes: f64,
}

#[napi(catch_unwind)]
pub fn describe_dataset<'env>(env: &'env Env, path: String) -> Result<Object<'env>> {
    promise(env, move || {
        let file =
            File::open(&path).map_err(|error| Error::io(format!("opening {path}"), &error))?;
        let (root, summary) = Dataset::describe(&file)?;
        Ok(NativeDatasetHeader {
            version: hex(&summary.version),
            attachment_path: root.path,
            count: summary.count as f64,
            bytes: summary.bytes as f64,
        })
    })
}

#[napi(object)]
pub struct NativeDatasetChange {
    pub kind: String,
    pub path: String,
    pub before: f64,
    pub after: f64,
}

#[napi(object)]
pub struct NativeDiffPlace {
    pub before: f64,
    pub after: f64,
}

#[napi(object)]
pub struct NativeDiffPage {
    pub changes: Vec<NativeDatasetChange>,
    pub next: Option<NativeDiffPlace>,
}

#[napi]
impl NativeDataset {
    /// Changes from this version to `after`, at most `limit` of them.
    #[napi(catch_unwind)]
    pub fn diff<'env>(
        &self,
        env: &'env Env,
        after: &NativeDataset,
        place: NativeDiffPlace,
        limit: u32,
    ) -> Result<Object<'env>> {
        let (before, after) = (self.0.clone(), after.0.clone());
        let place = DiffPlace {
            before: whole("place.before", place.before)?,
            after: whole("place.after", place.after)?,
        };
        promise(env, move || {
            let page = diff_datasets(&before, &after, place, limit as usize)?;
            let next = page.next.map(|next| NativeDiffPlace {
                before: next.before as f64,
                after: next.after as f64,
            });
            let changes = page.changes.into_iter().map(|change| NativeDatasetChange {
                kind: kind_name(change.kind).to_owned(),
                path: change.path,
                before: change.before as f64,
                after: change.after as f64,
            });
            Ok(NativeDiffPage { changes: changes.collect(), next })
        })
    }

    #[napi(getter, catch_unwind)]
    pub fn version(&self) -> String {
        hex(&self.0.summary().version)
    }

    #[napi(getter, catch_unwind)]
    pub fn length(&self) -> f64 {
        self.0.len() as f64
    }

    #[napi(getter, catch_unwind)]
    pub fn bytes(&self) -> f64 {
        self.0.summary().bytes as f64
    }

    #[napi(getter, catch_unwind)]
    pub fn identity(&self) -> String {
        hex(&self.0.root().identity.0)
    }

    #[napi(getter, catch_unwind)]
    pub fn attachment_path(&self) -> String {
        self.0.root().path.clone()
    }

    #[napi(catch_unwind)]
    pub fn path(&self, index: f64) -> Result<String> {
        self.0.path(whole("index", index)?).map(str::to_owned).map_err(thrown)
    }

    #[napi(catch_unwind)]
    pub fn size(&self, index: f64) -> Result<f64> {
        let outside =
            || invalid(format!("sample {index} is outside a dataset of {}", self.0.len()));
        Ok(self.0.size(whole("index", index)?).ok_or_else(outside)? as f64)
    }
}

fn kind_name(kind: ChangeKind) -> &'static str {
    match kind {
        ChangeKind::Added => "added",
        ChangeKind::Removed => "removed",
        ChangeKind::Changed => "changed",
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The 32 bytes of 64 hex digits.
pub(crate) fn version_of(hex: &str) -> Result<[u8; 32]> {
    let byte =
        |i: usize| hex.get(2 * i..2 * i + 2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
    let bytes: Option<Vec<u8>> = (0..32).map(byte).collect();
    let bytes =
        bytes.filter(|_| hex.len() == 64).and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    bytes.ok_or_else(|| invalid(format!("{hex:?} is not a dataset version of 64 hex digits")))
}

/// u32 count, then for each u32 length and its UTF-8.
fn decode_texts(bytes: &[u8]) -> Option<Vec<&str>> {
    let (count, mut rest) = bytes.split_first_chunk::<4>()?;
    let mut texts = Vec::new();
    for _ in 0..u32::from_le_bytes(*count) {
        let (len, after) = rest.split_first_chunk::<4>()?;
        let (text, after) = after.split_at_checked(u32::from_le_bytes(*len) as usize)?;
        texts.push(std::str::from_utf8(text).ok()?);
        rest = after;
    }
    rest.is_empty().then_some(texts)
}
