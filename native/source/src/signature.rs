//! AWS Signature Version 4 for requests without a body, after "Authenticating Requests: Using the Authorization Header"
//! of the S3 API reference. Written here because the maintained crates sign any request of any service through 20 and
//! more crates and derive the signing key each time; a GET needs one HMAC and two hashes, on the `ring` of TLS.

use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};

use ring::{digest, hmac};

use crate::credentials::Credentials;

/// SHA-256 of nothing: the payload hash of every request that we sign.
pub(crate) const EMPTY_SHA256: &str =
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Signs for one region with one set of credentials, and keeps the key of the day.
pub(crate) struct Signer {
    pub credentials: Credentials,
    region: String,
    day_key: Mutex<Option<(String, Arc<hmac::Key>)>>,
}

/// What is signed. `headers` are sorted by their lower-case names and are all signed; `query` is in canonical form.
pub(crate) struct Canonical<'a> {
    pub method: &'a str,
    pub path: &'a str,
    pub query: &'a str,
    pub headers: &'a [(&'static str, Vec<u8>)],
    /// As in `x-amz-date`.
    pub stamp: &'a str,
}

impl Signer {
    pub fn new(credentials: Credentials, region: String) -> Self {
        Signer { credentials, region, day_key: Mutex::new(None) }
    }

    /// The value of the `Authorization` header.
    pub fn authorize(&self, request: &Canonical<'_>) -> String {
        let day = request.stamp.get(..8).unwrap_or(request.stamp);
        let scope = format!("{day}/{}/s3/aws4_request", self.region);
        let names = signed_names(request.headers);
        let hash = digest::digest(&digest::SHA256, &canonical_text(request, &names));
        let stamp = request.stamp;
        let to_sign = format!("AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{}", hex(hash.as_ref()));
        let signature = hmac::sign(&self.key_of(day), to_sign.as_bytes());
        format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope},SignedHeaders={names},Signature={}",
            self.credentials.access_key,
            hex(signature.as_ref())
        )
    }

    fn key_of(&self, day: &str) -> Arc<hmac::Key> {
        let mut kept = self.day_key.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, key)) = kept.as_ref()
            && of == day
        {
            return key.clone();
        }
        let key = Arc::new(signing_key(&self.credentials.secret_key, day, &self.region, "s3"));
        *kept = Some((day.to_owned(), key.clone()));
        key
    }
}

fn signing_key(secret: &str, day: &str, region: &str, service: &str) -> hmac::Key {
    let secret = format!("AWS4{secret}");
    let mut key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    for part in [day, region, service, "aws4_request"] {
        key = hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&key, part.as_bytes()).as_ref());
    }
    key
}

fn signed_names(headers: &[(&'static str, Vec<u8>)]) -> String {
    let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
    names.join(";")
}

fn canonical_text(request: &Canonical<'_>, names: &str) -> Vec<u8> {
    let mut text = Vec::with_capacity(512);
    for part in [request.method, "\n", request.path, "\n", request.query, "\n"] {
        text.extend_from_slice(part.as_bytes());
    }
    for (name, value) in request.headers {
        text.extend_from_slice(name.as_bytes());
        text.push(b':');
        text.extend_from_slice(value.trim_ascii());
        text.push(b'\n');
    }
    for part in ["\n", names, "\n", EMPTY_SHA256] {
        text.extend_from_slice(part.as_bytes());
    }
    text
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Percent-encodes all but the unreserved characters, and `/` where `keep_slash` (in paths, not in queries).
pub(crate) fn percent_encode(bytes: &[u8], keep_slash: bool) -> String {
    let mut text = String::with_capacity(bytes.len() + 8);
    for &byte in bytes {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                text.push(byte as char);
            }
            b'/' if keep_slash => text.push('/'),
            _ => {
                let _ = write!(text, "%{byte:02X}");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example_signer() -> Signer {
        let credentials = Credentials {
            access_key: "AKIAIOSFODNN7EXAMPLE".into(),
            secret_key: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".into(),
            session_token: None,
            expires: None,
        };
        Signer::new(credentials, "us-east-1".into())
    }

    fn signature_of(path: &str, query: &str, range: Option<&str>) -> String {
        let stamp = "20130524T000000Z";
        let mut headers = vec![("host", b"examplebucket.s3.amazonaws.com".to_vec())];
        headers.extend(range.map(|range| ("range", range.as_bytes().to_vec())));
        headers.push(("x-amz-content-sha256", EMPTY_SHA256.as_bytes().to_vec()));
        headers.push(("x-amz-date", stamp.as_bytes().to_vec()));
        let request = Canonical { method: "GET", path, query, headers: &headers, stamp };
        let value = example_signer().authorize(&request);
        value.rsplit_once("Signature=").expect("a signature").1.to_owned()
    }

    /// The three GET examples of the S3 API reference, "Signature Calculations for the Authorization Header".
    #[test]
    fn the_published_s3_examples() {
        assert_eq!(
            signature_of("/test.txt", "", Some("bytes=0-9")),
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
        );
        assert_eq!(
            signature_of("/", "lifecycle=", None),
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"
        );
        assert_eq!(
            signature_of("/", "max-keys=2&prefix=J", None),
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"
        );
    }

    #[test]
    fn the_whole_header_of_the_published_example() {
        let headers = [
            ("host", b"examplebucket.s3.amazonaws.com".to_vec()),
            ("range", b"bytes=0-9".to_vec()),
            ("x-amz-content-sha256", EMPTY_SHA256.as_bytes().to_vec()),
            ("x-amz-date", b"20130524T000000Z".to_vec()),
        ];
        let stamp = "20130524T000000Z";
        let request =
            Canonical { method: "GET", path: "/test.txt", query: "", headers: &headers, stamp };
        assert_eq!(
            example_signer().authorize(&request),
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,\
             SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,\
             Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
        );
    }

    /// "Deriving the signing key" of the AWS general reference: its key, shown by signing the published string.
    #[test]
    fn the_published_signing_key() {
        let secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
        let key = signing_key(secret, "20150830", "us-east-1", "iam");
        let to_sign = "AWS4-HMAC-SHA256\n20150830T123600Z\n20150830/us-east-1/iam/aws4_request\n\
                       f536975d06c0309214f805bb90ccff089219ecd68b2577efef23edd43b7e1a59";
        assert_eq!(
            hex(hmac::sign(&key, to_sign.as_bytes()).as_ref()),
            "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
        );
    }

    #[test]
    fn the_key_follows_the_day() {
        let signer = example_signer();
        let first = signer.key_of("20130524");
        assert!(Arc::ptr_eq(&first, &signer.key_of("20130524")));
        assert!(!Arc::ptr_eq(&first, &signer.key_of("20130525")));
    }

    #[test]
    fn encodes_every_byte_that_is_not_unreserved() {
        assert_eq!(percent_encode(b"a b/+%~\xff\xc3\xa9", true), "a%20b/%2B%25~%FF%C3%A9");
        assert_eq!(percent_encode(b"a/b=c", false), "a%2Fb%3Dc");
    }
}
