//! Versions of objects that their source no longer has, forgotten unless somebody reads them still.

use std::collections::HashSet;

use millpool_core::piece_count;
use millpool_flow::decode_objects;
use napi::bindgen_prelude::Object;
use napi::{Env, Result};
use napi_derive::napi;

use crate::dataset::version_of;
use crate::engine::NativeEngine;
use crate::failure::thrown;
use crate::work::promise;

#[napi(object)]
pub struct NativeForgotten {
    pub records: f64,
    pub bytes: f64,
    pub held: f64,
}

#[napi]
impl NativeEngine {
    /// Forgets what is resident of these objects, but for what these dataset versions name as well.
    #[napi(catch_unwind)]
    pub fn forget_replaced<'env>(
        &self,
        env: &'env Env,
        objects: &[u8],
        versions: Vec<String>,
    ) -> Result<Object<'env>> {
        let (parts, objects) = (self.parts(), decode_objects(objects).map_err(thrown)?);
        let versions = versions.iter().map(|of| version_of(of)).collect::<Result<Vec<_>>>()?;
        promise(env, move || {
            let mut keys: HashSet<_> = parts.keys(&objects)?.into_iter().collect();
            keys.retain(|key| parts.store.lookup(key).is_some());
            let resident = keys.len();
            for version in &versions {
                if keys.is_empty() {
                    break;
                }
                let dataset = parts.dataset(version)?;
                for sample in 0..dataset.len() {
                    let named = dataset.object_key(sample).zip(dataset.size(sample));
                    let pieces = named.map_or(0, |(_, size)| piece_count(size));
                    named.iter().for_each(|(key, _)| {
                        (0..pieces).for_each(|piece| {
                            keys.remove(&key.piece(piece));
                        });
                    });
                }
            }
            let held = resident - keys.len();
            let freed = parts.store.forget_replaced(&keys.into_iter().collect::<Vec<_>>());
            parts.reap();
            let (records, bytes) = (freed.records as f64, freed.bytes as f64);
            Ok(NativeForgotten { records, bytes, held: held as f64 })
        })
    }
}
