//! The one error of the native side. A code is a decision that a caller makes; facts go into the message.

use std::fmt;

/// Closed list, shared with `packages/protocol/src/errors.ts` (same names, same numbers) and `docs/errors.md`.
/// The numbers travel in flow frames.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u16)]
pub enum Code {
    /// An argument, flag, path or message that can never be right.
    Invalid = 1,
    /// No such path, key, bucket, job or version.
    NotFound = 2,
    /// It is there already, or something else has it: a path attached twice, a data directory in use.
    Exists = 3,
    /// Permission or credentials: the source, a file's mode or a token said no.
    Refused = 4,
    /// The daemon cannot be reached.
    Unreachable = 5,
    /// The source answered 5xx, reset, or could not be reached, and retries did not help.
    SourceUnavailable = 6,
    /// The object is no longer the version that was asked for (412, another size or time).
    SourceChanged = 7,
    /// The source's answer breaks its own promise: cut short, or a length or range that it did not declare.
    SourceBroken = 8,
    /// A named wait reached its deadline.
    Timeout = 9,
    /// The caller gave up.
    Cancelled = 10,
    /// A device or a budget has no room.
    Full = 11,
    /// Stored bytes do not match their checksum or format.
    Corrupt = 12,
    /// This machine, kernel, or build cannot do it.
    Unsupported = 13,
    /// It was closed: a batch released, a daemon stopping.
    Closed = 14,
    /// An operating-system error that fits none of the above.
    Io = 15,
    /// A fault of ours.
    Internal = 16,
}

impl Code {
    pub const ALL: [Code; 16] = [
        Code::Invalid,
        Code::NotFound,
        Code::Exists,
        Code::Refused,
        Code::Unreachable,
        Code::SourceUnavailable,
        Code::SourceChanged,
        Code::SourceBroken,
        Code::Timeout,
        Code::Cancelled,
        Code::Full,
        Code::Corrupt,
        Code::Unsupported,
        Code::Closed,
        Code::Io,
        Code::Internal,
    ];

    /// The name that users see, as in docs/errors.md.
    pub fn name(self) -> &'static str {
        match self {
            Code::Invalid => "invalid",
            Code::NotFound => "not-found",
            Code::Exists => "exists",
            Code::Refused => "refused",
            Code::Unreachable => "unreachable",
            Code::SourceUnavailable => "source-unavailable",
            Code::SourceChanged => "source-changed",
            Code::SourceBroken => "source-broken",
            Code::Timeout => "timeout",
            Code::Cancelled => "cancelled",
            Code::Full => "full",
            Code::Corrupt => "corrupt",
            Code::Unsupported => "unsupported",
            Code::Closed => "closed",
            Code::Io => "io",
            Code::Internal => "internal",
        }
    }

    /// `None` for a number that is not in the list: a newer or a hostile peer.
    pub fn from_number(number: u16) -> Option<Code> {
        Self::ALL.into_iter().find(|code| *code as u16 == number)
    }
}

#[derive(Clone, Debug)]
pub struct Error {
    pub code: Code,
    pub message: String,
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Error { code, message: message.into() }
    }

    /// An operating-system error while doing `what` (a clause: "opening /data/segments/7"), under its code.
    pub fn io(what: impl fmt::Display, source: &std::io::Error) -> Self {
        use std::io::ErrorKind;
        let code = match source.kind() {
            ErrorKind::NotFound => Code::NotFound,
            ErrorKind::PermissionDenied => Code::Refused,
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Code::Full,
            ErrorKind::TimedOut => Code::Timeout,
            _ => Code::Io,
        };
        Error::new(code, format!("{what}: {source}"))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.name(), self.message)
    }
}

impl std::error::Error for Error {}
