//! Records that are to be read once and not kept.

mod harness;

use harness::{SECONDS, get, key, open_at, put};
use millpool_core::{Admission, Fate};

#[test]
fn what_passes_by_is_declined_once_unless_it_is_let_in_or_pinned() {
    let place = tempfile::tempdir().unwrap();
    let store = open_at(&[place.path().to_path_buf()], 1 << 30);
    store.pass_by(&[key(1), key(2), key(3)]);
    store.let_in(&[key(2)]);
    store.pin(&[key(3)]);
    assert_eq!(put(&store, 1, 5000), Admission::Declined);
    assert_eq!(store.fates().of(&key(1)).map(|dated| dated.fate), Some(Fate::ReadLater));
    assert!(store.tenants().iter().all(|tenant| tenant.declined_bytes == 0), "it wants no room");
    assert_eq!(put(&store, 2, 5000), Admission::Queued);
    assert_eq!(put(&store, 3, 5000), Admission::Queued);
    assert_eq!(put(&store, 1, 5000), Admission::Queued, "once");
    store.flush(SECONDS).unwrap();
    assert!((1..4).all(|n| get(&store, n).is_some()));
}
