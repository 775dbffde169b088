//! One bucket of the key table: 128 bytes that one writer changes while any number of readers look, without locks.
//!
//! A seqlock over atomic words, after Hans-J. Boehm, "Can Seqlocks Get Along with Programming Language Memory Models?"
//! (MSPC 2012): the writer makes the sequence odd, a release fence, relaxed stores, then the even sequence by a release
//! store; the reader loads the sequence by acquire, relaxed loads, an acquire fence, and the sequence again. A reader
//! that saw any new word synchronizes through the two fences with the odd store before it, so its second look differs.

use std::sync::atomic::{AtomicU64, Ordering, fence};

use crate::{Codec, Location, RecordKey};

/// A word of memory that several threads or processes see. A trait so that the model checker can stand in for memory.
pub(crate) trait Word {
    fn load(&self, order: Ordering) -> u64;
    /// For the only writer: what it stored last.
    fn own(&self) -> u64;
    fn store(&self, value: u64, order: Ordering);
    fn fence(order: Ordering);
    fn pause();
}

impl Word for AtomicU64 {
    #[inline]
    fn load(&self, order: Ordering) -> u64 {
        AtomicU64::load(self, order)
    }

    #[inline]
    fn own(&self) -> u64 {
        AtomicU64::load(self, Ordering::Relaxed)
    }

    #[inline]
    fn store(&self, value: u64, order: Ordering) {
        AtomicU64::store(self, value, order);
    }

    #[inline]
    fn fence(order: Ordering) {
        fence(order);
    }

    #[inline]
    fn pause() {
        std::hint::spin_loop();
    }
}

/// After this many torn looks a reader calls it a miss: the writer may have been stopped in the middle.
/// (Tries share nothing, so the model checker needs no second one.)
const TRIES: usize = if cfg!(loom) { 1 } else { 64 };

pub(crate) const ENTRY_WORDS: usize = 5;
const OCCUPIED: u64 = 1 << 32;
const VERIFIED: u64 = 2 << 32;
const LZ4: u64 = 4 << 32;
/// Locations are multiples of this many bytes (docs/formats.md).
const OFFSET_UNIT_BYTES: u32 = 64;

/// An entry as it lies in memory: key (2 words), segment and offset / 64, stored length and CRC, generation and flags;
/// the first named in the low half. All zero is an empty place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub(crate) struct Entry(pub [u64; ENTRY_WORDS]);

impl Entry {
    pub const EMPTY: Entry = Entry([0; ENTRY_WORDS]);

    pub fn new(key: [u64; 2], location: &Location) -> Entry {
        let verified = if location.verified { VERIFIED } else { 0 };
        let codec = match location.codec {
            Codec::Raw => 0,
            Codec::Lz4 => LZ4,
        };
        Entry([
            key[0],
            key[1],
            u64::from(location.segment) | u64::from(location.offset / OFFSET_UNIT_BYTES) << 32,
            u64::from(location.stored_len) | u64::from(location.crc) << 32,
            u64::from(location.generation) | OCCUPIED | verified | codec,
        ])
    }

    pub fn occupied(&self) -> bool {
        self.0[4] & OCCUPIED != 0
    }

    pub fn key(&self) -> [u64; 2] {
        [self.0[0], self.0[1]]
    }

    pub fn verified(mut self) -> Entry {
        self.0[4] |= VERIFIED;
        self
    }

    /// `None` for an offset that no writer could have meant.
    pub fn location(&self) -> Option<Location> {
        Some(Location {
            segment: self.segment(),
            generation: self.0[4] as u32,
            offset: ((self.0[2] >> 32) as u32).checked_mul(OFFSET_UNIT_BYTES)?,
            stored_len: self.stored_len(),
            crc: (self.0[3] >> 32) as u32,
            codec: self.codec(),
            verified: self.0[4] & VERIFIED != 0,
        })
    }

    pub fn record_key(&self) -> RecordKey {
        key_of(self.key())
    }

    pub fn segment(&self) -> u32 {
        self.0[2] as u32
    }

    pub fn stored_len(&self) -> u32 {
        self.0[3] as u32
    }

    pub fn codec(&self) -> Codec {
        if self.0[4] & LZ4 == 0 { Codec::Raw } else { Codec::Lz4 }
    }

    fn is_of(&self, key: [u64; 2]) -> bool {
        self.occupied() && self.key() == key
    }
}

pub(crate) fn key_words(key: &RecordKey) -> [u64; 2] {
    let (low, high) = key.0.split_at(8);
    [low, high].map(|half| u64::from_le_bytes(half.try_into().expect("half of 16 bytes")))
}

pub(crate) fn key_of([low, high]: [u64; 2]) -> RecordKey {
    let mut bytes = [0u8; 16];
    bytes[..8].copy_from_slice(&low.to_le_bytes());
    bytes[8..].copy_from_slice(&high.to_le_bytes());
    RecordKey(bytes)
}

/// `head`: sequence in the low half (odd while the writer is inside), checksum of the entries in the high half.
#[repr(C, align(128))]
pub(crate) struct Bucket<W = AtomicU64, const ENTRIES: usize = 3> {
    head: W,
    entries: [[W; ENTRY_WORDS]; ENTRIES],
}

impl<W: Word, const ENTRIES: usize> Bucket<W, ENTRIES> {
    #[cfg(all(test, loom))]
    pub fn empty(word: impl Fn() -> W) -> Self {
        Bucket { head: word(), entries: std::array::from_fn(|_| std::array::from_fn(|_| word())) }
    }

    /// For a reader: the entry of `key`, or nothing, also when the writer was busy here or the checksum is wrong.
    #[inline]
    pub fn find(&self, key: [u64; 2]) -> Option<Entry> {
        let (head, entries) = self.snapshot()?;
        let found = *entries.iter().find(|entry| entry.is_of(key))?;
        Self::intact(head, &entries).then_some(found)
    }

    /// The bucket as it was at one moment.
    #[inline]
    pub fn snapshot(&self) -> Option<(u64, [Entry; ENTRIES])> {
        for _ in 0..TRIES {
            let head = self.head.load(Ordering::Acquire);
            if head & 1 == 0 {
                let entries = self.entries(|word| word.load(Ordering::Relaxed));
                W::fence(Ordering::Acquire);
                if self.head.load(Ordering::Relaxed) == head {
                    return Some((head, entries));
                }
            }
            W::pause();
        }
        None
    }

    #[inline]
    pub fn intact(head: u64, entries: &[Entry; ENTRIES]) -> bool {
        (head >> 32) as u32 == Self::checksum(entries)
    }

    /// For the writer, which reads what it alone wrote. Entries that do not match their checksum are as good as gone:
    /// writing beside them would bless them.
    pub fn owned(&self) -> [Entry; ENTRIES] {
        let entries = self.entries(W::own);
        if Self::intact(self.head.own(), &entries) { entries } else { [Entry::EMPTY; ENTRIES] }
    }

    pub fn slot_of(&self, key: [u64; 2]) -> Option<usize> {
        self.owned().iter().position(|entry| entry.is_of(key))
    }

    pub fn free_slot(&self) -> Option<usize> {
        self.owned().iter().position(|entry| !entry.occupied())
    }

    /// For the writer: readers see all of the change or none of it.
    pub fn write(&self, slot: usize, entry: Entry) {
        let mut after = self.owned();
        after[slot] = entry;
        let inside = (self.head.own() as u32).wrapping_add(1) | 1;
        self.head.store(u64::from(inside), Ordering::Relaxed);
        W::fence(Ordering::Release);
        for (word, new) in
            self.entries.as_flattened().iter().zip(after.iter().flat_map(|entry| entry.0))
        {
            if word.own() != new {
                word.store(new, Ordering::Relaxed);
            }
        }
        let head = u64::from(inside.wrapping_add(1)) | u64::from(Self::checksum(&after)) << 32;
        self.head.store(head, Ordering::Release);
    }

    /// For whoever fills a table that nobody else knows yet: the place as it is, whatever the checksum says.
    pub fn unsealed(&self, slot: usize) -> Entry {
        Entry(self.entries[slot].each_ref().map(W::own))
    }

    /// For the same: the bucket is not intact before it is sealed.
    pub fn put_unsealed(&self, slot: usize, entry: Entry) {
        for (word, new) in self.entries[slot].iter().zip(entry.0) {
            word.store(new, Ordering::Relaxed);
        }
    }

    /// What was put is from now on what readers find.
    pub fn seal(&self) {
        let checksum = Self::checksum(&self.entries(W::own));
        self.head.store(u64::from(checksum) << 32, Ordering::Release);
    }

    const CRC_OF_ZEROS: u32 = crc_of_zeros(ENTRIES * size_of::<Entry>());

    /// CRC32C finds every change of up to five bits at this length.
    #[inline]
    fn checksum(entries: &[Entry; ENTRIES]) -> u32 {
        // SAFETY: entries are plain words, and any byte of a word is a valid byte.
        let bytes =
            unsafe { std::slice::from_raw_parts(entries.as_ptr().cast(), size_of_val(entries)) };
        crc_fast::crc32_iscsi(bytes) ^ Self::CRC_OF_ZEROS
    }

    #[inline]
    fn entries(&self, load: impl Fn(&W) -> u64) -> [Entry; ENTRIES] {
        self.entries.each_ref().map(|words| Entry(words.each_ref().map(&load)))
    }
}

/// CRC32C of zeros, taken off so that a bucket which nobody wrote yet is intact without having been touched.
const fn crc_of_zeros(len: usize) -> u32 {
    let mut crc = u32::MAX;
    let mut bit = 0;
    while bit < 8 * len {
        crc = (crc >> 1) ^ (0x82F6_3B78 & (crc & 1).wrapping_neg());
        bit += 1;
    }
    !crc
}
