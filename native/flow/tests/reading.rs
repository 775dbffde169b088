//! Reads through a real socket: misses, hits by mapping and by socket, parts, control, datasets, eviction.

mod harness;

use std::time::{Duration, Instant};

use harness::{ATTACHMENT, Node, assert_whole, bytes_of, eventually, hits, identity, read, soon};
use millpool_core::{Code, DatasetRoot, DatasetWriter, Drawn, ObjectRef, PIECE_BYTES};
use millpool_flow::{
    BatchRequest, Cancel, Client, ClientConfig, Limits, PlanPosition, Ranges, Sample, Selection,
};

fn files(node: &Node, count: usize) -> Vec<ObjectRef> {
    (0..count).map(|n| node.put(&format!("f{n}"), n * n * 731 % 150_000)).collect()
}

#[test]
fn a_first_read_fetches_and_the_second_is_gathered_from_mapped_segments() {
    let node = Node::start();
    let client = node.client(true);
    let objects = files(&node, 60);
    let cold = read(&client, &objects);
    assert_whole(&cold, &objects);
    let empty = objects.iter().filter(|object| object.size == 0).count();
    assert_eq!(hits(&cold), empty, "an empty object is never asked for");
    assert_eq!(node.asked(), objects.len() - empty);

    node.store.flush(harness::PATIENCE).unwrap();
    let warm = read(&client, &objects);
    assert_whole(&warm, &objects);
    assert_eq!(hits(&warm), objects.len());
    assert_eq!(node.asked(), objects.len() - empty, "nothing was fetched again");
    assert!(client.status().mapped_segments > 0);
    assert_eq!(
        node.server.as_ref().unwrap().status().served_records as usize,
        objects.len() - empty
    );
}

#[test]
fn receipts_say_what_was_read_and_verified() {
    let node = Node::start();
    let client = node.client(true);
    let objects = files(&node, 20);
    read(&client, &objects);
    node.store.flush(harness::PATIENCE).unwrap();
    let plan = PlanPosition { plan: 3, position: 20 };
    let request = BatchRequest { plan, ..Selection::Objects(objects.clone()).into() };
    client.read(&request, &soon()).unwrap();
    eventually("two receipts", || node.control.receipts.lock().unwrap().len() == 2);
    let receipt = node.control.receipts.lock().unwrap()[1].clone();
    assert_eq!((receipt.plan, receipt.position), (3, 20));
    assert_eq!((receipt.samples, receipt.hit_samples), (20, 20));
    assert_eq!(receipt.bytes, objects.iter().map(|object| object.size).sum::<u64>());
    assert_eq!(receipt.verified.len(), 19, "all but the empty one, as nobody had verified them");
    assert_eq!(receipt.segments.len(), 1);
    for object in objects.iter().filter(|object| object.size > 0) {
        let location = node.store.lookup(&object.key(&identity()).piece(0)).unwrap();
        assert!(location.verified, "the daemon took the receipt's word for it");
    }
}

#[test]
fn a_client_that_cannot_map_reads_the_same_over_the_socket() {
    let node = Node::start();
    let client = node.client(false);
    let objects = files(&node, 40);
    assert_whole(&read(&client, &objects), &objects);
    node.store.flush(harness::PATIENCE).unwrap();
    let asked = node.asked();
    for _ in 0..2 {
        // First checked by the daemon and sent from memory, then by sendfile.
        let batch = read(&client, &objects);
        assert_whole(&batch, &objects);
        assert_eq!(hits(&batch), objects.len());
    }
    assert_eq!(node.asked(), asked);
    assert!(!client.status().maps);
    assert_eq!(client.status().mapped_segments, 0);
}

#[test]
fn parts_of_large_objects() {
    let node = Node::start();
    let size = 2 * PIECE_BYTES as usize + 12_345;
    let big = node.put("big", size);
    let whole = bytes_of("big", size);
    let piece = PIECE_BYTES;
    let ranges = [
        (0, size as u64),
        (piece - 1, 2),
        (piece, piece),
        (2 * piece + 12_344, 1),
        (5, 0),
        (7, piece),
    ];
    for maps in [true, false] {
        let client = node.client(maps);
        for _ in 0..2 {
            let selection = Selection::Objects(vec![big.clone(); ranges.len()]);
            let (offsets, lengths) = ranges.iter().copied().unzip();
            let parts = Some(Ranges { offsets, lengths });
            let request = BatchRequest { ranges: parts, ..selection.into() };
            let batch = client.read(&request, &soon()).unwrap();
            for (n, (offset, len)) in ranges.iter().enumerate() {
                let expected = &whole[*offset as usize..(offset + len) as usize];
                assert!(
                    batch.sample(n).unwrap() == expected,
                    "bytes {offset} + {len}, mapped {maps}"
                );
            }
            node.store.flush(harness::PATIENCE).unwrap();
        }
    }
}

#[test]
fn one_sample_that_fails_does_not_fail_the_others() {
    let node = Node::start();
    let client = node.client(true);
    let mut objects = files(&node, 5);
    objects[2].source_key = b"gone".to_vec();
    objects[4].size += 10;
    let batch = read(&client, &objects);
    let code = |n: usize| match &batch.samples[n] {
        Sample::Failed(error) => Some(error.code),
        _ => None,
    };
    assert_eq!(
        [code(0), code(1), code(2), code(3), code(4)],
        [None, None, Some(Code::NotFound), None, Some(Code::SourceBroken)]
    );
    assert!(batch.sample(2).is_none());
    let unknown = ObjectRef { attachment: ATTACHMENT + 1, ..objects[0].clone() };
    let refused = client.read(&Selection::Objects(vec![unknown]).into(), &soon());
    assert_eq!(refused.err().unwrap().code, Code::NotFound);
}

#[test]
fn a_source_that_hangs_ends_at_the_deadline_and_the_hits_are_there() {
    let node = Node::start();
    let client = node.client(true);
    let objects = files(&node, 10);
    read(&client, &objects[..9]);
    node.store.flush(harness::PATIENCE).unwrap();
    node.fill.gate.set_shut(true);
    let limits = Limits::until(Instant::now() + Duration::from_millis(200));
    let batch = client.read(&Selection::Objects(objects.clone()).into(), &limits).unwrap();
    assert_whole(&batch, &objects[..9]);
    let Sample::Failed(error) = &batch.samples[9] else { panic!("{:?}", batch.samples[9]) };
    assert_eq!(error.code, Code::Timeout);
    assert!(error.message.contains("source"), "{error}");
    node.fill.gate.set_shut(false);
    assert_whole(&read(&client, &objects), &objects);
}

#[test]
fn control_messages_are_answered_refused_dropped_and_given_up() {
    let node = Node::start();
    let client = node.client(false);
    assert_eq!(client.control(b"hello", &soon()).unwrap(), b"hello");
    assert_eq!(client.control(b"fail", &soon()).unwrap_err().code, Code::Refused);
    assert_eq!(client.control(b"drop", &soon()).unwrap_err().code, Code::Closed);

    let short = Limits::until(Instant::now() + Duration::from_millis(50));
    assert_eq!(client.control(b"hold", &short).unwrap_err().code, Code::Timeout);
    eventually("the daemon hears of the time-out", || {
        node.control.cancelled.load(std::sync::atomic::Ordering::SeqCst) == 1
    });

    let cancel = Cancel::default();
    let limits = Limits { cancel: cancel.clone(), ..soon() };
    std::thread::scope(|scope| {
        let call = scope.spawn(|| client.control(b"hold", &limits));
        eventually("the call is under way", || node.control.held.lock().unwrap().len() == 2);
        cancel.cancel();
        assert_eq!(call.join().unwrap().unwrap_err().code, Code::Cancelled);
    });
    assert_eq!(client.control(b"still", &soon()).unwrap(), b"still");
}

#[test]
fn a_dataset_is_mapped_by_descriptor_and_read_by_index() {
    let node = Node::start();
    let client = node.client(true);
    let mut objects = files(&node, 30);
    objects.sort_by(|a, b| a.source_key.cmp(&b.source_key));
    let place = node.folder.path().join("datasets/new");
    let root = DatasetRoot { path: "/data".into(), identity: identity() };
    let mut writer = DatasetWriter::create(&place, root).unwrap();
    for object in &objects {
        writer.push(std::str::from_utf8(&object.source_key).unwrap(), object).unwrap();
    }
    let summary = writer.finish().unwrap();
    let hex: String = summary.version.iter().map(|byte| format!("{byte:02x}")).collect();
    std::fs::rename(&place, place.with_file_name(format!("{hex}.dataset"))).unwrap();

    let dataset = std::sync::Arc::new(client.dataset(&summary.version, &soon()).unwrap());
    assert_eq!(dataset.len(), 30);
    let picks = [29u64, 0, 7, 7];
    let picked: Vec<_> = picks.iter().map(|pick| objects[*pick as usize].clone()).collect();
    for _ in 0..2 {
        let selection = Selection::Dataset(dataset.clone(), picks.to_vec());
        let batch = client.read(&selection.into(), &soon()).unwrap();
        assert_whole(&batch, &picked);
        node.store.flush(harness::PATIENCE).unwrap();
    }
    assert_eq!(client.dataset(&[1; 32], &soon()).err().unwrap().code, Code::NotFound);
    let outside = Selection::Dataset(dataset, vec![30]);
    let error = client.read(&outside.into(), &soon()).err().unwrap();
    assert_eq!(error.code, Code::Invalid);
}

#[test]
fn a_mixture_takes_samples_of_several_datasets_in_its_order() {
    let node = Node::start();
    let client = node.client(true);
    let mut objects = files(&node, 30);
    objects.sort_by(|a, b| a.source_key.cmp(&b.source_key));
    let (few, many) = objects.split_at(10);
    let datasets = vec![node.dataset(&client, few), node.dataset(&client, many)];
    let order = [(1usize, 19usize), (0, 3), (0, 0), (1, 0), (1, 19)];
    let drawn: Vec<_> =
        order.map(|(source, sample)| Drawn { source, sample: sample as u64 }).into();
    let wanted: Vec<_> = order
        .map(
            |(source, sample)| if source == 0 { few[sample].clone() } else { many[sample].clone() },
        )
        .into();
    for _ in 0..2 {
        let selection = Selection::Mixture(datasets.clone(), drawn.clone());
        assert_whole(&client.read(&selection.into(), &soon()).unwrap(), &wanted);
        node.store.flush(harness::PATIENCE).unwrap();
    }
    for outside in [Drawn { source: 0, sample: 10 }, Drawn { source: 2, sample: 0 }] {
        let selection = Selection::Mixture(datasets.clone(), vec![outside]);
        assert_eq!(client.read(&selection.into(), &soon()).err().unwrap().code, Code::Invalid);
    }
}

#[test]
fn an_evicted_segment_is_unmapped_and_its_samples_come_again() {
    let node = Node::start();
    let client = node.client(true);
    let objects = files(&node, 20);
    read(&client, &objects);
    node.store.flush(harness::PATIENCE).unwrap();
    let held = read(&client, &objects);
    assert_eq!(client.status().mapped_segments, 1);

    let segments: Vec<_> = node.store.segments().iter().map(|s| (s.number, s.generation)).collect();
    node.store.evict(&segments.iter().map(|segment| segment.0).collect::<Vec<_>>());
    node.server.as_ref().unwrap().segments_gone(segments);
    eventually("the client unmaps", || client.status().mapped_segments == 0);
    assert_whole(&held, &objects);

    let again = read(&client, &objects);
    assert_whole(&again, &objects);
    assert_eq!(hits(&again), 1, "only the empty one");
}

#[test]
fn many_threads_share_one_client() {
    let node = Node::start();
    let client = node.client(true);
    let objects = files(&node, 100);
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (client, objects) = (&client, &objects);
            scope.spawn(move || {
                for round in 0..10 {
                    let from = (thread * 13 + round * 7) % 80;
                    let some = &objects[from..from + 20];
                    assert_whole(&read(client, some), some);
                }
            });
        }
    });
}

/// A run of `batches`, each a list of objects, as batches of one plan.
fn run_of(batches: &[&[ObjectRef]]) -> Vec<BatchRequest> {
    let at = |n: usize| PlanPosition { plan: 3, position: n as u64 + 1 };
    let request = |(n, objects): (usize, &&[ObjectRef])| BatchRequest {
        plan: at(n),
        ..Selection::Objects(objects.to_vec()).into()
    };
    batches.iter().enumerate().map(request).collect()
}

#[test]
fn a_run_is_batches_in_order_with_one_receipt_for_all() {
    let node = Node::start();
    let client = node.client(true);
    let objects = files(&node, 30);
    read(&client, &objects);
    node.store.flush(harness::PATIENCE).unwrap();
    eventually("the first read's receipt", || node.control.receipts.lock().unwrap().len() == 1);
    let parts: Vec<_> = objects.chunks(10).collect();
    // How many are read depends on how fast the machine is; once it is quick, all are.
    eventually("a run of all three", || {
        let receipts = node.control.receipts.lock().unwrap().len();
        let batches = client.read_run(&run_of(&parts), &soon()).unwrap();
        batches.iter().zip(&parts).for_each(|(batch, part)| assert_whole(batch, part));
        let told = || node.control.receipts.lock().unwrap()[receipts..].to_vec();
        eventually("the receipt", || !told().is_empty());
        let [receipt] = &told()[..] else { panic!("{} receipts for one run", told().len()) };
        assert_eq!(receipt.position, batches.len() as u64);
        assert_eq!(receipt.samples as usize, 10 * batches.len());
        batches.len() == parts.len()
    });
}

#[test]
fn a_run_ends_before_a_batch_that_would_wait() {
    let node = Node::start();
    let client = node.client(true);
    let objects = files(&node, 30);
    read(&client, &objects[..20]);
    node.store.flush(harness::PATIENCE).unwrap();
    let asked = node.asked();
    let [first, second, missing] = [&objects[..10], &objects[10..20], &objects[20..]];
    let batches = client.read_run(&run_of(&[first, missing, second]), &soon()).unwrap();
    assert_eq!(batches.len(), 1, "the second would be fetched");
    assert_eq!(node.asked(), asked, "and was not asked for");
    drop(batches);

    // The first batch of a run waits, whatever it takes.
    let batches = client.read_run(&run_of(&[missing, second]), &soon()).unwrap();
    assert_whole(&batches[0], missing);
}

#[test]
fn a_run_does_not_wait_for_a_slot_that_its_own_reader_holds() {
    let node = Node::start();
    let objects = files(&node, 20);
    read(&node.client(true), &objects);
    node.store.flush(harness::PATIENCE).unwrap();
    let two_slots = ClientConfig { socket: node.socket(), ring_bytes: 4 << 20, maps: true };
    let client = Client::connect(two_slots, harness::PATIENCE).unwrap();
    let run = run_of(&[&objects[..10], &objects[10..]]);
    let held = read(&client, &objects[..10]);
    assert_eq!(client.read_run(&run, &soon()).unwrap().len(), 1);
    drop(held);
    eventually("a run of both", || client.read_run(&run, &soon()).unwrap().len() == 2);
}
