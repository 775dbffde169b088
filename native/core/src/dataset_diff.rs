//! What differs between two dataset versions: a merge of two sorted lists, a page at a time.

use std::cmp::Ordering;

use crate::{Code, Dataset, Error, Result};

/// How many entries of both are looked at for one page, so that a page of equal versions ends too.
const MAX_LOOKED_AT: u64 = 1 << 18;

/// Entries of each that are read ahead at once: some MiB.
const READ_AHEAD: u64 = 1 << 14;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ChangeKind {
    Added,
    Removed,
    /// Of another size or tag.
    Changed,
}

/// A file that is not the same in both.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DatasetChange {
    pub kind: ChangeKind,
    /// Below the root of each.
    pub path: String,
    /// Bytes; 0 where the file is not there.
    pub before: u64,
    pub after: u64,
}

/// The entries that come next, in either.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct DiffPlace {
    pub before: u64,
    pub after: u64,
}

#[derive(Debug)]
pub struct DiffPage {
    pub changes: Vec<DatasetChange>,
    /// `None` after the last.
    pub next: Option<DiffPlace>,
}

/// At most `limit` changes from `place` on, in the byte order of their paths; a page may have none and not be the last.
pub fn diff_datasets(
    before: &Dataset,
    after: &Dataset,
    mut place: DiffPlace,
    limit: usize,
) -> Result<DiffPage> {
    if place.before > before.len() || place.after > after.len() {
        return Err(Error::new(Code::Invalid, "the place is outside of the dataset versions"));
    }
    let mut changes = Vec::new();
    for looked_at in 0..MAX_LOOKED_AT {
        if looked_at % READ_AHEAD == 0 {
            before.read_ahead(place.before..place.before + READ_AHEAD);
            after.read_ahead(place.after..place.after + READ_AHEAD);
        }
        if changes.len() >= limit {
            break;
        }
        let (left, right) = (path_at(before, place.before)?, path_at(after, place.after)?);
        let order = match (left, right) {
            (None, None) => return Ok(DiffPage { changes, next: None }),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(left), Some(right)) => left.as_bytes().cmp(right.as_bytes()),
        };
        changes.extend(change(before, after, place, order)?);
        place.before += u64::from(order.is_le());
        place.after += u64::from(order.is_ge());
    }
    Ok(DiffPage { changes, next: Some(place) })
}

fn path_at(dataset: &Dataset, index: u64) -> Result<Option<&str>> {
    if index == dataset.len() { Ok(None) } else { dataset.path(index).map(Some) }
}

fn change(
    before: &Dataset,
    after: &Dataset,
    place: DiffPlace,
    order: Ordering,
) -> Result<Option<DatasetChange>> {
    let kind = match order {
        Ordering::Less => ChangeKind::Removed,
        Ordering::Greater => ChangeKind::Added,
        Ordering::Equal => {
            let same = before.size(place.before) == after.size(place.after)
                && before.tag(place.before)? == after.tag(place.after)?;
            if same {
                return Ok(None);
            }
            ChangeKind::Changed
        }
    };
    let (before_bytes, after_bytes) = (
        if order.is_le() { before.size(place.before) } else { None },
        if order.is_ge() { after.size(place.after) } else { None },
    );
    let path = if order.is_le() { before.path(place.before)? } else { after.path(place.after)? };
    let (before, after) = (before_bytes.unwrap_or(0), after_bytes.unwrap_or(0));
    Ok(Some(DatasetChange { kind, path: path.to_owned(), before, after }))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs::File;
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;
    use crate::{DatasetRoot, DatasetWriter, Identity, ObjectRef};

    type Files = BTreeMap<String, (u64, u8)>;

    fn dataset(place: &Path, files: &Files) -> Dataset {
        let root = DatasetRoot { path: "/train".into(), identity: Identity::of("test") };
        let mut writer = DatasetWriter::create(place, root).unwrap();
        for (path, &(size, tag)) in files {
            let source_key = path.clone().into_bytes();
            let object = ObjectRef { attachment: 1, source_key, size, tag: vec![b'"', tag, b'"'] };
            writer.push(path, &object).unwrap();
        }
        writer.finish().unwrap();
        Dataset::map(&File::open(place).unwrap()).unwrap()
    }

    /// The same, of two maps in memory.
    fn expected(before: &Files, after: &Files) -> Vec<DatasetChange> {
        let paths: std::collections::BTreeSet<_> = before.keys().chain(after.keys()).collect();
        let changes = paths.into_iter().filter_map(|path| {
            let kind = match (before.get(path), after.get(path)) {
                (left, right) if left == right => return None,
                (None, _) => ChangeKind::Added,
                (_, None) => ChangeKind::Removed,
                _ => ChangeKind::Changed,
            };
            let size = |files: &Files| files.get(path).map_or(0, |&(size, _)| size);
            Some(DatasetChange {
                kind,
                path: path.clone(),
                before: size(before),
                after: size(after),
            })
        });
        changes.collect()
    }

    fn files() -> impl Strategy<Value = Files> {
        prop::collection::btree_map("[ab/é%]{1,3}", (0..3u64, b'0'..b'2'), 0..12)
    }

    proptest! {
        #[test]
        fn pages_of_any_size_make_the_same_diff(before in files(), after in files(), limit in 1..5usize) {
            let folder = tempfile::tempdir().unwrap();
            let left = dataset(&folder.path().join("before"), &before);
            let right = dataset(&folder.path().join("after"), &after);
            let mut found = Vec::new();
            let mut next = Some(DiffPlace::default());
            while let Some(place) = next {
                let page = diff_datasets(&left, &right, place, limit).unwrap();
                prop_assert!(page.changes.len() <= limit);
                found.extend(page.changes);
                next = page.next;
            }
            prop_assert_eq!(found, expected(&before, &after));
        }
    }

    #[test]
    fn a_place_outside_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let empty = dataset(&folder.path().join("empty"), &Files::new());
        let outside = DiffPlace { before: 1, after: 0 };
        let error = diff_datasets(&empty, &empty, outside, 1).unwrap_err();
        assert_eq!(error.code, Code::Invalid);
    }
}
