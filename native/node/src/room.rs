//! What an identity may have of the cache.

use napi::Result;
use napi_derive::napi;

use crate::engine::{NativeEngine, identity_of};
use crate::failure::whole;

#[napi]
impl NativeEngine {
    /// What an identity may have, stored and queued; null: all there is.
    #[napi(catch_unwind)]
    pub fn set_quota(&self, identity: String, bytes: Option<f64>) -> Result<()> {
        let bytes = bytes.map(|bytes| whole("bytes", bytes)).transpose()?;
        self.parts().store.set_quota(&identity_of(&identity)?, bytes);
        Ok(())
    }

    #[napi(catch_unwind)]
    pub fn set_short(&self, identity: String, is_short: bool) -> Result<()> {
        self.parts().store.set_short(&identity_of(&identity)?, is_short);
        Ok(())
    }

    /// Bytes of an identity that would be kept if they were fetched now.
    #[napi(catch_unwind)]
    pub fn room(&self, identity: String) -> Result<f64> {
        Ok(self.parts().store.room(&identity_of(&identity)?) as f64)
    }
}
