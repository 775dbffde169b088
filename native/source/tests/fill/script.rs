//! What goes wrong at an origin, request by request, and the proof that it did.

use std::collections::{HashMap, VecDeque};
use std::sync::{Condvar, Mutex};

use crate::bed::PATIENCE;

/// One answer that is not the right one.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Fault {
    /// With an S3 error document of this code.
    Status(u16, &'static str),
    /// RST instead of an answer.
    Reset,
    /// RST after half of the body.
    ResetInBody,
    /// The end of the connection after half of the body.
    Cut,
    /// Nothing comes, until the client goes.
    Hang,
    /// Half of the body, and then nothing until the client goes.
    HangInBody,
    /// A byte now and then, for ever.
    Dribble,
    /// The right answer, in many small writes.
    Slow,
    /// The right answer once [`Script::release`] is called.
    Hold,
    /// A good answer of another version, whatever If-Match said.
    OtherEtag,
    /// The right answer, but for one header line.
    Header(&'static str, &'static str),
    /// 200 and all bytes, whatever Range said.
    WholeObject,
    /// Chunked, without a length.
    Chunked,
    /// Chunked, and never at an end.
    Endless,
    GiantHeader,
    NotHttp,
    /// The right answer; then the connection is closed without a word.
    CloseAfter,
}

#[derive(Default)]
pub struct Script {
    state: Mutex<State>,
    moved: Condvar,
}

#[derive(Default)]
struct State {
    planned: HashMap<String, VecDeque<Fault>>,
    fired: Vec<Fault>,
    released: bool,
}

impl Script {
    /// The next requests for `key` meet these, one each; those after them the right answer.
    pub fn plan(&self, key: &str, faults: impl IntoIterator<Item = Fault>) {
        let mut state = self.state.lock().unwrap();
        state.planned.entry(key.into()).or_default().extend(faults);
    }

    /// Taken by a request that is about to meet it.
    pub fn next(&self, key: &str) -> Option<Fault> {
        let mut state = self.state.lock().unwrap();
        let fault = state.planned.get_mut(key)?.pop_front()?;
        state.fired.push(fault.clone());
        self.moved.notify_all();
        Some(fault)
    }

    pub fn fired(&self, fault: &Fault) -> usize {
        self.state.lock().unwrap().fired.iter().filter(|fired| *fired == fault).count()
    }

    /// Returns when `count` requests have met `fault`.
    pub fn wait_for(&self, fault: &Fault, count: usize) {
        let met = |state: &State| state.fired.iter().filter(|fired| *fired == fault).count();
        let state = self.state.lock().unwrap();
        let waited = self.moved.wait_timeout_while(state, PATIENCE, |state| met(state) < count);
        let (state, timeout) = waited.unwrap();
        assert!(!timeout.timed_out(), "{fault:?} was met {} times, not {count}", met(&state));
    }

    /// Lets all that is held go, now and later.
    pub fn release(&self) {
        self.state.lock().unwrap().released = true;
        self.moved.notify_all();
    }

    pub fn wait_for_release(&self) {
        let state = self.state.lock().unwrap();
        drop(self.moved.wait_timeout_while(state, PATIENCE, |state| !state.released).unwrap());
    }
}
