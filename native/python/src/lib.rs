//! The module that `packages/python` loads: conversion between Python's values and the core's, and nothing else. What
//! may wait or copies much does so detached from the interpreter, and Ctrl-C ends it (`waiting.rs`).

mod ahead;
mod batch;
mod client;
mod dataset;
mod failure;
mod mixture;
mod order;
mod readable;
mod samples;
mod schedule;
mod slot;
mod waiting;

use pyo3::prelude::*;

/// `millpool._native`.
#[pymodule]
mod _native {
    #[pymodule_export]
    use crate::ahead::Ahead;
    #[pymodule_export]
    use crate::batch::Batch;
    #[pymodule_export]
    use crate::client::Client;
    #[pymodule_export]
    use crate::dataset::DatasetFile;
    #[pymodule_export]
    use crate::mixture::{MixtureFile, MixtureOrder};
    #[pymodule_export]
    use crate::order::Order;
    #[pymodule_export]
    use crate::samples::Samples;
    #[pymodule_export]
    use crate::schedule::Schedule;
    #[pymodule_export]
    use crate::slot::Slot;
    use pyo3::prelude::*;

    /// Of this build; the package that loads it is of the same.
    #[pymodule_export]
    #[allow(non_upper_case_globals)]
    const version: &str = env!("CARGO_PKG_VERSION");

    /// So that a test can see a panic become an error.
    #[pyfunction]
    fn panic_for_test() {
        panic!("a panic on purpose");
    }
}
