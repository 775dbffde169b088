//! How a record lies in its segment: as it is, or as one LZ4 block. Layout: docs/formats.md, "Codecs".

use lz4_flex::block;

use crate::{Code, Error, Result};

/// What is compressed is this much shorter at least, or it stays as it is: an eighth.
const LEAST_SAVED_SHIFT: u32 = 3;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Codec {
    #[default]
    Raw,
    /// One block of the LZ4 block format, without a length or a frame around it.
    Lz4,
}

impl Codec {
    /// As entries of segments have it.
    pub(crate) fn number(self) -> u8 {
        match self {
            Codec::Raw => 0,
            Codec::Lz4 => 1,
        }
    }

    pub(crate) fn of_number(number: u8) -> Option<Codec> {
        [Codec::Raw, Codec::Lz4].into_iter().find(|codec| codec.number() == number)
    }

    /// Whether a record of `raw_len` bytes may lie in `stored_len`. What is compressed is always shorter, so whoever
    /// knows no codec finds a record of another length than it wants, and asks the daemon.
    #[inline]
    pub fn fits(self, stored_len: u32, raw_len: u32) -> bool {
        match self {
            Codec::Raw => stored_len == raw_len,
            Codec::Lz4 => stored_len < raw_len,
        }
    }

    /// Fills `target`, which is as long as the record, from what is stored of it. False where that is damaged: then
    /// `target` holds anything. Nothing that is stored makes it read or write elsewhere, or take memory.
    pub(crate) fn decode(self, stored: &[u8], target: &mut [u8]) -> bool {
        match self {
            Codec::Raw if stored.len() == target.len() => {
                target.copy_from_slice(stored);
                true
            }
            Codec::Raw => false,
            Codec::Lz4 => {
                block::decompress_into(stored, target).is_ok_and(|len| len == target.len())
            }
        }
    }

    /// The record of `raw_len` bytes that is `stored`. `Corrupt` where it is damaged.
    pub fn unpack(self, stored: Vec<u8>, raw_len: u32) -> Result<Vec<u8>> {
        if self == Codec::Raw && stored.len() == raw_len as usize {
            return Ok(stored);
        }
        let mut record = vec![0; raw_len as usize];
        if self.decode(&stored, &mut record) {
            return Ok(record);
        }
        let message = format!("a record of {raw_len} bytes cannot be made of what is stored of it");
        Err(Error::new(Code::Corrupt, message))
    }
}

/// Memory that `encode_lz4` wants for a record of `raw_len` bytes.
pub(crate) const fn most_encoded(raw_len: usize) -> usize {
    block::get_maximum_output_size(raw_len)
}

/// Compresses `raw` into the beginning of `into`, which has `most_encoded` bytes and more. How long it became; `None`
/// where that is too little shorter.
pub(crate) fn encode_lz4(raw: &[u8], into: &mut [u8]) -> Option<usize> {
    let len = block::compress_into(raw, into).ok()?;
    (len + (raw.len() >> LEAST_SAVED_SHIFT) < raw.len()).then_some(len)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encoded(raw: &[u8]) -> Option<Vec<u8>> {
        let mut into = vec![0; most_encoded(raw.len())];
        let len = encode_lz4(raw, &mut into)?;
        into.truncate(len);
        Some(into)
    }

    #[test]
    fn what_hardly_shrinks_stays_as_it_is() {
        let mut state = 1u64;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        })
        .take(100_000)
        .collect();
        assert_eq!(encoded(&noise), None);
        assert_eq!(encoded(b""), None);
        assert_eq!(encoded(b"abc"), None);
        assert!(encoded(&vec![7; 4 << 20]).unwrap().len() < 20_000);
    }

    /// Of few different bytes and long repeats, so that there is something to compress.
    fn compressible() -> impl Strategy<Value = Vec<u8>> {
        let run = (prop::collection::vec(0u8..6, 1..40), 1usize..60);
        prop::collection::vec(run, 1..40)
            .prop_map(|runs| runs.into_iter().flat_map(|(bytes, n)| bytes.repeat(n)).collect())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

        #[test]
        fn a_record_comes_back(raw in compressible()) {
            if let Some(stored) = encoded(&raw) {
                prop_assert!(Codec::Lz4.fits(stored.len() as u32, raw.len() as u32));
                prop_assert_eq!(Codec::Lz4.unpack(stored, raw.len() as u32).unwrap(), raw);
            }
        }

        /// Flipped, cut, or of another length than it should be: bytes of that length or an error, and nothing else.
        #[test]
        fn damage_is_an_error_or_bytes(
            raw in compressible(),
            flips in prop::collection::vec((any::<prop::sample::Index>(), 1u8..), 0..6),
            cut in any::<prop::sample::Index>(),
            len in 0u32..20_000,
        ) {
            let Some(mut stored) = encoded(&raw) else { return Ok(()) };
            for (at, change) in flips {
                let at = at.index(stored.len());
                stored[at] ^= change;
            }
            for stored in [stored[..cut.index(stored.len() + 1)].to_vec(), stored] {
                for len in [len, raw.len() as u32] {
                    if let Ok(record) = Codec::Lz4.unpack(stored.clone(), len) {
                        prop_assert_eq!(record.len(), len as usize);
                    }
                }
            }
        }

        #[test]
        fn noise_is_an_error_or_bytes(stored in prop::collection::vec(any::<u8>(), 0..2000), len in 0u32..100_000) {
            if let Ok(record) = Codec::Lz4.unpack(stored, len) {
                prop_assert_eq!(record.len(), len as usize);
            }
        }
    }
}
