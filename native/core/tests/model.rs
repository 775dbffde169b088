//! The store against a map of key to bytes, whatever happens to it and in whatever order.

mod harness;

use std::collections::{BTreeSet, HashMap};
use std::time::Instant;

use harness::{SECONDS, content, crash_copy, get, key, open_at, put};
use millpool_core::{CopyForward, Destination, Identity, Store};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Put(u64, usize),
    Forget(u64),
    EvictOne,
    CopyOne(u64),
    Flush,
    Crash,
    Restart,
}

/// Lets others in after what is open was sealed: only then is it copied.
fn seal(store: &Store) {
    store.detach(1);
    store.attach(1, Identity::of("test"), true);
}

fn found(store: &Store, lengths: &HashMap<u64, usize>) -> BTreeSet<u64> {
    lengths.keys().filter(|n| get(store, **n).is_some()).copied().collect()
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..60u64, 1..40_000usize).prop_map(|(n, len)| Step::Put(n, len)),
        2 => (0..60u64).prop_map(Step::Forget),
        1 => Just(Step::EvictOne),
        2 => (0..4u64).prop_map(Step::CopyOne),
        2 => Just(Step::Flush),
        1 => Just(Step::Crash),
        1 => Just(Step::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn whatever_happens_a_record_is_right_or_absent(steps in prop::collection::vec(step(), 1..50)) {
        let place = tempfile::tempdir().unwrap();
        let mut runs = 0;
        let mut directory = place.path().join("run-0");
        let mut store = open_at(&[directory.clone()], 1 << 30);
        // A key's length is part of its version in the real thing: here the first one put stays.
        let mut lengths: HashMap<u64, usize> = HashMap::new();
        for step in steps {
            match step {
                Step::Put(n, len) => {
                    let len = *lengths.entry(n).or_insert(len);
                    put(&store, n, len);
                }
                Step::Forget(n) => {
                    store.flush(SECONDS).unwrap();
                    store.forget(&[key(n)]);
                    prop_assert!(get(&store, n).is_none());
                }
                Step::EvictOne => {
                    let first: Vec<_> = store.segments().iter().map(|segment| segment.number).take(1).collect();
                    store.evict(&first);
                }
                Step::CopyOne(n) => {
                    seal(&store);
                    let (before, segments) = (found(&store, &lengths), store.segments());
                    let Some(segment) = segments.get(n as usize % segments.len().max(1)) else { continue };
                    let copy = CopyForward::of(&store, Destination::AnyDevice);
                    let _ = copy.copy(segment.number, segment.generation, Instant::now() + SECONDS);
                    prop_assert!(before.is_subset(&found(&store, &lengths)));
                }
                Step::Flush => store.flush(SECONDS).unwrap(),
                Step::Crash => {
                    runs += 1;
                    let next = place.path().join(format!("run-{runs}"));
                    crash_copy(&directory, &next);
                    directory = next;
                    store = open_at(&[directory.clone()], 1 << 30);
                }
                Step::Restart => {
                    let before = found(&store, &lengths);
                    store.close();
                    drop(store);
                    store = open_at(&[directory.clone()], 1 << 30);
                    prop_assert!(before.is_subset(&found(&store, &lengths)));
                }
            }
            for (n, len) in &lengths {
                if let Some(bytes) = get(&store, *n) {
                    prop_assert_eq!(bytes, content(*n, *len));
                }
            }
        }
    }
}
