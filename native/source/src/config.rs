//! What a filler and its attachments are told.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use millpool_core::{Code, Store};

/// Where the bytes of an attachment truly live.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SourceConfig {
    S3 {
        /// `http://HOST[:PORT]` or `https://…`, no path; empty for the region's own AWS endpoint.
        endpoint: String,
        region: String,
        bucket: String,
        /// The bucket is the first part of the path (most servers other than AWS), not of the host name.
        path_style: bool,
        /// Requests are sent unsigned and no credentials are waited for.
        anonymous: bool,
        requester_pays: bool,
        /// PEM files of certificate authorities that are trusted beside those of the machine.
        authority_files: Vec<PathBuf>,
    },
    /// Nothing outside `root` is ever read.
    Folder { root: PathBuf },
    /// It cannot be opened now: what no segment has fails with this.
    Away { code: Code, why: String },
}

/// Each names the phase that it bounds; a message about one that ran out names it too.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timeouts {
    /// Name look-up, TCP and TLS together.
    pub connect: Duration,
    /// From the request to the head of its answer, of more than [`Timeouts::SMALL_BYTES`].
    pub first_byte: Duration,
    /// The same for small ranges and objects; doubles with each attempt, up to `first_byte`.
    pub first_byte_small: Duration,
    /// Between two arrivals of bytes of one body.
    pub progress: Duration,
    /// One attempt, all phases together.
    pub attempt: Duration,
    /// One record, all attempts and pauses together.
    pub total: Duration,
    /// A request that was refused because its credentials had expired waits this long for new ones.
    pub credentials: Duration,
    /// Wants are queued while the byte budget or the request slots are taken; when none has been started for this
    /// long, they are answered `timeout`.
    pub queue: Duration,
}

impl Timeouts {
    /// The defaults, where one record, all attempts together, may take `total`; each phase is short enough for another
    /// attempt after it.
    pub fn within(total: Duration) -> Self {
        let usual = Timeouts::default();
        let third = total / 3;
        Timeouts {
            connect: usual.connect.min(third),
            first_byte: usual.first_byte.min(third),
            first_byte_small: usual.first_byte_small.min(third),
            progress: usual.progress.min(third),
            attempt: usual.attempt.min(2 * third),
            credentials: usual.credentials.min(third),
            total,
            ..usual
        }
    }

    /// A GET of at most this many bytes costs less to send again than to wait for.
    pub const SMALL_BYTES: u32 = 512 << 10;
}

impl Default for Timeouts {
    fn default() -> Self {
        Timeouts {
            connect: Duration::from_secs(5),
            first_byte: Duration::from_secs(15),
            first_byte_small: Duration::from_secs(2),
            progress: Duration::from_secs(10),
            attempt: Duration::from_secs(60),
            total: Duration::from_secs(90),
            credentials: Duration::from_secs(5),
            queue: Duration::from_secs(120),
        }
    }
}

/// Four of the largest records.
pub const LEAST_BUDGET_BYTES: u64 = 16 << 20;

#[derive(Clone)]
pub struct FillerConfig {
    pub store: Arc<Store>,
    /// Bytes of record buffers that may exist at once, pooled ones included; at least [`LEAST_BUDGET_BYTES`].
    pub budget_bytes: u64,
    /// Its threads do the work; time and I/O must be enabled.
    pub runtime: tokio::runtime::Handle,
    pub timeouts: Timeouts,
    /// Requests at once to one endpoint, at most; 512 is a good value for S3.
    pub max_requests: usize,
    /// A slow GET that somebody waits for may be sent a second time.
    pub hedge: bool,
}
