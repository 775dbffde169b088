//! Credentials that expire, come late, or never.

use millpool_core::{Code, Urgency};

use crate::bed::{Bed, Terms, collect, keys, want};
use crate::script::Fault;

const EXPIRED: Fault = Fault::Status(400, "ExpiredToken");

#[test]
fn expired_ones_are_waited_for_and_the_request_is_sent_again() {
    let (bed, origin) = Bed::with_origin(Terms::default());
    let object = origin.put("cat.jpg", vec![1; 10]);
    origin.script().plan("cat.jpg", [EXPIRED]);
    let answers = bed.ask(vec![want(&object)], Urgency::Reader);
    origin.script().wait_for(&EXPIRED, 1);
    bed.filler.set_credentials(1, Some(keys("AKIDRENEWED")));
    assert_eq!(bed.bytes_of(collect(&answers, 1)[0].as_ref().unwrap()), [1; 10]);
    let users: Vec<_> = origin
        .requests()
        .iter()
        .map(|request| request.headers["authorization"].contains("AKIDRENEWED"))
        .collect();
    assert_eq!(users, [false, true]);
}

#[test]
fn expired_ones_that_nobody_renews_are_refused() {
    let (bed, origin) = Bed::with_origin(Terms::impatient());
    let object = origin.put("cat.jpg", vec![1; 10]);
    origin.script().plan("cat.jpg", [EXPIRED]);
    bed.filler.set_credentials(1, Some(keys("AKIDEXAMPLE")));
    let error = bed.error(&object, 0);
    assert_eq!(error.code, Code::Refused);
    assert!(error.message.contains("expired"), "{error}");
    assert_eq!(origin.script().fired(&EXPIRED), 1, "the same keys again are not new ones");
}

#[test]
fn new_ones_that_are_expired_too_are_refused() {
    let (bed, origin) = Bed::with_origin(Terms::default());
    let object = origin.put("cat.jpg", vec![1; 10]);
    origin.script().plan("cat.jpg", [EXPIRED, EXPIRED]);
    let answers = bed.ask(vec![want(&object)], Urgency::Reader);
    origin.script().wait_for(&EXPIRED, 1);
    bed.filler.set_credentials(1, Some(keys("AKIDRENEWED")));
    let answer = collect(&answers, 1).remove(0);
    assert_eq!(answer.err().map(|error| error.code), Some(Code::Refused));
    assert_eq!(origin.script().fired(&EXPIRED), 2);
}

#[test]
fn none_at_all_is_one_clear_error_and_late_ones_are_in_time() {
    let (bed, origin) = Bed::with_origin(Terms::impatient());
    let object = origin.put("cat.jpg", vec![1; 10]);
    bed.filler.set_credentials(1, None);
    let error = bed.error(&object, 0);
    assert_eq!(error.code, Code::Refused);
    assert!(error.message.contains("no credentials for bucket photos"), "{error}");
    assert!(origin.requests().is_empty());
    bed.filler.set_credentials(1, Some(keys("AKIDLATE")));
    assert_eq!(bed.bytes(&object, 0), [1; 10]);
}
