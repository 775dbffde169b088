//! The entries of a directory, which lie in blocks by partition and class, in one order.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

use crate::error::{Code, Error, Result};
use crate::stored_entry::{StoredBlock, StoredEntry};

/// The last entry that was taken, as its place in the order: of one name, entries of a higher class come first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakenEntry {
    pub class: u8,
    pub name: Vec<u8>,
}

/// What ended a run of entries.
#[derive(Debug, PartialEq, Eq)]
pub enum Pause {
    /// As many were taken as were asked for, and there are more.
    Enough,
    /// The next block of this stream is needed, or that it has none.
    Wants(usize),
    /// There are no more.
    Over,
}

/// What entries are added to one by one.
pub trait EntrySink {
    fn add(&mut self, entry: &StoredEntry<'_>) -> Result<()>;
}

/// Streams of blocks, each of one partition and class and in the order of its names, as one stream in which each name
/// of a class is once. Streams can be opened anew at any time: what was taken is passed.
pub struct EntryMerge {
    classes: Vec<u8>,
    heads: BinaryHeap<Head>,
    /// Streams that have no block in hand and may have more.
    dry: Vec<usize>,
    last: Option<TakenEntry>,
    taken: usize,
}

/// Where a stream is.
struct Head {
    stream: usize,
    class: u8,
    block: StoredBlock<Vec<u8>>,
    at: usize,
}

impl EntryMerge {
    /// Of what comes behind an entry; nothing: of all.
    pub fn new(after: Option<TakenEntry>) -> EntryMerge {
        EntryMerge {
            classes: Vec::new(),
            heads: BinaryHeap::new(),
            dry: Vec::new(),
            last: after,
            taken: 0,
        }
    }

    /// A stream for each of these classes, of which nothing is in hand.
    pub fn open(&mut self, classes: &[u8]) {
        self.classes = classes.to_vec();
        self.heads.clear();
        self.dry = (0..classes.len()).rev().collect();
    }

    /// Since the beginning.
    pub fn taken(&self) -> usize {
        self.taken
    }

    pub fn last(&self) -> Option<&TakenEntry> {
        self.last.as_ref()
    }

    /// The block that the stream wanted; nothing: it has no more. `Corrupt` where it is none.
    pub fn put(&mut self, stream: usize, block: Option<&[u8]>) -> Result<()> {
        if self.dry.last() != Some(&stream) {
            return Err(Error::new(Code::Invalid, format!("stream {stream} wants no block")));
        }
        let Some(bytes) = block else {
            self.dry.pop();
            return Ok(());
        };
        let class = self.classes[stream];
        let block = StoredBlock::of(bytes.to_vec())?;
        let at = self.first_behind(&block, class)?;
        if at < block.count() {
            // What is in a heap is compared without a way to fail.
            block.entries().try_for_each(|entry| entry.map(|_| ()))?;
            self.dry.pop();
            self.heads.push(Head { stream, class, block, at });
        }
        Ok(())
    }

    /// Adds up to `count` entries.
    pub fn take(&mut self, mut count: usize, sink: &mut impl EntrySink) -> Result<Pause> {
        loop {
            if let Some(stream) = self.dry.last() {
                return Ok(Pause::Wants(*stream));
            }
            let Some(mut head) = self.heads.peek_mut() else {
                return Ok(Pause::Over);
            };
            let entry = head.entry();
            if !is_passed(&self.last, entry.name, head.class) {
                if count == 0 {
                    return Ok(Pause::Enough);
                }
                sink.add(&entry)?;
                let last = self.last.get_or_insert(TakenEntry { class: 0, name: Vec::new() });
                last.class = head.class;
                last.name.clear();
                last.name.extend_from_slice(entry.name);
                count -= 1;
                self.taken += 1;
            }
            if head.at + 1 < head.block.count() {
                head.at += 1;
            } else {
                self.dry.push(PeekMut::pop(head).stream);
            }
        }
    }

    fn first_behind(&self, block: &StoredBlock<Vec<u8>>, class: u8) -> Result<usize> {
        let (mut from, mut to) = (0, block.count());
        while from < to {
            let middle = from.midpoint(to);
            match is_passed(&self.last, block.entry(middle)?.name, class) {
                true => from = middle + 1,
                false => to = middle,
            }
        }
        Ok(from)
    }
}

fn is_passed(last: &Option<TakenEntry>, name: &[u8], class: u8) -> bool {
    last.as_ref().is_some_and(|last| order_of(name, class) <= order_of(&last.name, last.class))
}

fn order_of(name: &[u8], class: u8) -> (&[u8], Reverse<u8>) {
    (name, Reverse(class))
}

impl Head {
    fn entry(&self) -> StoredEntry<'_> {
        // Each was read when the block was put.
        self.block.entry(self.at).unwrap_or(StoredEntry { name: b"", record: b"" })
    }
}

impl Ord for Head {
    /// The first in the order is the greatest, which is what a heap gives.
    fn cmp(&self, other: &Head) -> Ordering {
        order_of(other.entry().name, other.class)
            .cmp(&order_of(self.entry().name, self.class))
            .then(other.stream.cmp(&self.stream))
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Head) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Head {
    fn eq(&self, other: &Head) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Head {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry_blocks::EntryDealer;
    use crate::packed_entries::PackedEntries;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    /// Names of a class in blocks of a few each.
    fn blocks_of(names: &BTreeSet<String>, each: usize) -> Vec<Vec<u8>> {
        let names: Vec<_> = names.iter().collect();
        names.chunks(each).map(block_of).collect()
    }

    fn block_of(names: &[&String]) -> Vec<u8> {
        let mut dealer = EntryDealer::new(vec![true]).unwrap();
        let record = [&[0u8][..], &1f64.to_be_bytes(), &2f64.to_be_bytes(), b"m:1"].concat();
        names.iter().for_each(|name| dealer.add(0, name.as_bytes(), &record).unwrap());
        dealer.end();
        dealer.take()[7..].to_vec()
    }

    fn page_of(taken: &[(String, u8)]) -> Vec<u8> {
        let mut page = PackedEntries::new("/");
        let record = [&[0u8][..], &1f64.to_be_bytes(), &2f64.to_be_bytes(), b"m:1"].concat();
        for (name, _) in taken {
            page.add(&StoredEntry { name: name.as_bytes(), record: &record }).unwrap();
        }
        page.finish()
    }

    proptest! {
        #[test]
        fn pages_are_what_a_sorted_set_would_give(
            streams in proptest::collection::vec(
                (0u8..3, proptest::collection::btree_set("[ab]{1,4}", 0..20)), 0..5),
            pages in proptest::collection::vec((1usize..9, any::<bool>()), 1..40),
            each in 1usize..6,
        ) {
            let mut all: Vec<_> = streams
                .iter()
                .flat_map(|(class, names)| names.iter().map(|name| (name.clone(), *class)))
                .collect();
            all.sort_by(|left, right| (&left.0, Reverse(left.1)).cmp(&(&right.0, Reverse(right.1))));
            all.dedup();
            let classes: Vec<_> = streams.iter().map(|(class, _)| *class).collect();
            let blocks: Vec<_> = streams.iter().map(|(_, names)| blocks_of(names, each)).collect();
            let mut next = vec![0; blocks.len()];
            let mut merge = EntryMerge::new(None);
            merge.open(&classes);
            let mut at = 0;
            for (room, is_reopened) in pages {
                if is_reopened {
                    merge.open(&classes);
                    next.fill(0);
                }
                let mut page = PackedEntries::new("/");
                let is_over = loop {
                    match merge.take(room - page.count() as usize, &mut page).unwrap() {
                        Pause::Enough => break false,
                        Pause::Over => break true,
                        Pause::Wants(stream) => {
                            merge.put(stream, blocks[stream].get(next[stream]).map(|b| &b[..])).unwrap();
                            next[stream] += 1;
                        }
                    }
                };
                let end = all.len().min(at + room);
                prop_assert_eq!(page.finish(), page_of(&all[at..end]));
                at = end;
                prop_assert_eq!(is_over, at == all.len());
                let last = at.checked_sub(1).map(|last| &all[last]);
                prop_assert_eq!(merge.last().map(|last| &last.name[..]), last.map(|last| last.0.as_bytes()));
            }
        }

        #[test]
        fn any_bytes_are_a_block_or_an_error(bytes in proptest::collection::vec(0u8..9, 0..60)) {
            let mut merge = EntryMerge::new(None);
            merge.open(&[0]);
            if merge.put(0, Some(&bytes)).is_ok() {
                let _ = merge.take(99, &mut PackedEntries::new("/"));
            }
        }
    }

    #[test]
    fn a_stream_gets_only_what_it_wants() {
        let mut merge = EntryMerge::new(Some(TakenEntry { class: 0, name: b"b".to_vec() }));
        merge.open(&[0, 2]);
        let mut page = PackedEntries::new("/");
        assert_eq!(merge.take(1, &mut page).unwrap(), Pause::Wants(0));
        assert_eq!(merge.put(1, None).unwrap_err().code, Code::Invalid);
        // All of it is passed: it goes on wanting.
        merge.put(0, Some(&block_of(&[&"a".to_owned(), &"b".to_owned()]))).unwrap();
        assert_eq!(merge.take(1, &mut page).unwrap(), Pause::Wants(0));
        merge.put(0, Some(&block_of(&[&"c".to_owned()]))).unwrap();
        assert_eq!(merge.take(1, &mut page).unwrap(), Pause::Wants(1));
        merge.put(1, None).unwrap();
        assert_eq!(merge.take(1, &mut page).unwrap(), Pause::Wants(0));
        merge.put(0, None).unwrap();
        assert_eq!(merge.take(1, &mut page).unwrap(), Pause::Over);
        assert_eq!(page.count(), 1);
    }
}
