//! Bad days: cut and flipped segments, a daemon that restarts, a client that does not read, a forked process.

mod harness;

use std::io::Write;
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use harness::{Node, assert_whole, eventually, hits, read, soon};
use millpool_core::{Code, ObjectRef};
use millpool_flow::{Client, ClientConfig, Limits, Sample, Selection, Server};

fn resident(node: &Node, client: &Client) -> Vec<ObjectRef> {
    let objects: Vec<_> = (0..30).map(|n| node.put(&format!("f{n}"), 20_000 + n)).collect();
    read(client, &objects);
    node.store.flush(harness::PATIENCE).unwrap();
    objects
}

fn cut(node: &Node) {
    for path in node.segment_files() {
        let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        assert!(file.metadata().unwrap().len() > 8192);
        file.set_len(8192).unwrap();
    }
}

#[test]
fn a_mapped_segment_that_is_cut_kills_nobody_and_its_samples_come_from_the_source() {
    let node = Node::start();
    let client = node.client(true);
    let objects = resident(&node, &client);
    assert_eq!(hits(&read(&client, &objects)), objects.len());
    let asked = node.asked();
    cut(&node);
    let batch = read(&client, &objects);
    assert_whole(&batch, &objects);
    assert!(hits(&batch) < objects.len() && node.asked() > asked, "the cut was in force");
    assert_whole(&read(&client, &objects), &objects);
}

#[test]
fn a_segment_that_is_cut_under_a_client_without_mappings_heals_too() {
    let node = Node::start();
    let client = node.client(false);
    let objects = resident(&node, &client);
    // Verified now, so that the daemon sends it unread.
    assert_eq!(hits(&read(&client, &objects)), objects.len());
    let asked = node.asked();
    cut(&node);
    assert_whole(&read(&client, &objects), &objects);
    assert!(node.asked() > asked, "the cut was in force");
}

#[test]
fn a_flipped_bit_never_reaches_a_batch() {
    for maps in [true, false] {
        let node = Node::start();
        let client = node.client(maps);
        let objects = resident(&node, &client);
        let path = node.segment_files().remove(0);
        let file = std::fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let location = node.store.lookup(&objects[7].key(&harness::identity()).piece(0)).unwrap();
        let at = u64::from(location.offset) + 100;
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 4], at).unwrap();
        let asked = node.asked();
        let batch = read(&client, &objects);
        assert_whole(&batch, &objects);
        assert_eq!(hits(&batch), objects.len() - 1, "one had to come again");
        assert_eq!(node.asked(), asked + 1);
    }
}

#[test]
fn a_read_lives_through_a_restart_of_the_daemon() {
    let mut node = Node::start();
    let client = node.client(true);
    let objects: Vec<_> = (0..10).map(|n| node.put(&format!("f{n}"), 50_000)).collect();
    read(&client, &objects[..5]);
    node.store.flush(harness::PATIENCE).unwrap();
    let before = client.status().incarnation;
    node.fill.gate.set_shut(true);
    let limits = soon();
    std::thread::scope(|scope| {
        let reading =
            scope.spawn(|| client.read(&Selection::Objects(objects.clone()).into(), &limits));
        eventually("the read waits for the source", || {
            node.fill.asked.load(std::sync::atomic::Ordering::SeqCst) == 10
        });
        let server = node.server.take().unwrap();
        node.runtime.block_on(server.stop());
        assert!(!node.socket().exists(), "a daemon that stops takes its socket along");
        node.fill.gate.set_shut(false);
        let again = Server::start(node.config()).unwrap();
        let batch = reading.join().unwrap().unwrap();
        assert_whole(&batch, &objects);
        node.runtime.block_on(again.stop());
    });
    assert_ne!(client.status().incarnation, before);
}

#[test]
fn a_daemon_that_stays_away_is_unreachable_by_name() {
    let mut node = Node::start();
    let client = node.client(true);
    node.stop();
    eventually("the client sees it", || {
        let limits = Limits::until(Instant::now() + Duration::from_millis(30));
        client.control(b"x", &limits).is_err_and(|error| {
            error.code == Code::Unreachable
                && error.message.contains(node.socket().to_str().unwrap())
        })
    });
    let config = ClientConfig { socket: node.socket(), ring_bytes: 1 << 20, maps: true };
    let error = Client::connect(config, harness::PATIENCE).err().unwrap();
    assert_eq!(error.code, Code::Unreachable);
    assert!(error.message.contains(node.socket().to_str().unwrap()), "{error}");
}

#[test]
fn a_second_daemon_on_the_socket_is_refused_and_the_first_goes_on() {
    let node = Node::start();
    let error = Server::start(node.config()).err().unwrap();
    assert_eq!(error.code, Code::Exists);
    assert_eq!(node.client(true).control(b"x", &soon()).unwrap(), b"x");
}

#[test]
fn a_closed_client_ends_its_calls() {
    let node = Node::start();
    let client = node.client(true);
    std::thread::scope(|scope| {
        let call = scope.spawn(|| client.control(b"hold", &soon()));
        eventually("the call is under way", || !node.control.held.lock().unwrap().is_empty());
        client.close();
        assert_eq!(call.join().unwrap().unwrap_err().code, Code::Closed);
    });
    assert_eq!(client.control(b"x", &soon()).unwrap_err().code, Code::Closed);
}

#[test]
fn a_client_that_does_not_read_is_dropped_and_named() {
    let node = Node::start_with(Duration::from_millis(300));
    let objects: Vec<_> = (0..40).map(|n| node.put(&format!("f{n}"), 1 << 20)).collect();
    let mut stream = UnixStream::connect(node.socket()).unwrap();
    stream.write_all(&harness_frames::hello(1)).unwrap();
    stream.write_all(&harness_frames::read(&objects)).unwrap();
    eventually("the daemon drops it", || {
        node.control
            .closed
            .lock()
            .unwrap()
            .iter()
            .any(|why| why.code == Code::Timeout && why.message.contains("client"))
    });
    // Credits bound what was held for it: 8 MiB of the 40.
    assert!(
        node.asked() < objects.len(),
        "{} were fetched for a client that reads nothing",
        node.asked()
    );
    assert_eq!(node.client(true).control(b"x", &soon()).unwrap(), b"x");
}

#[test]
fn a_forked_child_gets_a_connection_of_its_own() {
    let node = Node::start();
    let client = node.client(true);
    let objects = resident(&node, &client);
    let held = read(&client, &objects);
    // SAFETY: the child uses the client alone, which is made for it, and leaves by _exit.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let inherited_is_whole = held.sample(3).map(<[u8]>::len) == Some(20_003);
        let limits = Limits::until(Instant::now() + Duration::from_secs(10));
        let batch = client.read(&Selection::Objects(objects.clone()).into(), &limits);
        let is_whole = batch.is_ok_and(|batch| {
            batch.samples.iter().all(|sample| matches!(sample, Sample::Hit))
                && (0..objects.len()).all(|n| batch.sample(n).map(<[u8]>::len) == Some(20_000 + n))
        });
        // SAFETY: ends the child without running its copies of the parent's destructors.
        unsafe { libc::_exit(if inherited_is_whole && is_whole { 0 } else { 1 }) };
    }
    let mut status = 0;
    // SAFETY: waits for our own child.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    assert_eq!(status, 0, "the child read what its parent reads");
    assert_whole(&read(&client, &objects), &objects);
}

/// Frames written by hand, as a client of another making would.
mod harness_frames {
    use millpool_core::ObjectRef;

    pub fn hello(version: u16) -> Vec<u8> {
        let mut payload = b"MILLFLOW".to_vec();
        payload.extend_from_slice(&version.to_le_bytes());
        payload.extend_from_slice(&[0; 6]);
        frame(1, 0, &payload)
    }

    pub fn read(objects: &[ObjectRef]) -> Vec<u8> {
        let mut payload = (objects.len() as u32).to_le_bytes().to_vec();
        for (n, object) in objects.iter().enumerate() {
            for field in [n as u32, 0, 0, object.size as u32, 0] {
                payload.extend_from_slice(&field.to_le_bytes());
            }
        }
        payload.extend_from_slice(&millpool_flow::encode_objects(objects.iter()));
        frame(7, 1, &payload)
    }

    fn frame(kind: u8, request: u64, payload: &[u8]) -> Vec<u8> {
        let mut bytes = (payload.len() as u32).to_le_bytes().to_vec();
        bytes.extend_from_slice(&[kind, 0, 0, 0]);
        bytes.extend_from_slice(&request.to_le_bytes());
        bytes.extend_from_slice(payload);
        bytes
    }
}
