//! Blocking work beside JavaScript's thread, in threads of our own: a read that waits for its source must not hold one
//! of Node's few.

use std::sync::LazyLock;

use millpool_core::{Code, Error};
use napi::bindgen_prelude::{Object, ToNapiValue};
use napi::{Env, Result};
use tokio::runtime::{Builder, Runtime};

use crate::failure::thrown;

/// Reads under way at once; more wait for a thread, which is named in their deadline.
const THREADS: usize = 64;

static THREADS_OF_READS: LazyLock<std::io::Result<Runtime>> = LazyLock::new(|| {
    Builder::new_current_thread().max_blocking_threads(THREADS).thread_name("millpool-call").build()
});

/// A promise of what `work` gives.
pub(crate) fn promise<'env, T: ToNapiValue + Send + 'static>(
    env: &'env Env,
    work: impl FnOnce() -> millpool_core::Result<T> + Send + 'static,
) -> Result<Object<'env>> {
    let runtime = THREADS_OF_READS.as_ref().map_err(|error| thrown(Error::io("starting threads", error)))?;
    let (deferred, promise) = env.create_deferred()?;
    runtime.spawn_blocking(move || {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        match outcome.unwrap_or_else(|_| Err(Error::new(Code::Internal, "a native call ended by a fault"))) {
            Ok(value) => deferred.resolve(move |_| Ok(value)),
            Err(error) => deferred.reject(thrown(error)),
        }
    });
    Ok(promise)
}
