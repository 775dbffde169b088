//! The keys to an S3 bucket. They come from outside, may be replaced at any time, and are never shown.

use std::fmt;
use std::time::SystemTime;

#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    pub access_key: String,
    pub secret_key: String,
    pub session_token: Option<String>,
    /// When the pusher of these credentials expects them to end; they are used for as long as the source takes them.
    pub expires: Option<SystemTime>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("expires", &self.expires).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn are_never_shown() {
        let credentials = Credentials {
            access_key: "AKIDEXAMPLE".into(),
            secret_key: "hush".into(),
            session_token: Some("token".into()),
            expires: None,
        };
        let shown = format!("{credentials:?}");
        assert!(
            !shown.contains("AKID") && !shown.contains("hush") && !shown.contains("token\""),
            "{shown}"
        );
    }
}
