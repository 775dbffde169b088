//! One client: the handshake, then its requests, one after the other, until it or the server ends.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use millpool_core::{Code, Error, Result};
use tokio::net::UnixStream;

use super::Shared;
use super::control::{ControlCall, ControlReply};
use super::message_room::Held;
use super::outbox::{Outbox, within_patience, write_all};
use super::peer::{Admitted, Peer, PeerName, UnderWay};
use super::read::{Asked, ReadTask};
use crate::frame::{HEADER_BYTES, Header, Kind, VERSION, broken};
use crate::message::{Described, Hello, ReadRequest, Receipt, Wanted, Welcome, decode_control};

const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(5);
/// A HELLO of a later version may say more; it is in nobody's room yet.
const HELLO_BYTES_MAX: u32 = 4 << 10;
/// A payload's memory grows by so much as its bytes arrive, whatever its header says.
const GROW_BYTES: usize = 256 << 10;
/// How long a message may wait for room before it is refused.
const ROOM_PATIENCE: Duration = Duration::from_secs(30);
/// Of the bytes that came, with the list of objects and items that they are taken apart into.
const READ_FACTOR: usize = 3;

/// The reading side: what a client asks is begun here, and answered through its peer.
struct Connection {
    peer: Arc<Peer>,
}

pub(super) async fn serve(stream: UnixStream, number: u64, shared: Arc<Shared>) {
    let _alive = shared.stopping.subscribe();
    let (outbox, inbox) = Outbox::new();
    shared.outboxes().insert(number, outbox.clone());
    if *shared.stopping.borrow() {
        outbox.close();
    }
    shared.counters.connections.fetch_add(1, Ordering::Relaxed);
    let pid = stream.peer_cred().ok().and_then(|peer| peer.pid()).map_or(0, |pid| pid as u32);
    let peer = Arc::new(Peer::new(shared.clone(), PeerName { number, pid }, outbox));
    let connection = Connection { peer: peer.clone() };
    let written = write_all(inbox, &stream, &shared);
    let read = connection.read_all(&stream);
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
    peer.abandon_all();
    shared.counters.connections.fetch_sub(1, Ordering::Relaxed);
    shared.config.control.closed(number, &why);
}

impl Connection {
    /// Reads until the client closes or breaks the protocol, tells it of that, and returns which it was.
    async fn read_all(&self, stream: &UnixStream) -> Error {
        let Err(error) = self.requests(stream).await;
        if error.code != Code::Closed {
            self.peer.outbox.error(0, &error);
        }
        self.peer.outbox.close();
        error
    }

    async fn requests(&self, stream: &UnixStream) -> Result<std::convert::Infallible> {
        let greeted = tokio::time::timeout(HANDSHAKE_PATIENCE, self.greet(stream)).await;
        greeted.map_err(|_| broken("no HELLO came"))??;
        loop {
            let header = read_header(stream).await?;
            match self.peer.shared.requests.take(memory_of(&header), ROOM_PATIENCE).await {
                Ok(room) => {
                    let payload = self.payload(stream, &header).await?;
                    self.handle(header, payload, room).await?;
                }
                Err(full) => {
                    self.within_patience(skip_payload(stream, header.payload_len as usize)).await?;
                    self.peer.outbox.error(header.request, &full);
                }
            }
        }
    }

    /// Who leaves one half sent holds room that others may wait for.
    async fn payload(&self, stream: &UnixStream, header: &Header) -> Result<Vec<u8>> {
        self.within_patience(read_payload(stream, header.payload_len as usize)).await
    }

    async fn within_patience<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        within_patience(&self.peer.shared, work).await.unwrap_or_else(|waited| {
            let message = format!("the rest of a message has not come for {waited:?}");
            Err(Error::new(Code::Timeout, message))
        })
    }

    async fn greet(&self, stream: &UnixStream) -> Result<()> {
        let header = read_header(stream).await?;
        if header.kind != Kind::Hello || header.payload_len > HELLO_BYTES_MAX {
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
            incarnation: self.peer.shared.incarnation,
            in_flight_max: self.peer.shared.config.in_flight_max,
        };
        let table = hello.wants_mapping.then(|| self.peer.shared.store.table().file);
        self.peer.outbox.describe(Kind::Welcome, header.request, &welcome.encode(), table);
        Ok(())
    }

    async fn handle(&self, header: Header, payload: Vec<u8>, room: Held) -> Result<()> {
        let request = header.request;
        match header.kind {
            Kind::Control => {
                let admitted = self.peer.admit(room).await;
                self.call(request, &payload, admitted)
            }
            Kind::Read => {
                let message = ReadRequest::decode(&payload)?;
                if let Some(object) = message.objects.first() {
                    self.peer.asks_for(object.attachment);
                }
                drop(payload);
                let admitted = self.peer.admit(room).await;
                let cancelled = Arc::new(AtomicBool::new(false));
                self.peer.begin(request, UnderWay::Read(cancelled.clone()))?;
                let asked = Asked { peer: self.peer.clone(), request, admitted };
                tokio::spawn(ReadTask::new(asked, message, cancelled).run());
                Ok(())
            }
            Kind::Descriptor => {
                let admitted = self.peer.admit(room).await;
                let peer = self.peer.clone();
                let wanted = Wanted::decode(&payload)?;
                tokio::task::spawn_blocking(move || describe(&peer, request, wanted, admitted));
                Ok(())
            }
            Kind::Receipt => {
                let receipt = Receipt::decode(&payload)?;
                self.peer.shared.store.mark_verified(&receipt.verified);
                self.peer.count_read(&receipt);
                self.peer.shared.config.control.receipt(self.peer.name.number, receipt);
                Ok(())
            }
            Kind::Cancel => {
                self.peer.cancel(request);
                Ok(())
            }
            other => Err(broken(format!("a client never sends {other:?}"))),
        }
    }

    fn call(&self, request: u64, payload: &[u8], admitted: Admitted) -> Result<()> {
        let (timeout_ms, body) = decode_control(payload)?;
        self.peer.begin(request, UnderWay::Control)?;
        let reply = ControlReply::new(self.peer.clone(), request, admitted);
        let call = ControlCall {
            connection: self.peer.name.number,
            request,
            pid: self.peer.name.pid,
            body: body.to_vec(),
            timeout: Duration::from_millis(u64::from(timeout_ms)),
        };
        self.peer.shared.config.control.call(call, reply);
        Ok(())
    }
}

/// Away from the threads that serve sockets: it opens files.
fn describe(peer: &Peer, request: u64, wanted: Wanted, admitted: Admitted) {
    let shared = &peer.shared;
    let (described, file) = match wanted {
        Wanted::Table => (Described::FOUND, Some(shared.store.table().file)),
        Wanted::Segment { number, generation } => match shared.store.segment(number, generation) {
            None => (Described::ABSENT, None),
            Some(segment) => {
                let described = Described {
                    segment_id: segment.id,
                    identity: segment.identity,
                    ..Described::FOUND
                };
                (described, segment.for_reader().ok().map(Arc::new))
            }
        },
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
    peer.outbox.describe(Kind::DescriptorReply, request, &described.encode(), file);
    drop(admitted);
}

fn dataset_path(folder: &Path, version: &[u8; 32]) -> PathBuf {
    let hex: String = version.iter().map(|byte| format!("{byte:02x}")).collect();
    folder.join(format!("{hex}.dataset"))
}

/// What a message takes while it is under way: a READ is taken apart into more than came.
fn memory_of(header: &Header) -> usize {
    let len = header.payload_len as usize;
    if header.kind == Kind::Read { READ_FACTOR * len } else { len }
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

async fn skip_payload(stream: &UnixStream, len: usize) -> Result<()> {
    let mut part = vec![0u8; len.min(GROW_BYTES)];
    let mut left = len;
    while left > 0 {
        let now = left.min(part.len());
        read_exact(stream, &mut part[..now]).await?;
        left -= now;
    }
    Ok(())
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
