//! What requests look like on the wire.

use std::sync::Arc;

use millpool_core::{ObjectRef, PIECE_BYTES};
use millpool_source::{Credentials, SourceConfig};

use crate::bed::{BUCKET, Bed, Terms, keys};
use crate::origin::{Origin, Request};

fn only_request(origin: &Origin) -> Request {
    let requests = origin.requests();
    assert_eq!(requests.len(), 1);
    requests[0].clone()
}

fn s3(origin: &Origin, anonymous: bool, requester_pays: bool) -> SourceConfig {
    SourceConfig::S3 {
        endpoint: format!("http://{}", origin.address),
        region: "eu-west-1".into(),
        bucket: BUCKET.into(),
        path_style: true,
        anonymous,
        requester_pays,
        authority_files: Vec::new(),
    }
}

#[test]
fn a_whole_object_has_no_range_and_a_part_has_one() {
    let (bed, origin) = Bed::with_origin(Terms::default());
    let whole = origin.put("whole", vec![1; PIECE_BYTES as usize]);
    let large = origin.put("large", vec![2; PIECE_BYTES as usize + 9]);
    bed.bytes(&whole, 0);
    bed.bytes(&large, 0);
    assert_eq!(bed.bytes(&large, 1), [2; 9]);
    let ranges: Vec<_> =
        origin.requests().iter().map(|request| request.headers.get("range").cloned()).collect();
    let part = |range: &str| Some(format!("bytes={range}"));
    assert_eq!(ranges, [None, part("0-4194303"), part("4194304-4194312")]);
    for (request, object) in origin.requests().iter().zip([&whole, &large, &large]) {
        assert_eq!(request.headers["if-match"].as_bytes(), object.tag);
    }
}

#[test]
fn a_signed_request_has_all_it_needs() {
    let (bed, origin) = Bed::with_origin(Terms::default());
    bed.attach(1, s3(&origin, false, true));
    let with_token = Credentials { session_token: Some("the-token".into()), ..keys("AKIDOTHER") };
    bed.filler.set_credentials(1, Some(with_token));
    bed.bytes(&origin.put("cat.jpg", vec![1; 10]), 0);
    let headers = only_request(&origin).headers;
    let authorization = &headers["authorization"];
    let start = "AWS4-HMAC-SHA256 Credential=AKIDOTHER/";
    assert!(authorization.starts_with(start), "{authorization}");
    assert!(authorization.contains("/eu-west-1/s3/aws4_request"), "{authorization}");
    let signed = "SignedHeaders=host;if-match;x-amz-content-sha256;x-amz-date;\
                  x-amz-request-payer;x-amz-security-token,";
    assert!(authorization.contains(signed), "{authorization}");
    assert_eq!(headers["x-amz-security-token"], "the-token");
    assert_eq!(headers["x-amz-request-payer"], "requester");
    assert_eq!(headers["host"], origin.address.to_string());
}

#[test]
fn an_anonymous_request_is_not_signed() {
    let (bed, origin) = Bed::with_origin(Terms::default());
    bed.attach(1, s3(&origin, true, false));
    bed.bytes(&origin.put("cat.jpg", vec![1; 10]), 0);
    let headers = only_request(&origin).headers;
    assert!(!headers.contains_key("authorization") && !headers.contains_key("x-amz-date"));
}

#[test]
fn keys_and_version_ids_are_encoded() {
    let (bed, origin) = Bed::with_origin(Terms::default());
    origin.put("a%20b//%23%3F%2B%C3%A9%FF", vec![1; 10]);
    let object = ObjectRef {
        attachment: 1,
        source_key: b"a b//#?+\xc3\xa9\xff".to_vec(),
        size: 10,
        tag: b"v:a/b=c".to_vec(),
    };
    assert_eq!(bed.bytes(&Arc::new(object), 0), [1; 10]);
    let request = only_request(&origin);
    let target = format!("/{BUCKET}/a%20b//%23%3F%2B%C3%A9%FF?versionId=a%2Fb%3Dc");
    assert_eq!(request.target, target);
    assert!(!request.headers.contains_key("if-match"));
}

#[test]
fn the_bucket_may_be_in_the_host_name() {
    let (bed, origin) = Bed::with_origin(Terms::default());
    let object = origin.put("cat.jpg", vec![1; 10]);
    // Every name below localhost is this machine (RFC 6761), which resolvers without systemd do not all know.
    let endpoint = format!("http://localhost:{}", origin.address.port());
    let host = format!("{BUCKET}.localhost:{}", origin.address.port());
    if std::net::ToSocketAddrs::to_socket_addrs(&host).is_err() {
        println!("not run: this machine does not resolve {host}");
        return;
    }
    bed.attach(
        1,
        SourceConfig::S3 {
            endpoint,
            region: "us-east-1".into(),
            bucket: BUCKET.into(),
            path_style: false,
            anonymous: true,
            requester_pays: false,
            authority_files: Vec::new(),
        },
    );
    assert_eq!(bed.bytes(&object, 0), [1; 10]);
    let request = only_request(&origin);
    assert_eq!((request.target.as_str(), &request.headers["host"]), ("/cat.jpg", &host));
}
