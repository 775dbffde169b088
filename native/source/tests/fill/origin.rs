//! A small HTTP/1.1 server with the semantics of S3's GET and HEAD and a script of faults. One thread a connection.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use millpool_core::ObjectRef;
use millpool_source::SourceConfig;
use rustix::net::sockopt::set_socket_linger;

use crate::bed::BUCKET;
use crate::script::{Fault, Script};

pub const MODIFIED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
pub const MODIFIED_SECONDS: i64 = 784_111_777;
const NOW: &str = "Mon, 07 Nov 1994 00:00:00 GMT";

#[derive(Clone)]
pub struct Object {
    pub bytes: Arc<Vec<u8>>,
    pub etag: Option<String>,
    pub modified: &'static str,
}

/// A request as it came: lower-case header names.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub target: String,
    pub headers: HashMap<String, String>,
}

pub struct Origin {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    objects: Mutex<HashMap<String, Object>>,
    requests: Mutex<Vec<Request>>,
    script: Script,
}

impl Origin {
    pub fn start() -> Origin {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let serving = shared.clone();
        // It and its connections end with the process; a test's origin is asked nothing after the test.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, shared) = (stream.unwrap(), serving.clone());
                std::thread::spawn(move || shared.serve(stream));
            }
        });
        Origin { address, shared }
    }

    pub fn source(&self) -> SourceConfig {
        source_at(format!("http://{}", self.address), BUCKET)
    }

    /// Puts an object whose ETag comes from its bytes, and tells how attachment 1 refers to it.
    pub fn put(&self, key: &str, bytes: Vec<u8>) -> Arc<ObjectRef> {
        let etag = format!("\"{:08x}\"", crc_fast::crc32_iscsi(&bytes));
        let size = bytes.len() as u64;
        let object =
            Object { bytes: Arc::new(bytes), etag: Some(etag.clone()), modified: MODIFIED };
        self.put_object(key, object);
        Arc::new(ObjectRef { attachment: 1, source_key: key.into(), size, tag: etag.into() })
    }

    pub fn put_object(&self, key: &str, object: Object) {
        self.shared.objects.lock().unwrap().insert(key.into(), object);
    }

    pub fn script(&self) -> &Script {
        &self.shared.script
    }

    pub fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// How often `key` was asked for with `method`.
    pub fn count(&self, method: &str, key: &str) -> usize {
        let asked = |request: &&Request| request.method == method && request.key() == key;
        self.requests().iter().filter(asked).count()
    }
}

/// Path style, signed.
pub fn source_at(endpoint: String, bucket: &str) -> SourceConfig {
    SourceConfig::S3 {
        endpoint,
        region: "us-east-1".into(),
        bucket: bucket.into(),
        path_style: true,
        anonymous: false,
        requester_pays: false,
        authority_files: Vec::new(),
    }
}

impl Request {
    pub fn key(&self) -> &str {
        let path = self.target.split('?').next().unwrap();
        // The bucket may be in the host name instead.
        path.strip_prefix(&format!("/{BUCKET}/")).unwrap_or(&path[1..])
    }

    fn read(reader: &mut impl BufRead) -> Option<Request> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            match reader.read_line(&mut line) {
                Ok(0) | Err(_) => return None,
                Ok(_) if line == "\r\n" => break,
                Ok(_) => lines.push(line.trim_end().to_owned()),
            }
        }
        let mut first = lines.first()?.split(' ');
        let (method, target) = (first.next()?.to_owned(), first.next()?.to_owned());
        let headers = lines[1..].iter().filter_map(|line| {
            let (name, value) = line.split_once(": ")?;
            Some((name.to_lowercase(), value.to_owned()))
        });
        Some(Request { method, target, headers: headers.collect() })
    }

    /// First byte and length.
    fn range(&self) -> Option<(usize, usize)> {
        let (first, last) = self.headers.get("range")?.strip_prefix("bytes=")?.split_once('-')?;
        let first: usize = first.parse().ok()?;
        Some((first, last.parse::<usize>().ok()? + 1 - first))
    }
}

/// What the right answer is, to be bent by a fault.
struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Reply {
    fn error(status: u16, code: &str) -> Reply {
        let body = format!("<Error><Code>{code}</Code><Message>no</Message></Error>").into_bytes();
        Reply { status, headers: vec![("Content-Length", body.len().to_string())], body }
    }

    fn set(&mut self, name: &'static str, value: impl Into<String>) {
        self.headers.retain(|(other, _)| *other != name);
        self.headers.push((name, value.into()));
    }

    fn head(&self) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {} Said\r\n", self.status);
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        (head + "\r\n").into_bytes()
    }
}

impl Shared {
    fn serve(&self, stream: TcpStream) {
        stream.set_nodelay(true).unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        while let Some(request) = Request::read(&mut reader) {
            let fault = self.script.next(request.key());
            self.requests.lock().unwrap().push(request.clone());
            let mut reply = self.reply(&request, fault.as_ref());
            if request.method == "HEAD" {
                reply.body.clear();
            }
            if matches!(self.send(&stream, &reply, fault), Ok(Next::Close) | Err(_)) {
                return;
            }
        }
    }

    fn reply(&self, request: &Request, fault: Option<&Fault>) -> Reply {
        if let Some(Fault::Status(status, code)) = fault {
            return Reply::error(*status, code);
        }
        let Some(object) = self.objects.lock().unwrap().get(request.key()).cloned() else {
            return Reply::error(404, "NoSuchKey");
        };
        let condition = request.headers.get("if-match");
        if condition.is_some()
            && condition != object.etag.as_ref()
            && fault != Some(&Fault::OtherEtag)
        {
            return Reply::error(412, "PreconditionFailed");
        }
        let mut reply = Reply { status: 200, headers: Vec::new(), body: object.bytes.to_vec() };
        if let Some((first, len)) = request.range()
            && fault != Some(&Fault::WholeObject)
        {
            if first + len > object.bytes.len() {
                return Reply::error(416, "InvalidRange");
            }
            let total = object.bytes.len();
            reply.status = 206;
            reply.body = object.bytes[first..first + len].to_vec();
            reply.set("Content-Range", format!("bytes {first}-{}/{total}", first + len - 1));
        }
        reply.set("Content-Length", reply.body.len().to_string());
        reply.set("Last-Modified", object.modified);
        reply.set("Date", NOW);
        if let Some(etag) = object.etag {
            reply.set("ETag", etag);
        }
        match fault {
            Some(Fault::OtherEtag) => reply.set("ETag", "\"other\""),
            Some(Fault::Header(name, value)) => reply.set(name, *value),
            _ => {}
        }
        reply
    }

    fn send(
        &self,
        mut stream: &TcpStream,
        reply: &Reply,
        fault: Option<Fault>,
    ) -> std::io::Result<Next> {
        let half = &reply.body[..reply.body.len() / 2];
        match fault {
            Some(Fault::Reset) => return reset(stream),
            Some(Fault::ResetInBody) => {
                stream.write_all(&[&reply.head(), half].concat())?;
                return reset(stream);
            }
            Some(Fault::Cut) => {
                stream.write_all(&[&reply.head(), half].concat())?;
                return Ok(Next::Close);
            }
            Some(Fault::Hang) => return until_the_client_goes(stream),
            Some(Fault::HangInBody) => {
                stream.write_all(&[&reply.head(), half].concat())?;
                return until_the_client_goes(stream);
            }
            Some(Fault::Hold) => self.script.wait_for_release(),
            Some(Fault::Dribble | Fault::Slow) => {
                return dribble(stream, reply, fault == Some(Fault::Slow));
            }
            Some(Fault::Chunked | Fault::Endless) => {
                return chunked(stream, reply, fault == Some(Fault::Endless));
            }
            Some(Fault::GiantHeader) => {
                stream.write_all(b"HTTP/1.1 200 OK\r\nX-Long: ")?;
                return write_until_the_client_goes(stream, &[b'x'; 4096]);
            }
            Some(Fault::NotHttp) => {
                stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")?;
                return Ok(Next::Close);
            }
            _ => {}
        }
        stream.write_all(&[reply.head(), reply.body.clone()].concat())?;
        Ok(if fault == Some(Fault::CloseAfter) { Next::Close } else { Next::Keep })
    }
}

enum Next {
    Keep,
    Close,
}

fn reset(stream: &TcpStream) -> std::io::Result<Next> {
    set_socket_linger(stream, Some(Duration::ZERO))?;
    Ok(Next::Close)
}

fn until_the_client_goes(mut stream: &TcpStream) -> std::io::Result<Next> {
    while stream.read(&mut [0; 1024])? > 0 {}
    Ok(Next::Close)
}

fn write_until_the_client_goes(mut stream: &TcpStream, bytes: &[u8]) -> std::io::Result<Next> {
    loop {
        stream.write_all(bytes)?;
    }
}

/// In pieces of a hundredth, or for ever a byte at a time.
fn dribble(mut stream: &TcpStream, reply: &Reply, ends: bool) -> std::io::Result<Next> {
    stream.write_all(&reply.head())?;
    let size = if ends { reply.body.len().div_ceil(100) } else { 1 };
    for piece in reply.body.chunks(size) {
        std::thread::sleep(Duration::from_millis(2));
        stream.write_all(piece)?;
    }
    Ok(Next::Keep)
}

fn chunked(mut stream: &TcpStream, reply: &Reply, endless: bool) -> std::io::Result<Next> {
    let mut headers = reply.headers.clone();
    headers.retain(|(name, _)| *name != "Content-Length");
    headers.push(("Transfer-Encoding", "chunked".into()));
    let head = Reply { status: reply.status, headers, body: Vec::new() }.head();
    stream.write_all(&head)?;
    for piece in reply.body.chunks(1000) {
        stream.write_all(format!("{:x}\r\n", piece.len()).as_bytes())?;
        stream.write_all(&[piece, b"\r\n"].concat())?;
    }
    if endless {
        return write_until_the_client_goes(stream, b"5\r\nmore!\r\n");
    }
    stream.write_all(b"0\r\n\r\n")?;
    Ok(Next::Keep)
}
