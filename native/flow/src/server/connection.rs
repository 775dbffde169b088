//! One client: the handshake, then its requests, one after the other, until it or the server ends.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use millpool_core::{Code, Error, Result};
use tokio::net::UnixStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Shared;
use super::control::{ControlCall, ControlReply};
use super::outbox::{Outbox, write_all};
use super::read::{Admitted, CREDIT_BYTES, CREDITS_MIN, ReadTask};
use crate::frame::{HEADER_BYTES, Header, Kind, VERSION, broken};
use crate::message::{Described, Hello, ReadRequest, Receipt, Wanted, Welcome, decode_control};

const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(5);
/// Requests under way at once; the next one is not read before one of them is answered.
const REQUESTS_MAX: usize = 256;
/// A payload's memory grows by so much as its bytes arrive, whatever its header says.
const GROW_BYTES: usize = 256 << 10;

/// What the requests of one client share.
pub(super) struct Connection {
    pub(super) shared: Arc<Shared>,
    pub(super) outbox: Outbox,
    pub(super) credits: Arc<Semaphore>,
    number: u64,
    pid: u32,
    requests: Arc<Semaphore>,
    under_way: Mutex<HashMap<u64, UnderWay>>,
}

enum UnderWay {
    Control,
    /// Set when the client gave it up.
    Read(Arc<AtomicBool>),
}

pub(super) async fn serve(stream: UnixStream, number: u64, shared: Arc<Shared>) {
    let _alive = shared.stopping.subscribe();
    let (outbox, inbox) = Outbox::new();
    shared.outboxes().insert(number, outbox.clone());
    if *shared.stopping.borrow() {
        outbox.close();
    }
    shared.counters.connections.fetch_add(1, Ordering::Relaxed);
    let in_flight =
        shared.config.in_flight_max.div_ceil(CREDIT_BYTES).clamp(CREDITS_MIN, u64::from(u32::MAX));
    let connection = Arc::new(Connection {
        number,
        outbox,
        pid: stream.peer_cred().ok().and_then(|peer| peer.pid()).map_or(0, |pid| pid as u32),
        credits: Arc::new(Semaphore::new(in_flight as usize)),
        requests: Arc::new(Semaphore::new(REQUESTS_MAX)),
        under_way: Mutex::default(),
        shared: shared.clone(),
    });
    let written = write_all(inbox, &stream, &shared);
    let read = connection.clone().read_all(&stream);
    tokio::pin!(written, read);
    let why = tokio::select! {
        error = &mut read => {
            let _ = written.await;
            error
        }
        result = &mut written => {
            result.err().unwrap_or_else(|| Error::new(Code::Closed, "the daemon stopped"))
        }
    };
    shared.outboxes().remove(&number);
    connection.abandon_all();
    shared.counters.connections.fetch_sub(1, Ordering::Relaxed);
    shared.config.control.closed(number, &why);
}

impl Connection {
    /// Reads until the client closes or breaks the protocol, tells it of that, and returns which it was.
    async fn read_all(self: Arc<Self>, stream: &UnixStream) -> Error {
        let Err(error) = self.requests(stream).await;
        if error.code != Code::Closed {
            self.outbox.error(0, &error);
        }
        self.outbox.close();
        error
    }

    async fn requests(self: &Arc<Self>, stream: &UnixStream) -> Result<std::convert::Infallible> {
        let greeted = tokio::time::timeout(HANDSHAKE_PATIENCE, self.greet(stream)).await;
        greeted.map_err(|_| broken("no HELLO came"))??;
        loop {
            let header = read_header(stream).await?;
            let payload = read_payload(stream, header.payload_len as usize).await?;
            self.handle(header, payload).await?;
        }
    }

    async fn greet(&self, stream: &UnixStream) -> Result<()> {
        let header = read_header(stream).await?;
        if header.kind != Kind::Hello {
            return Err(broken("the first frame is not a HELLO"));
        }
        let hello = Hello::decode(&read_payload(stream, header.payload_len as usize).await?)?;
        if hello.version != VERSION {
            let message = format!(
                "the client speaks flow version {}, this daemon version {VERSION}",
                hello.version
            );
            return Err(Error::new(Code::Unsupported, message));
        }
        let welcome = Welcome {
            version: VERSION,
            pid: std::process::id(),
            incarnation: self.shared.incarnation,
            in_flight_max: self.shared.config.in_flight_max,
        };
        let table = hello.wants_mapping.then(|| self.shared.store.table().file);
        self.outbox.describe(Kind::Welcome, header.request, &welcome.encode(), table);
        Ok(())
    }

    async fn handle(self: &Arc<Self>, header: Header, payload: Vec<u8>) -> Result<()> {
        let request = header.request;
        match header.kind {
            Kind::Control => {
                let permit = self.permit().await;
                self.call(request, &payload, permit)
            }
            Kind::Read => {
                let message = ReadRequest::decode(&payload)?;
                let permit = self.permit().await;
                let cancelled = Arc::new(AtomicBool::new(false));
                self.begin(request, UnderWay::Read(cancelled.clone()))?;
                let admitted = Admitted { request, cancelled, permit };
                tokio::spawn(ReadTask::new(self.clone(), admitted, message).run());
                Ok(())
            }
            Kind::Descriptor => {
                let permit = self.permit().await;
                let connection = self.clone();
                let wanted = Wanted::decode(&payload)?;
                tokio::task::spawn_blocking(move || connection.describe(request, wanted, permit));
                Ok(())
            }
            Kind::Receipt => {
                let receipt = Receipt::decode(&payload)?;
                self.shared.store.mark_verified(&receipt.verified);
                self.shared.store.touch(&receipt.segments);
                self.shared.config.control.receipt(self.number, receipt);
                Ok(())
            }
            Kind::Cancel => {
                self.cancel(request);
                Ok(())
            }
            other => Err(broken(format!("a client never sends {other:?}"))),
        }
    }

    async fn permit(&self) -> OwnedSemaphorePermit {
        self.requests.clone().acquire_owned().await.expect("the semaphore is never closed")
    }

    fn call(
        self: &Arc<Self>,
        request: u64,
        payload: &[u8],
        permit: OwnedSemaphorePermit,
    ) -> Result<()> {
        let (timeout_ms, body) = decode_control(payload)?;
        self.begin(request, UnderWay::Control)?;
        let reply = ControlReply::new(self.clone(), request, permit);
        let call = ControlCall {
            connection: self.number,
            request,
            pid: self.pid,
            body: body.to_vec(),
            timeout: Duration::from_millis(u64::from(timeout_ms)),
        };
        self.shared.config.control.call(call, reply);
        Ok(())
    }

    fn describe(&self, request: u64, wanted: Wanted, permit: OwnedSemaphorePermit) {
        let shared = &self.shared;
        let (described, file) = match wanted {
            Wanted::Table => (Described::FOUND, Some(shared.store.table().file)),
            Wanted::Segment { number, generation } => {
                match shared.store.segment(number, generation) {
                    None => (Described::ABSENT, None),
                    Some(segment) => {
                        let described = Described {
                            segment_id: segment.id,
                            identity: segment.identity,
                            ..Described::FOUND
                        };
                        (described, segment.file.try_clone().ok().map(Arc::new))
                    }
                }
            }
            Wanted::Dataset(version) => {
                match File::open(dataset_path(&shared.config.datasets, &version)) {
                    Ok(file) => (Described::FOUND, Some(Arc::new(file))),
                    Err(_) => (Described::ABSENT, None),
                }
            }
            Wanted::Attachment(number) => match shared.identity(number) {
                None => (Described::ABSENT, None),
                Some(identity) => (Described { identity, ..Described::FOUND }, None),
            },
            Wanted::Identity(identity) => match shared.attachment_of(&identity) {
                None => (Described::ABSENT, None),
                Some(attachment) => (Described { attachment, ..Described::FOUND }, None),
            },
        };
        self.outbox.describe(Kind::DescriptorReply, request, &described.encode(), file);
        drop(permit);
    }

    fn begin(&self, request: u64, what: UnderWay) -> Result<()> {
        if request == 0 || self.under_way().insert(request, what).is_some() {
            return Err(broken(format!("request {request} is under way already")));
        }
        Ok(())
    }

    /// Nothing of this request is to come after its answer.
    pub(super) fn end(&self, request: u64) {
        self.under_way().remove(&request);
    }

    fn cancel(&self, request: u64) {
        let found = self.under_way().remove(&request);
        self.abandon(request, found);
    }

    fn abandon_all(&self) {
        let all = std::mem::take(&mut *self.under_way());
        for (request, what) in all {
            self.abandon(request, Some(what));
        }
    }

    fn abandon(&self, request: u64, what: Option<UnderWay>) {
        match what {
            None => {}
            Some(UnderWay::Read(cancelled)) => cancelled.store(true, Ordering::Relaxed),
            Some(UnderWay::Control) => self.shared.config.control.cancelled(self.number, request),
        }
    }

    fn under_way(&self) -> std::sync::MutexGuard<'_, HashMap<u64, UnderWay>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn dataset_path(folder: &Path, version: &[u8; 32]) -> PathBuf {
    let hex: String = version.iter().map(|byte| format!("{byte:02x}")).collect();
    folder.join(format!("{hex}.dataset"))
}

async fn read_header(stream: &UnixStream) -> Result<Header> {
    let mut bytes = [0u8; HEADER_BYTES];
    read_exact(stream, &mut bytes).await?;
    Header::decode(&bytes)
}

async fn read_payload(stream: &UnixStream, len: usize) -> Result<Vec<u8>> {
    let mut payload = Vec::new();
    while payload.len() < len {
        let at = payload.len();
        payload.resize(len.min(at + GROW_BYTES), 0);
        read_exact(stream, &mut payload[at..]).await?;
    }
    Ok(payload)
}

async fn read_exact(stream: &UnixStream, bytes: &mut [u8]) -> Result<()> {
    use std::io::ErrorKind;
    let mut filled = 0;
    while filled < bytes.len() {
        let readable = stream.readable().await;
        match readable.and_then(|()| stream.try_read(&mut bytes[filled..])) {
            Ok(0) => return Err(Error::new(Code::Closed, "the client closed its connection")),
            Ok(read) => filled += read,
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                return Err(Error::new(Code::Closed, "the client is gone"));
            }
            Err(error) => return Err(Error::io("reading from a client", &error)),
        }
    }
    Ok(())
}
