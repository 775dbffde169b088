//! Blocking work beside JavaScript's thread, in threads of our own: a read that waits for its source must not hold one
//! of Node's few.

use std::sync::LazyLock;

use millpool_core::{Code, Error};
use napi::bindgen_prelude::{Object, ToNapiValue};
use napi::{Env, Result};
use tokio::runtime::{Builder, Runtime};

use crate::failure::thrown;

/// Calls under way at once; more wait for one to end, and their deadlines run meanwhile.
const THREADS: usize = 64;

static THREADS_OF_CALLS: LazyLock<std::io::Result<Runtime>> = LazyLock::new(|| {
    Builder::new_current_thread().max_blocking_threads(THREADS).thread_name("millpool-call").build()
});

/// Runs `work` in one of the threads; nobody waits for it.
pub(crate) fn aside(work: impl FnOnce() + Send + 'static) -> Result<()> {
    let runtime =
        THREADS_OF_CALLS.as_ref().map_err(|error| thrown(Error::io("starting threads", error)))?;
    runtime.spawn_blocking(work);
    Ok(())
}

/// A promise of what `work` gives.
pub(crate) fn promise<'env, T: ToNapiValue + Send + 'static>(
    env: &'env Env,
    work: impl FnOnce() -> millpool_core::Result<T> + Send + 'static,
) -> Result<Object<'env>> {
    let (deferred, promise) = env.create_deferred()?;
    aside(move || {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        match outcome
            .unwrap_or_else(|_| Err(Error::new(Code::Internal, "a native call ended by a fault")))
        {
            Ok(value) => deferred.resolve(move |_| Ok(value)),
            Err(error) => deferred.reject(thrown(error)),
        }
    })?;
    Ok(promise)
}
