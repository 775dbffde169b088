//! A request and its answer over one HTTP/1.1 connection. The body goes from the socket straight into the record: a
//! library that owns its buffers costs a copy of every byte and a hop between tasks, half as much again as the rest.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::Poll;

use http::header::{
    CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING,
};
use http::{Request, Response, StatusCode, response};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};

use crate::buffer::{RecordWriter, TooLong};
use crate::stream::Stream;

/// Of a head, and what is read at once where it does not go into a record.
const BUFFER_BYTES: usize = 4 << 10;
const MOST_HEADER_BYTES: usize = 64 << 10;
const MOST_HEADERS: usize = 128;
/// A chunk's size in hex, with whatever extensions it has.
const MOST_LINE_BYTES: usize = 4 << 10;

/// How an exchange failed.
#[derive(Debug)]
pub(crate) enum Broken {
    /// The connection ended or failed before there was an answer, as one does that was closed while idle.
    BeforeAnswer(io::Error),
    NotHttp(String),
    /// The connection ended in order, before the body did.
    Cut,
    InBody(io::Error),
    /// More came than the record has.
    TooLong,
}

impl From<TooLong> for Broken {
    fn from(_: TooLong) -> Broken {
        Broken::TooLong
    }
}

/// A connection that carries one exchange at a time.
pub(crate) struct Exchange {
    stream: Stream,
    /// Received and not used yet, from `start` on.
    received: Vec<u8>,
    start: usize,
    body: Body,
    /// The other end closes after this answer.
    closes: bool,
}

/// What of the answer's body is still to come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Body {
    Length(u64),
    /// Of the chunk under way; 0 before the next one's size.
    Chunk(u64),
    /// The line end behind a chunk.
    ChunkEnd,
    UntilTheEnd,
    Over,
}

impl Exchange {
    pub fn over(stream: Stream) -> Exchange {
        Exchange { stream, received: Vec::new(), start: 0, body: Body::Over, closes: false }
    }

    /// Another request may follow: the answer was read to its end, and nothing came behind it.
    pub fn can_go_on(&self) -> bool {
        self.body == Body::Over
            && !self.closes
            && self.unused().is_empty()
            && self.stream.is_quiet()
    }

    /// Sends a request and reads the head of its answer. What was left of an answer before it must be read by then.
    pub async fn ask(&mut self, request: &Request<()>) -> Result<response::Parts, Broken> {
        let sent = async {
            self.stream.write_all(&encoded(request)).await?;
            self.stream.flush().await
        };
        sent.await.map_err(Broken::BeforeAnswer)?;
        loop {
            if let Some(head) = self.take_head()? {
                // "100 Continue" and its like announce the answer.
                if !head.status.is_informational() {
                    self.closes = closes(&head);
                    self.body = body_of(&head, request.method() == http::Method::HEAD)?;
                    return Ok(head);
                }
            } else if self.receive().await.map_err(Broken::BeforeAnswer)? == 0 {
                return Err(Broken::BeforeAnswer(io::ErrorKind::UnexpectedEof.into()));
            }
        }
    }

    /// Puts the next bytes of the body into the record; how many, 0 at the body's end.
    pub async fn read_into(&mut self, record: &mut RecordWriter) -> Result<usize, Broken> {
        let direct = match self.expect_bytes().await? {
            Some(most) if self.unused().is_empty() && record.missing() > 0 => most,
            Some(_) => {
                let count = self.buffered().await?;
                record.push(&self.received[self.start..self.start + count])?;
                self.start += count;
                return Ok(count);
            }
            None => return Ok(0),
        };
        let most = usize::try_from(direct).unwrap_or(usize::MAX);
        let count = read_directly(&mut self.stream, record, most).await.map_err(Broken::InBody)?;
        self.took(count)
    }

    /// Appends the next bytes of the body to `text`; how many, 0 at the body's end.
    pub async fn read_text(&mut self, text: &mut Vec<u8>) -> Result<usize, Broken> {
        if self.expect_bytes().await?.is_none() {
            return Ok(0);
        }
        let count = self.buffered().await?;
        text.extend_from_slice(&self.received[self.start..self.start + count]);
        self.start += count;
        Ok(count)
    }

    /// Bytes of the body that may come before its next mark, at least 1; `None` at its end.
    async fn expect_bytes(&mut self) -> Result<Option<u64>, Broken> {
        if self.body == Body::ChunkEnd {
            if !self.line().await?.is_empty() {
                return Err(Broken::NotHttp("a chunk is longer than it says".into()));
            }
            self.body = Body::Chunk(0);
        }
        if self.body == Body::Chunk(0) {
            let size = self.chunk_size().await?;
            self.body = Body::Chunk(size);
            if size == 0 {
                while !self.line().await?.is_empty() {}
                self.body = Body::Over;
            }
        }
        Ok(match self.body {
            Body::Length(left) | Body::Chunk(left) => Some(left),
            Body::UntilTheEnd => Some(u64::MAX),
            Body::ChunkEnd | Body::Over => None,
        })
    }

    /// Bytes of the body at the start of what is unused, counted as read; 0 where the connection's end is the body's.
    async fn buffered(&mut self) -> Result<usize, Broken> {
        if self.unused().is_empty() {
            let count = self.receive().await.map_err(Broken::InBody)?;
            if count == 0 {
                return self.took(0);
            }
        }
        let most = match self.body {
            Body::Length(left) | Body::Chunk(left) => usize::try_from(left).unwrap_or(usize::MAX),
            Body::UntilTheEnd => usize::MAX,
            Body::ChunkEnd | Body::Over => 0,
        };
        self.took(self.unused().len().min(most))
    }

    /// Counts bytes of the body; none came where the connection has ended.
    fn took(&mut self, count: usize) -> Result<usize, Broken> {
        let bytes = count as u64;
        self.body = match (self.body, count) {
            (Body::UntilTheEnd, 0) => Body::Over,
            (_, 0) => return Err(Broken::Cut),
            (Body::Length(left), _) if left > bytes => Body::Length(left - bytes),
            (Body::Chunk(left), _) if left > bytes => Body::Chunk(left - bytes),
            (Body::Chunk(_), _) => Body::ChunkEnd,
            (Body::UntilTheEnd, _) => Body::UntilTheEnd,
            _ => Body::Over,
        };
        Ok(count)
    }

    async fn chunk_size(&mut self) -> Result<u64, Broken> {
        let line = self.line().await?;
        let digits = line.split(|byte| matches!(byte, b';' | b' ')).next().unwrap_or_default();
        let size =
            std::str::from_utf8(digits).ok().and_then(|hex| u64::from_str_radix(hex, 16).ok());
        size.ok_or_else(|| Broken::NotHttp("a chunk has no size".into()))
    }

    /// The next line of the body's framing, without its end.
    async fn line(&mut self) -> Result<Vec<u8>, Broken> {
        loop {
            if let Some(len) = self.unused().iter().position(|byte| *byte == b'\n') {
                let line = self.unused()[..len].trim_ascii_end().to_vec();
                self.start += len + 1;
                return Ok(line);
            }
            if self.unused().len() > MOST_LINE_BYTES {
                return Err(Broken::NotHttp("a line of a chunked body is too long".into()));
            }
            if self.receive().await.map_err(Broken::InBody)? == 0 {
                return Err(Broken::Cut);
            }
        }
    }

    /// The head at the start of what is unused, or `None` while it is not whole.
    fn take_head(&mut self) -> Result<Option<response::Parts>, Broken> {
        let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
        let mut parsed = httparse::Response::new(&mut headers);
        let len = match parsed.parse(&self.received[self.start..]) {
            Ok(httparse::Status::Complete(len)) => len,
            Ok(httparse::Status::Partial) if self.unused().len() <= MOST_HEADER_BYTES => {
                return Ok(None);
            }
            Ok(httparse::Status::Partial) => {
                return Err(Broken::NotHttp(format!(
                    "its head has over {MOST_HEADER_BYTES} bytes"
                )));
            }
            Err(error) => return Err(Broken::NotHttp(error.to_string())),
        };
        let head = head_of(&parsed)?;
        self.start += len;
        Ok(Some(head))
    }

    fn unused(&self) -> &[u8] {
        &self.received[self.start..]
    }

    /// Waits for bytes behind those that are unused; 0 at the connection's end.
    async fn receive(&mut self) -> io::Result<usize> {
        self.received.drain(..self.start);
        self.start = 0;
        self.received.reserve(BUFFER_BYTES);
        self.stream.read_buf(&mut self.received).await
    }
}

/// Reads once, into what the record misses.
async fn read_directly(
    stream: &mut Stream,
    record: &mut RecordWriter,
    most: usize,
) -> io::Result<usize> {
    poll_fn(|context| {
        let mut pending = false;
        let read = record.read_with(most, |spare| {
            let mut buffer = ReadBuf::uninit(&mut *spare);
            let polled = Pin::new(&mut *stream).poll_read(context, &mut buffer);
            let count = buffer.filled().len();
            pending = polled.is_pending();
            if let Poll::Ready(Err(error)) = polled {
                return Err(error);
            }
            // SAFETY: `filled` are the first `count` bytes of `spare`, which the stream has written.
            Ok(unsafe { std::slice::from_raw_parts_mut(spare.as_mut_ptr().cast(), count) })
        });
        if pending { Poll::Pending } else { Poll::Ready(read) }
    })
    .await
}

fn encoded(request: &Request<()>) -> Vec<u8> {
    let mut bytes = format!("{} {} HTTP/1.1\r\n", request.method(), request.uri()).into_bytes();
    for (name, value) in request.headers() {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes
}

fn head_of(parsed: &httparse::Response<'_, '_>) -> Result<response::Parts, Broken> {
    let not_http = |what: &str| Broken::NotHttp(what.into());
    let mut response = Response::new(());
    let status = StatusCode::from_u16(parsed.code.unwrap_or_default());
    *response.status_mut() = status.map_err(|_| not_http("it has no status"))?;
    *response.version_mut() = match parsed.version {
        Some(1) => http::Version::HTTP_11,
        _ => http::Version::HTTP_10,
    };
    for header in parsed.headers.iter() {
        let name = HeaderName::from_bytes(header.name.as_bytes());
        let value = HeaderValue::from_bytes(header.value);
        let (Ok(name), Ok(value)) = (name, value) else {
            return Err(not_http("it has a header that is none"));
        };
        response.headers_mut().append(name, value);
    }
    Ok(response.into_parts().0)
}

/// RFC 9112, 6.3: what ends the body of an answer.
fn body_of(head: &response::Parts, to_head: bool) -> Result<Body, Broken> {
    let has_none = matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if to_head || has_none {
        return Ok(Body::Over);
    }
    if head.headers.contains_key(TRANSFER_ENCODING) {
        return match has_token(&head.headers, &TRANSFER_ENCODING, "chunked") {
            true => Ok(Body::Chunk(0)),
            false => Err(Broken::NotHttp("its transfer encoding is not chunked".into())),
        };
    }
    let mut lengths = head.headers.get_all(CONTENT_LENGTH).iter();
    let Some(first) = lengths.next() else { return Ok(Body::UntilTheEnd) };
    let length = first.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    match length.and_then(|text| text.parse().ok()) {
        Some(0) => Ok(Body::Over),
        Some(length) if lengths.all(|other| other == first) => Ok(Body::Length(length)),
        _ => Err(Broken::NotHttp("its length is no number, or two".into())),
    }
}

fn closes(head: &response::Parts) -> bool {
    head.version != http::Version::HTTP_11 || has_token(&head.headers, &CONNECTION, "close")
}

fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    let lists = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    lists.flat_map(|list| list.split(',')).any(|one| one.trim().eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    struct Answered {
        head: response::Parts,
        body: Vec<u8>,
        can_go_on: bool,
    }

    /// What an exchange makes of these bytes, sent in pieces of `piece`, after which the other end closes or not.
    async fn answered(
        sent: &'static [u8],
        piece: usize,
        method: http::Method,
        closes: bool,
    ) -> Result<Answered, Broken> {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let tcp = TcpStream::connect(listener.local_addr().expect("bound")).await.expect("there");
        let (mut peer, _) = listener.accept().await.expect("a client");
        let server = tokio::spawn(async move {
            let mut request = Vec::new();
            // A socket that is closed with bytes unread resets its connection.
            while !request.ends_with(b"\r\n\r\n") {
                peer.read_buf(&mut request).await.expect("a request");
            }
            for part in sent.chunks(piece) {
                peer.write_all(part).await.expect("the client reads");
                tokio::task::yield_now().await;
            }
            (!closes).then_some(peer)
        });
        let mut exchange = Exchange::over(Stream::Plain(tcp));
        let mut request = Request::new(());
        *request.method_mut() = method;
        let head = exchange.ask(&request).await?;
        let mut body = Vec::new();
        while exchange.read_text(&mut body).await? > 0 {}
        let _peer = server.await.expect("it sent all");
        Ok(Answered { head, body, can_go_on: exchange.can_go_on() })
    }

    async fn get(sent: &'static [u8]) -> Result<Answered, Broken> {
        let whole = answered(sent, sent.len(), http::Method::GET, true).await;
        let bytewise = answered(sent, 1, http::Method::GET, true).await;
        match (&whole, &bytewise) {
            (Ok(whole), Ok(bytewise)) => assert_eq!(whole.body, bytewise.body),
            (whole, bytewise) => assert_eq!(whole.is_err(), bytewise.is_err()),
        }
        whole
    }

    async fn refused(sent: &'static [u8]) -> String {
        match get(sent).await.map(|answered| answered.body) {
            Err(Broken::NotHttp(why)) => why,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_body_ends_by_its_length_its_chunks_or_its_connection() {
        let length = get(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc").await.expect("good");
        assert_eq!(length.body, b"abc");
        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, Chunked\r\n\r\n\
            3;x=y\r\nabc\r\n00A\r\n0123456789\r\n0\r\nTrailer: t\r\n\r\n";
        assert_eq!(get(chunked).await.expect("good").body, b"abc0123456789");
        let closed = get(b"HTTP/1.0 200 OK\r\n\r\nall of it").await.expect("good");
        assert_eq!(closed.body, b"all of it");
    }

    #[tokio::test]
    async fn an_answer_without_a_body_is_over_at_its_head() {
        let to_head: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n";
        let head = answered(to_head, 7, http::Method::HEAD, false).await.expect("good");
        assert!(head.body.is_empty() && head.can_go_on);
        let none: &[u8] = b"HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n";
        assert!(answered(none, 7, http::Method::GET, false).await.expect("good").body.is_empty());
    }

    #[tokio::test]
    async fn what_announces_an_answer_is_passed_over() {
        let sent = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 206 Part\r\nContent-Length: 1\r\n\r\nx";
        let answered = get(sent).await.expect("good");
        assert_eq!(
            (answered.head.status, answered.body),
            (StatusCode::PARTIAL_CONTENT, b"x".into())
        );
    }

    #[tokio::test]
    async fn a_connection_goes_on_only_when_nothing_is_left_of_it() {
        let again = |sent, closes| async move {
            answered(sent, 5, http::Method::GET, closes).await.expect("good").can_go_on
        };
        assert!(again(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", false).await);
        assert!(!again(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", true).await);
        assert!(!again(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxy", false).await);
        let close = b"HTTP/1.1 200 OK\r\nconnection: a, Close\r\nContent-Length: 1\r\n\r\nx";
        assert!(!again(close, false).await);
        assert!(!again(b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", false).await);
    }

    #[tokio::test]
    async fn what_is_not_http_or_leaves_its_end_open_is_refused() {
        let lengths = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd";
        assert!(refused(lengths).await.contains("or two"));
        let wrong = b"HTTP/1.1 200 OK\r\nContent-Length: +3\r\n\r\nabc";
        assert!(refused(wrong).await.contains("no number"));
        let encoding = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc";
        assert!(refused(encoding).await.contains("not chunked"));
        let size = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nabc\r\n0\r\n\r\n";
        assert!(refused(size).await.contains("no size"));
        let long = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n";
        assert!(refused(long).await.contains("longer than it says"));
        refused(b"HTTP/1.1 999999 OK\r\n\r\n").await;
    }

    #[tokio::test]
    async fn an_end_too_early_is_told_from_none_at_all() {
        let cut = get(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab").await;
        assert!(matches!(cut.map(|_| ()), Err(Broken::Cut)));
        let in_chunk = get(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab").await;
        assert!(matches!(in_chunk.map(|_| ()), Err(Broken::Cut)));
        let in_head = get(b"HTTP/1.1 200 OK\r\nContent-Le").await;
        assert!(matches!(in_head.map(|_| ()), Err(Broken::BeforeAnswer(_))));
    }
}
