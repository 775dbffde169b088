//! Batches whose records are not in memory: what is waited for, and what is brought in.

mod harness;

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use harness::{Node, assert_whole, files_below, hits, identity, soon};
use millpool_core::{Dataset, ObjectRef};
use millpool_flow::{BatchRequest, PlanPosition, Sample, Selection};

const FILES: usize = 200;
/// More than any machine has; nobody reads it.
const HUGE_BYTES: u64 = 1 << 50;

/// A node that has all files in segments of which no page is in memory; `None` where its directory cannot be so.
fn cold_node() -> Option<(Node, Vec<ObjectRef>)> {
    let node = Node::start();
    let mut objects: Vec<_> =
        (0..FILES).map(|n| node.put(&format!("f{n:03}"), 1 + n * n * 731 % 150_000)).collect();
    // Fetched by a client that maps nothing: what is mapped stays in memory.
    harness::read(&node.client(false), &objects);
    node.store.flush(harness::PATIENCE).unwrap();
    objects.push(ObjectRef {
        source_key: b"huge".to_vec(),
        size: HUGE_BYTES,
        ..objects[0].clone()
    });
    let left = drop_segments(&node);
    if left > 0 {
        println!("skipped: {left} pages of {} stay in memory", node.folder.path().display());
        return None;
    }
    Some((node, objects))
}

fn segments(node: &Node) -> Vec<File> {
    files_below(&node.folder.path().join("data/segments"))
        .iter()
        .map(|path| File::open(path).unwrap())
        .collect()
}

/// The pages that stay in memory. The kernel passes over those that somebody is about to list or to write: they are
/// dropped a moment later.
fn drop_segments(node: &Node) -> usize {
    let mut left = 0;
    for _ in 0..50 {
        for file in segments(node) {
            file.sync_all().unwrap();
            // SAFETY: a hint about an open file.
            unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
        }
        left = pages_in_memory(node);
        if left == 0 {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    left
}

/// By mincore of mappings that nobody reads through.
fn pages_in_memory(node: &Node) -> usize {
    let in_file = |file: File| {
        let len = file.metadata().unwrap().len() as usize;
        let mut pages = vec![0u8; len.div_ceil(4096)];
        // SAFETY: a mapping of the file's own length, gone before this returns, and a byte for each of its pages.
        unsafe {
            let (read, shared) = (libc::PROT_READ, libc::MAP_SHARED);
            let map = libc::mmap(std::ptr::null_mut(), len, read, shared, file.as_raw_fd(), 0);
            assert_ne!(map, libc::MAP_FAILED);
            assert_eq!(libc::mincore(map, len, pages.as_mut_ptr()), 0);
            libc::munmap(map, len);
        }
        pages.iter().filter(|page| *page & 1 == 1).count()
    };
    segments(node).into_iter().map(in_file).sum()
}

/// All files, in an order that is not that of their places.
fn shuffled(dataset: &Arc<Dataset>, plan: u32) -> BatchRequest {
    let samples = (0..FILES as u64).map(|n| n * 77 % FILES as u64).collect();
    let plan = PlanPosition { plan, position: 0 };
    BatchRequest { plan, ..Selection::Dataset(dataset.clone(), samples).into() }
}

fn in_that_order(objects: &[ObjectRef]) -> Vec<ObjectRef> {
    (0..FILES).map(|n| objects[n * 77 % FILES].clone()).collect()
}

#[test]
fn a_cold_batch_comes_whole_waits_for_the_device_and_is_in_memory_afterwards() {
    let Some((node, mut objects)) = cold_node() else { return };
    let client = node.client(true);
    objects.pop();
    let dataset = node.dataset(&client, &objects);
    let batch = client.read(&shuffled(&dataset, 1), &soon()).unwrap();
    assert_whole(&batch, &in_that_order(&objects));
    assert_eq!(hits(&batch), FILES);
    assert!(batch.waits.device > Duration::ZERO, "{:?}", batch.waits);
    assert!(batch.device.samples > 0 && batch.device.bytes <= batch.slot.len() as u64);
    assert!(pages_in_memory(&node) > 0);
    // Warm now: after some batches nothing is counted as the device's any more.
    let again = |_| client.read(&shuffled(&dataset, 1), &soon()).unwrap().waits.device;
    assert_eq!((0..8).map(again).min(), Some(Duration::ZERO));
}

#[test]
fn a_replay_measures_memory_and_device_and_nobody_hears_of_it() {
    let Some((node, objects)) = cold_node() else { return };
    let client = node.client(true);
    let dataset = node.dataset(&client, &objects);
    let request = shuffled(&dataset, 0);
    let told = || node.control.receipts.lock().unwrap().len();
    let (asked, receipts) = (node.asked(), told());
    let cold = client.replay(&request, &soon()).unwrap();
    assert!(cold.gather.samples < FILES as u64, "hardly anything is in memory");
    drop(client.read(&request, &soon()).unwrap());
    let warm = client.replay(&request, &soon()).unwrap();
    assert_eq!(warm.gather.samples, FILES as u64);
    assert_eq!(warm.gather.bytes, objects[..FILES].iter().map(|object| object.size).sum::<u64>());
    assert!(warm.gather.spent > Duration::ZERO);
    if cold.device.samples > 0 {
        assert_eq!((cold.device.samples, cold.device.bytes), (FILES as u64, warm.gather.bytes));
        assert!(cold.device.spent > Duration::ZERO);
    } else {
        println!("skipped: nothing here can be read past the page cache");
    }
    harness::eventually("the read's receipt", || told() > receipts);
    assert_eq!((node.asked(), told()), (asked, receipts + 1), "neither fetched nor told");
}

#[test]
fn a_plan_over_more_than_memory_holds_reads_past_it() {
    let Some((node, objects)) = cold_node() else { return };
    let client = node.client(true);
    let dataset = node.dataset(&client, &objects);
    let batch = client.read(&shuffled(&dataset, 1), &soon()).unwrap();
    assert_whole(&batch, &in_that_order(&objects));
    assert!(batch.waits.device > Duration::ZERO, "{:?}", batch.waits);
    let bytes: u64 = objects[..FILES].iter().map(|object| object.size).sum();
    // Each segment's first block is read when it is mapped, and the kernel reads on from there a little.
    let most = bytes / 4096 / 2;
    assert!((pages_in_memory(&node) as u64) < most, "of {bytes} bytes");
    let again = client.read(&shuffled(&dataset, 1), &soon()).unwrap();
    assert_whole(&again, &in_that_order(&objects));
    assert!((pages_in_memory(&node) as u64) < most, "the second time brings nothing in either");
    // Without a plan nobody has said that it will not be read again.
    assert_whole(&client.read(&shuffled(&dataset, 0), &soon()).unwrap(), &in_that_order(&objects));
    assert!(pages_in_memory(&node) as u64 >= bytes / 4096);
}

#[test]
fn a_damaged_record_is_found_on_both_ways_and_fetched_again() {
    for is_huge in [false, true] {
        let Some((node, mut objects)) = cold_node() else { return };
        if !is_huge {
            objects.pop();
        }
        let object = &objects[150];
        let place = node.store.lookup(&object.key(&identity()).piece(0)).unwrap();
        assert!(!place.verified);
        let whole = harness::bytes_of("f150", object.size as usize);
        let holds = |path: &PathBuf| {
            let mut there = vec![0; whole.len()];
            let read = File::open(path).unwrap().read_exact_at(&mut there, u64::from(place.offset));
            read.is_ok() && there == whole
        };
        let path = node.segment_files().into_iter().find(holds).unwrap();
        let file = File::options().read(true).write(true).open(path).unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, u64::from(place.offset) + 9).unwrap();
        file.write_all_at(&[byte[0] ^ 1], u64::from(place.offset) + 9).unwrap();
        drop(file);
        drop_segments(&node);
        assert_eq!(pages_in_memory(&node), 0);
        let client = node.client(true);
        let dataset = node.dataset(&client, &objects);
        let asked = node.asked();
        let batch = client.read(&shuffled(&dataset, 1), &soon()).unwrap();
        assert_whole(&batch, &in_that_order(&objects));
        assert_eq!(node.asked(), asked + 1, "the damaged one alone");
        let fetched = |sample: &&Sample| matches!(sample, Sample::Fetched);
        assert_eq!(batch.samples.iter().filter(fetched).count(), 1);
    }
}

#[test]
fn a_part_of_a_cold_record_comes_whole_and_checked() {
    let Some((node, objects)) = cold_node() else { return };
    let client = node.client(true);
    let dataset = node.dataset(&client, &objects);
    for skip in [0u64, 1, 4095] {
        let request = shuffled(&dataset, 1);
        let sizes: Vec<u64> = in_that_order(&objects).iter().map(|object| object.size).collect();
        let offsets: Vec<u64> = sizes.iter().map(|size| skip.min(size - 1)).collect();
        let lengths = sizes.iter().zip(&offsets).map(|(size, at)| (size - at).min(5000)).collect();
        let ranges = Some(millpool_flow::Ranges { offsets: offsets.clone(), lengths });
        let batch = client.read(&BatchRequest { ranges, ..request }, &soon()).unwrap();
        for (n, object) in in_that_order(&objects).iter().enumerate() {
            let name = std::str::from_utf8(&object.source_key).unwrap();
            let whole = harness::bytes_of(name, object.size as usize);
            let part = batch.sample(n).unwrap();
            let at = offsets[n] as usize;
            assert!(part == &whole[at..at + part.len()], "{name}");
            assert_eq!(part.len() as u64, (object.size - offsets[n]).min(5000));
        }
    }
}
