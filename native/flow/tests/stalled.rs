//! Clients that ask and do not read: what they hold of the daemon is bounded, however many they are, and others are
//! served. One test: it looks at the memory of its process.

mod harness;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use harness::{Node, assert_whole, eventually, read, soon};
use millpool_core::{Code, ObjectRef};
use millpool_flow::encode_objects;

const CLIENTS: usize = 200;
const MIB: u64 = 1 << 20;
/// A connection may have so much under way (`harness::Node::config`), so all of them 1,600 MiB.
const ASKED_BYTES: usize = 8 << 20;
/// Both rooms of messages, sixteen parts of records that are checked, and what threads and sockets take.
const MOST_BYTES: u64 = (16 + 16 + 4 + 28) * MIB;

fn frame(kind: u8, request: u64, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_le_bytes().to_vec();
    bytes.extend_from_slice(&[kind, 0, 0, 0]);
    bytes.extend_from_slice(&request.to_le_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// Says HELLO, maps nothing.
fn stranger(node: &Node) -> UnixStream {
    let mut stream = UnixStream::connect(node.socket()).unwrap();
    stream.write_all(&frame(1, 0, b"MILLFLOW\x01\0\0\0\0\0\0\0")).unwrap();
    stream
}

fn read_frame(request: u64, objects: &[ObjectRef]) -> Vec<u8> {
    let mut payload = (objects.len() as u32).to_le_bytes().to_vec();
    for (n, object) in objects.iter().enumerate() {
        for number in [n as u32, 0, 0, object.size as u32, 0] {
            payload.extend_from_slice(&number.to_le_bytes());
        }
    }
    payload.extend_from_slice(&encode_objects(objects.iter()));
    frame(7, request, &payload)
}

fn control_frame(request: u64, body: &[u8]) -> Vec<u8> {
    frame(3, request, &[&60_000u32.to_le_bytes(), body].concat())
}

fn anonymous_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// The most that it grows by within a second.
fn growth_since(before: u64) -> u64 {
    let end = Instant::now() + Duration::from_secs(1);
    let mut most = 0;
    while Instant::now() < end {
        most = most.max(anonymous_bytes().saturating_sub(before));
        std::thread::sleep(Duration::from_millis(5));
    }
    most
}

#[test]
fn two_hundred_that_do_not_read_hold_no_more_than_the_rooms_and_nobody_waits_for_them() {
    // A twelfth of it where others wait.
    let node = Node::start_with(Duration::from_secs(24));
    let objects: Vec<_> = (0..8).map(|n| node.put(&format!("f{n}"), 1 << 20)).collect();
    read(&node.client(false), &objects);
    node.store.flush(harness::PATIENCE).unwrap();

    // Records that nobody has verified, so that each is read and checked for each of them.
    let before = anonymous_bytes();
    let pieces: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let mut stream = stranger(&node);
            stream.write_all(&read_frame(1, &objects)).unwrap();
            stream
        })
        .collect();
    let asked = CLIENTS * ASKED_BYTES;
    let grown = growth_since(before);
    assert!(grown < MOST_BYTES, "{grown} bytes for {asked} that were asked for");
    assert_whole(&read(&node.client(false), &objects), &objects);

    // Answers that nobody takes: some find room, the others are told that there is none.
    let body = vec![7; 1 << 20];
    let answers: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let mut stream = stranger(&node);
            stream.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
            // The daemon stops reading where there is no room.
            let _ = stream.write_all(&control_frame(1, &body));
            stream
        })
        .collect();
    let grown = growth_since(before);
    assert!(grown < MOST_BYTES, "{grown} bytes, of {CLIENTS} answers of 1 MiB");
    let held = node.server.as_ref().unwrap().unsent_bytes();
    assert!(held > 8 << 20, "the answers were made: {held} bytes wait");
    eventually("room for a client that reads", || {
        match node.client(false).control(&body, &soon()) {
            Ok(answer) => answer == body,
            Err(error) => {
                assert_eq!(error.code, Code::Full, "{error}");
                false
            }
        }
    });
    drop((pieces, answers));
}

#[test]
fn who_leaves_a_request_half_sent_is_let_go() {
    let node = Node::start_with(Duration::from_secs(1));
    let mut stream = stranger(&node);
    let whole = control_frame(1, &[7; 100_000]);
    stream.write_all(&whole[..50_000]).unwrap();
    stream.set_read_timeout(Some(harness::PATIENCE)).unwrap();
    let mut said = Vec::new();
    stream.read_to_end(&mut said).unwrap();
    assert!(String::from_utf8_lossy(&said).contains("the rest of a message"), "{said:?}");
}
