//! What a request gets, as S3 would answer it. Signatures are not looked at: this server generates load.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::catalog::Catalog;
use crate::http_date::http_date;
use crate::listing::listing;
use crate::request::Request;
use crate::window;

const LAST_MODIFIED: &str = "Mon, 05 Jan 2026 06:07:08 GMT";

/// Bytes of the window to send after the head.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Body {
    pub offset: u64,
    pub len: u64,
}

#[derive(Debug)]
pub struct Answer {
    /// The head, and with it whatever body is text.
    pub head: Vec<u8>,
    pub body: Body,
    pub closes: bool,
}

struct Object {
    catalog: Catalog,
    number: u64,
}

pub fn answer(request: &Request) -> Answer {
    let Ok(catalog) = Catalog::of_bucket(&request.bucket) else {
        return error(request, "404 Not Found", "NoSuchBucket");
    };
    if request.key.is_empty() {
        return of_bucket(request, &catalog);
    }
    let Some(number) = catalog.find(&request.key) else {
        return error(request, "404 Not Found", "NoSuchKey");
    };
    of_object(request, &Object { catalog, number })
}

/// The last answer of a connection whose client sent something else than a request that is answered here.
pub fn refusal() -> Answer {
    let mut head = head_of("400 Bad Request", 0, "Connection: close\r\n");
    head.extend_from_slice(b"\r\n");
    Answer { head, body: Body::default(), closes: true }
}

fn of_bucket(request: &Request, catalog: &Catalog) -> Answer {
    if request.is_head {
        return text(request, "200 OK", String::new());
    }
    match listing(catalog, request) {
        Ok(xml) => text(request, "200 OK", xml),
        Err(why) => error(request, "400 Bad Request", why),
    }
}

fn of_object(request: &Request, object: &Object) -> Answer {
    let Object { catalog, number } = object;
    let etag = catalog.etag(*number);
    let matches = |wanted: &String| wanted == "*" || wanted.contains(&etag);
    if request.if_match.as_ref().is_some_and(|wanted| !matches(wanted)) {
        return error(request, "412 Precondition Failed", "PreconditionFailed");
    }
    if request.if_none_match.as_ref().is_some_and(matches) {
        return text(request, "304 Not Modified", String::new());
    }
    let size = catalog.size;
    let whole = Body { offset: 0, len: size };
    let (status, part) = match request.range.as_deref().map(|range| part_of(range, size)) {
        None => ("200 OK", whole),
        Some(Some(part)) => ("206 Partial Content", part),
        Some(None) => return error(request, "416 Range Not Satisfiable", "InvalidRange"),
    };
    let mut fields = format!(
        "ETag: {etag}\r\nLast-Modified: {LAST_MODIFIED}\r\nAccept-Ranges: bytes\r\n\
         Content-Type: application/octet-stream\r\n"
    );
    if request.range.is_some() {
        let last = part.offset + part.len - 1;
        fields += &format!("Content-Range: bytes {}-{last}/{size}\r\n", part.offset);
    }
    let mut head = head_of(status, part.len, &fields);
    end_head(request, &mut head);
    let offset = window::offset(*number, size) + part.offset;
    let body = if request.is_head { Body::default() } else { Body { offset, len: part.len } };
    Answer { head, body, closes: request.closes }
}

/// `bytes=A-B`, `bytes=A-` or `bytes=-N` of an object; `None` where it names no byte.
fn part_of(range: &str, size: u64) -> Option<Body> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    if first.is_empty() {
        let len = last.parse::<u64>().ok()?.min(size);
        return (len > 0).then_some(Body { offset: size - len, len });
    }
    let offset = first.parse::<u64>().ok()?;
    let last = if last.is_empty() { u64::MAX } else { last.parse().ok()? };
    (offset < size && last >= offset).then(|| Body { offset, len: last.min(size - 1) - offset + 1 })
}

fn error(request: &Request, status: &str, code: &str) -> Answer {
    let xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{status}</Message>\
         <Resource>/{}/{}</Resource><RequestId>0</RequestId></Error>",
        request.bucket, request.key
    );
    text(request, status, xml)
}

fn text(request: &Request, status: &str, text: String) -> Answer {
    let fields = if text.is_empty() { "" } else { "Content-Type: application/xml\r\n" };
    let mut head = head_of(status, text.len() as u64, fields);
    end_head(request, &mut head);
    if !request.is_head {
        head.extend_from_slice(text.as_bytes());
    }
    Answer { head, body: Body::default(), closes: request.closes }
}

fn head_of(status: &str, len: u64, fields: &str) -> Vec<u8> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let date = http_date(now);
    format!("HTTP/1.1 {status}\r\nContent-Length: {len}\r\nDate: {date}\r\n{fields}").into_bytes()
}

fn end_head(request: &Request, head: &mut Vec<u8>) {
    if request.closes {
        head.extend_from_slice(b"Connection: close\r\n");
    }
    head.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_cut_at_the_object_s_end() {
        let part = |range| part_of(range, 100).map(|Body { offset, len }| (offset, len));
        assert_eq!(part("bytes=0-9"), Some((0, 10)));
        assert_eq!(part("bytes=90-200"), Some((90, 10)));
        assert_eq!(part("bytes=99-"), Some((99, 1)));
        assert_eq!(part("bytes=-7"), Some((93, 7)));
        assert_eq!(part("bytes=-700"), Some((0, 100)));
        for wrong in ["bytes=100-", "bytes=5-4", "bytes=-0", "bytes=x-1", "lines=0-1"] {
            assert_eq!(part(wrong), None, "{wrong}");
        }
    }
}
