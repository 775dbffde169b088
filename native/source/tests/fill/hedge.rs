//! GETs that are slow, and sent a second time: what that wins, what it may cost, and that nothing is mixed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use millpool_core::{Code, ObjectRef, Urgency};
use millpool_source::FillCounters;

use crate::bed::{Bed, PATIENCE, Terms, collect, want};
use crate::origin::{MODIFIED, Object, Origin};
use crate::script::Fault;

fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|n| (n * 31 / 7) as u8).collect()
}

/// With so many GETs of `len` bytes behind it that it is known which are slow.
fn warm(terms: Terms, count: usize, len: usize) -> (Bed, Origin) {
    let (bed, origin) = Bed::with_origin(Terms { hedge: true, ..terms });
    read_all(&bed, &origin, count, len);
    (bed, origin)
}

/// Nobody waits for them, so that none of them is sent twice on a slow machine.
fn read_all(bed: &Bed, origin: &Origin, count: usize, len: usize) {
    let objects: Vec<_> =
        (0..count).map(|n| origin.put(&format!("warm-{len}-{n}"), bytes(len))).collect();
    let answers = bed.ask(objects.iter().map(want).collect(), Urgency::Plan);
    for answer in collect(&answers, count) {
        assert_eq!(bed.bytes_of(&answer.unwrap()), bytes(len));
    }
}

/// Objects whose first GET is not answered.
fn put_held(origin: &Origin, count: usize, len: usize) -> Vec<Arc<ObjectRef>> {
    let put = |n| {
        let key = format!("held-{n}");
        origin.script().plan(&key, [Fault::Hold]);
        origin.put(&key, bytes(len))
    };
    (0..count).map(put).collect()
}

fn put_one(origin: &Origin, faults: &[Fault]) -> Arc<ObjectRef> {
    origin.script().plan("cat.jpg", faults.iter().cloned());
    origin.put("cat.jpg", bytes(1000))
}

/// Returns when the counts are so.
fn wait_until(bed: &Bed, what: &str, is: impl Fn(FillCounters) -> bool) {
    let begun = Instant::now();
    while !is(bed.filler.counters()) {
        assert!(begun.elapsed() < PATIENCE, "waited for {what}: {:?}", bed.filler.counters());
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn versions_asked_for(origin: &Origin, key: &str) -> Vec<Option<String>> {
    let requests = origin.requests();
    let of_key = requests.iter().filter(|request| request.key() == key);
    of_key.map(|request| request.headers.get("if-match").cloned()).collect()
}

#[test]
fn slow_gets_hold_no_batch_and_one_get_in_twenty_is_sent_twice_at_most() {
    let (bed, origin) = warm(Terms::default(), 400, 1000);
    let before = bed.filler.counters();
    let held = put_held(&origin, 30, 1000);
    let answers = bed.ask(held.iter().map(want).collect(), Urgency::Reader);
    origin.script().wait_for(&Fault::Hold, 30);
    // 430 GETs pay for 21.
    for _ in 0..21 {
        let (_, answer) = answers.recv_timeout(PATIENCE).expect("it is not held");
        assert_eq!(bed.bytes_of(&answer.unwrap()), bytes(1000));
    }
    let rest = 9;
    wait_until(&bed, "the rest to be refused", |now| {
        now.in_flight == rest && now.hedges_held >= before.hedges_held + rest
    });
    assert!(answers.try_recv().is_err(), "the rest waits for its only GET");
    origin.script().release();
    (0..rest).for_each(|_| drop(answers.recv_timeout(PATIENCE).unwrap().1.unwrap()));
    let counters = bed.filler.counters();
    assert_eq!((counters.hedges, counters.gets, counters.retries), (21, 451, 0));
    assert_eq!((counters.hedges_won, counters.hedged_bytes), (21, 21_000));
}

#[test]
fn one_byte_in_twenty_is_asked_for_twice_at_most() {
    let (bed, origin) = warm(Terms::default(), 400, 1000);
    read_all(&bed, &origin, 40, 100_000);
    let before = bed.filler.counters();
    let held = put_held(&origin, 8, 100_000);
    let answers = bed.ask(held.iter().map(want).collect(), Urgency::Reader);
    origin.script().wait_for(&Fault::Hold, 8);
    // 5.2 MB pay for 260 kB.
    for _ in 0..2 {
        answers.recv_timeout(PATIENCE).expect("it is not held").1.unwrap();
    }
    let rest = 6;
    wait_until(&bed, "the rest to be refused", |now| {
        now.in_flight == rest && now.hedges_held >= before.hedges_held + rest
    });
    origin.script().release();
    (0..rest).for_each(|_| drop(answers.recv_timeout(PATIENCE).unwrap().1.unwrap()));
    let counters = bed.filler.counters();
    assert_eq!((counters.hedges, counters.hedged_bytes), (2, 200_000));
}

#[test]
fn what_nobody_waits_for_is_not_sent_twice_until_somebody_does() {
    let (bed, origin) = warm(Terms::default(), 200, 1000);
    let object = put_one(&origin, &[Fault::Hold]);
    let ahead = bed.ask(vec![want(&object)], Urgency::Plan);
    origin.script().wait_for(&Fault::Hold, 1);
    read_all(&bed, &origin, 200, 1001);
    assert_eq!(origin.count("GET", "cat.jpg"), 1);
    assert_eq!(bed.bytes(&object, 0), bytes(1000));
    assert!(collect(&ahead, 1)[0].is_ok());
    assert_eq!(origin.count("GET", "cat.jpg"), 2);
}

#[test]
fn both_ask_for_one_version_and_bytes_of_another_are_never_used() {
    let mut terms = Terms::default();
    terms.timeouts.progress = Duration::from_millis(500);
    let (bed, origin) = warm(terms, 200, 1000);
    let before = bed.filler.counters();
    let object = put_one(&origin, &[Fault::HangInBody, Fault::OtherEtag]);
    assert_eq!(bed.bytes(&object, 0), bytes(1000));
    assert_eq!(
        (origin.script().fired(&Fault::HangInBody), origin.script().fired(&Fault::OtherEtag)),
        (1, 1)
    );
    let etag = Some(String::from_utf8_lossy(&object.tag).into_owned());
    assert_eq!(versions_asked_for(&origin, "cat.jpg"), vec![etag; 3], "the third is a retry");
    let after = bed.filler.counters();
    assert_eq!((after.hedges - before.hedges, after.retries - before.retries), (1, 1));
}

#[test]
fn half_of_one_version_is_never_completed_with_another() {
    let mut terms = Terms::default();
    terms.timeouts.progress = Duration::from_secs(5);
    let (bed, origin) = warm(terms, 200, 1000);
    let before = bed.filler.counters();
    let object = put_one(&origin, &[Fault::HangInBody]);
    let ahead = bed.ask(vec![want(&object)], Urgency::Plan);
    wait_until(&bed, "half of it", |now| now.source_bytes == before.source_bytes + 500);
    let (newer, etag) = (Arc::new(vec![7; 1000]), Some("\"newer\"".into()));
    origin.put_object("cat.jpg", Object { bytes: newer, etag, modified: MODIFIED });
    // Now it is waited for, and its second GET meets the newer version.
    assert_eq!(bed.error(&object, 0).code, Code::SourceChanged);
    assert!(collect(&ahead, 1)[0].is_err());
    assert!(bed.filler.counters().hedges > before.hedges);
    assert_eq!(bed.filler.counters().hedges_won, before.hedges_won);
}

#[test]
fn the_connection_of_the_slower_one_is_not_used_again() {
    let (bed, origin) = warm(Terms::default(), 200, 1000);
    let object = put_one(&origin, &[Fault::HangInBody]);
    assert_eq!(bed.bytes(&object, 0), bytes(1000));
    assert_eq!(origin.script().fired(&Fault::HangInBody), 1);
    for n in 0..100 {
        let other = origin.put(&format!("after-{n}"), bytes(100 + n));
        assert_eq!(bed.bytes(&other, 0), bytes(100 + n));
    }
    assert_eq!((bed.filler.counters().in_flight, bed.filler.counters().retries), (0, 0));
}

#[test]
fn a_source_that_asks_for_less_is_asked_for_nothing_twice() {
    let (bed, origin) = warm(Terms::default(), 200, 1000);
    let before = bed.filler.counters();
    let slow_down = Fault::Status(503, "SlowDown");
    origin.script().plan("busy", [slow_down.clone()]);
    bed.bytes(&origin.put("busy", bytes(10)), 0);
    assert_eq!(origin.script().fired(&slow_down), 1);
    let object = put_one(&origin, &[Fault::Hold]);
    let answers = bed.ask(vec![want(&object)], Urgency::Reader);
    wait_until(&bed, "its refusal", |now| now.hedges_held > before.hedges_held);
    origin.script().release();
    assert!(collect(&answers, 1)[0].is_ok());
    assert_eq!(origin.count("GET", "cat.jpg"), 1);
}

#[test]
fn a_second_get_is_the_retry_of_a_first_that_fails() {
    let mut terms = Terms::default();
    terms.timeouts.progress = Duration::from_millis(300);
    let (bed, origin) = warm(terms, 200, 1000);
    let before = bed.filler.counters();
    let object = put_one(&origin, &[Fault::HangInBody, Fault::Hold]);
    let answers = bed.ask(vec![want(&object)], Urgency::Reader);
    wait_until(&bed, "the first to fail", |now| now.limit < before.limit);
    origin.script().release();
    assert!(collect(&answers, 1)[0].is_ok());
    let after = bed.filler.counters();
    assert_eq!((origin.count("GET", "cat.jpg"), after.retries), (2, before.retries));
    assert_eq!(after.hedges_won, before.hedges_won + 1);
}

#[test]
fn off_is_off() {
    let (bed, origin) = Bed::with_origin(Terms::default());
    read_all(&bed, &origin, 200, 1000);
    let answers = bed.ask(vec![want(&put_one(&origin, &[Fault::Hold]))], Urgency::Reader);
    origin.script().wait_for(&Fault::Hold, 1);
    read_all(&bed, &origin, 200, 1001);
    assert!(answers.try_recv().is_err());
    origin.script().release();
    assert!(collect(&answers, 1)[0].is_ok());
    let counters = bed.filler.counters();
    assert_eq!((counters.hedges, counters.hedges_held, counters.gets), (0, 0, 401));
}
