//! Batches read ahead in order: whatever is in the way, the consumer gets its next one, or is told why not.

mod harness;

use std::sync::Arc;
use std::time::{Duration, Instant};

use harness::{Node, PATIENCE, assert_whole, eventually, hits};
use millpool_core::{Code, Dataset, Error, ObjectRef};
use millpool_flow::{Ahead, Batch, BatchRequest, Client, ClientConfig, PlanPosition, Selection};

const FILES: usize = 60;
const BATCH: usize = 10;
const SLOT: usize = 2 << 20;

struct Bed {
    node: Node,
    client: Arc<Client>,
    objects: Vec<ObjectRef>,
    dataset: Arc<Dataset>,
}

/// None of it is resident.
fn cold_bed(slots: usize) -> Bed {
    let node = Node::start();
    let objects: Vec<_> =
        (0..FILES).map(|n| node.put(&format!("f{n:03}"), 2000 + n * 37)).collect();
    let config = ClientConfig { socket: node.socket(), ring_bytes: slots * SLOT, maps: true };
    let client = Arc::new(Client::connect(config, PATIENCE).unwrap());
    let dataset = node.dataset(&client, &objects);
    Bed { node, client, objects, dataset }
}

fn warm_bed(slots: usize) -> Bed {
    let bed = cold_bed(slots);
    harness::read(&bed.node.client(false), &bed.objects);
    bed.node.store.flush(PATIENCE).unwrap();
    bed
}

impl Bed {
    fn ahead(&self, threads: usize) -> Ahead {
        Ahead::new(self.client.clone(), threads)
    }

    /// Batch `n` of an endless order.
    fn request(&self, n: usize) -> BatchRequest {
        let samples = samples_of(n).map(|sample| sample as u64).collect();
        let plan = PlanPosition { plan: 3, position: n as u64 + 1 };
        BatchRequest { plan, ..Selection::Dataset(self.dataset.clone(), samples).into() }
    }

    fn submit(&self, ahead: &Ahead, batches: std::ops::Range<usize>) {
        let run = batches.map(|n| self.request(n)).collect();
        ahead.submit(run, PATIENCE).unwrap();
    }

    fn assert_is(&self, batch: &Batch, n: usize) {
        let objects: Vec<_> = samples_of(n).map(|sample| self.objects[sample].clone()).collect();
        assert_eq!(batch.layout.len(), objects.len());
        assert_whole(batch, &objects);
    }

    /// All slots but those, for as long as they are kept.
    fn hold(&self, slots: usize) -> Vec<Batch> {
        let hold = |n| self.client.read(&self.request(n), &harness::soon()).unwrap();
        (0..slots).map(hold).collect()
    }
}

fn samples_of(n: usize) -> impl Iterator<Item = usize> {
    (0..BATCH).map(move |place| (n * BATCH + place) * 7 % FILES)
}

fn next(ahead: &Ahead) -> Result<Batch, Error> {
    let came = ahead.next(Instant::now() + 2 * PATIENCE)?;
    Ok(came.expect("a batch before the deadline").batch)
}

#[test]
fn batches_come_in_the_order_in_which_they_were_submitted() {
    for (bed, threads) in [(cold_bed(64), 1), (cold_bed(64), 4), (warm_bed(64), 3)] {
        let ahead = bed.ahead(threads);
        let (mut submitted, mut taken) = (0, 0);
        for run in [1, 3, 2, 5, 1, 1, 4].into_iter().cycle().take(40) {
            bed.submit(&ahead, submitted..submitted + run);
            submitted += run;
            assert_eq!(ahead.len(), submitted - taken);
            while ahead.len() > 6 {
                bed.assert_is(&next(&ahead).unwrap(), taken);
                taken += 1;
            }
        }
        for n in taken..submitted {
            bed.assert_is(&next(&ahead).unwrap(), n);
        }
        assert_eq!(next(&ahead).err().unwrap().code, Code::Invalid, "nothing is left");
    }
}

#[test]
fn quick_neighbours_are_read_by_one_call() {
    let bed = warm_bed(64);
    let ahead = bed.ahead(4);
    // How many are read together depends on how fast the machine is; once it is quick, all are.
    eventually("one receipt for four batches", || {
        bed.client.control(b"hello", &harness::soon()).unwrap();
        let receipts = || bed.node.control.receipts.lock().unwrap().len();
        let before = receipts();
        bed.submit(&ahead, 0..4);
        (0..4).for_each(|n| bed.assert_is(&next(&ahead).unwrap(), n));
        eventually("a receipt", || receipts() > before);
        bed.client.control(b"hello", &harness::soon()).unwrap();
        receipts() == before + 1
    });
}

#[test]
fn a_request_that_can_never_be_read_fails_in_its_place() {
    let bed = warm_bed(64);
    let ahead = bed.ahead(2);
    bed.submit(&ahead, 0..1);
    let outside = Selection::Dataset(bed.dataset.clone(), vec![FILES as u64]);
    ahead.submit(vec![outside.into(), bed.request(1)], PATIENCE).unwrap();
    bed.assert_is(&next(&ahead).unwrap(), 0);
    assert_eq!(next(&ahead).err().unwrap().code, Code::Invalid);
    bed.assert_is(&next(&ahead).unwrap(), 1);
}

#[test]
fn closing_gives_all_slots_back_and_ends_the_threads() {
    let bed = warm_bed(4);
    let cold = bed.node.put("cold", 5000);
    let dataset = bed.node.dataset(&bed.client, &[cold]);
    let ahead = bed.ahead(4);
    bed.submit(&ahead, 0..2);
    eventually("the first came", || ahead.next(Instant::now()).unwrap().is_some());
    bed.node.fill.gate.set_shut(true);
    let asked = bed.node.asked();
    let stuck = || BatchRequest::from(Selection::Dataset(dataset.clone(), vec![0]));
    ahead.submit(vec![stuck()], PATIENCE).unwrap();
    ahead.submit(vec![stuck()], PATIENCE).unwrap();
    eventually("reads wait for the source", || bed.node.asked() > asked);
    ahead.close();
    ahead.close();
    assert_eq!((ahead.len(), next(&ahead).err().unwrap().code), (0, Code::Closed));
    assert_eq!(ahead.submit(vec![bed.request(0)], PATIENCE).unwrap_err().code, Code::Closed);
    assert_eq!(bed.hold(4).len(), 4, "the whole ring");
    drop(ahead);
    eventually("the threads end", || Arc::strong_count(&bed.client) == 1);
}

#[test]
fn slots_that_are_all_held_are_named_and_their_release_lets_it_go_on() {
    let bed = warm_bed(2);
    let held = bed.hold(2);
    let ahead = bed.ahead(2);
    let impatient = Duration::from_millis(100);
    ahead.submit(vec![bed.request(0), bed.request(1)], impatient).unwrap();
    let error = next(&ahead).err().unwrap();
    assert_eq!(error.code, Code::Timeout);
    assert!(error.message.contains("slot of the ring") && error.message.contains("2 batches hold"));
    // The second one fails too, but nobody waits for it.
    eventually("it waits for a slot", || bed.client.is_short_of_slots());
    eventually("and gives up", || !bed.client.is_short_of_slots());
    drop(held);
    bed.assert_is(&next(&ahead).unwrap(), 1);
}

#[test]
fn what_is_read_ahead_never_keeps_the_next_batch_from_a_slot() {
    for held in 0..3 {
        let bed = warm_bed(3);
        let ahead = bed.ahead(4);
        let mut kept = std::collections::VecDeque::new();
        (0..8).for_each(|n| bed.submit(&ahead, n..n + 1));
        for n in 0..30 {
            let batch = next(&ahead).unwrap();
            bed.assert_is(&batch, n);
            kept.push_back(batch);
            bed.submit(&ahead, n + 8..n + 9);
            // As many as the test keeps are all that the loop holds while it waits.
            while kept.len() > held {
                kept.pop_front();
            }
        }
    }
}

#[test]
fn reads_ahead_live_through_a_restart_of_the_daemon() {
    let mut bed = cold_bed(64);
    bed.node.fill.gate.set_shut(true);
    let ahead = bed.ahead(3);
    bed.submit(&ahead, 0..1);
    bed.submit(&ahead, 1..3);
    eventually("reads wait for the source", || bed.node.asked() >= 2 * BATCH);
    let server = bed.node.server.take().unwrap();
    bed.node.runtime.block_on(server.stop());
    bed.node.fill.gate.set_shut(false);
    bed.submit(&ahead, 3..4);
    bed.node.serve();
    (0..4).for_each(|n| bed.assert_is(&next(&ahead).unwrap(), n));
}

#[test]
fn a_daemon_that_stays_away_is_an_error_after_the_timeout() {
    let mut bed = warm_bed(64);
    let ahead = bed.ahead(2);
    bed.node.stop();
    ahead.submit(vec![bed.request(0)], Duration::from_millis(200)).unwrap();
    let error = next(&ahead).err().unwrap();
    assert_eq!(error.code, Code::Unreachable);
    assert!(error.message.contains(bed.node.socket().to_str().unwrap()), "{error}");
    bed.client.close();
    ahead.submit(vec![bed.request(0)], PATIENCE).unwrap();
    assert_eq!(next(&ahead).err().unwrap().code, Code::Closed, "at once: nobody comes back");
}

#[test]
fn a_forked_child_reads_ahead_anew_and_its_parent_goes_on() {
    let bed = warm_bed(64);
    let ahead = bed.ahead(2);
    bed.submit(&ahead, 0..1);
    bed.submit(&ahead, 1..3);
    // SAFETY: the child uses clients alone, which are made for it, and leaves by _exit.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let refused = next(&ahead).is_err_and(|error| error.code == Code::Closed);
        drop(ahead);
        let own = bed.ahead(2);
        bed.submit(&own, 7..9);
        let is_whole = |n| {
            next(&own).is_ok_and(|batch| {
                hits(&batch) == BATCH
                    && samples_of(n).enumerate().all(|(place, sample)| {
                        batch.sample(place).map(<[u8]>::len) == Some(2000 + sample * 37)
                    })
            })
        };
        let code = i32::from(!(refused && is_whole(7) && is_whole(8)));
        // SAFETY: ends the child without running its copies of the parent's destructors.
        unsafe { libc::_exit(code) };
    }
    let mut status = 0;
    // SAFETY: waits for our own child.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    assert_eq!(status, 0, "the child read what it asked for");
    (0..3).for_each(|n| bed.assert_is(&next(&ahead).unwrap(), n));
}
