//! Many objects made resident, a bounded number of records at once.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use millpool_core::{Asker, Error, Fill, Filled, ObjectRef, Want, piece_count, piece_len};
use napi::bindgen_prelude::Object;
use napi::{Env, Result};
use napi_derive::napi;

use crate::failure::{NativeFailure, failure};
use crate::pace::Pace;
use crate::work::{aside, promise};

/// Records under way for one fetch: more than any limit of requests at once.
const WINDOW: usize = 1024;
/// The same in bytes, where a record costs so many more than it has: a fetch of large records keeps no more under way
/// than one of small ones.
const WINDOW_BYTES: u64 = WINDOW as u64 * RECORD_COST_BYTES;
const RECORD_COST_BYTES: u64 = 256 << 10;
const FAILURES_SHOWN: usize = 1000;

#[napi(object)]
pub struct NativeFetchProgress {
    pub objects: f64,
    pub objects_done: f64,
    pub bytes: f64,
    pub bytes_done: f64,
    pub fetched_objects: f64,
    pub fetched_bytes: f64,
    pub failure_count: f64,
    pub cancelled: bool,
}

#[derive(Default)]
struct Progress {
    objects: Vec<Arc<ObjectRef>>,
    /// One for each object.
    left: Vec<Left>,
    /// The next want.
    next: (usize, u32),
    in_flight: usize,
    in_flight_bytes: u64,
    /// Its pace has room again then.
    resume_at: Option<Instant>,
    feeding: bool,
    /// What to fetch is not known yet.
    preparing: bool,
    /// Why it never will be.
    fault: Option<Error>,
    cancelled: bool,
    done: usize,
    bytes: u64,
    bytes_done: u64,
    fetched_objects: u64,
    fetched_bytes: u64,
    failures: Vec<(usize, Error)>,
    failure_count: u64,
}

/// What is left of an object, and what became of its pieces so far.
#[derive(Default)]
struct Left {
    pieces: u32,
    failed: bool,
    fetched: bool,
}

pub(crate) struct Fetching {
    fill: Arc<dyn Fill>,
    asker: Asker,
    pace: Arc<Pace>,
    state: Mutex<Progress>,
    ended: Condvar,
}

impl Fetching {
    /// Fetches what `prepare` says, which runs beside JavaScript's thread.
    pub fn start(
        fill: Arc<dyn Fill>,
        (asker, pace): (Asker, Arc<Pace>),
        prepare: impl FnOnce() -> millpool_core::Result<Vec<ObjectRef>> + Send + 'static,
    ) -> Result<Arc<Fetching>> {
        let state = Progress { preparing: true, ..Progress::default() };
        let fetching = Arc::new(Fetching {
            fill,
            asker,
            pace,
            state: Mutex::new(state),
            ended: Condvar::new(),
        });
        let own = fetching.clone();
        aside(move || own.begin(prepare()))?;
        Ok(fetching)
    }

    fn begin(self: &Arc<Self>, objects: millpool_core::Result<Vec<ObjectRef>>) {
        let mut state = self.state();
        state.preparing = false;
        match objects {
            Ok(objects) => {
                let left = |object: &ObjectRef| Left {
                    pieces: piece_count(object.size),
                    ..Left::default()
                };
                state.left = objects.iter().map(left).collect();
                state.done = state.left.iter().filter(|left| left.pieces == 0).count();
                state.bytes = objects.iter().map(|object| object.size).sum();
                state.objects = objects.into_iter().map(Arc::new).collect();
            }
            Err(error) => state.fault = Some(error),
        }
        drop(state);
        self.feed();
    }

    /// Asks for more while there is room. An answer may come before `fill` returns, so only one call feeds at a time.
    fn feed(self: &Arc<Self>) {
        let mut state = self.state();
        if std::mem::replace(&mut state.feeding, true) {
            return;
        }
        loop {
            let (wants, names) = state.take_wants(&self.pace);
            if wants.is_empty() {
                break;
            }
            drop(state);
            let own = self.clone();
            let done = move |index: usize, answer| own.answered(names[index], answer);
            self.fill.fill(wants, self.asker, Arc::new(done));
            state = self.state();
        }
        state.feeding = false;
        if state.in_flight == 0 || state.resume_at.is_some() {
            self.ended.notify_all();
        }
    }

    fn answered(
        self: &Arc<Self>,
        (object, piece): (usize, u32),
        answer: millpool_core::Result<Filled>,
    ) {
        let mut state = self.state();
        state.in_flight -= 1;
        if !matches!(answer, Ok(Filled::Fetched { first: true, .. }) | Err(_)) {
            self.pace.give_back(piece_len(state.objects[object].size, piece));
        }
        state.record(object, piece, answer);
        let feeds = !state.feeding && state.wants_more(&self.pace);
        drop(state);
        if feeds {
            self.feed();
        }
    }

    fn wait(self: &Arc<Self>) -> millpool_core::Result<NativeFetchProgress> {
        let mut state = self.state();
        while state.preparing || state.feeding || state.in_flight > 0 || state.has_more() {
            let now = Instant::now();
            match state.resume_at {
                Some(at) if at <= now => {
                    drop(state);
                    self.feed();
                    state = self.state();
                }
                Some(at) => {
                    let woken = self.ended.wait_timeout(state, at - now);
                    state = woken.unwrap_or_else(PoisonError::into_inner).0;
                }
                None => state = self.ended.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
        state.fault.take().map_or_else(|| Ok(state.read()), Err)
    }

    fn state(&self) -> MutexGuard<'_, Progress> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress {
    fn has_more(&self) -> bool {
        !self.cancelled && self.next.0 < self.objects.len()
    }

    /// Half of what may be under way has ended; or, where somebody limits it, anything.
    fn wants_more(&self, pace: &Pace) -> bool {
        match pace.records_at_once {
            Some(most) => self.in_flight < most.min(WINDOW),
            None => self.in_flight < WINDOW / 2 && self.in_flight_bytes < WINDOW_BYTES / 2,
        }
    }

    fn take_wants(&mut self, pace: &Pace) -> (Vec<Want>, Vec<(usize, u32)>) {
        let (mut wants, mut names) = (Vec::new(), Vec::new());
        let most = pace.records_at_once.unwrap_or(WINDOW).min(WINDOW);
        self.resume_at = None;
        while self.has_more() && self.in_flight < most && self.in_flight_bytes < WINDOW_BYTES {
            let (index, piece) = self.next;
            let object = &self.objects[index];
            if piece >= piece_count(object.size) {
                self.next = (index + 1, 0);
                continue;
            }
            let len = piece_len(object.size, piece);
            let now = Instant::now();
            if let Err(wait) = pace.take(len, now) {
                self.resume_at = Some(now + wait);
                break;
            }
            self.in_flight_bytes += u64::from(len) + RECORD_COST_BYTES;
            wants.push(Want { object: object.clone(), piece });
            names.push((index, piece));
            self.next = (index, piece + 1);
            self.in_flight += 1;
        }
        (wants, names)
    }

    fn record(&mut self, object: usize, piece: u32, answer: millpool_core::Result<Filled>) {
        let len = u64::from(piece_len(self.objects[object].size, piece));
        self.in_flight_bytes -= len + RECORD_COST_BYTES;
        let left = &mut self.left[object];
        left.pieces -= 1;
        match answer {
            Ok(Filled::Fetched { first: true, .. }) => {
                self.bytes_done += len;
                self.fetched_bytes += len;
                self.fetched_objects += u64::from(!std::mem::replace(&mut left.fetched, true));
            }
            Ok(_) => self.bytes_done += len,
            Err(error) if !std::mem::replace(&mut left.failed, true) => {
                self.failure_count += 1;
                if self.failures.len() < FAILURES_SHOWN {
                    self.failures.push((object, error));
                }
            }
            Err(_) => {}
        }
        self.done += usize::from(left.pieces == 0 && !left.failed);
    }

    fn read(&self) -> NativeFetchProgress {
        NativeFetchProgress {
            objects: self.objects.len() as f64,
            objects_done: self.done as f64,
            bytes: self.bytes as f64,
            bytes_done: self.bytes_done as f64,
            fetched_objects: self.fetched_objects as f64,
            fetched_bytes: self.fetched_bytes as f64,
            failure_count: self.failure_count as f64,
            cancelled: self.cancelled,
        }
    }
}

#[napi]
pub struct NativeFetch(pub(crate) Arc<Fetching>);

#[napi]
impl NativeFetch {
    #[napi(catch_unwind)]
    pub fn progress(&self) -> NativeFetchProgress {
        self.0.state().read()
    }

    #[napi(catch_unwind)]
    pub fn finished<'env>(&self, env: &'env Env) -> Result<Object<'env>> {
        let fetching = self.0.clone();
        promise(env, move || fetching.wait())
    }

    #[napi(catch_unwind)]
    pub fn failures(&self) -> Vec<NativeFailure> {
        self.0.state().failures.iter().map(|(index, error)| failure(*index, error)).collect()
    }

    #[napi(catch_unwind)]
    pub fn cancel(&self) {
        let mut state = self.0.state();
        state.cancelled = true;
        state.resume_at = None;
        drop(state);
        self.0.ended.notify_all();
    }
}
