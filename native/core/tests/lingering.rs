//! Segments that are unlinked while somebody holds them.

mod harness;

use harness::{SECONDS, open_at, put, segment_files};

#[test]
fn the_room_of_an_evicted_segment_comes_back_when_its_last_holder_lets_go() {
    let place = tempfile::tempdir().unwrap();
    let store = open_at(&[place.path().to_path_buf()], 1 << 30);
    put(&store, 1, 5000);
    store.flush(SECONDS).unwrap();
    store.close();
    drop(store);
    let store = open_at(&[place.path().to_path_buf()], 1 << 30);
    let [segment] = &store.segments()[..] else { panic!("one segment") };
    let file = store.segment(segment.number, segment.generation).unwrap();
    let held = file.for_reader().unwrap();
    store.evict(&[segment.number]);
    assert!(segment_files(place.path()).is_empty());
    assert_eq!(store.reap(), [(segment.number, segment.generation)], "clients are to be told");
    let [lingering] = &store.lingering()[..] else { panic!("it is held") };
    assert_eq!((lingering.id, lingering.bytes), (file.id, segment.file_bytes));
    assert_eq!(store.devices()[0].used_bytes, segment.file_bytes);
    assert!(store.tenants().iter().all(|tenant| tenant.stored_bytes == 0));
    drop(held);
    assert!(store.reap().is_empty(), "nobody is to be told twice");
    assert!(store.lingering().is_empty());
    assert_eq!(store.devices()[0].used_bytes, 0);
}
