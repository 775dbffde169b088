//! A batch of resident samples, copied from mapped segments into a slot in one call.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::num::NonZeroU64;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::ptr;
use std::sync::atomic::{Ordering, fence};

use crate::crc::copy_with_crc;
use crate::device_reader::{DeviceRead, DeviceReader};
use crate::fault;
use crate::line_copy::{SMALL_BYTES, copy_small};
use crate::prefetch::prefetch;
use crate::{Codec, Location, Mapping};

/// Copies whose first lines are asked for ahead of their turn, and how many of those: the processor finds the rest.
const PREFETCH_COPIES: usize = 4;
const PREFETCH_LINES: u32 = 4;
const LINE_BYTES: u32 = 64;
/// Read ahead by one call: of more, a kernel forgets what its device does not take at once. Each takes as much as this.
const AHEAD_BYTES: usize = 128 << 10;
/// Of compressed records that are read past the page cache at once, beside those that one of them may have more.
const PACKED_BYTES: usize = 4 << 20;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Copied; its checksum was not asked for.
    Copied,
    /// Copied, and the record matches its checksum.
    Verified,
    /// The record does not match its checksum: what was copied is not what was stored.
    Mismatch,
    /// The record could not be read: what was copied may be anything.
    Faulted,
}

/// Which bytes of a piece are wanted, and how many it has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PiecePart {
    pub piece_len: u32,
    pub range: Range<u32>,
}

/// One record, or a part of one, and where it goes.
pub struct Copy<'a> {
    mapping: &'a Mapping,
    offset: u32,
    stored_len: u32,
    crc: u32,
    codec: Codec,
    piece_len: u32,
    part: Range<u32>,
    target: *mut u8,
    /// Check the whole record against its CRC, whatever part is wanted. True at first unless the location says that
    /// somebody did.
    pub verify: bool,
}

// SAFETY: the target is this copy's alone, by the contract of `new`; a mapping is shared freely.
unsafe impl Send for Copy<'_> {}

impl<'a> Copy<'a> {
    /// `part` of the record at `location` goes to `target`. `None` when the location is not of this mapping's segment
    /// and generation, does not lie inside its file or cannot hold the piece, or the part not inside the piece: all are
    /// misses.
    ///
    /// # Safety
    /// `target` is writable for the length of `part`, and used by nobody else until the gather has returned.
    #[inline]
    pub unsafe fn new(
        mapping: &'a Mapping,
        location: &Location,
        part: PiecePart,
        target: *mut u8,
    ) -> Option<Copy<'a>> {
        let name = mapping.name();
        let is_named = (name.number, name.generation) == (location.segment, location.generation);
        let PiecePart { piece_len, range: part } = part;
        let is_inside = part.start <= part.end && part.end <= piece_len;
        let is_here = is_named && is_inside && location.holds(piece_len);
        (is_here && mapping.readable(location.offset, location.stored_len)).then_some(Copy {
            mapping,
            offset: location.offset,
            stored_len: location.stored_len,
            crc: location.crc,
            codec: location.codec,
            piece_len,
            part,
            target,
            verify: !location.verified,
        })
    }

    /// Whether copying it waits for no device, as far as the kernel says.
    /// A mapping that failed has its own way.
    pub fn is_in_memory(&self) -> bool {
        let Range { start, end } = self.stored_part();
        self.mapping.failed() || self.mapping.in_memory(self.offset + start, end - start)
    }

    /// Whether it can be read past the page cache.
    pub fn has_direct(&self) -> bool {
        self.mapping.open_direct().is_some()
    }

    /// Starts the device on what is not in memory, and does not wait for it.
    pub fn read_ahead(&self) {
        let part = self.stored_part();
        for start in part.clone().step_by(AHEAD_BYTES) {
            let at = u64::from(self.offset) + u64::from(start);
            let len = NonZeroU64::new(u64::from(part.end - start).min(AHEAD_BYTES as u64));
            // A filesystem that knows no such thing is read when it is read.
            let _ = rustix::fs::fadvise(self.mapping.file(), at, len, rustix::fs::Advice::WillNeed);
        }
    }

    fn len(&self) -> usize {
        self.part.len()
    }

    fn is_whole(&self) -> bool {
        self.part == (0..self.piece_len)
    }

    fn is_packed(&self) -> bool {
        self.codec != Codec::Raw
    }

    /// Of what is stored, what its part is made of: there is no beginning in the middle of a block.
    fn stored_part(&self) -> Range<u32> {
        if self.is_packed() { 0..self.stored_len } else { self.part.clone() }
    }

    /// Fills its target from all that is stored of a compressed record, which is checked first, or where it turns out
    /// not to be a block.
    fn unpack(&self, stored: &[u8], verify: bool) -> Outcome {
        if verify && crc_fast::crc32_iscsi(stored) != self.crc {
            return Outcome::Mismatch;
        }
        // SAFETY: by the contract of `new`; whatever the memory held, bytes are bytes.
        let target = unsafe { std::slice::from_raw_parts_mut(self.target, self.len()) };
        let is_block = if self.is_whole() {
            self.codec.decode(stored, target)
        } else {
            let mut record = vec![0; self.piece_len as usize];
            let is_block = self.codec.decode(stored, &mut record);
            target.copy_from_slice(&record[self.part.start as usize..self.part.end as usize]);
            is_block
        };
        match (is_block, verify) {
            (false, _) => Outcome::Mismatch,
            (true, true) => Outcome::Verified,
            (true, false) => Outcome::Copied,
        }
    }

    fn judge(&self, crc: u32) -> Outcome {
        if crc == self.crc { Outcome::Verified } else { Outcome::Mismatch }
    }

    /// After its target was filled with the part.
    fn judge_target(&self) -> Outcome {
        if !self.verify {
            return Outcome::Copied;
        }
        // SAFETY: by the contract of `new`.
        let target = unsafe { std::slice::from_raw_parts(self.target, self.len()) };
        self.judge(crc_fast::crc32_iscsi(target))
    }

    /// Where what its part is made of is mapped.
    fn start(&self) -> *const u8 {
        self.mapping.start().wrapping_add((self.offset + self.stored_part().start) as usize)
    }

    fn prefetch(&self) {
        let start = self.start();
        let len = self.stored_part().len() as u32;
        for line in 0..PREFETCH_LINES.min(len / LINE_BYTES + 1) {
            prefetch(start.wrapping_add((line * LINE_BYTES) as usize));
        }
    }

    /// `next`: where the copy after this one begins.
    fn copy_mapped(&self, next: *const u8) -> Outcome {
        // SAFETY: `new` checked that the record lies inside the mapping; a byte that cannot be read is replaced by the
        // fault handler. The target is by the contract of `new`.
        unsafe {
            let record = self.mapping.start().add(self.offset as usize);
            if self.is_packed() {
                let stored = std::slice::from_raw_parts(record, self.stored_len as usize);
                return self.unpack(stored, self.verify);
            }
            if self.verify && self.is_whole() {
                return self.judge(copy_with_crc(record, self.target, self.len()));
            }
            let part = record.add(self.part.start as usize);
            if self.len() <= SMALL_BYTES {
                copy_small(part, self.target, self.len(), next);
            } else {
                ptr::copy_nonoverlapping(part, self.target, self.len());
            }
            if !self.verify {
                return Outcome::Copied;
            }
            self.judge(crc_fast::crc32_iscsi(std::slice::from_raw_parts(
                record,
                self.stored_len as usize,
            )))
        }
    }

    fn read_stored(&self) -> io::Result<Vec<u8>> {
        let mut stored = vec![0; self.stored_len as usize];
        self.mapping.file().read_exact_at(&mut stored, self.offset.into())?;
        Ok(stored)
    }

    /// The slow and certain way, which raises no signal. After a fault every record is checked.
    fn read_file(&self) -> Outcome {
        let verify = self.verify || self.mapping.failed();
        if self.is_packed() {
            return match self.read_stored() {
                Ok(stored) => self.unpack(&stored, verify),
                Err(_) => Outcome::Faulted,
            };
        }
        // SAFETY: by the contract of `new`; whatever the memory held, bytes are bytes.
        let target = unsafe { std::slice::from_raw_parts_mut(self.target, self.len()) };
        let file = self.mapping.file();
        if verify && !self.is_whole() {
            let Ok(record) = self.read_stored() else { return Outcome::Faulted };
            target.copy_from_slice(&record[self.part.start as usize..self.part.end as usize]);
            return self.judge(crc_fast::crc32_iscsi(&record));
        }
        let at = u64::from(self.offset) + u64::from(self.part.start);
        match file.read_exact_at(target, at) {
            Err(_) => Outcome::Faulted,
            Ok(()) if verify => self.judge(crc_fast::crc32_iscsi(target)),
            Ok(()) => Outcome::Copied,
        }
    }
}

/// Makes all `copies` from their devices and past the page cache, many at once, where the filesystem lets us; whoever
/// reads more than memory holds pays for nothing else.
pub fn gather_direct(copies: &[Copy<'_>], reader: &DeviceReader, outcomes: &mut Vec<Outcome>) {
    outcomes.clear();
    outcomes.resize(copies.len(), Outcome::Copied);
    let direct = Direct::of(copies, reader);
    let (packed, plain): (Vec<usize>, Vec<usize>) =
        (0..copies.len()).partition(|n| copies[*n].is_packed());
    // A part whose whole record is to be checked takes the long way.
    let (short, mut long): (Vec<usize>, Vec<usize>) =
        plain.into_iter().partition(|n| !copies[*n].verify || copies[*n].is_whole());
    let mut reads: Vec<DeviceRead<'_>> = short
        .iter()
        .map(|n| {
            let copy = &copies[*n];
            DeviceRead {
                file: direct.file_of(copy),
                offset: u64::from(copy.offset) + u64::from(copy.part.start),
                // SAFETY: by the contract of `new`; whatever the memory held, bytes are bytes.
                target: unsafe { std::slice::from_raw_parts_mut(copy.target, copy.len()) },
            }
        })
        .collect();
    let failed = reader.read(&mut reads).unwrap_or_else(|_| (0..short.len()).collect());
    drop(reads);
    for n in &short {
        outcomes[*n] = copies[*n].judge_target();
    }
    long.extend(failed.into_iter().map(|read| short[read]));
    direct.unpack(copies, &packed, outcomes);
    for n in long {
        outcomes[n] = copies[n].read_file();
    }
}

/// The files of a batch, opened to be read past the page cache; as they are where that is not allowed.
struct Direct<'a> {
    reader: &'a DeviceReader,
    files: HashMap<*const Mapping, Option<File>>,
}

impl<'a> Direct<'a> {
    fn of(copies: &[Copy<'_>], reader: &'a DeviceReader) -> Direct<'a> {
        let mut files = HashMap::new();
        for copy in copies {
            let name = ptr::from_ref(copy.mapping);
            files.entry(name).or_insert_with(|| copy.mapping.open_direct());
        }
        Direct { reader, files }
    }

    fn file_of<'f>(&'f self, copy: &Copy<'f>) -> &'f File {
        let direct = self.files.get(&ptr::from_ref(copy.mapping)).and_then(Option::as_ref);
        direct.unwrap_or(copy.mapping.file())
    }

    /// Those that are compressed, by way of memory of their own, some at once.
    fn unpack(&self, copies: &[Copy<'_>], mut packed: &[usize], outcomes: &mut [Outcome]) {
        let mut memory = Vec::new();
        while !packed.is_empty() {
            let mut bytes = 0;
            let fits = |n: &&usize| {
                bytes += copies[**n].stored_len as usize;
                bytes <= PACKED_BYTES
            };
            let count = packed.iter().take_while(fits).count().max(1);
            let (now, later) = packed.split_at(count);
            memory.resize(now.iter().map(|n| copies[*n].stored_len as usize).sum(), 0);
            let mut left = memory.as_mut_slice();
            let mut reads = Vec::with_capacity(count);
            for copy in now.iter().map(|n| &copies[*n]) {
                let (target, after) = left.split_at_mut(copy.stored_len as usize);
                left = after;
                let (file, offset) = (self.file_of(copy), u64::from(copy.offset));
                reads.push(DeviceRead { file, offset, target });
            }
            let failed = self.reader.read(&mut reads).unwrap_or_else(|_| (0..count).collect());
            for (n, (read, at)) in now.iter().zip(reads.iter().zip(0..)) {
                outcomes[*n] = match failed.contains(&at) {
                    true => copies[*n].read_file(),
                    false => copies[*n].unpack(read.target, copies[*n].verify),
                };
            }
            packed = later;
        }
    }
}

/// Makes all `copies`; `outcomes` gets one each, in order, in place of what it held. When a segment faults, all its
/// samples of the batch are read again through its descriptor and checked, and those that cannot be are `Faulted`.
pub fn gather(copies: &[Copy<'_>], outcomes: &mut Vec<Outcome>) {
    outcomes.clear();
    outcomes.reserve(copies.len());
    if !fault::on_top() {
        outcomes.extend(copies.iter().map(Copy::read_file));
        return;
    }
    for (n, copy) in copies.iter().enumerate() {
        if let Some(ahead) = copies.get(n + PREFETCH_COPIES) {
            ahead.prefetch();
        }
        let next = copies.get(n + 1).unwrap_or(copy).start();
        let copied = !copy.mapping.failed();
        outcomes.push(if copied { copy.copy_mapped(next) } else { Outcome::Faulted });
    }
    // The mark is set before zeros are put in place, so whoever read zeros sees it from here on.
    fence(Ordering::Acquire);
    for (copy, outcome) in copies.iter().zip(outcomes) {
        if copy.mapping.failed() {
            *outcome = copy.read_file();
        }
    }
}
