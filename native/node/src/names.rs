//! Tables of directories' names, and what is found in them.

use millpool_core::{Found, NameCache, NameTable};
use napi::bindgen_prelude::{BufferSlice, Uint32ArraySlice};
use napi::{Env, Result};
use napi_derive::napi;

use crate::failure::{invalid, thrown, whole};

/// As good as no path has it.
const BETWEEN_PATHS: u8 = 0;

#[napi(object)]
pub struct NativeTableFreshness {
    pub generation: u32,
    pub fresh_until_ms: f64,
}

#[napi]
pub struct NativeNameTable(Option<NameTable>);

#[napi]
impl NativeNameTable {
    #[napi(constructor, catch_unwind)]
    pub fn new(attachment: u32, prefix: &[u8], names: u32) -> NativeNameTable {
        NativeNameTable(Some(NameTable::new(attachment, prefix, names as usize)))
    }

    #[napi(catch_unwind)]
    pub fn add(&mut self, block: &[u8]) -> Result<()> {
        let table = self.0.as_mut().ok_or_else(|| invalid("the table was given away"))?;
        table.add(block).map_err(thrown)
    }
}

#[napi]
pub struct NativeNameCache(NameCache);

#[napi]
impl NativeNameCache {
    #[napi(constructor, catch_unwind)]
    pub fn new(bytes_max: f64) -> Result<NativeNameCache> {
        Ok(NativeNameCache(NameCache::new(whole("bytesMax", bytes_max)? as usize)))
    }

    #[napi(catch_unwind)]
    pub fn bytes(&self) -> f64 {
        self.0.bytes() as f64
    }

    #[napi(catch_unwind)]
    pub fn put(
        &mut self,
        directory: String,
        table: &mut NativeNameTable,
        freshness: NativeTableFreshness,
        now_ms: f64,
    ) -> Result<bool> {
        let mut table = table.0.take().ok_or_else(|| invalid("the table was given away"))?;
        table.finish();
        let NativeTableFreshness { generation, fresh_until_ms } = freshness;
        Ok(self.0.put(directory.as_bytes(), table, (generation, fresh_until_ms), now_ms))
    }

    #[napi(catch_unwind)]
    pub fn renew(&mut self, directory: String, freshness: NativeTableFreshness) -> bool {
        let NativeTableFreshness { generation, fresh_until_ms } = freshness;
        self.0.renew(directory.as_bytes(), generation, fresh_until_ms)
    }

    #[napi(catch_unwind)]
    pub fn drop(&mut self, directory: String) {
        self.0.drop(directory.as_bytes());
    }

    #[napi(catch_unwind)]
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// `paths` with a byte 0 between them; `ends` has a place for each. The list, with u32 of each weak attachment
    /// behind it, from `ends`' last place on.
    #[napi(catch_unwind)]
    pub fn find<'env>(
        &self,
        env: &'env Env,
        paths: String,
        mut ends: Uint32ArraySlice<'_>,
        now_ms: f64,
    ) -> Result<BufferSlice<'env>> {
        // SAFETY: JavaScript waits for this call.
        let ends = unsafe { ends.as_mut() };
        let paths = paths.as_bytes();
        let between = paths.iter().filter(|byte| **byte == BETWEEN_PATHS).count();
        // One that is in a path would put all behind it into a wrong place.
        let are_known = between + 1 == ends.len();
        let each =
            paths.split(|byte| *byte == BETWEEN_PATHS).take(if are_known { ends.len() } else { 0 });
        let Found { mut list, weak } = self.0.find(each, ends, now_ms);
        weak.iter().for_each(|attachment| list.extend_from_slice(&attachment.to_le_bytes()));
        BufferSlice::copy_from(env, list)
    }
}
