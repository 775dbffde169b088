//! Batches that are read at once because this process knows where their samples lie.

mod harness;

use std::sync::Arc;

use harness::{Node, bytes_of, eventually, identity, soon};
use millpool_core::{Dataset, ObjectRef, RecordKey};
use millpool_flow::{
    BatchRequest, Client, ClientConfig, KNOWN_BYTES_MAX, KnownBatch, KnownRequest, PlanPosition,
    Selection,
};

const FILES: usize = 60;

struct Bed {
    node: Node,
    client: Client,
    objects: Vec<ObjectRef>,
    dataset: Arc<Dataset>,
}

/// All files resident and checked; the second of them is empty. The client has read nothing of them by mapping.
fn bed() -> Bed {
    let node = Node::start();
    let size = |n: usize| if n == 1 { 0 } else { 2000 + n * 37 };
    let objects: Vec<_> = (0..FILES).map(|n| node.put(&format!("f{n:03}"), size(n))).collect();
    let other = node.client(false);
    harness::read(&other, &objects);
    node.store.flush(harness::PATIENCE).unwrap();
    let client = node.client(true);
    let dataset = node.dataset(&client, &objects);
    Bed { node, client, objects, dataset }
}

impl Bed {
    fn read(&self, samples: &[u64]) -> usize {
        let selection = Selection::Dataset(self.dataset.clone(), samples.to_vec());
        let batch = self.client.read(&selection.into(), &soon()).unwrap();
        let objects: Vec<_> =
            samples.iter().map(|sample| self.objects[*sample as usize].clone()).collect();
        harness::assert_whole(&batch, &objects);
        harness::hits(&batch)
    }

    /// As a loop reads its first epoch: a batch is believed to be in memory after some that were.
    fn read_until_known(&self, samples: &[u64]) {
        eventually("the batch is read at once", || {
            self.read(samples);
            self.known(samples).is_some()
        });
    }

    fn known(&self, samples: &[u64]) -> Option<KnownBatch> {
        self.known_of_plan(samples, PlanPosition::default())
    }

    fn known_of_plan(&self, samples: &[u64], plan: PlanPosition) -> Option<KnownBatch> {
        let request = KnownRequest { dataset: &self.dataset, samples, plan };
        let batch = self.client.read_known(&request)?;
        assert_eq!(batch.layout.len(), samples.len());
        for ((start, len), sample) in batch.layout.iter().zip(samples) {
            let object = &self.objects[*sample as usize];
            let name = std::str::from_utf8(&object.source_key).unwrap();
            // SAFETY: the batch's own bytes, which nobody writes any more.
            let bytes =
                unsafe { std::slice::from_raw_parts(batch.slot.as_ptr().add(*start), *len) };
            assert!(bytes == bytes_of(name, object.size as usize), "{name} has other bytes");
        }
        Some(batch)
    }

    fn key(&self, sample: usize) -> RecordKey {
        self.objects[sample].key(&identity()).piece(0)
    }
}

fn all() -> Vec<u64> {
    (0..FILES as u64).map(|n| n * 7 % FILES as u64).collect()
}

#[test]
fn what_was_read_once_is_read_at_once_and_nothing_else() {
    let bed = bed();
    assert!(bed.known(&[3]).is_none(), "nobody has read it here");
    let others: Vec<u64> = all().into_iter().filter(|sample| *sample != 4).collect();
    bed.read_until_known(&others);
    let batch = bed.known(&others).unwrap();
    let size = |sample: &u64| bed.objects[*sample as usize].size;
    assert_eq!(batch.bytes, others.iter().map(size).sum::<u64>());
    assert!(bed.known(&[5, 5, 1, 59]).is_some(), "also in another order, and one twice");
    assert!(bed.known(&[5, FILES as u64]).is_none(), "there is no such sample");
    let ranges = millpool_flow::Ranges { offsets: vec![1], lengths: vec![5] };
    let selection = Selection::Dataset(bed.dataset.clone(), vec![4]);
    bed.client.read(&BatchRequest { ranges: Some(ranges), ..selection.into() }, &soon()).unwrap();
    assert!(bed.known(&[4]).is_none(), "a part that was read is not taken for the sample");
    bed.read(&[4]);
    assert!(bed.known(&[4]).is_some());
}

#[test]
fn what_was_freed_evicted_or_moved_is_not_known_any_more() {
    let bed = bed();
    bed.read_until_known(&all());
    assert_eq!(bed.node.store.forget(&[bed.key(9)]).records, 1);
    assert!(bed.known(&[9]).is_none());
    assert!(bed.known(&[8]).is_none(), "all of it is looked up again");
    bed.read(&[9]);
    bed.node.store.flush(harness::PATIENCE).unwrap();
    bed.read_until_known(&all());

    let numbers: Vec<u32> =
        bed.node.store.segments().iter().map(|segment| segment.number).collect();
    bed.node.store.evict(&numbers);
    assert!(bed.known(&[8]).is_none(), "before anybody is told");
    assert_eq!(bed.read(&[8, 9]), 0);
}

#[test]
fn a_segment_that_is_given_up_is_let_go_of_though_its_samples_are_known() {
    let bed = bed();
    bed.read_until_known(&all());
    let segments: Vec<_> = bed
        .node
        .store
        .segments()
        .iter()
        .map(|segment| (segment.number, segment.generation))
        .collect();
    assert!(bed.client.status().mapped_segments > 0);
    bed.node.server.as_ref().unwrap().segments_gone(segments);
    eventually("the client unmaps", || bed.client.status().mapped_segments == 0);
    assert!(bed.known(&[8]).is_none());
}

#[test]
fn a_cut_segment_is_noticed_and_its_samples_come_another_way() {
    let bed = bed();
    bed.read_until_known(&all());
    for path in bed.node.segment_files() {
        std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(8192).unwrap();
    }
    assert!(bed.known(&all()).is_none());
    let asked = bed.node.asked();
    bed.read(&all());
    assert!(bed.node.asked() > asked, "the cut was in force");
}

#[test]
fn a_daemon_that_is_started_again_makes_everything_unknown() {
    let mut bed = bed();
    bed.read_until_known(&all());
    let server = bed.node.server.take().unwrap();
    bed.node.runtime.block_on(server.stop());
    eventually("the client notices", || bed.known(&[8]).is_none());
    bed.node.serve();
    bed.read(&[2]);
    assert!(bed.known(&[8]).is_none());
    bed.read_until_known(&all());
}

#[test]
fn it_waits_for_no_slot_and_reads_nothing_large() {
    let bed = bed();
    let config = ClientConfig { socket: bed.node.socket(), ring_bytes: 4 << 20, maps: true };
    let bed = Bed { client: Client::connect(config, harness::PATIENCE).unwrap(), ..bed };
    bed.read_until_known(&all());
    let held = [bed.known(&[3]).unwrap(), bed.known(&[4]).unwrap()];
    assert!(bed.known(&[3]).is_none());
    drop(held);
    assert!(bed.known(&[3]).is_some());
    let times = KNOWN_BYTES_MAX / 4000;
    assert!(bed.known(&[50].repeat(times / 2)).is_some());
    assert!(bed.known(&[50].repeat(times * 2)).is_none());
}

#[test]
fn receipts_are_put_together_and_come_before_what_is_said_next() {
    let bed = bed();
    bed.read_until_known(&all());
    bed.client.control(b"hello", &soon()).unwrap();
    let before = bed.node.control.receipts.lock().unwrap().len();
    let told = || bed.node.control.receipts.lock().unwrap()[before..].to_vec();
    let plan = |position: u64| PlanPosition { plan: 5, position };
    for position in 1..=20 {
        bed.known_of_plan(&all(), plan(position)).unwrap();
    }
    bed.known_of_plan(&[1], PlanPosition { plan: 6, position: 1 }).unwrap();
    bed.client.control(b"hello", &soon()).unwrap();
    let receipts = told();
    assert!(receipts.len() < 21, "{} receipts", receipts.len());
    let of = |plan: u32| receipts.iter().filter(move |receipt| receipt.plan == plan);
    assert_eq!(of(5).map(|receipt| receipt.samples as usize).sum::<usize>(), 20 * FILES);
    assert_eq!(of(5).map(|receipt| receipt.position).max(), Some(20));
    assert_eq!((of(6).count(), of(6).map(|receipt| receipt.samples).sum::<u32>()), (1, 1));
    let bytes = bed.objects.iter().map(|object| object.size).sum::<u64>();
    assert_eq!(of(5).map(|receipt| receipt.bytes).sum::<u64>(), 20 * bytes);
    let segment = bed.node.store.segments()[0].number;
    assert!(of(5).all(|receipt| receipt.segments == [segment] && receipt.verified.is_empty()));
}
