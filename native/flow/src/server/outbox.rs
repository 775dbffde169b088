//! What goes out on one connection: a queue, and the task that writes it. The queue holds no more than the credits and
//! request permits of its connection let in; and answers of all connections no more than their room.

use std::fs::File;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use millpool_core::{Code, Error, RecordBytes, RecordKey, Result, SegmentFile};
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::Shared;
use super::message_room::Held;
use super::socket::send_with;
use crate::frame::{FLAG_DESCRIPTOR, HEADER_BYTES, Header, Kind, frame};
use crate::message::encode_error;
use crate::piece::PieceHead;

/// Small frames are put together up to about this many bytes a write.
const GATHER_BYTES: usize = 64 << 10;
/// Of a client that does nothing, whether that may go on.
const LOOK_EVERY: Duration = Duration::from_secs(1);

enum Outgoing {
    Frame(Vec<u8>, Option<Answered>),
    Descriptor(Vec<u8>, Arc<File>),
    Piece(PieceHead, u64, PieceData, OwnedSemaphorePermit),
    Close,
}

/// What an answer holds until it is written: its request counts as under way, and it has its room.
pub(super) struct Answered {
    pub _request: OwnedSemaphorePermit,
    pub _room: Option<Held>,
}

pub(super) enum PieceData {
    Record(Arc<dyn RecordBytes>, Range<usize>),
    Owned(Vec<u8>, Range<usize>),
    /// Of a record that is stored compressed.
    Unpacked {
        record: Vec<u8>,
        range: Range<usize>,
        _room: Held,
    },
    /// `len` bytes from `offset` of a segment, where the record of `key` lies.
    Stored {
        segment: Arc<SegmentFile>,
        offset: u64,
        len: u32,
        key: RecordKey,
    },
}

impl PieceData {
    fn len(&self) -> usize {
        match self {
            PieceData::Record(_, range) | PieceData::Owned(_, range) => range.len(),
            PieceData::Unpacked { range, .. } => range.len(),
            PieceData::Stored { len, .. } => *len as usize,
        }
    }
}

#[derive(Clone)]
pub(super) struct Outbox {
    sender: UnboundedSender<Outgoing>,
}

impl Outbox {
    pub(super) fn new() -> (Outbox, Inbox) {
        let (sender, receiver) = unbounded_channel();
        (Outbox { sender }, Inbox(receiver))
    }

    pub(super) fn send(&self, kind: Kind, request: u64, payload: &[u8]) {
        self.push(Outgoing::Frame(frame(kind, request, payload), None));
    }

    pub(super) fn reply(&self, kind: Kind, request: u64, payload: &[u8], answered: Answered) {
        self.push(Outgoing::Frame(frame(kind, request, payload), Some(answered)));
    }

    pub(super) fn error(&self, request: u64, error: &Error) {
        self.send(Kind::Error, request, &encode_error(error));
    }

    pub(super) fn describe(
        &self,
        kind: Kind,
        request: u64,
        payload: &[u8],
        file: Option<Arc<File>>,
    ) {
        let Some(file) = file else { return self.send(kind, request, payload) };
        let mut header = Header::new(kind, request, payload.len());
        header.flags = FLAG_DESCRIPTOR;
        let mut bytes = header.encode().to_vec();
        bytes.extend_from_slice(payload);
        self.push(Outgoing::Descriptor(bytes, file));
    }

    /// A piece, or the error of one; `credit` goes back when it is written.
    pub(super) fn piece(
        &self,
        request: u64,
        head: PieceHead,
        data: PieceData,
        credit: OwnedSemaphorePermit,
    ) {
        if let PieceData::Stored { segment, offset, len, .. } = &data {
            // Starts the device early; sendfile would wait for each page in turn.
            let len = std::num::NonZeroU64::new(u64::from(*len));
            let _ = rustix::fs::fadvise(&segment.file, *offset, len, rustix::fs::Advice::WillNeed);
        }
        self.push(Outgoing::Piece(head, request, data, credit));
    }

    /// Everything queued before is written, nothing after.
    pub(super) fn close(&self) {
        self.push(Outgoing::Close);
    }

    /// The connection may be gone: then nobody misses it.
    fn push(&self, outgoing: Outgoing) {
        let _ = self.sender.send(outgoing);
    }
}

pub(super) struct Inbox(UnboundedReceiver<Outgoing>);

/// Writes until the outbox is closed. `Timeout` when the client takes nothing for `stall`.
pub(super) async fn write_all(
    mut inbox: Inbox,
    stream: &UnixStream,
    shared: &Shared,
) -> Result<()> {
    let writer = Writer { stream, shared };
    let mut held = None;
    loop {
        let next = match held.take() {
            Some(next) => Some(next),
            None => inbox.0.recv().await,
        };
        match next {
            None | Some(Outgoing::Close) => return Ok(()),
            Some(Outgoing::Frame(mut bytes, answered)) => {
                let mut all_answered = vec![answered];
                while bytes.len() < GATHER_BYTES {
                    match inbox.0.try_recv() {
                        Ok(Outgoing::Frame(more, answered)) => {
                            bytes.extend_from_slice(&more);
                            all_answered.push(answered);
                        }
                        Ok(other) => {
                            held = Some(other);
                            break;
                        }
                        Err(_) => break,
                    }
                }
                writer.bytes(&bytes).await?;
            }
            Some(Outgoing::Descriptor(bytes, file)) => writer.descriptor(&bytes, &file).await?,
            Some(Outgoing::Piece(head, request, data, _credit)) => {
                writer.piece(head, request, &data).await?;
                shared.counters.served_records.fetch_add(1, Ordering::Relaxed);
                shared.counters.served_bytes.fetch_add(data.len() as u64, Ordering::Relaxed);
            }
        }
    }
}

struct Writer<'a> {
    stream: &'a UnixStream,
    shared: &'a Shared,
}

impl Writer<'_> {
    async fn bytes(&self, bytes: &[u8]) -> Result<()> {
        self.both(bytes, &[]).await
    }

    /// Two buffers in as few writes as the socket takes.
    async fn both(&self, first: &[u8], second: &[u8]) -> Result<()> {
        let mut sent = 0;
        while sent < first.len() + second.len() {
            let head = &first[sent.min(first.len())..];
            let tail = &second[sent.saturating_sub(first.len())..];
            sent += self
                .ready(|| self.stream.try_write_vectored(&[IoSlice::new(head), IoSlice::new(tail)]))
                .await?;
        }
        Ok(())
    }

    async fn descriptor(&self, bytes: &[u8], file: &File) -> Result<()> {
        let socket = self.stream.as_fd();
        let once = || self.stream.try_io(Interest::WRITABLE, || send_with(socket, bytes, file));
        let sent = self.ready(once).await?;
        self.bytes(&bytes[sent..]).await
    }

    async fn piece(&self, head: PieceHead, request: u64, data: &PieceData) -> Result<()> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES + PieceHead::BYTES);
        bytes.extend_from_slice(
            &Header::new(Kind::Piece, request, PieceHead::BYTES + data.len()).encode(),
        );
        bytes.extend_from_slice(&head.encode());
        match data {
            PieceData::Record(record, range) => {
                self.both(&bytes, &record.bytes()[range.clone()]).await
            }
            PieceData::Owned(owned, range) => self.both(&bytes, &owned[range.clone()]).await,
            PieceData::Unpacked { record, range, .. } => {
                self.both(&bytes, &record[range.clone()]).await
            }
            PieceData::Stored { segment, offset, len, key } => {
                self.bytes(&bytes).await?;
                let sent = self.stored(&segment.file, *offset, *len).await;
                if sent.as_ref().is_err_and(|error| error.code == Code::Corrupt) {
                    // The frame is cut short, so the connection ends; the client asks again and gets it anew.
                    self.shared.store.forget_damaged(key, (segment.number, segment.generation));
                }
                sent
            }
        }
    }

    async fn stored(&self, file: &File, offset: u64, len: u32) -> Result<()> {
        let mut at = offset;
        let end = offset + u64::from(len);
        while at < end {
            let left = (end - at) as usize;
            let once = || {
                self.stream.try_io(Interest::WRITABLE, || {
                    Ok(rustix::fs::sendfile(self.stream, file, Some(&mut at), left)?)
                })
            };
            let broken = |why: &dyn std::fmt::Display| {
                Error::new(Code::Corrupt, format!("a segment could not be read at {offset}: {why}"))
            };
            match self.ready(once).await {
                Ok(0) => return Err(broken(&"its file ends before")),
                Ok(_) => {}
                Err(error) if error.code == Code::Io => return Err(broken(&error.message)),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Repeats `once` until it does not say `WouldBlock`.
    async fn ready(&self, mut once: impl FnMut() -> io::Result<usize>) -> Result<usize> {
        loop {
            let result = match within_patience(self.shared, self.stream.writable()).await {
                Ok(writable) => writable.and_then(|()| once()),
                Err(waited) => {
                    let message = format!("the client has taken nothing for {waited:?}");
                    return Err(Error::new(Code::Timeout, message));
                }
            };
            match result {
                Ok(sent) => return Ok(sent),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(writing(&error)),
            }
        }
    }
}

/// What comes of `work` while it is waited for; else how long that was. Looks again and again, since patience is short
/// where memory is.
pub(super) async fn within_patience<T>(
    shared: &Shared,
    work: impl Future<Output = T>,
) -> std::result::Result<T, Duration> {
    let begun = Instant::now();
    tokio::pin!(work);
    loop {
        let patience = shared.patience();
        let left = patience.saturating_sub(begun.elapsed());
        if let Ok(done) = tokio::time::timeout(left.min(LOOK_EVERY), &mut work).await {
            return Ok(done);
        }
        if left.is_zero() {
            return Err(patience);
        }
    }
}

fn writing(error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => {
            Error::new(Code::Closed, "the client closed its connection")
        }
        _ => Error::io("writing to a client", error),
    }
}
