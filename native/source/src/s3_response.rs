//! What an S3 answer means: the bytes that were asked for, or why not. Nothing that it says is believed unchecked.

use http::header::{
    CONTENT_LENGTH, CONTENT_RANGE, DATE, ETAG, HeaderMap, HeaderName, LAST_MODIFIED,
};
use http::{StatusCode, response};
use millpool_core::{Code, Error};

use crate::calendar::parse_http_date;
use crate::endpoint::Bucket;
use crate::piece::{Piece, YOUNG_SECONDS};
use crate::retry::{Again, Failure};
use crate::s3_request::Version;

/// What was asked, for checks and messages.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub bucket: &'a Bucket,
    pub piece: &'a Piece,
}

/// The head of a good answer to a GET, whose body is still to come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Accepted {
    pub young: bool,
}

impl Asked<'_> {
    pub fn name(&self) -> String {
        format!("s3://{}/{}", self.bucket.name, self.piece.key_text())
    }

    pub fn never(&self, code: Code, why: impl std::fmt::Display) -> Failure {
        Failure::new(Again::Never, Error::new(code, format!("{}: {why}", self.name())))
    }

    pub fn later(&self, why: impl std::fmt::Display) -> Failure {
        self.fail(Again::Later, Code::SourceUnavailable, why)
    }

    pub fn fail(&self, again: Again, code: Code, why: impl std::fmt::Display) -> Failure {
        Failure::new(again, Error::new(code, format!("{}: {why}", self.name())))
    }

    fn changed(&self, what: &str, now: &str) -> Failure {
        let shown: String = now.chars().take(200).collect();
        self.never(
            Code::SourceChanged,
            format_args!("its {what} is {shown} now; it was replaced since it was listed"),
        )
    }

    fn broken(&self, why: impl std::fmt::Display) -> Failure {
        self.never(Code::SourceBroken, why)
    }

    /// Checks the head of a 2xx answer to a GET.
    pub fn check_get(&self, head: &response::Parts) -> Result<Accepted, Failure> {
        let whole = self.piece.is_whole_object();
        match (head.status, whole) {
            (StatusCode::OK, true) => self.check_size(&head.headers)?,
            (StatusCode::PARTIAL_CONTENT, false) => self.check_range(&head.headers)?,
            (StatusCode::OK, false) => {
                let why = "the source answered a request for a range with the whole object; it cannot serve objects of \
                           more than 4 MiB without support for ranges";
                return Err(self.broken(why));
            }
            (status, _) => {
                return Err(self.broken(format_args!("the source answered {status} to a GET")));
            }
        }
        self.check_version(&head.headers)?;
        Ok(Accepted { young: self.is_young(&head.headers)? })
    }

    /// The answer names the very version that was asked for.
    fn is_proven_same(&self, headers: &HeaderMap) -> bool {
        let Ok(Version::Etag(etag)) = Version::of(&self.piece.object) else { return false };
        headers.get(ETAG).is_some_and(|now| now.as_bytes() == etag)
    }

    /// A fault on the way, which another attempt may not meet.
    fn misdeclared(&self, length: u64) -> Failure {
        let wanted = self.piece.len();
        let why = format!("the source declared {length} bytes for an answer of {wanted}");
        self.fail(Again::Later, Code::SourceBroken, why)
    }

    /// Checks the head of a 2xx answer to a HEAD: the object is still the one that was asked for.
    pub fn check_head(&self, head: &response::Parts) -> Result<(), Failure> {
        self.check_size(&head.headers)?;
        self.check_version(&head.headers)
    }

    fn check_size(&self, headers: &HeaderMap) -> Result<(), Failure> {
        let Some(length) = text(headers, &CONTENT_LENGTH) else { return Ok(()) };
        match length.parse::<u64>() {
            Ok(size) if size == self.piece.object.size => Ok(()),
            Ok(size) if self.is_proven_same(headers) => Err(self.misdeclared(size)),
            Ok(size) => Err(self
                .changed("size", &format!("{size} instead of {} bytes", self.piece.object.size))),
            Err(_) => Err(self.broken("the source declared a length that is no number")),
        }
    }

    fn check_range(&self, headers: &HeaderMap) -> Result<(), Failure> {
        let declared = text(headers, &CONTENT_RANGE).and_then(parse_content_range);
        let Some((first, last, total)) = declared else {
            return Err(self.broken("the source sent a part without saying which (Content-Range)"));
        };
        if total != self.piece.object.size {
            return Err(self
                .changed("size", &format!("{total} instead of {} bytes", self.piece.object.size)));
        }
        let asked = self.piece.offset();
        let asked_last = asked + u64::from(self.piece.len()) - 1;
        if (first, last) != (asked, asked_last) {
            let why = format_args!(
                "the source sent bytes {first}-{last} instead of {asked}-{asked_last}"
            );
            return Err(self.broken(why));
        }
        match text(headers, &CONTENT_LENGTH).map(str::parse::<u64>) {
            Some(Ok(length)) if length != u64::from(self.piece.len()) => {
                Err(self.misdeclared(length))
            }
            Some(Err(_)) => Err(self.broken("the source declared a length that is no number")),
            _ => Ok(()),
        }
    }

    fn check_version(&self, headers: &HeaderMap) -> Result<(), Failure> {
        match self.version()? {
            Version::Etag(etag) => match headers.get(ETAG) {
                Some(now) if without_weakness(now.as_bytes()) != etag => {
                    Err(self.changed("ETag", &String::from_utf8_lossy(now.as_bytes())))
                }
                _ => Ok(()),
            },
            Version::Id(id) => {
                match headers.get("x-amz-version-id") {
                    Some(now) if now.as_bytes() != id => Err(self
                        .broken("the source sent another version than the one that was asked for")),
                    _ => Ok(()),
                }
            }
            Version::Modified(seconds) => match date(headers, &LAST_MODIFIED) {
                Some(now) if now == seconds => Ok(()),
                Some(now) => Err(self.changed("Last-Modified", &format!("{now} s since 1970"))),
                None => Err(self.broken(
                    "the source sends no Last-Modified, by which this object's version is known",
                )),
            },
        }
    }

    fn is_young(&self, headers: &HeaderMap) -> Result<bool, Failure> {
        let weak = matches!(self.version()?, Version::Modified(_));
        Ok(match (date(headers, &DATE), date(headers, &LAST_MODIFIED)) {
            (Some(now), Some(modified)) => now - modified < YOUNG_SECONDS,
            _ => weak,
        })
    }

    fn version(&self) -> Result<Version<'_>, Failure> {
        Version::of(&self.piece.object).map_err(|error| Failure::new(Again::Never, error))
    }

    /// What an answer other than 2xx means. `body` is the beginning of its body, if it has one.
    pub fn refusal(&self, head: &response::Parts, body: &[u8]) -> Failure {
        let said = xml_text(body, "Code").unwrap_or_default();
        match said.as_str() {
            "ExpiredToken" | "TokenRefreshRequired" | "ExpiredTokenException" => {
                let why = "the credentials have expired; renew them";
                return self.fail(Again::WithNewCredentials, Code::Refused, why);
            }
            "SlowDown" | "RequestLimitExceeded" | "TooManyRequests" => {
                return self.status_again(head.status, &said);
            }
            "RequestTimeout" | "InternalError" => {
                return self.later(format_args!("the source answered {said}"));
            }
            "InvalidAccessKeyId" => {
                return self.never(
                    Code::Refused,
                    "the source does not know the access key; check the credentials",
                );
            }
            _ => {}
        }
        self.refusal_by_status(head, body, &said)
    }

    fn refusal_by_status(&self, head: &response::Parts, body: &[u8], said: &str) -> Failure {
        match head.status.as_u16() {
            301 | 302 | 307 | 308 => self.elsewhere(&head.headers, body),
            400 if region_of(&head.headers, body).is_some() => self.elsewhere(&head.headers, body),
            400 => self.never(
                Code::Invalid,
                format_args!("the source calls the request wrong (400 {said})"),
            ),
            401 | 403 => self.denied(said),
            404 if said == "NoSuchBucket" => {
                self.never(Code::NotFound, format_args!("there is no bucket {}", self.bucket.name))
            }
            404 | 405 | 410 => self
                .never(Code::NotFound, "no such object in the bucket; it was deleted or never was"),
            412 | 416 => self.changed("version", "another"),
            408 | 429 | 500 | 502 | 503 | 504 => self.status_again(head.status, said),
            status => self.broken(format_args!("the source answered {status} {said}")),
        }
    }

    fn status_again(&self, status: StatusCode, said: &str) -> Failure {
        let asks_for_less = matches!(status.as_u16(), 408 | 429 | 503) || said == "SlowDown";
        let again = if asks_for_less { Again::Slower } else { Again::Later };
        let why = format!("the source answered {} {said}", status.as_u16());
        self.fail(again, Code::SourceUnavailable, why.trim_end())
    }

    fn denied(&self, said: &str) -> Failure {
        let why = match said {
            "SignatureDoesNotMatch" => {
                "the source does not accept the signature; check the secret key"
            }
            "RequestTimeTooSkewed" => {
                "this machine's clock differs too much from the source's; set the clock"
            }
            _ if self.bucket.anonymous => "the bucket does not allow reading without credentials",
            _ => {
                "the source does not allow these credentials to read it (s3:GetObject); check the bucket's policy"
            }
        };
        self.never(
            Code::Refused,
            format_args!("{why} ({})", if said.is_empty() { "403" } else { said }),
        )
    }

    fn elsewhere(&self, headers: &HeaderMap, body: &[u8]) -> Failure {
        let bucket = &self.bucket.name;
        let region = &self.bucket.region;
        match region_of(headers, body) {
            Some(right) if right != *region => self.never(
                Code::Invalid,
                format_args!("bucket {bucket} is in region {right}, not {region}; attach it with that region"),
            ),
            _ => self.never(
                Code::Invalid,
                format_args!("bucket {bucket} is not at this endpoint; attach it with the endpoint of its region"),
            ),
        }
    }
}

fn without_weakness(etag: &[u8]) -> &[u8] {
    etag.strip_prefix(b"W/").unwrap_or(etag)
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

fn date(headers: &HeaderMap, name: &HeaderName) -> Option<i64> {
    parse_http_date(headers.get(name)?.as_bytes())
}

/// `bytes FIRST-LAST/TOTAL`.
fn parse_content_range(value: &str) -> Option<(u64, u64, u64)> {
    let (range, total) = value.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    Some((first.parse().ok()?, last.parse().ok()?, total.parse().ok()?))
}

fn region_of(headers: &HeaderMap, body: &[u8]) -> Option<String> {
    let header = headers.get("x-amz-bucket-region").and_then(|value| value.to_str().ok());
    header.map(plain).filter(|region| !region.is_empty()).or_else(|| xml_text(body, "Region"))
}

/// The text of the first `<name>` of an S3 error document, reduced to what names are made of.
fn xml_text(body: &[u8], name: &str) -> Option<String> {
    let body = String::from_utf8_lossy(body);
    let (_, after) = body.split_once(&format!("<{name}>"))?;
    let (inside, _) = after.split_once("</")?;
    Some(plain(inside)).filter(|text| !text.is_empty())
}

fn plain(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c)).take(64).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::Response;
    use millpool_core::ObjectRef;

    use super::*;
    use crate::endpoint::Endpoint;

    const MODIFIED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

    fn bucket() -> Bucket {
        Bucket {
            name: "photos".into(),
            region: "us-east-1".into(),
            anonymous: false,
            requester_pays: false,
            authority_files: Vec::new(),
            endpoint: Endpoint::of("http://localhost", "us-east-1", "photos", true).expect("valid"),
        }
    }

    fn piece(size: u64, tag: &str, index: u32) -> Piece {
        let object = ObjectRef {
            attachment: 1,
            source_key: b"a/cat.jpg".to_vec(),
            size,
            tag: tag.as_bytes().to_vec(),
        };
        Piece { object: Arc::new(object), index }
    }

    fn head(status: u16, headers: &[(&str, &str)]) -> response::Parts {
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        response.body(()).expect("valid").into_parts().0
    }

    fn get(piece: &Piece, status: u16, headers: &[(&str, &str)]) -> Result<Accepted, Failure> {
        Asked { bucket: &bucket(), piece }.check_get(&head(status, headers))
    }

    fn code(result: Result<Accepted, Failure>) -> Code {
        result.expect_err("refused").error.code
    }

    #[test]
    fn a_whole_object() {
        let piece = piece(10, "\"e\"", 0);
        let good = get(&piece, 200, &[("content-length", "10"), ("etag", "\"e\"")]).expect("good");
        assert!(!good.young);
        get(&piece, 200, &[("etag", "W/\"e\"")]).expect("no length is checked when the body ends");
        assert_eq!(code(get(&piece, 200, &[("content-length", "11")])), Code::SourceChanged);
        let same = [("content-length", "11"), ("etag", "\"e\"")];
        assert_eq!(code(get(&piece, 200, &same)), Code::SourceBroken, "the version is the same");
        assert_eq!(code(get(&piece, 200, &[("content-length", "-1")])), Code::SourceBroken);
        assert_eq!(code(get(&piece, 200, &[("etag", "\"f\"")])), Code::SourceChanged);
        assert_eq!(
            code(get(&piece, 206, &[("content-range", "bytes 0-9/10")])),
            Code::SourceBroken
        );
        assert_eq!(code(get(&piece, 204, &[])), Code::SourceBroken);
    }

    #[test]
    fn a_range() {
        let piece = piece((4 << 20) + 5, "\"e\"", 1);
        let range = |value: &str, length: &str| {
            code(get(&piece, 206, &[("content-range", value), ("content-length", length)]))
        };
        get(&piece, 206, &[("content-range", "bytes 4194304-4194308/4194309")]).expect("good");
        assert_eq!(range("bytes 4194304-4194308/4194310", "5"), Code::SourceChanged);
        assert_eq!(range("bytes 4194303-4194307/4194309", "5"), Code::SourceBroken);
        assert_eq!(range("bytes 4194304-4194308/4194309", "6"), Code::SourceBroken);
        for hostile in
            ["bytes */4194309", "bytes -5--1/4194309", "bytes 1-99999999999999999999/5", "", "x"]
        {
            assert_eq!(range(hostile, "5"), Code::SourceBroken, "{hostile}");
        }
        assert_eq!(code(get(&piece, 200, &[("content-length", "4194309")])), Code::SourceBroken);
    }

    #[test]
    fn versions_by_time_and_by_id() {
        let by_time = piece(10, "m:784111777", 0);
        let good = get(&by_time, 200, &[("last-modified", MODIFIED)]).expect("good");
        assert!(good.young, "without a Date nobody can tell");
        assert_eq!(code(get(&by_time, 200, &[])), Code::SourceBroken);
        let later = "Sun, 06 Nov 1994 08:49:38 GMT";
        assert_eq!(code(get(&by_time, 200, &[("last-modified", later)])), Code::SourceChanged);
        let by_id = piece(10, "v:abc", 0);
        get(&by_id, 200, &[("x-amz-version-id", "abc")]).expect("good");
        assert_eq!(code(get(&by_id, 200, &[("x-amz-version-id", "abd")])), Code::SourceBroken);
        for tag in ["", "x", "f:1:2:3:4", "v:", "m:", "m:x", "W/\"e\""] {
            assert_eq!(code(get(&piece(10, tag, 0), 200, &[])), Code::Invalid, "{tag}");
        }
    }

    #[test]
    fn young_by_the_sources_own_clock() {
        let piece = piece(10, "\"e\"", 0);
        let young = |date: &str| {
            get(&piece, 200, &[("last-modified", MODIFIED), ("date", date)]).expect("good").young
        };
        assert!(young("Sun, 06 Nov 1994 08:49:37 GMT"));
        assert!(young("Sun, 06 Nov 1994 08:49:38 GMT"));
        assert!(!young("Sun, 06 Nov 1994 08:49:39 GMT"));
        assert!(young("Sun, 06 Nov 1994 08:00:00 GMT"), "a modification in the future is young");
    }

    #[test]
    fn refusals() {
        let piece = piece(10, "\"e\"", 0);
        let bucket = bucket();
        let asked = Asked { bucket: &bucket, piece: &piece };
        let refuse = |status, body: &str| {
            let failure = asked.refusal(&head(status, &[]), body.as_bytes());
            (failure.error.code, failure.again)
        };
        assert_eq!(refuse(403, "<Code>AccessDenied</Code>"), (Code::Refused, Again::Never));
        assert_eq!(
            refuse(400, "<Code>ExpiredToken</Code>"),
            (Code::Refused, Again::WithNewCredentials)
        );
        assert_eq!(refuse(404, "<Code>InvalidAccessKeyId</Code>"), (Code::Refused, Again::Never));
        assert_eq!(refuse(404, "<Code>NoSuchKey</Code>"), (Code::NotFound, Again::Never));
        assert_eq!(refuse(412, ""), (Code::SourceChanged, Again::Never));
        assert_eq!(refuse(416, ""), (Code::SourceChanged, Again::Never));
        assert_eq!(refuse(503, "<Code>SlowDown</Code>"), (Code::SourceUnavailable, Again::Slower));
        assert_eq!(refuse(429, ""), (Code::SourceUnavailable, Again::Slower));
        assert_eq!(refuse(500, ""), (Code::SourceUnavailable, Again::Later));
        assert_eq!(refuse(502, "<html>"), (Code::SourceUnavailable, Again::Later));
        assert_eq!(
            refuse(400, "<Code>RequestTimeout</Code>"),
            (Code::SourceUnavailable, Again::Later)
        );
        assert_eq!(refuse(418, ""), (Code::SourceBroken, Again::Never));
        let named = asked.refusal(&head(403, &[]), b"<Code>AccessDenied</Code>").error.message;
        assert!(named.contains("photos") && named.contains("a/cat.jpg"), "{named}");
    }

    #[test]
    fn a_wrong_region_is_named() {
        let piece = piece(10, "\"e\"", 0);
        let bucket = bucket();
        let asked = Asked { bucket: &bucket, piece: &piece };
        let by_header = asked.refusal(&head(301, &[("x-amz-bucket-region", "eu-west-1")]), b"");
        assert_eq!(by_header.error.code, Code::Invalid);
        assert!(by_header.error.message.contains("eu-west-1"), "{}", by_header.error);
        let body = b"<Code>AuthorizationHeaderMalformed</Code><Region>ap-south-1</Region>";
        let by_body = asked.refusal(&head(400, &[]), body);
        assert!(by_body.error.message.contains("ap-south-1"), "{}", by_body.error);
    }

    #[test]
    fn hostile_error_bodies_are_cut_down() {
        let long = format!("<Code>{}</Code>", "x<\u{1b}[31m".repeat(10_000));
        assert!(xml_text(long.as_bytes(), "Code").is_none_or(|text| text.len() <= 64));
        assert_eq!(xml_text(b"<Code>", "Code"), None);
        assert_eq!(xml_text(&[0xff; 100], "Code"), None);
    }
}
