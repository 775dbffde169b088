//! Strangers on the socket: whatever they send closes their own connection, and nothing else.

mod harness;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use harness::{Node, read_to_end, soon};
use proptest::prelude::*;

fn frame(kind: u8, flags: u8, request: u64, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_le_bytes().to_vec();
    bytes.extend_from_slice(&[kind, flags, 0, 0]);
    bytes.extend_from_slice(&request.to_le_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

fn hello(version: u16) -> Vec<u8> {
    let mut payload = b"MILLFLOW".to_vec();
    payload.extend_from_slice(&version.to_le_bytes());
    payload.extend_from_slice(&[0; 6]);
    frame(1, 0, 0, &payload)
}

/// What the server says to these bytes, to its end of the connection.
fn answer(node: &Node, bytes: &[u8]) -> Vec<u8> {
    let mut stream = UnixStream::connect(node.socket()).unwrap();
    stream.set_read_timeout(Some(harness::PATIENCE)).unwrap();
    // The server may close while we still write.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(std::net::Shutdown::Write);
    read_to_end(&mut stream)
}

const WELCOME_BYTES: usize = 16 + 24;
const ERROR: u8 = 13;

#[test]
fn another_version_gets_one_error_that_names_both() {
    let node = Node::start();
    let said = answer(&node, &hello(99));
    assert_eq!(said[4], ERROR);
    let text = String::from_utf8_lossy(&said[18..]);
    assert!(text.contains("99") && text.contains("version 1"), "{text}");
}

#[test]
fn each_broken_frame_gets_an_error_and_the_end() {
    let node = Node::start();
    let mut huge = frame(3, 0, 1, b"");
    huge[..4].copy_from_slice(&u32::MAX.to_le_bytes());
    let mut reserved = frame(3, 0, 1, b"\0\0\0\0x");
    reserved[6] = 1;
    let lying_count = frame(7, 0, 1, &u32::MAX.to_le_bytes());
    let not_for_servers = frame(8, 0, 1, &[0; 12]);
    for bad in [
        huge,
        reserved,
        lying_count,
        not_for_servers,
        frame(77, 0, 1, b""),
        frame(5, 0, 1, &[9]),
        hello(1),
    ] {
        let said = answer(&node, &[hello(1), bad.clone()].concat());
        assert!(said.len() > WELCOME_BYTES, "an answer to {bad:?}");
        assert_eq!(said[WELCOME_BYTES + 4], ERROR, "to {bad:?}");
    }
    assert_eq!(answer(&node, &frame(3, 0, 1, b"\0\0\0\0x"))[4], ERROR, "a call before HELLO");
}

#[test]
fn a_request_number_is_used_once_at_a_time() {
    let node = Node::start();
    let call = frame(3, 0, 5, b"\xff\xff\0\0hold");
    let said = answer(&node, &[hello(1), call.clone(), call].concat());
    assert_eq!(said[WELCOME_BYTES + 4], ERROR);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_harm_nobody_else(
        raw in proptest::collection::vec(any::<u8>(), 0..2000),
        frames in proptest::collection::vec(
            (1u8..15, any::<u64>(), proptest::collection::vec(any::<u8>(), 0..80)), 0..12,
        ),
    ) {
        thread_local!(static NODE: Node = Node::start());
        NODE.with(|node| {
            answer(node, &raw);
            let framed = frames.iter().map(|(kind, request, payload)| frame(*kind, 0, *request, payload));
            let bytes: Vec<u8> = std::iter::once(hello(1)).chain(framed).flatten().collect();
            answer(node, &bytes);
            assert_eq!(node.client(false).control(b"fine", &soon()).unwrap(), b"fine");
        });
    }
}

#[test]
fn who_says_nothing_is_let_go() {
    let node = Node::start();
    let mut stream = UnixStream::connect(node.socket()).unwrap();
    stream.set_read_timeout(Some(harness::PATIENCE)).unwrap();
    let mut said = Vec::new();
    stream.read_to_end(&mut said).unwrap();
    assert_eq!(said[4], ERROR);
}
