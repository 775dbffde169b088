//! What this machine allows.

use std::io;
use std::path::Path;

use millpool_core::{probe_direct, probe_io_uring};
use napi_derive::napi;

/// Null where a ring of io_uring can be made, else why not.
#[napi(catch_unwind)]
pub fn io_uring_fault() -> Option<String> {
    fault(probe_io_uring())
}

/// Null where a directory's files can be written and read past the page cache, else why not.
#[napi(catch_unwind)]
pub fn direct_fault(directory: String) -> Option<String> {
    fault(probe_direct(Path::new(&directory)))
}

fn fault(outcome: io::Result<()>) -> Option<String> {
    outcome.err().map(|error| error.to_string())
}
