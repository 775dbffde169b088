//! Which directories have a table of their names, and how much memory all of them may take.

use std::cell::Cell;
use std::collections::HashMap;

use crate::name_table::NameTable;

/// One that was used since is not given up for another: if more are in use than there is room for, the first stay.
const IDLE_MS: f64 = 60_000.0;

/// Of an object list.
const COUNT_BYTES: usize = 4;

/// Tables of names by the paths of their directories. Times are milliseconds of one clock that does not go back.
pub struct NameCache {
    tables: HashMap<Vec<u8>, Cached>,
    bytes: usize,
    bytes_max: usize,
}

struct Cached {
    table: NameTable,
    /// What tells one content of the directory from another.
    generation: u32,
    /// After it, it is no answer to anything.
    fresh_until_ms: f64,
    used_ms: Cell<f64>,
}

/// What was found of some paths.
#[derive(Default)]
pub struct Found {
    /// An object list (docs/formats.md), in the order asked.
    pub list: Vec<u8>,
    /// Attachments of which a file has no version of the source's.
    pub weak: Vec<u32>,
}

impl NameCache {
    pub fn new(bytes_max: usize) -> NameCache {
        NameCache { tables: HashMap::new(), bytes: 0, bytes_max }
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether there is room for it; then it is in the place of the one before.
    pub fn put(
        &mut self,
        directory: &[u8],
        table: NameTable,
        (generation, fresh_until_ms): (u32, f64),
        now_ms: f64,
    ) -> bool {
        self.drop(directory);
        if !self.make_room(table.bytes() + directory.len(), now_ms) {
            return false;
        }
        self.bytes += table.bytes() + directory.len();
        let cached = Cached { table, generation, fresh_until_ms, used_ms: Cell::new(now_ms) };
        self.tables.insert(directory.to_vec(), cached);
        true
    }

    /// Whether the directory has a table, of that content: it is fresh for as long. One of another content is dropped.
    pub fn renew(&mut self, directory: &[u8], generation: u32, fresh_until_ms: f64) -> bool {
        match self.tables.get_mut(directory) {
            Some(cached) if cached.generation == generation => {
                cached.fresh_until_ms = fresh_until_ms;
                true
            }
            Some(_) => {
                self.drop(directory);
                false
            }
            None => false,
        }
    }

    pub fn drop(&mut self, directory: &[u8]) {
        if let Some(Cached { table, .. }) = self.tables.remove(directory) {
            self.bytes -= table.bytes() + directory.len();
        }
    }

    pub fn clear(&mut self) {
        self.tables.clear();
        self.bytes = 0;
    }

    /// The files at `paths`; `ends` gets where the list ends after each, so that one that was not found ends where the
    /// one before it did. What is not found here may be there nevertheless.
    pub fn find<'a>(
        &self,
        paths: impl Iterator<Item = &'a [u8]>,
        ends: &mut [u32],
        now_ms: f64,
    ) -> Found {
        let mut found = Found::default();
        found.list.extend_from_slice(&[0; COUNT_BYTES]);
        ends.fill(COUNT_BYTES as u32);
        let mut count = 0u32;
        // Paths of a batch are often of one directory.
        let mut last: Option<(&[u8], Option<&NameTable>)> = None;
        for (path, end) in paths.zip(ends) {
            let slash = path.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
            let (directory, name) = (&path[..slash], path.get(slash + 1..).unwrap_or_default());
            let table = match last {
                Some((known, table)) if known == directory => table,
                _ => {
                    let table = self.fresh(directory, now_ms);
                    found.weak.extend(table.and_then(NameTable::weak));
                    last = Some((directory, table));
                    table
                }
            };
            count += u32::from(table.is_some_and(|table| table.write(name, &mut found.list)));
            *end = found.list.len() as u32;
        }
        found.list[..COUNT_BYTES].copy_from_slice(&count.to_le_bytes());
        found
    }

    fn fresh(&self, directory: &[u8], now_ms: f64) -> Option<&NameTable> {
        let cached = self.tables.get(directory)?;
        if now_ms > cached.fresh_until_ms {
            return None;
        }
        cached.used_ms.set(now_ms);
        Some(&cached.table)
    }

    fn make_room(&mut self, bytes: usize, now_ms: f64) -> bool {
        while self.bytes + bytes > self.bytes_max {
            let used_ms = |(_, cached): &(&Vec<u8>, &Cached)| cached.used_ms.get();
            let idlest =
                self.tables.iter().min_by(|one, other| used_ms(one).total_cmp(&used_ms(other)));
            let Some((directory, cached)) = idlest else { return false };
            if cached.used_ms.get() >= now_ms - IDLE_MS {
                return false;
            }
            let directory = directory.clone();
            self.drop(&directory);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry_blocks::EntryDealer;
    use crate::object::write_object;
    use proptest::prelude::*;

    fn record(size: f64, tag: &[u8]) -> Vec<u8> {
        [&[0u8][..], &size.to_be_bytes(), &0f64.to_be_bytes(), tag].concat()
    }

    /// Of files whose sizes are the numbers of their places.
    fn table(names: &[&str], tag: &[u8]) -> NameTable {
        let mut dealer = EntryDealer::new(vec![true]).unwrap();
        for (size, name) in names.iter().enumerate() {
            dealer.add(0, name.as_bytes(), &record(size as f64, tag)).unwrap();
        }
        dealer.end();
        let mut table = NameTable::new(7, b"train/", names.len() / 2);
        let dealt = dealer.take();
        let mut rest = &dealt[..];
        while let Some((head, after)) = rest.split_first_chunk::<7>() {
            let len = u32::from_le_bytes([head[3], head[4], head[5], head[6]]) as usize;
            table.add(&after[..len]).unwrap();
            rest = &after[len..];
        }
        table.finish();
        table
    }

    /// Whether each was found, and the list.
    fn find(cache: &NameCache, paths: &[&str], now_ms: f64) -> (Vec<bool>, Found) {
        let mut ends = vec![0; paths.len()];
        let found = cache.find(paths.iter().map(|path| path.as_bytes()), &mut ends, now_ms);
        let starts = std::iter::once(4).chain(ends.iter().copied());
        (starts.zip(&ends).map(|(start, end)| start < *end).collect(), found)
    }

    fn object(size: u64, tag: &[u8], key: &str) -> Vec<u8> {
        let mut list = Vec::new();
        write_object(&mut list, (7, size), tag, [key.as_bytes(), b""]);
        list
    }

    #[test]
    fn files_of_several_directories_are_one_list_in_the_order_asked() {
        let mut cache = NameCache::new(1 << 20);
        assert!(cache.put(b"/a", table(&["x", "y"], b"\"tag\""), (1, 100.0), 0.0));
        assert!(cache.put(b"/b", table(&["x"], b"m:5"), (1, 100.0), 0.0));
        let asked = ["/a/y", "/b/x", "/a/none", "/c/x", "/a/x", "x", ""];
        let (there, found) = find(&cache, &asked, 100.0);
        assert_eq!(there, [true, true, false, false, true, false, false]);
        let objects = [
            object(1, b"\"tag\"", "train/y"),
            object(0, b"m:5", "train/x"),
            object(0, b"\"tag\"", "train/x"),
        ];
        assert_eq!(found.list, [&3u32.to_le_bytes()[..], &objects.concat()].concat());
        assert_eq!(found.weak, [7]);
    }

    #[test]
    fn a_table_is_an_answer_while_it_is_fresh_and_its_content_is_the_directory_s() {
        let mut cache = NameCache::new(1 << 20);
        assert!(!cache.renew(b"/a", 1, 100.0));
        assert!(cache.put(b"/a", table(&["x"], b"t"), (1, 100.0), 0.0));
        let is_there = |cache: &NameCache, now_ms: f64| find(cache, &["/a/x"], now_ms).0[0];
        assert!(is_there(&cache, 100.0) && !is_there(&cache, 100.1));
        assert!(cache.renew(b"/a", 1, 200.0));
        assert!(is_there(&cache, 200.0));
        assert!(!cache.renew(b"/a", 2, 300.0));
        assert!(!is_there(&cache, 200.0));
        assert_eq!(cache.bytes(), 0);
    }

    #[test]
    fn one_that_is_in_use_is_not_given_up_for_another() {
        let one = table(&["x"], b"t").bytes() + 2;
        let mut cache = NameCache::new(2 * one);
        let put = |cache: &mut NameCache, name: &[u8], now_ms: f64| {
            cache.put(name, table(&["x"], b"t"), (1, f64::INFINITY), now_ms)
        };
        assert!(put(&mut cache, b"/a", 0.0) && put(&mut cache, b"/b", 10_000.0));
        assert!(!put(&mut cache, b"/c", IDLE_MS));
        assert!(put(&mut cache, b"/c", IDLE_MS + 1.0));
        assert_eq!(find(&cache, &["/a/x", "/b/x", "/c/x"], IDLE_MS + 2.0).0, [false, true, true]);
        assert!(put(&mut cache, b"/b", IDLE_MS + 3.0), "in the place of itself");
        assert_eq!(cache.bytes(), 2 * one);
        cache.clear();
        assert_eq!(cache.bytes(), 0);
    }

    proptest! {
        #[test]
        fn every_name_is_found_and_no_other(names in proptest::collection::btree_set("[a-c]{1,4}", 0..60)) {
            let listed: Vec<&str> = names.iter().map(String::as_str).collect();
            let mut cache = NameCache::new(1 << 20);
            prop_assert!(cache.put(b"", table(&listed, &[0xab; 16]), (1, 0.0), 0.0));
            for name in ["a", "b", "c"].iter().flat_map(|one| ["a", "bc", "abc"].map(|other| format!("{one}{other}"))) {
                let (there, _) = find(&cache, &[&format!("/{name}")], 0.0);
                prop_assert_eq!(there[0], names.contains(&name));
            }
            for name in &listed {
                let (there, _) = find(&cache, &[&format!("/{name}")], 0.0);
                prop_assert!(there[0], "{}", name);
            }
        }
    }
}
