//! Answers that lie, and objects that are no longer what they were.

use std::sync::Arc;

use millpool_core::{Code, ObjectRef, PIECE_BYTES};

use crate::bed::{Bed, Terms};
use crate::origin::{MODIFIED_SECONDS, Object};
use crate::script::Fault;

const LARGE: usize = PIECE_BYTES as usize + 5;
const LATER: &str = "Sun, 06 Nov 1994 08:49:39 GMT";

fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|n| (n / 3) as u8).collect()
}

/// The first answer is the fault and the end: there is no second request.
fn is_refused(len: usize, fault: Fault, code: Code) -> String {
    let (bed, origin) = Bed::with_origin(Terms::default());
    let object = origin.put("cat.jpg", bytes(len));
    origin.script().plan("cat.jpg", [fault.clone()]);
    let error = bed.error(&object, 0);
    assert_eq!(error.code, code, "{fault:?}: {error}");
    assert_eq!(origin.script().fired(&fault), 1);
    assert_eq!(origin.count("GET", "cat.jpg"), 1, "{fault:?}");
    assert_eq!(
        bed.bytes(&object, 0).len(),
        len.min(PIECE_BYTES as usize),
        "and nothing stays broken"
    );
    error.message
}

#[test]
fn answers_that_are_not_what_was_asked_for() {
    is_refused(1000, Fault::OtherEtag, Code::SourceChanged);
    is_refused(LARGE, Fault::WholeObject, Code::SourceBroken);
    is_refused(
        LARGE,
        Fault::Header("Content-Range", "bytes 1-4194304/4194309"),
        Code::SourceBroken,
    );
    is_refused(
        LARGE,
        Fault::Header("Content-Range", "bytes 0-4194303/4194310"),
        Code::SourceChanged,
    );
    is_refused(
        LARGE,
        Fault::Header("Content-Range", "bytes -1-99999999999999999999/x"),
        Code::SourceBroken,
    );
}

#[test]
fn answers_that_are_hardly_http() {
    is_refused(1000, Fault::Header("Content-Length", "-1"), Code::SourceBroken);
    is_refused(
        1000,
        Fault::Header("Content-Length", "99999999999999999999999"),
        Code::SourceBroken,
    );
    is_refused(1000, Fault::NotHttp, Code::SourceBroken);
    is_refused(1000, Fault::GiantHeader, Code::SourceBroken);
    is_refused(1000, Fault::Endless, Code::SourceBroken);
}

#[test]
fn a_wrong_length_of_the_right_version_is_tried_again() {
    let (bed, origin) = Bed::with_origin(Terms::default());
    let object = origin.put("cat.jpg", bytes(1000));
    let wrong = Fault::Header("Content-Length", "2000");
    origin.script().plan("cat.jpg", [wrong.clone()]);
    assert_eq!(bed.bytes(&object, 0), bytes(1000));
    assert_eq!(origin.script().fired(&wrong), 1);
}

#[test]
fn a_body_without_a_length_is_taken_when_it_is_right() {
    let (bed, origin) = Bed::with_origin(Terms::default());
    let object = origin.put("cat.jpg", bytes(10_000));
    origin.script().plan("cat.jpg", [Fault::Chunked]);
    assert_eq!(bed.bytes(&object, 0), bytes(10_000));
    assert_eq!(origin.script().fired(&Fault::Chunked), 1);
}

#[test]
fn refusals_say_what_to_do_and_no_secret() {
    let cases = [
        (403, "AccessDenied", Code::Refused, "s3:GetObject"),
        (403, "SignatureDoesNotMatch", Code::Refused, "secret key"),
        (403, "RequestTimeTooSkewed", Code::Refused, "clock"),
        (404, "NoSuchBucket", Code::NotFound, "no bucket photos"),
        (301, "PermanentRedirect", Code::Invalid, "endpoint of its region"),
        (410, "Gone", Code::NotFound, "no such object"),
    ];
    for (status, said, code, remedy) in cases {
        let message = is_refused(1000, Fault::Status(status, said), code);
        assert!(message.contains(remedy), "{message}");
        assert!(message.contains("photos") && message.contains("cat.jpg"), "{message}");
        assert!(!message.contains("AKIDEXAMPLE") && !message.contains("hush-hush"), "{message}");
    }
}

#[test]
fn a_replaced_object_is_never_served_by_its_old_name() {
    let (bed, origin) = Bed::with_origin(Terms::default());
    let old = origin.put("cat.jpg", bytes(LARGE));
    assert_eq!(bed.bytes(&old, 0), bytes(LARGE)[..PIECE_BYTES as usize]);
    let new = origin.put("cat.jpg", vec![7; LARGE]);
    assert_eq!(bed.error(&old, 1).code, Code::SourceChanged);
    assert_eq!(bed.bytes(&new, 1), [7; 5]);
}

/// An object as a server without ETags shows it, and as attachment 1 refers to it.
fn weak(len: usize, modified: &'static str) -> (Object, Arc<ObjectRef>) {
    let object = Object { bytes: Arc::new(bytes(len)), etag: None, modified };
    let tag = format!("m:{MODIFIED_SECONDS}").into();
    let by = ObjectRef { attachment: 1, source_key: "cat.jpg".into(), size: len as u64, tag };
    (object, Arc::new(by))
}

const THEN: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

#[test]
fn without_etags_each_part_is_confirmed_by_a_head() {
    let (bed, origin) = Bed::with_origin(Terms::default());
    let (object, by) = weak(LARGE, THEN);
    origin.put_object("cat.jpg", object);
    let got = [bed.bytes(&by, 0), bed.bytes(&by, 1)].concat();
    assert_eq!(got, bytes(LARGE));
    assert_eq!((origin.count("GET", "cat.jpg"), origin.count("HEAD", "cat.jpg")), (2, 2));
    let (small, by) = weak(10, THEN);
    origin.put_object("cat.jpg", small);
    assert_eq!(bed.bytes(&by, 0), bytes(10));
    assert_eq!(origin.count("HEAD", "cat.jpg"), 2, "a whole object came in one answer");
    assert_eq!(bed.filler.counters().heads, 2);
}

#[test]
fn without_etags_a_change_is_seen_by_time_and_size() {
    let (bed, origin) = Bed::with_origin(Terms::default());
    let (object, by) = weak(LARGE, THEN);
    origin.put_object("cat.jpg", object);
    // The GET is good; the object is another one when the HEAD comes.
    let meanwhile = Fault::Header("Last-Modified", LATER);
    origin.script().plan("cat.jpg", [Fault::Header("X-Good", "1"), meanwhile.clone()]);
    assert_eq!(bed.error(&by, 0).code, Code::SourceChanged);
    assert_eq!(origin.script().fired(&meanwhile), 1);
    assert_eq!(origin.count("HEAD", "cat.jpg"), 1);
    let (newer, _) = weak(LARGE, LATER);
    origin.put_object("cat.jpg", newer);
    assert_eq!(bed.error(&by, 0).code, Code::SourceChanged);
    let (longer, _) = weak(LARGE + 1, THEN);
    origin.put_object("cat.jpg", longer);
    assert_eq!(bed.error(&by, 0).code, Code::SourceChanged);
}

#[test]
fn an_object_that_was_just_written_is_served_and_not_kept() {
    let (bed, origin) = Bed::with_origin(Terms::default());
    let object = origin.put("cat.jpg", bytes(1000));
    let young = Fault::Header("Date", "Sun, 06 Nov 1994 08:49:38 GMT");
    origin.script().plan("cat.jpg", [young.clone(), young.clone()]);
    for _ in 0..2 {
        assert_eq!(bed.bytes(&object, 0), bytes(1000));
        bed.store.flush(crate::bed::PATIENCE).unwrap();
    }
    assert_eq!((origin.script().fired(&young), bed.filler.counters().young), (2, 2));
    for _ in 0..2 {
        assert_eq!(bed.bytes(&object, 0), bytes(1000));
        bed.store.flush(crate::bed::PATIENCE).unwrap();
    }
    assert_eq!(origin.count("GET", "cat.jpg"), 3, "two seconds old it is kept");
    assert_eq!(bed.filler.counters().resident, 1);
}
