//! The order of an epoch: a keyed permutation of [0, n) and its inverse, in constant time and memory.
//!
//! A balanced Feistel network (Luby and Rackoff 1988) of eight rounds on the least even number of bits, six or more,
//! that holds n; results of n or more are put through it again until one falls below n (cycle walking, Black and
//! Rogaway 2002). Four rounds differ measurably from uniform, eight do not. Part of the promise of resume:
//! docs/formats.md, "Order".

const ROUNDS: usize = 8;
/// With two, the orders of five samples come by up to a fifth more or less often than they should (chi-square).
const LEAST_HALF_BITS: u32 = 3;
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
/// Positions that are looked at together.
const LANES: usize = 64;
/// More samples than any dataset has; keeps a half below 32 bits.
pub const MAX_SAMPLES: u64 = 1 << 48;

#[derive(Clone, Debug)]
pub struct Permutation {
    n: u64,
    half_bits: u32,
    keys: [u64; ROUNDS],
}

impl Permutation {
    /// `n` is at most [`MAX_SAMPLES`]; the caller has checked it.
    pub fn new(n: u64, seed: u64, epoch: u64) -> Permutation {
        assert!(n <= MAX_SAMPLES, "{n} samples");
        let bits = u64::BITS - n.saturating_sub(1).leading_zeros();
        let half_bits = bits.div_ceil(2).max(LEAST_HALF_BITS);
        let mut state =
            mix(seed.wrapping_add(GOLDEN)) ^ mix(epoch.wrapping_add(GOLDEN.rotate_left(32)));
        let keys = [0; ROUNDS].map(|_: u64| {
            state = state.wrapping_add(GOLDEN);
            mix(state)
        });
        Permutation { n, half_bits, keys }
    }

    pub fn len(&self) -> u64 {
        self.n
    }

    pub fn is_empty(&self) -> bool {
        self.n == 0
    }

    /// The sample at a position below n.
    pub fn at(&self, position: u64) -> u64 {
        assert!(position < self.n, "position {position} of {}", self.n);
        let mut x = self.forward(position);
        while x >= self.n {
            x = self.forward(x);
        }
        x
    }

    /// The samples from a position below n on, in order; behind the last position comes the first.
    pub fn fill(&self, position: u64, samples: &mut [u64]) {
        assert!(position < self.n || samples.is_empty(), "position {position} of {}", self.n);
        let mut position = position;
        for chunk in samples.chunks_mut(LANES) {
            let mut lanes = [0; LANES];
            for lane in &mut lanes[..chunk.len()] {
                *lane = position;
                position = if position + 1 == self.n { 0 } else { position + 1 };
            }
            self.walk(lanes, chunk);
        }
    }

    /// As [`Permutation::at`], for all of them together: those of n or more move up, and are put through again.
    fn walk(&self, mut lanes: [u64; LANES], samples: &mut [u64]) {
        let mut owners: [usize; LANES] = std::array::from_fn(|lane| lane);
        let mut left = samples.len();
        while left > 0 {
            self.forward_all(&mut lanes);
            let walking = std::mem::take(&mut left);
            for lane in 0..walking {
                let (x, owner) = (lanes[lane], owners[lane]);
                if x < self.n {
                    samples[owner] = x;
                } else {
                    (lanes[left], owners[left]) = (x, owner);
                    left += 1;
                }
            }
        }
    }

    fn forward_all(&self, lanes: &mut [u64; LANES]) {
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx512dq") {
            // SAFETY: the processor has what it is compiled for.
            return unsafe { self.wide_forward_all(lanes) };
        }
        self.forward_each(lanes);
    }

    /// These processors multiply eight words at once.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512dq")]
    fn wide_forward_all(&self, lanes: &mut [u64; LANES]) {
        self.forward_each(lanes);
    }

    #[inline(always)]
    fn forward_each(&self, lanes: &mut [u64; LANES]) {
        for x in lanes {
            *x = self.forward(*x);
        }
    }

    /// Where a sample below n comes.
    pub fn position_of(&self, sample: u64) -> u64 {
        assert!(sample < self.n, "sample {sample} of {}", self.n);
        let mut x = self.backward(sample);
        while x >= self.n {
            x = self.backward(x);
        }
        x
    }

    #[inline(always)]
    fn forward(&self, x: u64) -> u64 {
        let (mut left, mut right) = self.halves(x);
        for key in self.keys {
            (left, right) = (right, left ^ self.round(right, key));
        }
        (left << self.half_bits) | right
    }

    fn backward(&self, x: u64) -> u64 {
        let (mut left, mut right) = self.halves(x);
        for key in self.keys.into_iter().rev() {
            (left, right) = (right ^ self.round(left, key), left);
        }
        (left << self.half_bits) | right
    }

    #[inline(always)]
    fn halves(&self, x: u64) -> (u64, u64) {
        (x >> self.half_bits, x & self.mask())
    }

    #[inline(always)]
    fn round(&self, half: u64, key: u64) -> u64 {
        mix(half ^ key) & self.mask()
    }

    #[inline(always)]
    fn mask(&self) -> u64 {
        (1 << self.half_bits) - 1
    }
}

/// The finalizer of splitmix64 (Steele, Lea, Flood 2014).
#[inline(always)]
pub(crate) fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn golden_vectors_hold() {
        let text = include_str!("../../../test/vectors/order.tsv");
        let mut seen = 0;
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let fields: Vec<u64> = line.split('\t').map(|field| field.parse().unwrap()).collect();
            let [n, seed, epoch, position, sample] = fields[..] else {
                panic!("five fields in {line}")
            };
            let order = Permutation::new(n, seed, epoch);
            assert_eq!(order.at(position), sample, "{line}");
            assert_eq!(order.position_of(sample), position, "{line}");
            seen += 1;
        }
        assert!(seen >= 40, "{seen} vectors");
    }

    #[test]
    fn every_sample_comes_once() {
        for n in [0, 1, 2, 3, 4, 5, 63, 64, 65, 1000, 4097] {
            let order = Permutation::new(n, 7, 3);
            let mut seen = vec![false; n as usize];
            for position in 0..n {
                let sample = order.at(position) as usize;
                assert!(!std::mem::replace(&mut seen[sample], true), "{sample} of {n} twice");
            }
        }
    }

    /// 5 sigma above the mean of its distribution.
    fn assert_uniform(counts: &[u64], what: &str) {
        let freedom = (counts.len() - 1) as f64;
        let expected = counts.iter().sum::<u64>() as f64 / counts.len() as f64;
        let chi: f64 =
            counts.iter().map(|count| (*count as f64 - expected).powi(2) / expected).sum();
        assert!(
            chi < freedom + 5.0 * (2.0 * freedom).sqrt(),
            "chi-square {chi} of {freedom}: {what}"
        );
    }

    #[test]
    fn each_sample_is_as_likely_as_any_other() {
        let mut counts = [0; 64];
        (0..64_000).for_each(|seed| counts[Permutation::new(64, seed, 0).at(5) as usize] += 1);
        assert_uniform(&counts, "of the sample at position 5, over seeds");
        let mut counts = [0; 64];
        (0..64_000).for_each(|epoch| counts[Permutation::new(64, 1, epoch).at(63) as usize] += 1);
        assert_uniform(&counts, "of the sample at position 63, over epochs");
    }

    #[test]
    fn neighbours_are_independent() {
        let mut counts = [0; 99];
        for seed in 0..100_000 {
            let order = Permutation::new(100, seed, 3);
            counts[((100 + order.at(1) - order.at(0)) % 100 - 1) as usize] += 1;
        }
        assert_uniform(&counts, "of the distance of the first two samples, over seeds");
    }

    #[test]
    fn each_order_of_few_samples_is_as_likely_as_any_other() {
        let mut counts = std::collections::HashMap::new();
        for seed in 0..60_000 {
            let order = Permutation::new(5, seed, 0);
            *counts.entry([0, 1, 2, 3, 4].map(|position| order.at(position))).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), 120);
        assert_uniform(&counts.into_values().collect::<Vec<_>>(), "of the orders of five samples");
    }

    proptest! {
        #[test]
        fn many_are_filled_in_as_each_is_alone(n in 1..5000u64, seed: u64, from: u64, len in 0..300usize) {
            let order = Permutation::new(n, seed, 0);
            let mut samples = vec![0; len];
            order.fill(from % n, &mut samples);
            for (sample, position) in samples.iter().zip(from % n..) {
                prop_assert_eq!(*sample, order.at(position % n));
            }
        }

        #[test]
        fn the_inverse_inverts(n in 1..MAX_SAMPLES, seed: u64, epoch: u64, at: u64) {
            let order = Permutation::new(n, seed, epoch);
            let position = at % n;
            prop_assert!(order.at(position) < n);
            prop_assert_eq!(order.position_of(order.at(position)), position);
        }
    }
}
