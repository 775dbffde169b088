//! Who goes first, who waits, and how waiting ends.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use millpool_core::{Asker, Code, Error, Fill, Filled, ObjectRef, PIECE_BYTES, Urgency, Want};
use millpool_source::{Filler, FillerConfig};

use crate::bed::{Bed, PATIENCE, Terms, collect, want};
use crate::origin::Origin;
use crate::script::Fault;

/// One request at a time, and the first of them is held.
fn held() -> (Bed, Origin, Arc<ObjectRef>) {
    let (bed, origin) = Bed::with_origin(Terms { max_requests: 1, ..Terms::default() });
    let first = origin.put("first", vec![0; 100]);
    origin.script().plan("first", [Fault::Hold]);
    (bed, origin, first)
}

fn put_all(origin: &Origin, keys: &[&str]) -> Vec<Want> {
    keys.iter().map(|key| want(&origin.put(key, key.as_bytes().to_vec()))).collect()
}

#[test]
fn readers_go_before_plans_before_loads_and_what_becomes_urgent_moves_up() {
    let (bed, origin, first) = held();
    let running = bed.ask(vec![want(&first)], Urgency::Load);
    origin.script().wait_for(&Fault::Hold, 1);
    let loads = put_all(&origin, &["load-1", "load-2", "load-3"]);
    let raised = loads[2].clone();
    let load = bed.ask(loads, Urgency::Load);
    let plan = bed.ask(put_all(&origin, &["plan-1", "plan-2"]), Urgency::Plan);
    let mut reads = put_all(&origin, &["read-1"]);
    reads.push(raised);
    let read = bed.ask(reads, Urgency::Reader);
    assert_eq!((bed.filler.counters().in_flight, bed.filler.counters().queued), (1, 6));
    origin.script().release();
    for (answers, count) in [(&running, 1), (&load, 3), (&plan, 2), (&read, 2)] {
        assert!(collect(answers, count).iter().all(Result::is_ok));
    }
    let order: Vec<_> = origin.requests().iter().map(|request| request.key().to_owned()).collect();
    let expected = ["first", "read-1", "load-3", "plan-1", "plan-2", "load-1", "load-2"];
    assert_eq!(order, expected);
}

#[test]
fn each_asker_has_its_turn_however_much_another_wanted_before() {
    let (bed, origin, first) = held();
    let running = bed.ask(vec![want(&first)], Urgency::Reader);
    origin.script().wait_for(&Fault::Hold, 1);
    // The second comes after all of the first, and the third wants only one.
    let wanted = [(1, vec!["a1", "a2", "a3", "a4"]), (2, vec!["b1", "b2"]), (3, vec!["c1"])];
    let mut asked = Vec::new();
    for urgency in [Urgency::Load, Urgency::Plan] {
        for (number, keys) in &wanted {
            let keys: Vec<_> = keys.iter().map(|key| format!("{urgency:?}-{key}")).collect();
            let wants = put_all(&origin, &keys.iter().map(String::as_str).collect::<Vec<_>>());
            let asker = Asker { urgency, number: *number };
            asked.push((bed.ask_as(asker, wants), keys.len()));
        }
    }
    origin.script().release();
    assert!(collect(&running, 1)[0].is_ok());
    for (answers, count) in &asked {
        assert!(collect(answers, *count).iter().all(Result::is_ok));
    }
    let order: Vec<_> = origin.requests().iter().map(|request| request.key().to_owned()).collect();
    let turns = ["a1", "b1", "c1", "a2", "b2", "a3", "a4"];
    let of = |urgency: &str| turns.map(|key| format!("{urgency}-{key}"));
    assert_eq!(order, [&["first".to_owned()][..], &of("Plan"), &of("Load")].concat());
}

#[test]
fn a_long_wait_for_a_slot_ends_with_its_name() {
    let mut terms = Terms { max_requests: 1, ..Terms::default() };
    terms.timeouts.queue = Duration::from_millis(100);
    let (bed, origin) = Bed::with_origin(terms);
    let first = origin.put("first", vec![0; 100]);
    origin.script().plan("first", [Fault::Hold]);
    let running = bed.ask(vec![want(&first)], Urgency::Reader);
    origin.script().wait_for(&Fault::Hold, 1);
    let queued = bed.fill(put_all(&origin, &["a", "b"]));
    for answer in queued {
        let error = answer.err().expect("nothing moved");
        assert_eq!(error.code, Code::Timeout);
        assert!(error.message.contains("a request slot or a buffer"), "{error}");
    }
    origin.script().release();
    assert!(collect(&running, 1)[0].is_ok(), "what had begun goes on");
}

#[test]
fn closing_answers_what_runs_and_what_waits() {
    let (bed, origin, first) = held();
    let running = bed.ask(vec![want(&first), want(&first)], Urgency::Reader);
    origin.script().wait_for(&Fault::Hold, 1);
    let waiting = bed.ask(put_all(&origin, &["a", "b"]), Urgency::Load);
    bed.filler.close();
    for answer in collect(&running, 2).into_iter().chain(collect(&waiting, 2)) {
        assert_eq!(answer.err().map(|error| error.code), Some(Code::Closed));
    }
    assert_eq!(bed.error(&first, 0).code, Code::Closed);
    bed.filler.close();
}

#[test]
fn detaching_answers_its_waits_and_leaves_those_of_others() {
    let (bed, origin, first) = held();
    // The same bucket attached twice: one identity, so one fetch for both.
    bed.attach(2, origin.source());
    bed.filler.set_credentials(2, Some(crate::bed::keys("AKIDEXAMPLE")));
    let running = bed.ask(vec![want(&first)], Urgency::Reader);
    origin.script().wait_for(&Fault::Hold, 1);
    let shared = put_all(&origin, &["shared"]).remove(0);
    let by_other = ObjectRef { attachment: 2, ..(*shared.object).clone() };
    let by_other = Want { object: Arc::new(by_other), piece: 0 };
    let leaving = bed.ask(vec![shared, put_all(&origin, &["alone"]).remove(0)], Urgency::Reader);
    let staying = bed.ask(vec![by_other], Urgency::Reader);
    bed.filler.detach(1);
    for answer in collect(&leaving, 2).into_iter().chain(collect(&running, 1)) {
        assert_eq!(answer.err().map(|error| error.code), Some(Code::Closed));
    }
    origin.script().release();
    assert_eq!(bed.bytes_of(collect(&staying, 1)[0].as_ref().unwrap()), b"shared");
    assert_eq!((origin.count("GET", "shared"), origin.count("GET", "alone")), (1, 0));
    assert_eq!(bed.error(&first, 0).code, Code::NotFound);
}

#[test]
fn a_runtime_that_stops_answers_what_ran() {
    let (mut bed, origin, first) = held();
    let running = bed.ask(vec![want(&first)], Urgency::Reader);
    origin.script().wait_for(&Fault::Hold, 1);
    drop(bed.runtime.take());
    let answer = collect(&running, 1).remove(0);
    assert_eq!(answer.err().map(|error| error.code), Some(Code::Closed));
}

#[test]
fn buffers_stay_within_the_budget() {
    let budget_bytes = 16 << 20;
    let (bed, origin) = Bed::with_origin(Terms { budget_bytes, ..Terms::default() });
    let large: Vec<u8> = (0..5 * PIECE_BYTES).map(|n| (n >> 16) as u8).collect();
    let objects: Vec<_> = (0..6).map(|n| origin.put(&format!("o{n}"), large.clone())).collect();
    let mut seen = 0;
    for round in 0..3 {
        let wants: Vec<_> = objects
            .iter()
            .flat_map(|object| (0..5).map(|piece| Want { object: object.clone(), piece }))
            .collect();
        let answers = bed.ask(wants, if round == 0 { Urgency::Load } else { Urgency::Reader });
        for _ in 0..30 {
            let (index, answer) = answers.recv_timeout(crate::bed::PATIENCE).unwrap();
            let counters = bed.filler.counters();
            assert!(counters.buffered_bytes <= budget_bytes, "{}", counters.buffered_bytes);
            let at = (index % 5) * PIECE_BYTES as usize;
            assert!(bed.bytes_of(&answer.unwrap()) == large[at..at + PIECE_BYTES as usize]);
            seen += 1;
        }
    }
    assert_eq!((seen, bed.filler.counters().gets), (90, 30));
}

#[test]
fn a_budget_that_holds_no_record_is_refused() {
    let bed = Bed::new(Terms::default());
    let config = FillerConfig {
        store: bed.store.clone(),
        budget_bytes: 1 << 20,
        runtime: bed.runtime.as_ref().unwrap().handle().clone(),
        timeouts: Default::default(),
        max_requests: 1,
        hedge: false,
    };
    assert_eq!(Filler::new(config).err().map(|error| error.code), Some(Code::Invalid));
}

/// As a load does, which keeps a bounded number under way.
#[test]
fn who_is_answered_may_ask_for_more_at_once() {
    let (bed, origin) = Bed::with_origin(Terms::default());
    let mut wants = put_all(&origin, &["first", "second"]);
    let second = wants.pop().unwrap();
    let (told, answers) = channel();
    let filler = bed.filler.clone();
    let more = told.clone();
    let loads = Asker { urgency: Urgency::Load, number: 1 };
    let done = move |_, answer: Result<Filled, Error>| {
        assert!(answer.is_ok());
        let told = more.clone();
        let done = move |_, answer| told.send(answer).unwrap();
        filler.fill(vec![second.clone()], loads, Arc::new(done));
    };
    bed.filler.fill(wants, loads, Arc::new(done));
    assert!(answers.recv_timeout(PATIENCE).expect("it is answered").is_ok());
    drop(told);
}
