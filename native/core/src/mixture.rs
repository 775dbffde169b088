//! The order of a mixture: which sample of which source comes at a position, in constant time and memory.
//!
//! Positions count on over all epochs. They lie in blocks of [`BLOCK`]; each source has a fixed number of the positions
//! of every block, its quota, and a keyed permutation deals them. So shares are exact in each block, and what a source
//! gives is its own epochs, one after the other, each a permutation of all of its samples: a pure function, whatever
//! was read before. Part of the promise of resume: docs/formats.md, "Mixture".

use crate::order::mix;
use crate::{Code, Error, MAX_SAMPLES, Permutation, Result};

/// Positions of a block, and so the grain of shares: a hundredth of a percent.
pub const BLOCK: u64 = 10_000;
pub const MAX_SOURCES: usize = 1_000;
const DEAL: u64 = 0x6d69_7874_7572_6500;

#[derive(Clone, Debug)]
pub struct Mixture {
    seed: u64,
    shuffle: bool,
    sources: Vec<Source>,
}

#[derive(Clone, Debug)]
struct Source {
    count: u64,
    quota: u64,
    /// Of the slots of a block, the first that is its own.
    first: u64,
}

/// A sample of one of the sources.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Drawn {
    pub source: usize,
    pub sample: u64,
}

impl Mixture {
    /// `counts`: samples of each source; `weights`: their shares, of any sum. Without `shuffle` each source is read
    /// from its first sample to its last; which source comes when is dealt all the same.
    pub fn new(counts: &[u64], weights: &[f64], seed: u64, shuffle: bool) -> Result<Mixture> {
        if counts.len() != weights.len() || counts.is_empty() || counts.len() > MAX_SOURCES {
            return refused(format!(
                "a mixture of {} sources with {} weights; it has 1 to {MAX_SOURCES}, and a weight for each",
                counts.len(),
                weights.len(),
            ));
        }
        if let Some(n) = counts.iter().position(|count| *count == 0 || *count > MAX_SAMPLES) {
            return refused(format!("source {n} of a mixture has {} samples", counts[n]));
        }
        let mut first = 0;
        let mut sources = Vec::with_capacity(counts.len());
        for (count, quota) in counts.iter().zip(quotas(weights)?) {
            sources.push(Source { count: *count, quota, first });
            first += quota;
        }
        Ok(Mixture { seed, shuffle, sources })
    }

    pub fn at(&self, position: u64) -> Drawn {
        let (block, place) = (position / BLOCK, position % BLOCK);
        let slot = Permutation::new(BLOCK, self.seed ^ DEAL, block).at(place);
        let source = self.sources.partition_point(|source| source.first <= slot) - 1;
        let Source { count, quota, first } = self.sources[source];
        let drawn = block * quota + (slot - first);
        let (epoch, nth) = (drawn / count, drawn % count);
        if !self.shuffle {
            return Drawn { source, sample: nth };
        }
        let seed = mix(self.seed ^ mix(source as u64 + 1));
        Drawn { source, sample: Permutation::new(count, seed, epoch).at(nth) }
    }
}

/// What each weight is of a block, by the largest remainder; of equal ones the first.
fn quotas(weights: &[f64]) -> Result<Vec<u64>> {
    if let Some(n) = weights.iter().position(|weight| !(weight.is_finite() && *weight > 0.0)) {
        return refused(format!("weight {} of source {n} is no number above 0", weights[n]));
    }
    let sum: f64 = weights.iter().sum();
    let shares: Vec<f64> = weights.iter().map(|weight| weight / sum * BLOCK as f64).collect();
    let mut quotas: Vec<u64> = shares.iter().map(|share| *share as u64).collect();
    let mut by_remainder: Vec<usize> = (0..shares.len()).collect();
    by_remainder.sort_by(|a, b| shares[*b].fract().total_cmp(&shares[*a].fract()));
    let left = BLOCK.saturating_sub(quotas.iter().sum());
    for n in by_remainder.into_iter().take(left as usize) {
        quotas[n] += 1;
    }
    match quotas.iter().position(|quota| *quota == 0) {
        Some(n) => {
            refused(format!("weight {} of source {n} is below 1 of {BLOCK} positions", weights[n]))
        }
        None => Ok(quotas),
    }
}

fn refused<T>(message: String) -> Result<T> {
    Err(Error::new(Code::Invalid, message))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn golden_vectors_hold() {
        let text = include_str!("../../../test/vectors/mixture.tsv");
        let mut seen = 0;
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let fields: Vec<&str> = line.split('\t').collect();
            let [counts, weights, seed, position, source, sample] = fields[..] else {
                panic!("{line}")
            };
            let counts: Vec<u64> = counts.split(',').map(|count| count.parse().unwrap()).collect();
            let weights: Vec<f64> =
                weights.split(',').map(|weight| weight.parse().unwrap()).collect();
            let mixture = Mixture::new(&counts, &weights, seed.parse().unwrap(), true).unwrap();
            let drawn = mixture.at(position.parse().unwrap());
            let expected =
                Drawn { source: source.parse().unwrap(), sample: sample.parse().unwrap() };
            assert_eq!(drawn, expected, "{line}");
            seen += 1;
        }
        assert!(seen > 50, "{seen} vectors");
    }

    #[test]
    fn impossible_mixtures_are_refused() {
        let refused = |counts: &[u64], weights: &[f64]| {
            Mixture::new(counts, weights, 0, true).unwrap_err().code == Code::Invalid
        };
        assert!(refused(&[], &[]));
        assert!(refused(&[1], &[1.0, 1.0]));
        assert!(refused(&[1, 0], &[1.0, 1.0]));
        for weight in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-9] {
            assert!(refused(&[1, 1], &[1.0, weight]), "{weight}");
        }
    }

    fn quotas_of(mixture: &Mixture) -> Vec<u64> {
        mixture.sources.iter().map(|source| source.quota).collect()
    }

    #[test]
    fn shares_are_those_asked_for() {
        let mixture = Mixture::new(&[9, 9, 9], &[1.0, 1.0, 1.0], 0, true).unwrap();
        assert_eq!(quotas_of(&mixture), [3_334, 3_333, 3_333]);
        let mixture = Mixture::new(&[9, 9], &[0.7, 0.3], 0, true).unwrap();
        assert_eq!(quotas_of(&mixture), [7_000, 3_000]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// In each block every source has its quota, and what it gives over all blocks are whole epochs of all of its
        /// samples, one after the other.
        #[test]
        fn each_source_gives_its_own_epochs(
            parts in prop::collection::vec((1..20_000u64, 1..100u32), 1..5),
            seed: u64,
            shuffle: bool,
        ) {
            let (counts, weights): (Vec<_>, Vec<_>) =
                parts.into_iter().map(|(count, weight)| (count, f64::from(weight))).unzip();
            let mixture = Mixture::new(&counts, &weights, seed, shuffle).unwrap();
            let mut given: Vec<HashMap<u64, u64>> = vec![HashMap::new(); counts.len()];
            for block in 0..3 {
                let mut here = vec![0; counts.len()];
                for position in block * BLOCK..(block + 1) * BLOCK {
                    let Drawn { source, sample } = mixture.at(position);
                    prop_assert!(sample < counts[source]);
                    here[source] += 1;
                    *given[source].entry(sample).or_default() += 1;
                }
                let quotas = quotas_of(&mixture);
                prop_assert_eq!(&here, &quotas);
                for ((given, count), quota) in given.iter().zip(&counts).zip(&quotas) {
                    let total = (block + 1) * quota;
                    let (least, most) = (total / count, total.div_ceil(*count));
                    prop_assert!(given.values().all(|times| (least..=most).contains(times)));
                    prop_assert!(least == 0 || given.len() as u64 == *count);
                }
            }
        }
    }
}
