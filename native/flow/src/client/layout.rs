//! What a read asks for, and where each part of it will lie in the slot.

use std::collections::HashMap;
use std::sync::Arc;

use millpool_core::{
    Code, Dataset, Drawn, Error, Identity, ObjectKey, ObjectRef, PIECE_BYTES, RecordKey, Result,
    piece_len,
};

use crate::message::NOT_ATTACHED;

/// Samples begin at multiples of this in a slot: a cache line, and enough for any vector load.
pub const ALIGN_BYTES: usize = 64;
const SAMPLES_MAX: usize = 1 << 20;

/// The samples of one read.
pub enum Selection {
    Objects(Vec<ObjectRef>),
    /// By index; a sample may come more than once.
    Dataset(Arc<Dataset>, Vec<u64>),
    /// Of several datasets.
    Mixture(Vec<Arc<Dataset>>, Vec<Drawn>),
}

/// The numbers that attachments have now, by the identities of datasets.
pub type Attachments = HashMap<Identity, u32>;

/// Which bytes of each sample, one range for each.
pub struct Ranges {
    pub offsets: Vec<u64>,
    pub lengths: Vec<u64>,
}

/// A plan, and its position after this batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PlanPosition {
    pub plan: u32,
    pub position: u64,
}

/// What one read is to bring.
pub struct BatchRequest {
    pub selection: Selection,
    /// Without them samples are read whole.
    pub ranges: Option<Ranges>,
    /// Told to the daemon by the receipt; plan 0 is none.
    pub plan: PlanPosition,
}

impl From<Selection> for BatchRequest {
    fn from(selection: Selection) -> BatchRequest {
        BatchRequest { selection, ranges: None, plan: PlanPosition::default() }
    }
}

/// A piece of a sample, or a part of one.
pub struct Part {
    pub sample: u32,
    pub piece: u32,
    pub skip: u32,
    pub len: u32,
    /// Of the whole piece.
    pub piece_len: u32,
    /// Bytes from the slot's start.
    pub at: usize,
    pub key: RecordKey,
}

pub struct Layout {
    /// Start in the slot and length, of each sample.
    pub samples: Vec<(usize, usize)>,
    pub parts: Vec<Part>,
    pub bytes: usize,
}

impl Selection {
    pub fn len(&self) -> usize {
        match self {
            Selection::Objects(objects) => objects.len(),
            Selection::Dataset(_, samples) => samples.len(),
            Selection::Mixture(_, drawn) => drawn.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Those that it takes samples of.
    pub fn datasets(&self) -> &[Arc<Dataset>] {
        match self {
            Selection::Objects(_) => &[],
            Selection::Dataset(dataset, _) => std::slice::from_ref(dataset),
            Selection::Mixture(datasets, _) => datasets,
        }
    }

    /// What a source is asked for. Of a dataset that is not attached it has no attachment.
    pub fn object(&self, sample: usize, attachments: &Attachments) -> Result<ObjectRef> {
        let (dataset, sample) = match self {
            Selection::Objects(objects) => return Ok(objects[sample].clone()),
            Selection::Dataset(dataset, samples) => (dataset, samples[sample]),
            Selection::Mixture(datasets, drawn) => {
                (&datasets[drawn[sample].source], drawn[sample].sample)
            }
        };
        let attachment = attachments.get(&dataset.root().identity).copied();
        dataset.object(sample, attachment.unwrap_or(NOT_ATTACHED))
    }
}

/// What was selected, and how many bytes each has: an object's key is made of its attachment's identity, a dataset's
/// is in its file.
pub fn wanted_of(
    selection: &Selection,
    identity_of: &mut dyn FnMut(u32) -> Result<Identity>,
) -> Result<Vec<(ObjectKey, u64)>> {
    match selection {
        Selection::Objects(objects) => objects
            .iter()
            .map(|object| Ok((object.key(&identity_of(object.attachment)?), object.size)))
            .collect(),
        Selection::Dataset(dataset, samples) => {
            dataset.keys_and_sizes(samples).map_err(|index| outside(dataset, index))
        }
        Selection::Mixture(datasets, drawn) => of_mixture(datasets, drawn),
    }
}

/// Dataset by dataset, each with one look over all of its samples.
fn of_mixture(datasets: &[Arc<Dataset>], drawn: &[Drawn]) -> Result<Vec<(ObjectKey, u64)>> {
    let mut samples = vec![Vec::new(); datasets.len()];
    for Drawn { source, sample } in drawn {
        let none = || Error::new(Code::Invalid, format!("source {source} of {}", datasets.len()));
        samples.get_mut(*source).ok_or_else(none)?.push(*sample);
    }
    let mut found = Vec::with_capacity(datasets.len());
    for (dataset, samples) in datasets.iter().zip(samples) {
        let wanted = dataset.keys_and_sizes(&samples);
        found.push(wanted.map_err(|index| outside(dataset, index))?.into_iter());
    }
    Ok(drawn.iter().filter_map(|Drawn { source, .. }| found[*source].next()).collect())
}

fn outside(dataset: &Dataset, index: u64) -> Error {
    Error::new(Code::Invalid, format!("sample {index} of a dataset of {}", dataset.len()))
}

impl Layout {
    /// `Invalid` names the first sample whose range is outside it.
    pub fn new(wanted: &[(ObjectKey, u64)], ranges: Option<&Ranges>) -> Result<Layout> {
        let count = wanted.len();
        if count > SAMPLES_MAX {
            return Err(Error::new(
                Code::Invalid,
                format!("a read of {count} samples; {SAMPLES_MAX} at most"),
            ));
        }
        if ranges
            .is_some_and(|ranges| ranges.offsets.len() != count || ranges.lengths.len() != count)
        {
            return Err(Error::new(
                Code::Invalid,
                format!("a read of {count} samples needs as many ranges"),
            ));
        }
        let mut layout = Layout {
            samples: Vec::with_capacity(count),
            parts: Vec::with_capacity(count),
            bytes: 0,
        };
        for (sample, &(ref key, size)) in wanted.iter().enumerate() {
            let (offset, len) =
                ranges.map_or((0, size), |ranges| (ranges.offsets[sample], ranges.lengths[sample]));
            if offset.checked_add(len).is_none_or(|end| end > size) {
                let message =
                    format!("{len} bytes from {offset} of sample {sample}, which has {size}");
                return Err(Error::new(Code::Invalid, message));
            }
            layout.push(sample as u32, key, size, offset..offset + len)?;
        }
        Ok(layout)
    }

    fn push(
        &mut self,
        sample: u32,
        key: &ObjectKey,
        size: u64,
        range: std::ops::Range<u64>,
    ) -> Result<()> {
        let too_large =
            || Error::new(Code::Full, format!("sample {sample} does not fit into memory"));
        let start = self.bytes.next_multiple_of(ALIGN_BYTES);
        let len = usize::try_from(range.end - range.start).map_err(|_| too_large())?;
        self.bytes = start
            .checked_add(len)
            .filter(|end| *end <= isize::MAX as usize / 2)
            .ok_or_else(too_large)?;
        self.samples.push((start, len));
        let mut offset = range.start;
        while offset < range.end {
            let piece = u32::try_from(offset / PIECE_BYTES).map_err(|_| too_large())?;
            let end = (u64::from(piece) + 1).saturating_mul(PIECE_BYTES).min(range.end);
            self.parts.push(Part {
                sample,
                piece,
                skip: (offset % PIECE_BYTES) as u32,
                len: (end - offset) as u32,
                piece_len: piece_len(size, piece),
                at: start + (offset - range.start) as usize,
                key: key.piece(piece),
            });
            offset = end;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn objects(sizes: &[u64]) -> Selection {
        let object = |size: &u64| ObjectRef {
            attachment: 1,
            source_key: b"k".to_vec(),
            size: *size,
            tag: vec![],
        };
        Selection::Objects(sizes.iter().map(object).collect())
    }

    fn layout(sizes: &[u64], ranges: Option<&Ranges>) -> Result<Layout> {
        let selection = objects(sizes);
        let wanted = wanted_of(&selection, &mut |_| Ok(Identity([1; 16]))).unwrap();
        Layout::new(&wanted, ranges)
    }

    #[test]
    fn an_empty_object_has_no_part_and_a_range_outside_is_refused() {
        assert!(layout(&[0], None).unwrap().parts.is_empty());
        for (offset, length) in [(5, 6), (11, 0), (u64::MAX, 2)] {
            let ranges = Ranges { offsets: vec![offset], lengths: vec![length] };
            assert_eq!(layout(&[10], Some(&ranges)).err().unwrap().code, Code::Invalid);
        }
    }

    proptest! {
        #[test]
        fn parts_cover_each_range_once_inside_their_pieces(
            wants in proptest::collection::vec((0..3 * PIECE_BYTES, 0..3 * PIECE_BYTES, 0..3 * PIECE_BYTES), 1..6),
        ) {
            let sizes: Vec<u64> = wants.iter().map(|want| want.0).collect();
            let offsets: Vec<u64> = wants.iter().map(|want| want.1.min(want.0)).collect();
            let lengths: Vec<u64> = wants.iter().zip(&offsets).map(|(want, o)| want.2.min(want.0 - o)).collect();
            let layout = layout(&sizes, Some(&Ranges { offsets: offsets.clone(), lengths: lengths.clone() })).unwrap();
            let mut end = 0;
            for (sample, (start, len)) in layout.samples.iter().enumerate() {
                prop_assert!(*start >= end && start % ALIGN_BYTES == 0);
                prop_assert_eq!(*len as u64, lengths[sample]);
                let (mut at, mut offset) = (*start, offsets[sample]);
                for part in layout.parts.iter().filter(|part| part.sample as usize == sample) {
                    prop_assert_eq!(part.at, at);
                    prop_assert_eq!(u64::from(part.piece) * PIECE_BYTES + u64::from(part.skip), offset);
                    prop_assert!(part.len > 0 && part.skip + part.len <= part.piece_len);
                    at += part.len as usize;
                    offset += u64::from(part.len);
                }
                prop_assert_eq!(at, start + len);
                end = start + len;
            }
            prop_assert_eq!(layout.bytes, end);
        }
    }
}
