//! GET and HEAD requests for one version of one object.

use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use http::{Method, Request};
use millpool_core::{Code, Error, ObjectRef, Result};

use crate::calendar::amz_date;
use crate::endpoint::Bucket;
use crate::piece::Piece;
use crate::signature::{Canonical, EMPTY_SHA256, Signer, percent_encode};

/// What the tag of an S3 object says of its version.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Version<'a> {
    /// Quoted, as the source sent it.
    Etag(&'a [u8]),
    Id(&'a [u8]),
    /// Seconds since 1970.
    Modified(i64),
}

impl<'a> Version<'a> {
    pub fn of(object: &'a ObjectRef) -> Result<Version<'a>> {
        let number = |text: &[u8]| std::str::from_utf8(text).ok()?.parse().ok();
        match object.tag.as_slice() {
            tag @ [b'"', ..] => Some(Version::Etag(tag)),
            [b'v', b':', id @ ..] if !id.is_empty() => Some(Version::Id(id)),
            [b'm', b':', seconds @ ..] => number(seconds).map(Version::Modified),
            _ => None,
        }
        .ok_or_else(|| {
            let tag = String::from_utf8_lossy(&object.tag);
            Error::new(Code::Invalid, format!("{tag:?} is not the tag of an S3 object"))
        })
    }
}

pub(crate) fn get(
    bucket: &Bucket,
    piece: &Piece,
    signed: Option<Stamped<'_>>,
) -> Result<Request<()>> {
    let range = (!piece.is_whole_object()).then(|| {
        let first = piece.offset();
        format!("bytes={first}-{}", first + u64::from(piece.len()) - 1)
    });
    build(bucket, Ask { method: Method::GET, object: &piece.object, range }, signed)
}

pub(crate) fn head(
    bucket: &Bucket,
    piece: &Piece,
    signed: Option<Stamped<'_>>,
) -> Result<Request<()>> {
    build(bucket, Ask { method: Method::HEAD, object: &piece.object, range: None }, signed)
}

/// Who signs, and the moment in seconds since 1970.
#[derive(Clone, Copy)]
pub(crate) struct Stamped<'a> {
    pub signer: &'a Signer,
    pub seconds: u64,
}

struct Ask<'a> {
    method: Method,
    object: &'a ObjectRef,
    range: Option<String>,
}

fn build(bucket: &Bucket, ask: Ask<'_>, signed: Option<Stamped<'_>>) -> Result<Request<()>> {
    let version = Version::of(ask.object)?;
    let path =
        format!("{}{}", bucket.endpoint.path_prefix, percent_encode(&ask.object.source_key, true));
    let query = match version {
        Version::Id(id) => format!("versionId={}", percent_encode(id, false)),
        _ => String::new(),
    };
    let stamp = signed.map(|signed| amz_date(signed.seconds));
    let mut headers = plain_headers(bucket, &ask, version);
    if let (Some(signed), Some(stamp)) = (signed, &stamp) {
        add_signing_headers(&mut headers, signed.signer, stamp);
    }
    // The order that a signature needs.
    headers.sort_unstable_by_key(|(name, _)| *name);
    let mut request = Request::new(());
    for (name, value) in &headers {
        request.headers_mut().insert(HeaderName::from_static(name), header_value(name, value)?);
    }
    if let (Some(signed), Some(stamp)) = (signed, &stamp) {
        let canonical = Canonical {
            method: ask.method.as_str(),
            path: &path,
            query: &query,
            headers: &headers,
            stamp,
        };
        let mut value =
            header_value("authorization", signed.signer.authorize(&canonical).as_bytes())?;
        value.set_sensitive(true);
        request.headers_mut().insert(AUTHORIZATION, value);
    }
    let target = if query.is_empty() { path } else { format!("{path}?{query}") };
    *request.uri_mut() = target.try_into().map_err(|_| {
        let key = String::from_utf8_lossy(&ask.object.source_key);
        Error::new(
            Code::Invalid,
            format!("the key {key:?} of bucket {} does not fit in a request", bucket.name),
        )
    })?;
    *request.method_mut() = ask.method;
    Ok(request)
}

type Headers = Vec<(&'static str, Vec<u8>)>;

fn plain_headers(bucket: &Bucket, ask: &Ask<'_>, version: Version<'_>) -> Headers {
    let mut headers = vec![("host", bucket.endpoint.authority.clone().into_bytes())];
    if let Version::Etag(etag) = version {
        headers.push(("if-match", etag.to_vec()));
    }
    if let Some(range) = &ask.range {
        headers.push(("range", range.clone().into_bytes()));
    }
    if bucket.requester_pays {
        headers.push(("x-amz-request-payer", b"requester".to_vec()));
    }
    headers
}

fn add_signing_headers(headers: &mut Headers, signer: &Signer, stamp: &str) {
    headers.push(("x-amz-content-sha256", EMPTY_SHA256.into()));
    headers.push(("x-amz-date", stamp.into()));
    if let Some(token) = &signer.credentials.session_token {
        headers.push(("x-amz-security-token", token.clone().into_bytes()));
    }
}

/// The value itself is never shown: it may be a secret.
fn header_value(name: &str, value: &[u8]) -> Result<HeaderValue> {
    HeaderValue::from_bytes(value).map_err(|_| {
        Error::new(
            Code::Invalid,
            format!("the value of the header {name} has characters it must not have"),
        )
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::credentials::Credentials;
    use crate::endpoint::Endpoint;

    fn bucket(path_style: bool) -> Bucket {
        Bucket {
            name: "photos".into(),
            region: "eu-west-1".into(),
            anonymous: false,
            requester_pays: false,
            authority_files: Vec::new(),
            endpoint: Endpoint::of("", "eu-west-1", "photos", path_style).expect("valid"),
        }
    }

    fn piece(source_key: &[u8]) -> Piece {
        let object = ObjectRef {
            attachment: 1,
            source_key: source_key.into(),
            size: 5,
            tag: b"\"e\"".into(),
        };
        Piece { object: Arc::new(object), index: 0 }
    }

    #[test]
    fn the_bucket_is_in_the_host_name_or_in_the_path() {
        let request = get(&bucket(false), &piece(b"a/b"), None).expect("valid");
        assert_eq!(request.uri(), "/a/b");
        assert_eq!(request.headers()["host"], "photos.s3.eu-west-1.amazonaws.com");
        let request = head(&bucket(true), &piece(b"/a//b"), None).expect("valid");
        assert_eq!((request.method(), request.uri().path()), (&Method::HEAD, "/photos//a//b"));
        assert_eq!(request.headers()["host"], "s3.eu-west-1.amazonaws.com");
    }

    #[test]
    fn what_cannot_be_a_header_is_refused_without_being_shown() {
        let keys = Credentials {
            access_key: "AKID\r\nX-Evil: 1".into(),
            secret_key: "hush".into(),
            session_token: None,
            expires: None,
        };
        let signer = Signer::new(keys, "eu-west-1".into());
        let signed = Stamped { signer: &signer, seconds: 0 };
        let error = get(&bucket(true), &piece(b"a"), Some(signed)).expect_err("a line break");
        assert_eq!(error.code, Code::Invalid);
        assert!(!error.message.contains("AKID"), "{error}");
    }
}
