//! Records that are stored compressed, read by clients that map them and by those that cannot.

mod harness;

use std::os::unix::fs::FileExt;
use std::time::Duration;

use harness::{ATTACHMENT, Node, REPEATING, assert_whole, bytes_of, hits, identity, read, soon};
use millpool_core::{Codec, Compression, Location, ObjectRef};
use millpool_flow::{BatchRequest, Client, Ranges, Selection};

/// Of one piece and of several, in a cache that compresses what shrinks.
fn resident(node: &Node, client: &Client) -> Vec<ObjectRef> {
    node.store.set_compression(ATTACHMENT, Compression::Lz4);
    let sizes = [1, 3000, 20_000, 1_000_000, 9 << 20];
    let objects: Vec<_> =
        sizes.map(|size| node.put(&format!("{REPEATING}-{size}"), size)).into_iter().collect();
    read(client, &objects);
    node.store.flush(harness::PATIENCE).unwrap();
    let is_packed = |object: &ObjectRef| location(node, object).codec == Codec::Lz4;
    assert!(objects[1..].iter().all(is_packed) && !is_packed(&objects[0]));
    objects
}

fn location(node: &Node, object: &ObjectRef) -> Location {
    node.store.lookup(&object.key(&identity()).piece(0)).unwrap()
}

/// The second is what a client of before there were codecs does: it finds a record of another length than the piece,
/// and asks the daemon.
#[test]
fn whoever_maps_and_whoever_asks_the_daemon_reads_what_came() {
    for maps in [true, false] {
        let node = Node::start();
        let client = node.client(maps);
        let objects = resident(&node, &client);
        let asked = node.asked();
        for _ in 0..2 {
            let batch = read(&client, &objects);
            assert_whole(&batch, &objects);
            assert_eq!(hits(&batch), objects.len());
        }
        let parts: Vec<(u64, u64)> =
            objects.iter().map(|object| (object.size / 3, object.size - object.size / 3)).collect();
        let (offsets, lengths) = parts.iter().copied().unzip();
        let ranges = Some(Ranges { offsets, lengths });
        let selection = Selection::Objects(objects.clone());
        let request = BatchRequest { ranges, ..selection.into() };
        let batch = client.read(&request, &soon()).unwrap();
        for (n, (object, (start, len))) in objects.iter().zip(parts).enumerate() {
            let name = std::str::from_utf8(&object.source_key).unwrap();
            let whole = bytes_of(name, object.size as usize);
            let wanted = &whole[start as usize..(start + len) as usize];
            assert!(batch.sample(n).unwrap() == wanted, "{name}");
        }
        assert_eq!(node.asked(), asked, "all of it was resident");
        let served = node.server.as_ref().unwrap().status().served_bytes;
        let bytes: u64 = objects.iter().map(|object| object.size).sum();
        assert!(if maps { served <= bytes } else { served > 3 * bytes }, "{served} of {bytes}");
    }
}

#[test]
fn a_flipped_bit_is_found_and_the_record_fetched_again() {
    for maps in [true, false] {
        let node = Node::start();
        let client = node.client(maps);
        let objects = resident(&node, &client);
        let asked = node.asked();
        let victim = location(&node, &objects[3]);
        let [path] = <[_; 1]>::try_from(node.segment_files()).unwrap();
        let file = std::fs::File::options().read(true).write(true).open(path).unwrap();
        let (mut byte, at) = ([0], u64::from(victim.offset + victim.stored_len / 2));
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 16], at).unwrap();
        assert_whole(&read(&client, &objects), &objects);
        assert_eq!((node.asked(), node.store.damaged()), (asked + 1, 1));
        node.store.flush(Duration::from_secs(20)).unwrap();
        assert_whole(&read(&client, &objects), &objects);
        assert_eq!(node.asked(), asked + 1);
    }
}
