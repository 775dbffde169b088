//! Sources that fail for a while, or for good. Each test asserts that its fault was met.

use std::time::Duration;

use millpool_core::{Code, Urgency};
use millpool_source::Timeouts;

use crate::bed::{BUCKET, Bed, Terms, collect, keys, want};
use crate::origin::{Origin, source_at};
use crate::script::Fault;

/// As many as the source crate makes for one record.
const ATTEMPTS: usize = 10;

fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|n| (n * 31 / 7) as u8).collect()
}

/// The faults are met in their order, and then the object is there, whole.
fn is_overcome(terms: Terms, faults: &[Fault]) -> (Bed, Origin) {
    let (bed, origin) = Bed::with_origin(terms);
    let object = origin.put("cat.jpg", bytes(100_000));
    origin.script().plan("cat.jpg", faults.iter().cloned());
    assert_eq!(bed.bytes(&object, 0), bytes(100_000));
    for fault in faults {
        assert!(origin.script().fired(fault) > 0, "{fault:?} was not met");
    }
    assert_eq!(origin.count("GET", "cat.jpg"), faults.len() + 1);
    assert_eq!(bed.filler.counters().retries, faults.len() as u64);
    (bed, origin)
}

/// The fault is met at every attempt. Returns the error's message.
fn ends_in(terms: Terms, fault: Fault, code: Code) -> String {
    let (bed, origin) = Bed::with_origin(terms);
    let object = origin.put("cat.jpg", bytes(300_000));
    origin.script().plan("cat.jpg", vec![fault.clone(); ATTEMPTS]);
    let error = bed.error(&object, 0);
    assert_eq!(error.code, code, "{error}");
    assert_eq!(origin.script().fired(&fault), ATTEMPTS, "{error}");
    assert!(error.message.contains("s3://photos/cat.jpg"), "{error}");
    assert!(error.message.contains("gave up after 10 attempts"), "{error}");
    assert_eq!(bed.filler.counters().errors, 1);
    error.message
}

#[test]
fn a_storm_of_503_is_sat_out_with_fewer_requests_at_once() {
    let (bed, origin) = Bed::with_origin(Terms::default());
    let storm = Fault::Status(503, "SlowDown");
    let objects: Vec<_> =
        (0..100).map(|n| origin.put(&format!("o{n}"), bytes(10_000 + n))).collect();
    for n in 0..100 {
        origin.script().plan(&format!("o{n}"), vec![storm.clone(); 2]);
    }
    for (n, answer) in bed.fill(objects.iter().map(want).collect()).iter().enumerate() {
        assert_eq!(bed.bytes_of(answer.as_ref().unwrap()), bytes(10_000 + n));
    }
    assert_eq!(origin.script().fired(&storm), 200);
    let counters = bed.filler.counters();
    assert_eq!((counters.retries, counters.gets), (200, 300));
    assert!(counters.limit < 32, "{}", counters.limit);
}

#[test]
fn accidents_are_retried() {
    let later = ["InternalError", "Bad", "Bad"].into_iter().zip([500, 502, 504]);
    for (code, status) in later {
        is_overcome(Terms::default(), &[Fault::Status(status, code)]);
    }
    is_overcome(Terms::default(), &[Fault::Status(429, ""), Fault::Status(400, "RequestTimeout")]);
    let connections = |(bed, _): (Bed, Origin)| bed.filler.counters().connections;
    assert_eq!(connections(is_overcome(Terms::default(), &[Fault::Reset, Fault::ResetInBody])), 3);
    assert_eq!(connections(is_overcome(Terms::default(), &[Fault::Cut])), 2);
}

#[test]
fn hangs_are_retried_on_a_new_connection() {
    is_overcome(Terms::impatient(), &[Fault::Hang, Fault::HangInBody]);
}

#[test]
fn a_slow_source_is_not_a_hung_one() {
    let (bed, origin) = Bed::with_origin(Terms::default());
    let object = origin.put("cat.jpg", bytes(100_000));
    origin.script().plan("cat.jpg", [Fault::Slow]);
    assert_eq!(bed.bytes(&object, 0), bytes(100_000));
    assert_eq!(origin.script().fired(&Fault::Slow), 1);
    assert_eq!(bed.filler.counters().retries, 0);
}

#[test]
fn a_source_that_fails_for_good_is_given_up_by_name() {
    ends_in(Terms::default(), Fault::Status(503, "SlowDown"), Code::SourceUnavailable);
    ends_in(Terms::default(), Fault::Reset, Code::SourceUnavailable);
    ends_in(Terms::default(), Fault::ResetInBody, Code::SourceUnavailable);
    let cut = ends_in(Terms::default(), Fault::Cut, Code::SourceBroken);
    assert!(cut.contains("150000 bytes early"), "{cut}");
    let longer = Fault::Header("Content-Length", "300000");
    let (bed, origin) = Bed::with_origin(Terms::default());
    let object = origin.put("cat.jpg", bytes(300_000));
    origin.script().plan("cat.jpg", [longer.clone()]);
    assert_eq!(bed.bytes(&object, 0), bytes(300_000));
    assert_eq!(origin.script().fired(&longer), 1);
}

#[test]
fn a_wait_that_ran_out_is_named() {
    let hung = ends_in(Terms::impatient(), Fault::Hang, Code::SourceUnavailable);
    assert!(hung.contains("for the first byte from 127.0.0.1:"), "{hung}");
    let half = ends_in(Terms::impatient(), Fault::HangInBody, Code::SourceUnavailable);
    assert!(half.contains("for more bytes of the body"), "{half}");
    let mut terms = Terms::impatient();
    terms.timeouts.attempt = Duration::from_millis(300);
    terms.timeouts.first_byte_small = Duration::from_millis(400);
    let dribbled = ends_in(terms, Fault::Dribble, Code::SourceUnavailable);
    assert!(dribbled.contains("for the whole answer"), "{dribbled}");
}

#[test]
fn all_attempts_together_have_a_deadline() {
    let mut terms = Terms::default();
    terms.timeouts = Timeouts { total: Duration::from_millis(300), ..terms.timeouts };
    let (bed, origin) = Bed::with_origin(terms);
    let object = origin.put("cat.jpg", bytes(10));
    origin.script().plan("cat.jpg", vec![Fault::Hang; ATTEMPTS]);
    let error = bed.error(&object, 0);
    assert_eq!(error.code, Code::SourceUnavailable);
    assert!(error.message.contains("gave up after 1 attempt in 0.3 s"), "{error}");
    assert_eq!(origin.script().fired(&Fault::Hang), 1);
}

#[test]
fn nobody_listens() {
    let (bed, origin) = Bed::with_origin(Terms::default());
    let object = origin.put("cat.jpg", bytes(10));
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    bed.attach(1, source_at(format!("http://{closed}"), BUCKET));
    bed.filler.set_credentials(1, Some(keys("AKIDEXAMPLE")));
    let error = bed.error(&object, 0);
    assert_eq!(error.code, Code::SourceUnavailable);
    assert!(error.message.contains(&format!("connecting to {closed}")), "{error}");
}

#[test]
fn a_connection_that_was_closed_while_idle_costs_no_attempt() {
    let (bed, origin) = Bed::with_origin(Terms::default());
    for n in 0..5 {
        let key = format!("o{n}");
        let object = origin.put(&key, bytes(1000 + n));
        origin.script().plan(&key, [Fault::CloseAfter]);
        assert_eq!(bed.bytes(&object, 0), bytes(1000 + n));
        assert_eq!(origin.count("GET", &key), 1);
    }
    assert_eq!(origin.script().fired(&Fault::CloseAfter), 5);
    assert_eq!((bed.filler.counters().retries, bed.filler.counters().connections), (0, 5));
}

#[test]
fn connections_are_used_again() {
    let (bed, origin) = Bed::with_origin(Terms::default());
    for n in 0..20 {
        let object = origin.put(&format!("o{n}"), bytes(1000 + n));
        assert_eq!(bed.bytes(&object, 0), bytes(1000 + n));
    }
    let lost = origin.put("lost", bytes(1));
    origin.script().plan("lost", [Fault::Status(404, "NoSuchKey")]);
    assert_eq!(bed.error(&lost, 0).code, Code::NotFound);
    bed.bytes(&lost, 0);
    assert_eq!(bed.filler.counters().connections, 1, "an error's body is read to its end too");
}

#[test]
fn retries_of_an_outage_are_bounded_for_all_together() {
    let (bed, origin) = Bed::with_origin(Terms::default());
    let objects: Vec<_> = (0..100).map(|n| origin.put(&format!("o{n}"), bytes(1000 + n))).collect();
    let outage = Fault::Status(500, "Down");
    for n in 0..100 {
        origin.script().plan(&format!("o{n}"), vec![outage.clone(); ATTEMPTS]);
    }
    let answers = collect(&bed.ask(objects.iter().map(want).collect(), Urgency::Load), 100);
    assert!(
        answers
            .iter()
            .all(|answer| matches!(answer, Err(error) if error.code == Code::SourceUnavailable))
    );
    let met = origin.script().fired(&outage);
    assert_eq!(met, 100 + 400, "first attempts, and the 400 retries that 2,000 tokens pay");
}
