//! When a GET is slow enough to be sent a second time, and how often that may be done.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// One GET in so many may be sent twice, and one byte in so many: 5 %.
const EVERY: u64 = 20;
/// What calm times save up for a bad moment, in second GETs and in bytes of them.
const MOST_SAVED: u64 = 64;
const MOST_SAVED_BYTES: u64 = 64 << 20;
/// GETs of a class that its percentile is taken of, the last ones; fewer than `LEAST` say nothing.
const REMEMBERED: usize = 256;
const LEAST: usize = 32;
/// The percentile is taken anew after so many more.
const STEP: usize = 16;
/// A source that answers sooner than this has no tail to cut: what is slow then is this machine.
const SHORTEST: Duration = Duration::from_millis(5);
/// Upper bounds of all classes but the last.
const CLASS_BYTES: [u32; 4] = [16 << 10, 64 << 10, 256 << 10, 1 << 20];

/// Of the GETs to one endpoint: how long those of each size class took lately, and how many second ones they pay for.
/// A GET that takes longer than 95 of 100 like it, and twice as long as the median, is sent again (J. Dean, L. A.
/// Barroso, "The Tail at Scale", Communications of the ACM 56(2), 2013).
pub(crate) struct Hedges {
    /// `None`: they are off.
    state: Option<Mutex<State>>,
}

#[derive(Default)]
struct State {
    classes: [Times; CLASS_BYTES.len() + 1],
    /// A GET saves 1 and a byte 1; a second GET costs [`EVERY`] times itself.
    saved: u64,
    saved_bytes: u64,
}

/// How long the last GETs of one class took, in microseconds.
#[derive(Default)]
struct Times {
    micros: Vec<u32>,
    next: usize,
    since_sorted: usize,
    slow: Option<Duration>,
}

impl Hedges {
    pub fn new(on: bool) -> Self {
        Hedges { state: on.then(Mutex::default) }
    }

    /// A GET of `len` bytes begins. How long it may take before it counts as slow; `None`: as long as it likes.
    pub fn begun(&self, len: u32) -> Option<Duration> {
        let mut state = self.lock()?;
        state.saved = (state.saved + 1).min(EVERY * MOST_SAVED);
        state.saved_bytes = (state.saved_bytes + u64::from(len)).min(EVERY * MOST_SAVED_BYTES);
        state.classes[class_of(len)].slow
    }

    /// How long a GET of `len` bytes took, or had taken when its second was faster: both are longer than the
    /// percentile then, and it does not matter by how much.
    pub fn ended(&self, len: u32, took: Duration) {
        if let Some(mut state) = self.lock() {
            state.classes[class_of(len)].add(took);
        }
    }

    /// Pays for a second GET of `len` bytes, if enough GETs and bytes came before it.
    pub fn take(&self, len: u32) -> bool {
        let Some(mut state) = self.lock() else { return false };
        let cost_bytes = EVERY * u64::from(len);
        let pays = state.saved >= EVERY && state.saved_bytes >= cost_bytes;
        if pays {
            state.saved -= EVERY;
            state.saved_bytes -= cost_bytes;
        }
        pays
    }

    fn lock(&self) -> Option<MutexGuard<'_, State>> {
        Some(self.state.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Times {
    fn add(&mut self, took: Duration) {
        let micros = u32::try_from(took.as_micros()).unwrap_or(u32::MAX);
        match self.micros.get_mut(self.next) {
            Some(oldest) => *oldest = micros,
            None => self.micros.push(micros),
        }
        self.next = (self.next + 1) % REMEMBERED;
        self.since_sorted += 1;
        if self.micros.len() >= LEAST && self.since_sorted >= STEP {
            self.since_sorted = 0;
            // A second one takes as long as the first ones did, mostly: sooner than that it wins nothing.
            let slow = self.percentile(95).max(2 * self.percentile(50));
            self.slow = Some(slow.max(SHORTEST));
        }
    }

    fn percentile(&self, of_100: usize) -> Duration {
        let mut micros = self.micros.clone();
        let at = micros.len() * of_100 / 100;
        let (_, slow, _) = micros.select_nth_unstable(at);
        Duration::from_micros(u64::from(*slow))
    }
}

fn class_of(len: u32) -> usize {
    CLASS_BYTES.partition_point(|bound| *bound < len)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn after(hedges: &Hedges, len: u32, count: u32, took: impl Fn(u32) -> Duration) {
        for n in 0..count {
            hedges.begun(len);
            hedges.ended(len, took(n));
        }
    }

    fn begin(hedges: &Hedges, len: u32, count: u32) {
        for _ in 0..count {
            hedges.begun(len);
        }
    }

    #[test]
    fn slow_is_what_takes_longer_than_95_of_100_of_its_size() {
        let hedges = Hedges::new(true);
        after(&hedges, 100_000, LEAST as u32 - 1, |_| 20 * MS);
        assert_eq!(hedges.begun(100_000), None, "too few to tell");
        after(&hedges, 100_000, 256, |n| if n % 100 < 90 { 10 * MS } else { n % 100 * 10 * MS });
        let slow = hedges.begun(100_000).expect("enough of them");
        assert!(slow >= 900 * MS && slow <= 1000 * MS, "{slow:?}");
        assert_eq!(hedges.begun(1000), None, "another size");
        after(&hedges, 100_000, (REMEMBERED + STEP) as u32, |_| 30 * MS);
        assert_eq!(hedges.begun(100_000), Some(60 * MS), "only the last ones count");
    }

    #[test]
    fn what_is_fast_is_not_slow_for_being_the_slowest() {
        let hedges = Hedges::new(true);
        after(&hedges, 1000, 64, |n| n * MS / 64);
        assert_eq!(hedges.begun(1000), Some(SHORTEST));
    }

    #[test]
    fn second_gets_that_win_do_not_move_the_percentile() {
        let hedges = Hedges::new(true);
        // Without the cut each tenth would take 500 ms; with it, it is counted as what it had taken.
        for n in 0..2000 {
            let slow = hedges.begun(100_000);
            let would = if n % 50 == 0 { 500 * MS } else { 20 * MS + n % 10 * MS };
            let counted = slow.map_or(would, |slow| would.min(slow + MS));
            hedges.ended(100_000, counted);
        }
        let slow = hedges.begun(100_000).expect("enough of them");
        assert!(slow >= 48 * MS && slow <= 50 * MS, "twice the median: {slow:?}");
    }

    #[test]
    fn one_get_in_twenty_is_sent_twice_at_most() {
        let hedges = Hedges::new(true);
        let taken = (0..1000).filter(|_| {
            hedges.begun(1000);
            hedges.take(1000)
        });
        assert_eq!(taken.count(), 50);
    }

    #[test]
    fn one_byte_in_twenty_is_asked_for_twice_at_most() {
        let hedges = Hedges::new(true);
        begin(&hedges, 1000, 400);
        begin(&hedges, 100_000, 10);
        let large = (0..20).filter(|_| hedges.take(100_000)).count();
        assert_eq!(large, 0, "1.4 MB pay for 70 kB");
        assert_eq!((0..40).filter(|_| hedges.take(1000)).count(), 20);
    }

    #[test]
    fn calm_times_save_up_so_much_and_no_more() {
        let hedges = Hedges::new(true);
        begin(&hedges, 4 << 20, 1_000_000);
        assert_eq!((0..100).filter(|_| hedges.take(4 << 20)).count(), 16);
        begin(&hedges, 4 << 20, 1_000_000);
        assert_eq!((0..100).filter(|_| hedges.take(1000)).count(), MOST_SAVED as usize);
    }

    #[test]
    fn off_is_never() {
        let hedges = Hedges::new(false);
        after(&hedges, 1000, 1000, |_| 20 * MS);
        assert_eq!(hedges.begun(1000), None);
        assert!(!hedges.take(1000));
    }
}
