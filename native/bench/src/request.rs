//! What a client asked: as much of HTTP/1.1 and S3 as GET, HEAD and LIST need.

use crate::failure::{Failure, refused};

pub const HEAD_BYTES_MAX: usize = 64 << 10;

#[derive(Debug)]
pub struct Request {
    pub is_head: bool,
    pub bucket: String,
    /// Empty for the bucket itself.
    pub key: String,
    pub query: Vec<(String, String)>,
    pub range: Option<String>,
    pub if_match: Option<String>,
    pub if_none_match: Option<String>,
    pub closes: bool,
}

impl Request {
    /// The first request of `bytes` and its length, or `None` while it is not whole.
    pub fn parse(bytes: &[u8]) -> Result<Option<(Request, usize)>, Failure> {
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
            return match bytes.len() > HEAD_BYTES_MAX {
                true => Err(refused("a request's head is too long")),
                false => Ok(None),
            };
        };
        let head = std::str::from_utf8(&bytes[..end])?;
        Ok(Some((Request::of_head(head)?, end + 4)))
    }

    fn of_head(head: &str) -> Result<Request, Failure> {
        let mut lines = head.split("\r\n");
        let mut words = lines.next().unwrap_or_default().split(' ');
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        if !matches!(method, "GET" | "HEAD") {
            return Err(refused(format!("{method} is not answered: this server is for reading")));
        }
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let path = path.strip_prefix('/').unwrap_or_default();
        let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
        let mut request = Request {
            is_head: method == "HEAD",
            bucket: decoded(bucket)?,
            key: decoded(key)?,
            query: query_of(query)?,
            range: None,
            if_match: None,
            if_none_match: None,
            closes: false,
        };
        for line in lines {
            let (name, value) =
                line.split_once(':').ok_or_else(|| refused("a header without :"))?;
            request.read_header(name, value.trim())?;
        }
        Ok(request)
    }

    fn read_header(&mut self, name: &str, value: &str) -> Result<(), Failure> {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        if is("range") {
            self.range = Some(value.into());
        } else if is("if-match") {
            self.if_match = Some(value.into());
        } else if is("if-none-match") {
            self.if_none_match = Some(value.into());
        } else if is("connection") {
            self.closes = value.eq_ignore_ascii_case("close");
        } else if is("transfer-encoding") || (is("content-length") && value != "0") {
            return Err(refused("a request with a body is not answered"));
        }
        Ok(())
    }

    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

fn query_of(query: &str) -> Result<Vec<(String, String)>, Failure> {
    let parts = query.split('&').filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            Ok((decoded(name)?, decoded(&value.replace('+', " "))?))
        })
        .collect()
}

fn decoded(text: &str) -> Result<String, Failure> {
    if !text.contains('%') {
        return Ok(text.into());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = tail.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        let byte = digits.and_then(|two| u8::from_str_radix(two, 16).ok());
        bytes.push(byte.ok_or_else(|| refused("a % without two digits"))?);
        rest = &tail[2..];
    }
    Ok(String::from_utf8(bytes)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Request {
        let (request, length) = Request::parse(text.as_bytes()).expect("valid").expect("whole");
        assert_eq!(length, text.len());
        request
    }

    #[test]
    fn a_request_is_read() {
        let request = parse(
            "GET /objects-1-2/data/a%20b?list-type=2&prefix=x%2Fy HTTP/1.1\r\nHost: a\r\n\
             range: bytes=0-1\r\nIf-Match: \"e\"\r\nConnection: close\r\n\r\n",
        );
        assert_eq!((request.bucket.as_str(), request.key.as_str()), ("objects-1-2", "data/a b"));
        assert_eq!(request.parameter("prefix"), Some("x/y"));
        assert_eq!(request.range.as_deref(), Some("bytes=0-1"));
        assert_eq!(request.if_match.as_deref(), Some("\"e\""));
        assert!(request.closes && !request.is_head);
    }

    #[test]
    fn one_that_is_not_whole_is_waited_for_and_a_wrong_one_refused() {
        assert!(Request::parse(b"GET / HTTP/1.1\r\nHost: a\r\n").expect("valid").is_none());
        assert!(Request::parse(&vec![b'a'; HEAD_BYTES_MAX + 1]).is_err());
        for wrong in ["PUT / HTTP/1.1\r\n\r\n", "GET /%2 HTTP/1.1\r\n\r\n", "GET / H\r\nx\r\n\r\n"]
        {
            assert!(Request::parse(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
