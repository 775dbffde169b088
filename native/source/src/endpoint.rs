//! Where an S3 bucket's requests go: the server, the name that it is called by, and the path before a key.

use std::path::PathBuf;

use http::Uri;
use millpool_core::{Code, Error, Result};

use crate::signature::percent_encode;

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Endpoint {
    pub tls: bool,
    /// As in a certificate; an IPv6 address without its brackets.
    pub host: String,
    pub port: u16,
    /// The `Host` header.
    pub authority: String,
    /// `/` or `/BUCKET/`, percent-encoded.
    pub path_prefix: String,
}

/// The parts of an S3 source that say whom to ask for what.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Bucket {
    pub name: String,
    pub region: String,
    pub anonymous: bool,
    pub requester_pays: bool,
    pub authority_files: Vec<PathBuf>,
    pub endpoint: Endpoint,
}

/// Both stand in host names, signatures and messages, so nothing else may slip in with them.
fn check_name(what: &str, name: &str, marks: &[u8]) -> Result<()> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || marks.contains(&byte);
    if name.is_empty() || name.len() > 255 || !name.bytes().all(allowed) {
        return Err(Error::new(Code::Invalid, format!("{name:?} is not the name of an S3 {what}")));
    }
    Ok(())
}

impl Endpoint {
    /// `url` may be empty for the region's endpoint of AWS.
    pub fn of(url: &str, region: &str, bucket: &str, path_style: bool) -> Result<Endpoint> {
        check_name("bucket", bucket, b".-_")?;
        check_name("region", region, b"-_")?;
        match url {
            "" => {
                let url = format!("https://s3.{region}.amazonaws.com");
                Endpoint::parse(&url, bucket, path_style)
            }
            given => Endpoint::parse(given, bucket, path_style),
        }
    }

    fn parse(url: &str, bucket: &str, path_style: bool) -> Result<Endpoint> {
        // What stands before an @ may be a password.
        let shown = url.rsplit('@').next().unwrap_or_default();
        let wrong = |why: &str| Error::new(Code::Invalid, format!("S3 endpoint {shown:?} {why}"));
        let uri: Uri = url.parse().map_err(|_| wrong("is not a URL"))?;
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(wrong("must start with http:// or https://")),
        };
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(wrong("must not have a path"));
        }
        let authority = uri.authority().ok_or_else(|| wrong("names no host"))?;
        if authority.as_str().contains('@') {
            return Err(Error::new(
                Code::Invalid,
                "an S3 endpoint must not contain a user or password",
            ));
        }
        let after_host = authority.as_str().strip_prefix(authority.host());
        if after_host.is_none_or(|rest| !rest.is_empty() && authority.port_u16().is_none()) {
            return Err(wrong("has a port that is no number up to 65535"));
        }
        let in_host = if path_style { String::new() } else { format!("{bucket}.") };
        let host = format!("{in_host}{}", authority.host());
        let port_text = authority.port().map_or(String::new(), |port| format!(":{port}"));
        Ok(Endpoint {
            tls,
            authority: format!("{host}{port_text}"),
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port: authority.port_u16().unwrap_or(if tls { 443 } else { 80 }),
            path_prefix: match path_style {
                true => format!("/{}/", percent_encode(bucket.as_bytes(), false)),
                false => "/".to_owned(),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_style_and_host_style() {
        let path = Endpoint::parse("http://127.0.0.1:9000", "photos", true).expect("valid");
        assert_eq!(
            (path.authority.as_str(), path.path_prefix.as_str()),
            ("127.0.0.1:9000", "/photos/")
        );
        assert_eq!((path.tls, path.port), (false, 9000));
        let host =
            Endpoint::parse("https://s3.eu-west-1.amazonaws.com/", "photos", false).expect("valid");
        assert_eq!(host.authority, "photos.s3.eu-west-1.amazonaws.com");
        assert_eq!((host.tls, host.port, host.path_prefix.as_str()), (true, 443, "/"));
        let six = Endpoint::parse("http://[::1]:9000", "photos", true).expect("valid");
        assert_eq!((six.host.as_str(), six.authority.as_str()), ("::1", "[::1]:9000"));
    }

    #[test]
    fn refuses_what_is_no_endpoint_and_never_shows_a_password() {
        for url in ["", "ftp://x", "http://h/path", "http://h?q", "http://h:99999", "no scheme"] {
            assert_eq!(Endpoint::parse(url, "photos", true).expect_err(url).code, Code::Invalid);
        }
        let error = Endpoint::parse("http://me:hush@h", "photos", true).expect_err("user");
        assert!(!error.message.contains("hush"));
    }

    #[test]
    fn refuses_names_that_could_smuggle() {
        for name in ["", "a/b", "a b", "a\r\nx: y", "é"] {
            assert!(check_name("bucket", name, b".").is_err());
        }
    }
}
