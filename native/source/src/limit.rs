//! How many requests an endpoint gets at once: additive increase, multiplicative decrease.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const START: usize = 32;
const LEAST: usize = 1;
/// One window may be slow by chance, or because half of its requests had to connect first.
const FLAT_WINDOWS: u32 = 3;
/// Less than this is no rise.
const RISE: f64 = 1.05;
/// The source had enough to do so long ago that it may be asked for more than is needed.
const CALM: Duration = Duration::from_secs(10);
/// One in so many may be under way beyond the limit.
const BEYOND: usize = 16;

/// Starts at 32. While throughput rises it doubles each window (as many completions as the limit); when some windows in
/// a row brought no rise, it goes back to what the best of them needed. From then on it grows by a sixteenth a window
/// as long as throughput does not fall; a sign of overload halves it, once for all requests of one moment.
pub(crate) struct Limit {
    state: Mutex<State>,
    maximum: usize,
}

struct State {
    limit: usize,
    in_flight: usize,
    /// Until throughput no longer rises.
    ramp: Option<Ramp>,
    window: Window,
    /// Bytes a second of the window before.
    last_rate: f64,
    last_cut: Option<Instant>,
    /// The last sign of overload, whether it cut or not.
    last_sign: Option<Instant>,
}

/// The best window so far, and how many came after it.
#[derive(Clone, Copy, Default)]
struct Ramp {
    best_rate: f64,
    best_limit: usize,
    flat: u32,
}

struct Window {
    started: Instant,
    completed: usize,
    bytes: u64,
    /// The limit, not the demand, held requests back.
    pressed: bool,
}

impl Window {
    fn starting(started: Instant) -> Self {
        Window { started, completed: 0, bytes: 0, pressed: false }
    }
}

impl Limit {
    pub fn new(maximum: usize, now: Instant) -> Self {
        let maximum = maximum.max(LEAST);
        let state = State {
            limit: START.min(maximum),
            in_flight: 0,
            ramp: Some(Ramp::default()),
            window: Window::starting(now),
            last_rate: 0.0,
            last_cut: None,
            last_sign: None,
        };
        Limit { state: Mutex::new(state), maximum }
    }

    /// Asked on behalf of a request that would start now.
    pub fn has_room(&self) -> bool {
        self.lock().has_room()
    }

    /// A request may start; it must be `finished` once.
    pub fn try_start(&self) -> bool {
        let mut state = self.lock();
        let started = state.has_room();
        state.in_flight += usize::from(started);
        started
    }

    /// The same for a request that is made twice. It takes the place of the slow one, so it need not wait until others
    /// are finished; but never while the source shows that it has too much to do.
    pub fn try_start_beyond(&self, now: Instant) -> bool {
        let mut state = self.lock();
        let most = state.limit + (state.limit / BEYOND).max(1);
        let started = state.is_calm(now) && state.in_flight < most;
        state.in_flight += usize::from(started);
        started
    }

    pub fn finished(&self) {
        let mut state = self.lock();
        state.in_flight = state.in_flight.saturating_sub(1);
    }

    pub fn succeeded(&self, bytes: u64, now: Instant) {
        let mut state = self.lock();
        state.window.completed += 1;
        state.window.bytes += bytes;
        if state.window.completed < state.limit {
            return;
        }
        let seconds = now.saturating_duration_since(state.window.started).as_secs_f64();
        let rate = state.window.bytes as f64 / seconds.max(1e-6);
        if state.window.pressed {
            state.grow(rate, self.maximum);
        }
        state.last_rate = rate;
        state.window = Window::starting(now);
    }

    /// A request that was sent at `sent` was told to slow down, or had no answer in time.
    pub fn overloaded(&self, sent: Instant, now: Instant) {
        let mut state = self.lock();
        state.last_sign = Some(now);
        if state.last_cut.is_some_and(|cut| sent < cut) {
            return;
        }
        state.limit = (state.limit / 2).max(LEAST);
        state.ramp = None;
        state.last_cut = Some(now);
        state.window = Window::starting(now);
    }

    pub fn current(&self) -> usize {
        self.lock().limit
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn has_room(&mut self) -> bool {
        let room = self.in_flight < self.limit;
        self.window.pressed |= !room;
        room
    }

    fn is_calm(&self, now: Instant) -> bool {
        self.last_sign.is_none_or(|sign| now.saturating_duration_since(sign) >= CALM)
    }

    fn grow(&mut self, rate: f64, maximum: usize) {
        match self.ramp {
            Some(ramp) => self.climb(ramp, rate),
            None if rate >= self.last_rate * 0.9 => self.limit += (self.limit / 16).max(1),
            None => {}
        }
        self.limit = self.limit.min(maximum);
    }

    fn climb(&mut self, ramp: Ramp, rate: f64) {
        let rises = rate > ramp.best_rate * RISE;
        let ramp = match rises {
            true => Ramp { best_rate: rate, best_limit: self.limit, flat: 0 },
            false => Ramp { flat: ramp.flat + 1, ..ramp },
        };
        self.ramp = (ramp.flat < FLAT_WINDOWS).then_some(ramp);
        self.limit = if self.ramp.is_some() { self.limit * 2 } else { ramp.best_limit };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Completes one window under full demand that took `millis`.
    fn window(limit: &Limit, now: &mut Instant, millis: u64) {
        let width = limit.current();
        let started = (0..width).filter(|_| limit.try_start()).count();
        assert_eq!(started, width);
        assert!(!limit.try_start());
        *now += Duration::from_millis(millis);
        for _ in 0..width {
            limit.succeeded(100_000, *now);
            limit.finished();
        }
    }

    #[test]
    fn grows_fast_while_throughput_rises_and_up_to_the_maximum() {
        let mut now = Instant::now();
        let limit = Limit::new(100, now);
        for _ in 0..10 {
            window(&limit, &mut now, 10);
        }
        assert_eq!(limit.current(), 100);
        assert_eq!(limit.lock().in_flight, 0);
    }

    #[test]
    fn goes_back_to_what_the_best_rate_needed_when_more_brings_no_more() {
        let mut now = Instant::now();
        let limit = Limit::new(4096, now);
        window(&limit, &mut now, 20);
        window(&limit, &mut now, 20);
        assert_eq!(limit.current(), 128);
        for millis in [40, 80] {
            window(&limit, &mut now, millis);
        }
        assert_eq!(limit.current(), 512, "two flat windows may be chance");
        window(&limit, &mut now, 160);
        assert_eq!(limit.current(), 64);
    }

    #[test]
    fn then_grows_slowly_and_not_at_all_when_throughput_falls() {
        let mut now = Instant::now();
        let limit = Limit::new(4096, now);
        for millis in [20, 40, 80, 160] {
            window(&limit, &mut now, millis);
        }
        assert_eq!(limit.current(), 32);
        window(&limit, &mut now, 20);
        window(&limit, &mut now, 21);
        assert_eq!(limit.current(), 36);
        window(&limit, &mut now, 420);
        assert_eq!(limit.current(), 36);
    }

    #[test]
    fn does_not_grow_without_demand() {
        let now = Instant::now();
        let limit = Limit::new(512, now);
        for _ in 0..200 {
            assert!(limit.try_start());
            limit.succeeded(1, now + Duration::from_millis(1));
            limit.finished();
        }
        assert_eq!(limit.current(), 32);
    }

    #[test]
    fn a_second_request_goes_a_little_beyond_the_limit_and_not_into_a_storm() {
        let now = Instant::now();
        let limit = Limit::new(512, now);
        let ordinary = (0..100).filter(|_| limit.try_start()).count();
        let beyond = (0..100).filter(|_| limit.try_start_beyond(now)).count();
        assert_eq!((ordinary, beyond), (32, 2));
        (0..34).for_each(|_| limit.finished());
        limit.overloaded(now, now + Duration::from_millis(1));
        assert!(!limit.try_start_beyond(now));
        let later = now + CALM / 2;
        // Too old to cut once more, and a sign all the same.
        limit.overloaded(now, later);
        assert_eq!(limit.current(), 16);
        assert!(!limit.try_start_beyond(now + CALM));
        assert!(limit.try_start_beyond(later + CALM));
    }

    #[test]
    fn one_storm_halves_once_and_the_next_again() {
        let now = Instant::now();
        let limit = Limit::new(512, now);
        let later = now + Duration::from_millis(5);
        for _ in 0..32 {
            limit.overloaded(now, later);
        }
        assert_eq!(limit.current(), 16);
        for step in 1..40 {
            let sent = later + Duration::from_millis(step);
            limit.overloaded(sent, sent);
        }
        assert_eq!(limit.current(), LEAST);
    }
}
