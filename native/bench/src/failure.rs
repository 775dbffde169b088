//! Why a command ended early: one line for whoever started it.

use std::str::FromStr;

pub type Failure = Box<dyn std::error::Error + Send + Sync>;

pub fn refused(why: impl Into<String>) -> Failure {
    Failure::from(why.into())
}

/// What went wrong, with what was being done.
pub fn at<E: std::fmt::Display>(what: impl std::fmt::Display) -> impl FnOnce(E) -> Failure {
    move |error| refused(format!("{what}: {error}"))
}

pub fn parsed<T: FromStr>(name: &str, text: &str) -> Result<T, Failure> {
    text.parse().map_err(|_| refused(format!("{name} cannot be {text:?}")))
}
