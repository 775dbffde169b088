//! However many want it and whenever: one GET a record, one answer a want.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use millpool_core::{Code, ObjectRef, Urgency};

use crate::bed::{Bed, Terms, collect, want};
use crate::script::Fault;

/// xorshift64*, after S. Vigna, "An experimental exploration of Marsaglia's xorshift generators".
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % bound
    }
}

fn content(n: usize, len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 7 + n * 13) as u8).collect()
}

/// A thread's wants, batch after batch, some of them waited for before the next is sent.
fn read_at_random(bed: &Bed, objects: &[Arc<ObjectRef>], seed: u64) -> Vec<usize> {
    let mut random = Random(seed | 1);
    let mut wanted = Vec::new();
    let mut open = Vec::new();
    for _ in 0..20 {
        let picked: Vec<usize> =
            (0..1 + random.below(40)).map(|_| random.below(objects.len())).collect();
        let urgency = [Urgency::Reader, Urgency::Plan, Urgency::Load][random.below(3)];
        let answers = bed.ask(picked.iter().map(|&n| want(&objects[n])).collect(), urgency);
        wanted.extend(&picked);
        open.push((picked, answers));
        if random.below(3) == 0 {
            open.drain(..).for_each(|(picked, answers)| check(bed, &picked, &answers));
        }
    }
    open.iter().for_each(|(picked, answers)| check(bed, picked, answers));
    wanted
}

fn check(bed: &Bed, picked: &[usize], answers: &std::sync::mpsc::Receiver<crate::bed::Answer>) {
    for (&n, answer) in picked.iter().zip(collect(answers, picked.len())) {
        let filled = answer.unwrap_or_else(|error| panic!("object {n}: {error}"));
        let got = bed.bytes_of(&filled);
        assert!(got == content(n, got.len()), "object {n} has the bytes of another");
    }
}

#[test]
fn one_get_a_key_whoever_wants_it_and_whenever() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
    for round in 0..4u64 {
        let seed = now.wrapping_mul(2 * round + 1);
        println!("seed {seed}");
        let mut random = Random(seed | 1);
        let (bed, origin) = Bed::with_origin(Terms::default());
        let objects: Vec<_> = (0..60)
            .map(|n| origin.put(&format!("o{n}"), content(n, 1 + random.below(30_000))))
            .collect();
        let threads: Vec<usize> = std::thread::scope(|scope| {
            let (bed, objects) = (&bed, &objects);
            let run = |thread: u64| {
                scope.spawn(move || read_at_random(bed, objects, seed ^ (thread << 40)))
            };
            let running: Vec<_> = (1..5).map(run).collect();
            running.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        let mut gets = HashMap::new();
        for request in origin.requests() {
            *gets.entry(request.key().to_owned()).or_insert(0) += 1;
        }
        for n in 0..60 {
            let expected = usize::from(threads.contains(&n));
            assert_eq!(
                gets.get(&format!("o{n}")).copied().unwrap_or(0),
                expected,
                "seed {seed}, object {n}"
            );
        }
        let counters = bed.filler.counters();
        assert_eq!(
            counters.gets + counters.joined + counters.resident,
            threads.len() as u64,
            "seed {seed}"
        );
    }
}

#[test]
fn all_who_join_have_the_error_too_and_nothing_of_it_stays() {
    let (bed, origin) = Bed::with_origin(Terms::default());
    let old = origin.put("o", content(0, 100));
    let new = origin.put("o", content(1, 100));
    origin.script().plan("o", [Fault::Hold]);
    let first = bed.ask(vec![want(&old); 3], Urgency::Reader);
    origin.script().wait_for(&Fault::Hold, 1);
    let second = bed.ask(vec![want(&old); 3], Urgency::Plan);
    origin.script().release();
    for answer in collect(&first, 3).into_iter().chain(collect(&second, 3)) {
        assert_eq!(answer.err().map(|error| error.code), Some(Code::SourceChanged));
    }
    assert_eq!((bed.filler.counters().joined, bed.filler.counters().errors), (5, 1));
    assert_eq!(bed.error(&old, 0).code, Code::SourceChanged);
    assert_eq!(bed.bytes(&new, 0), content(1, 100));
    assert_eq!(origin.count("GET", "o"), 3);
}
