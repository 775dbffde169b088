//! The addon that `packages/native` loads: conversion between JavaScript's values and the core's, and nothing else.

mod allocator;
mod batch;
mod client;
mod copy_forward;
mod dataset;
mod engine;
mod engine_config;
mod engine_parts;
mod events;
mod facts;
mod failure;
mod fetch;
mod forecast;
mod heap_limit;
mod known;
mod listing;
mod machine;
mod names;
mod order;
mod pace;
mod replaced;
mod room;
mod status;
mod work;

use napi_derive::napi;

/// Of this build; the package that loads it is of the same.
#[napi(catch_unwind)]
pub fn addon_version() -> String {
    env!("CARGO_PKG_VERSION").to_owned()
}

/// So that a test can see a panic become an error.
#[napi(catch_unwind)]
pub fn panic_for_test() -> u32 {
    panic!("a panic on purpose");
}
