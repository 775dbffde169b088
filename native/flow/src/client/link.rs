//! One connection to the daemon: whoever has a request sends it, one thread receives all answers.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use millpool_core::{Code, Error, Result};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::sockopt::Timeout;
use rustix::net::{AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType};

use super::pending::Pending;
use super::receiver::Receiver;
use super::segments::Segments;
use super::wait::{Abandon, timed_out};
use crate::frame::{Header, Kind, VERSION, broken, frame};
use crate::message::{Described, Hello, Notice, Welcome, decode_error};
use crate::piece::PieceHead;

pub struct Link {
    wire: Arc<Wire>,
    pub welcome: Welcome,
}

/// Shared with the reader thread, which outlives the link by a moment.
struct Wire {
    socket: Arc<UnixStream>,
    /// Held while a frame is written, so that frames do not mix.
    sending: Mutex<()>,
    next_request: AtomicU64,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    requests: HashMap<u64, Pending>,
    /// Why nothing more comes.
    over: Option<Error>,
}

impl Link {
    /// Connects and greets. Beside the link, the key table's descriptor, if it was wanted. `Unreachable` names the
    /// socket; `Unsupported` names both versions.
    pub fn open(
        path: &Path,
        segments: &Arc<Segments>,
        maps: bool,
        deadline: Instant,
    ) -> Result<(Link, Option<File>)> {
        let socket = Arc::new(connect(path, deadline)?);
        let mut receiver = Receiver::new(socket.clone());
        let hello = Hello { version: VERSION, wants_mapping: maps, pid: std::process::id() };
        let (welcome, table) =
            greet(&socket, &mut receiver, &hello, deadline).map_err(|error| {
                Error::new(error.code, format!("{} at {}", error.message, path.display()))
            })?;
        let wire = Arc::new(Wire {
            socket,
            sending: Mutex::new(()),
            next_request: AtomicU64::new(1),
            waiting: Mutex::default(),
        });
        let (reader, segments) = (wire.clone(), segments.clone());
        std::thread::Builder::new()
            .name("millpool-flow".into())
            .spawn(move || reader.read_all(receiver, &segments))
            .map_err(|error| Error::io("starting the flow reader", &error))?;
        Ok((Link { wire, welcome }, table))
    }

    pub fn is_over(&self) -> bool {
        self.wire.waiting().over.is_some()
    }

    /// For a forked child, which must close it and nothing more.
    pub fn descriptor(&self) -> RawFd {
        self.wire.socket.as_raw_fd()
    }

    /// Sends a request; its answer comes to `pending`, or an error if the connection ends before.
    pub fn request(
        &self,
        kind: Kind,
        payload: &[u8],
        pending: Pending,
        deadline: Instant,
    ) -> Result<u64> {
        let requests = self.requests(kind, &[payload.to_vec()], vec![pending], deadline)?;
        Ok(requests[0])
    }

    /// Many requests in one write.
    pub fn requests(
        &self,
        kind: Kind,
        payloads: &[Vec<u8>],
        pending: Vec<Pending>,
        deadline: Instant,
    ) -> Result<Vec<u64>> {
        let mut bytes = Vec::new();
        let mut numbers = Vec::with_capacity(payloads.len());
        let mut waiting = self.wire.waiting();
        if let Some(over) = &waiting.over {
            return Err(over.clone());
        }
        for (payload, pending) in payloads.iter().zip(pending) {
            let request = self.wire.next_request.fetch_add(1, Ordering::Relaxed);
            bytes.extend_from_slice(&frame(kind, request, payload));
            waiting.requests.insert(request, pending);
            numbers.push(request);
        }
        drop(waiting);
        let sent = self.send(&bytes, deadline);
        if sent.is_err() {
            numbers.iter().for_each(|request| self.forget(*request));
        }
        sent.map(|()| numbers)
    }

    /// Nobody waits for this request any more.
    pub fn forget(&self, request: u64) {
        self.wire.waiting().requests.remove(&request);
    }

    /// As `forget`, and tells the daemon; it need not hear it.
    pub fn cancel(&self, request: u64) {
        self.forget(request);
        let _ = self
            .send(&frame(Kind::Cancel, request, &[]), Instant::now() + Duration::from_millis(100));
    }

    pub fn send(&self, bytes: &[u8], deadline: Instant) -> Result<()> {
        let _alone = self.wire.sending.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = send_all(&self.wire.socket, bytes, deadline);
        if sent.is_err() {
            // Part of a frame may be out; nothing after it would be understood.
            self.shut();
        }
        sent
    }

    /// As `send` without waiting: false where there is no room for it, and nothing was sent. One that the daemon does
    /// not read any more seems sent.
    pub fn offer(&self, bytes: &[u8], patience: Duration) -> bool {
        let Ok(_alone) = self.wire.sending.try_lock() else { return false };
        match rustix::net::send(&self.wire.socket, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)
        {
            Ok(sent) if sent == bytes.len() => true,
            Ok(sent) => {
                if send_all(&self.wire.socket, &bytes[sent..], Instant::now() + patience).is_err() {
                    self.shut();
                }
                true
            }
            Err(error) => error != rustix::io::Errno::AGAIN,
        }
    }

    /// Ends the connection; the reader thread then fails what waits, and goes.
    pub fn shut(&self) {
        let _ = self.wire.socket.shutdown(Shutdown::Both);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.shut();
    }
}

impl Wire {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read_all(&self, mut receiver: Receiver, segments: &Segments) {
        let error = loop {
            if let Err(error) = self.read_frame(&mut receiver, segments) {
                break error;
            }
        };
        let _ = self.socket.shutdown(Shutdown::Both);
        let code = if error.code == Code::Closed { Code::Unreachable } else { error.code };
        let error = Error::new(code, error.message);
        let mut waiting = self.waiting();
        waiting.over = Some(error.clone());
        let requests = std::mem::take(&mut waiting.requests);
        drop(waiting);
        requests.values().for_each(|pending| pending.abandon(&error));
    }

    fn read_frame(&self, receiver: &mut Receiver, segments: &Segments) -> Result<()> {
        let (header, file) = receiver.header()?;
        if header.kind == Kind::Piece {
            return self.read_piece(receiver, &header);
        }
        let payload = receiver.payload(header.payload_len as usize)?;
        match header.kind {
            Kind::Notice => {
                if let Notice::SegmentsGone(gone) = Notice::decode(&payload)? {
                    segments.gone(&gone);
                }
                Ok(())
            }
            Kind::Error if header.request == 0 => Err(decode_error(&payload)),
            _ => self.answer(&header, payload, file),
        }
    }

    fn answer(&self, header: &Header, payload: Vec<u8>, file: Option<File>) -> Result<()> {
        // Nobody may be waiting any more; that is no error.
        let Some(pending) = self.waiting().requests.remove(&header.request) else { return Ok(()) };
        match (header.kind, pending) {
            (Kind::ControlReply, Pending::Control(mailbox)) => mailbox.put(Ok(payload)),
            (Kind::DescriptorReply, Pending::Described(mailbox)) => {
                mailbox.put(Described::decode(&payload).map(|described| (described, file)));
            }
            (Kind::End, Pending::Read(delivery)) => delivery.ended(),
            (Kind::Error, pending) => pending.abandon(&decode_error(&payload)),
            (kind, _) => {
                return Err(broken(format!(
                    "a {kind:?} is not what request {} asked",
                    header.request
                )));
            }
        }
        Ok(())
    }

    fn read_piece(&self, receiver: &mut Receiver, header: &Header) -> Result<()> {
        let Some(len) = (header.payload_len as usize).checked_sub(PieceHead::BYTES) else {
            return Err(broken("a piece shorter than its head"));
        };
        let head = PieceHead::decode(&receiver.array()?)?;
        let pending = self.waiting().requests.get(&header.request).cloned();
        let Some(Pending::Read(delivery)) = pending else { return receiver.discard(len) };
        if let Some(code) = head.error {
            let text = receiver.payload(len)?;
            let error = Error::new(code, String::from_utf8_lossy(&text).into_owned());
            return delivery.failed(head.item, error);
        }
        let target = delivery.target(head.item, len)?;
        // SAFETY: the delivery holds the slot; until it is told that this piece arrived nobody else touches the target.
        receiver.fill(unsafe { std::slice::from_raw_parts_mut(target, len) })?;
        delivery.arrived(&head);
        Ok(())
    }
}

fn connect(path: &Path, deadline: Instant) -> Result<UnixStream> {
    let name = path.display();
    let address = SocketAddrUnix::new(path).map_err(|_| {
        Error::new(Code::Invalid, format!("{name} is no path of a socket: 107 bytes at most"))
    })?;
    let attempt = || -> io::Result<UnixStream> {
        let socket = rustix::net::socket_with(
            AddressFamily::UNIX,
            SocketType::STREAM,
            SocketFlags::CLOEXEC,
            None,
        )?;
        // Bounds connect, when the daemon's backlog is full.
        rustix::net::sockopt::set_socket_timeout(&socket, Timeout::Send, Some(left(deadline)))?;
        rustix::net::connect(&socket, &address)?;
        Ok(socket.into())
    };
    attempt().map_err(|error| {
        let code = match error.kind() {
            io::ErrorKind::PermissionDenied => Code::Refused,
            _ => Code::Unreachable,
        };
        Error::new(code, format!("no daemon answers at {name}: {error}"))
    })
}

fn greet(
    socket: &UnixStream,
    receiver: &mut Receiver,
    hello: &Hello,
    deadline: Instant,
) -> Result<(Welcome, Option<File>)> {
    let io = |error: io::Error| Error::io("greeting the daemon", &error);
    send_all(socket, &frame(Kind::Hello, 0, &hello.encode()), deadline)?;
    socket.set_read_timeout(Some(left(deadline))).map_err(io)?;
    let (header, table) = receiver.header()?;
    let payload = receiver.payload(header.payload_len as usize)?;
    socket.set_read_timeout(None).map_err(io)?;
    match header.kind {
        Kind::Error => Err(decode_error(&payload)),
        Kind::Welcome => {
            let welcome = Welcome::decode(&payload)?;
            if welcome.version != VERSION {
                let message = format!(
                    "the daemon speaks flow version {}, this client version {VERSION}",
                    welcome.version
                );
                return Err(Error::new(Code::Unsupported, message));
            }
            Ok((welcome, table))
        }
        other => Err(broken(format!("{other:?} in answer to HELLO"))),
    }
}

fn send_all(socket: &UnixStream, bytes: &[u8], deadline: Instant) -> Result<()> {
    let since = Instant::now();
    let mut sent = 0;
    while sent < bytes.len() {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        match rustix::net::send(socket, &bytes[sent..], flags) {
            Ok(more) => sent += more,
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::AGAIN) if Instant::now() >= deadline => {
                return Err(timed_out(&"the daemon to take a message", since));
            }
            Err(rustix::io::Errno::AGAIN) => wait_writable(socket, deadline)?,
            Err(rustix::io::Errno::PIPE | rustix::io::Errno::CONNRESET) => {
                return Err(Error::new(Code::Unreachable, "the daemon closed the connection"));
            }
            Err(error) => return Err(Error::io("writing to the daemon", &error.into())),
        }
    }
    Ok(())
}

fn wait_writable(socket: &UnixStream, deadline: Instant) -> Result<()> {
    let left = deadline.saturating_duration_since(Instant::now());
    let timeout =
        Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) };
    let descriptor = socket.as_fd();
    match rustix::event::poll(
        &mut [PollFd::from_borrowed_fd(descriptor, PollFlags::OUT)],
        Some(&timeout),
    ) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(Error::io("waiting for the daemon", &error.into())),
    }
}

/// A socket time-out of zero would mean none.
fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1))
}
