//! A process's side of flow: blocking calls from any thread, one reader thread, no async runtime.

mod ahead;
mod batch;
mod cancel;
mod cold;
mod copies;
mod delivery;
mod known;
mod layout;
mod link;
mod mailbox;
mod pending;
mod per_process;
mod places;
mod read;
mod receipts;
mod receiver;
mod replay;
mod segments;
mod session;
mod wait;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use millpool_core::{Code, Dataset, Error, PageLock, Result};

pub use ahead::{Ahead, Came};
pub use batch::{Batch, Sample, Tally, Waits};
pub use cancel::Cancel;
pub use known::{KNOWN_BYTES_MAX, KnownBatch, KnownRequest};
pub use layout::{BatchRequest, PlanPosition, Ranges, Selection};
use mailbox::Mailbox;
use pending::Pending;
use per_process::PerProcess;
pub use replay::{Replay, Replayed};
pub use session::Limits;
use session::Session;
use wait::Abandon;

use crate::frame::{Kind, PAYLOAD_MAX};
use crate::message::{Wanted, encode_control};

#[derive(Clone, Debug)]
pub struct ClientConfig {
    pub socket: PathBuf,
    /// Memory for batches, held and free.
    pub ring_bytes: usize,
    /// Read resident samples from mapped segments; otherwise all bytes come over the socket.
    pub maps: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClientStatus {
    pub daemon_pid: u32,
    pub incarnation: u64,
    pub maps: bool,
    pub mapped_segments: usize,
    pub ring_bytes: usize,
    /// Of these, in batches that are held.
    pub ring_held_bytes: usize,
}

/// A connection to this node's daemon that comes back by itself. All methods may be called at once from many threads,
/// and in a forked child, which gets a connection and a ring of its own at its first call.
pub struct Client {
    session: PerProcess<Session>,
}

impl Client {
    /// Connects now: `Unreachable` names the socket, `Unsupported` two versions that do not match.
    pub fn connect(config: ClientConfig, timeout: Duration) -> Result<Client> {
        let session = Session::new(config);
        session.link(&Limits::until(Instant::now() + timeout))?;
        Ok(Client { session: PerProcess::new(session) })
    }

    /// One control message and its answer.
    pub fn control(&self, body: &[u8], limits: &Limits) -> Result<Vec<u8>> {
        if body.len() + 4 > PAYLOAD_MAX as usize {
            let message =
                format!("a control message of {} bytes; {PAYLOAD_MAX} at most", body.len());
            return Err(Error::new(Code::Invalid, message));
        }
        let session = self.session();
        let link = session.link(limits)?;
        session.receipts.flush(&link);
        let timeout = limits.deadline.saturating_duration_since(Instant::now()).as_millis();
        let payload = encode_control(u32::try_from(timeout).unwrap_or(u32::MAX), body);
        let mailbox = Mailbox::new();
        let pending = Pending::Control(mailbox.clone());
        let request = link.request(Kind::Control, &payload, pending, limits.deadline)?;
        limits.cancel.watch(mailbox.clone() as Arc<dyn Abandon>);
        let answer = mailbox.take(limits.deadline, &"the daemon's answer to a control message");
        if answer.as_ref().is_err_and(|error| matches!(error.code, Code::Timeout | Code::Cancelled))
        {
            link.cancel(request);
        }
        session.check(limits).and(answer)
    }

    /// Maps a dataset version that the daemon holds; `NotFound` when it does not.
    pub fn dataset(&self, version: &[u8; 32], limits: &Limits) -> Result<Dataset> {
        let session = self.session();
        let link = session.link(limits)?;
        let (described, file) =
            session.describe(&link, &[Wanted::Dataset(*version)], limits)?.remove(0);
        match file.filter(|_| described.found) {
            Some(file) => Dataset::map(&file),
            None => {
                let hex: String = version.iter().map(|byte| format!("{byte:02x}")).collect();
                Err(Error::new(Code::NotFound, format!("the daemon has no dataset version {hex}")))
            }
        }
    }

    /// Reads all samples of a request, or parts of them, into one slot of the ring. What fails for one sample alone
    /// is that sample's error; an error here means that there is no batch.
    pub fn read(&self, request: &BatchRequest, limits: &Limits) -> Result<Batch> {
        read::read(self.session(), request, limits)
    }

    /// Reads the first of `requests` as `read` does, and of the others, in order, as many as are resident and quick; at
    /// least one batch of as many as were asked for. They belong to one plan. An error is the first one's.
    pub fn read_run(&self, requests: &[BatchRequest], limits: &Limits) -> Result<Vec<Batch>> {
        read::read_run(self.session(), requests, limits)
    }

    /// Reads a batch at once if this process has read all its samples before, `KNOWN_BYTES_MAX` together at most, and
    /// finds them in memory. `None`: it was not read, and `read` is to be asked.
    pub fn read_known(&self, request: &KnownRequest<'_>) -> Option<KnownBatch> {
        known::read_known(self.session(), request)
    }

    /// Measures what memory and device give of a batch that was read before; nobody is told of it.
    pub fn replay(&self, request: &BatchRequest, limits: &Limits) -> Result<Replay> {
        replay::replay(self.session(), request, limits)
    }

    pub fn status(&self) -> ClientStatus {
        let session = self.session();
        ClientStatus {
            daemon_pid: session.daemon_pid(),
            incarnation: session.incarnation(),
            maps: session.maps(),
            mapped_segments: session.segments.mapped(),
            ring_bytes: session.ring.bytes(),
            ring_held_bytes: session.ring.held_bytes(),
        }
    }

    /// Some read waits for a slot that others hold.
    pub fn is_short_of_slots(&self) -> bool {
        self.session().ring.is_waited_for()
    }

    /// From now on the slots of this process's ring are page-locked.
    pub fn lock_pages(&self, page_lock: PageLock) {
        self.session().ring.lock_pages(page_lock);
    }

    /// Ends calls under way, and all later ones, with `Closed`. Batches stay readable.
    pub fn close(&self) {
        self.session().close();
    }

    pub fn is_closed(&self) -> bool {
        self.session().is_closed()
    }

    fn session(&self) -> &Session {
        self.session.get(Session::renewed)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.session.with_own(Session::close);
    }
}
