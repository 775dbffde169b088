//! Errors cross as data: `CODE: message`, which packages/native/src/native-error.ts reads.

use millpool_core::{Code, Error};
use napi_derive::napi;

pub(crate) fn thrown(error: Error) -> napi::Error {
    napi::Error::from_reason(error.to_string())
}

pub(crate) fn invalid(message: impl Into<String>) -> napi::Error {
    thrown(Error::new(Code::Invalid, message))
}

/// What the API of Node says of a call.
pub(crate) fn check(status: napi::sys::napi_status) -> napi::Result<()> {
    if status == napi::sys::Status::napi_ok {
        Ok(())
    } else {
        Err(napi::Error::from_status(status.into()))
    }
}

/// A number from JavaScript that must be a whole one of 0 or more.
pub(crate) fn whole(name: &str, value: f64) -> napi::Result<u64> {
    // A conversion there and back asks for no function of a library, as rounding does where processors differ.
    let whole = value as i64;
    if whole as f64 == value && (0..1 << 53).contains(&whole) {
        return Ok(whole as u64);
    }
    Err(invalid(format!("{name} is {value}, not a whole number of 0 or more")))
}

/// Why one of many failed.
#[napi(object)]
pub struct NativeFailure {
    pub index: u32,
    pub code: u32,
    pub message: String,
}

pub(crate) fn failure(index: usize, error: &Error) -> NativeFailure {
    NativeFailure { index: index as u32, code: error.code as u32, message: error.message.clone() }
}
