//! ListObjectsV2 of a catalog.

use std::fmt::Write;

use crate::catalog::Catalog;
use crate::request::Request;

const KEYS_MAX: u64 = 1000;
/// Behind every character of a key.
const HIGHEST: &str = "\u{10ffff}";
const LAST_MODIFIED: &str = "2026-01-05T06:07:08.000Z";

struct Page<'a> {
    catalog: &'a Catalog,
    prefix: &'a str,
    delimiter: &'a str,
    contents: String,
    prefixes: String,
    keys: u64,
    /// Where the next page goes on.
    rest: Option<String>,
}

/// The answer's XML. A continuation token is the last key or common prefix of the page before, in hex.
pub fn listing(catalog: &Catalog, request: &Request) -> Result<String, &'static str> {
    let parameter = |name| request.parameter(name).unwrap_or_default();
    let most = match request.parameter("max-keys") {
        None => KEYS_MAX,
        Some(text) => text.parse::<u64>().map_err(|_| "max-keys is no number")?.min(KEYS_MAX),
    };
    let after = match request.parameter("continuation-token") {
        None => parameter("start-after").to_owned(),
        Some(token) => {
            let last = from_hex(token).ok_or("the continuation token is not one of ours")?;
            // A page that ended with a common prefix is followed by what lies behind all of it.
            let is_prefix =
                !parameter("delimiter").is_empty() && last.ends_with(parameter("delimiter"));
            if is_prefix { last + HIGHEST } else { last }
        }
    };
    let mut page = Page {
        catalog,
        prefix: parameter("prefix"),
        delimiter: parameter("delimiter"),
        contents: String::new(),
        prefixes: String::new(),
        keys: 0,
        rest: None,
    };
    page.fill(&after, most);
    Ok(page.xml(&request.bucket, most))
}

impl Page<'_> {
    fn fill(&mut self, after: &str, most: u64) {
        let mut next = self.first(after);
        let mut last = String::new();
        while next < self.catalog.count {
            let key = self.catalog.key(next);
            if !key.starts_with(self.prefix) {
                break;
            }
            if self.keys == most {
                self.rest = Some(to_hex(&last));
                break;
            }
            self.keys += 1;
            last = match self.common(&key) {
                Some(common) => {
                    let _ = write!(
                        self.prefixes,
                        "<CommonPrefixes><Prefix>{common}</Prefix></CommonPrefixes>"
                    );
                    next = self.past(common);
                    common.to_owned()
                }
                None => {
                    self.add(&key, next);
                    next += 1;
                    key
                }
            };
        }
    }

    /// The first object after `after` that may have the prefix.
    fn first(&self, after: &str) -> u64 {
        let from_prefix = match self.prefix {
            "" => 0,
            // No key equals a prefix of ours that ends inside a name; one that is a whole key is included.
            prefix => self.catalog.find(prefix).unwrap_or_else(|| self.catalog.first_after(prefix)),
        };
        from_prefix.max(if after.is_empty() { 0 } else { self.catalog.first_after(after) })
    }

    fn past(&self, prefix: &str) -> u64 {
        self.catalog.first_after(&format!("{prefix}{HIGHEST}"))
    }

    fn common<'k>(&self, key: &'k str) -> Option<&'k str> {
        if self.delimiter.is_empty() {
            return None;
        }
        let at = key[self.prefix.len()..].find(self.delimiter)?;
        Some(&key[..self.prefix.len() + at + self.delimiter.len()])
    }

    fn add(&mut self, key: &str, number: u64) {
        let etag = self.catalog.etag(number).replace('"', "&quot;");
        let _ = write!(
            self.contents,
            "<Contents><Key>{key}</Key><LastModified>{LAST_MODIFIED}</LastModified><ETag>{etag}</ETag>\
             <Size>{}</Size><StorageClass>STANDARD</StorageClass></Contents>",
            self.catalog.size
        );
    }

    fn xml(&self, bucket: &str, most: u64) -> String {
        let Page { prefix, keys, contents, prefixes, rest, .. } = self;
        let token = rest
            .as_ref()
            .map(|token| format!("<NextContinuationToken>{token}</NextContinuationToken>"));
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>{bucket}</Name>\
             <Prefix>{}</Prefix><KeyCount>{keys}</KeyCount><MaxKeys>{most}</MaxKeys>\
             <IsTruncated>{}</IsTruncated>{}{contents}{prefixes}</ListBucketResult>",
            escaped(prefix),
            rest.is_some(),
            token.unwrap_or_default()
        )
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn to_hex(text: &str) -> String {
    text.bytes().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

fn from_hex(hex: &str) -> Option<String> {
    let pairs = hex.as_bytes().chunks(2);
    let bytes = pairs.map(|two| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok());
    String::from_utf8(bytes.collect::<Option<_>>()?).ok()
}
