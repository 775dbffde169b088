//! Batches read ahead of a consumer, in its order, by threads that run nothing else.
//!
//! What is read ahead holds slots of the ring that nobody has asked for yet. Where the consumer waits while somebody is
//! short of a slot, the youngest of them are given back, and read again later: what can then still keep the consumer
//! from its batch is batches that are held elsewhere.

use std::collections::VecDeque;
use std::mem::{ManuallyDrop, replace};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use millpool_core::{Code, Error, Result};

use super::Client;
use super::batch::{Batch, Sample};
use super::cancel::Cancel;
use super::layout::BatchRequest;
use super::session::Limits;
use super::wait::wait;

/// Between two tries while the daemon is away.
const RETRY: Duration = Duration::from_millis(50);
/// Between two looks of a waiting consumer whether slots are what is missing.
const LOOK: Duration = Duration::from_millis(50);

/// A batch, and when its read had ended.
pub struct Came {
    pub batch: Batch,
    pub at: Instant,
}

/// Reads under way and batches that came, oldest first. Of the process that made it: a forked child gets `Closed`, and
/// touches nothing of it.
pub struct Ahead {
    process: u32,
    shared: ManuallyDrop<Arc<Shared>>,
}

impl Ahead {
    /// Threads are started as they are needed, `threads_max` at most.
    pub fn new(client: Arc<Client>, threads_max: usize) -> Ahead {
        let shared = Shared {
            client,
            threads_max: threads_max.max(1),
            state: Mutex::new(State { room: usize::MAX, ..State::default() }),
            came: Condvar::new(),
            called: Condvar::new(),
        };
        Ahead { process: std::process::id(), shared: ManuallyDrop::new(Arc::new(shared)) }
    }

    /// Behind all that was submitted before. One thread reads as many of these together as are resident and quick. Each
    /// may take `timeout` from when its read begins, and where the consumer then waits for it, from when it began to.
    pub fn submit(&self, run: Vec<BatchRequest>, timeout: Duration) -> Result<()> {
        let shared = self.shared()?;
        let mut state = shared.open()?;
        state.runs += 1;
        let number = state.runs;
        let entry = |request| Entry { run: number, timeout, progress: Progress::Wanted(request) };
        state.queue.extend(run.into_iter().map(entry));
        shared.call_thread(state)
    }

    /// The oldest batch, or why it cannot be had; `None` where it is not there by `until`. Only one thread may ask.
    pub fn next(&self, until: Instant) -> Result<Option<Came>> {
        let shared = self.shared()?;
        let mut state = shared.open()?;
        let asked = *state.asked.get_or_insert_with(Instant::now);
        let mut looked = asked;
        loop {
            let oldest = state.take_oldest(asked)?;
            shared.call_thread(state)?;
            if let Some(oldest) = oldest {
                return oldest.map(Some);
            }
            let now = Instant::now();
            if now >= until {
                return Ok(None);
            }
            if now >= looked + LOOK && shared.client.is_short_of_slots() {
                shared.give_back();
            }
            looked = now;
            state = shared.wait_for_oldest(until.min(now + LOOK))?;
        }
    }

    /// Submitted, and not taken.
    pub fn len(&self) -> usize {
        self.shared().map_or(0, |shared| shared.state().queue.len())
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Gives up what is under way and frees what came; the threads end by themselves. Idempotent.
    pub fn close(&self) {
        let Ok(shared) = self.shared() else { return };
        let mut state = shared.state();
        state.closed = true;
        let queue = std::mem::take(&mut state.queue);
        drop(state);
        shared.called.notify_all();
        shared.came.notify_all();
        queue.iter().filter_map(Entry::reading).for_each(Cancel::cancel);
    }

    fn shared(&self) -> Result<&Arc<Shared>> {
        if self.process == std::process::id() { Ok(&self.shared) } else { Err(closed()) }
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        if self.process == std::process::id() {
            self.close();
            // SAFETY: not used again. A forked child leaks it: its locks may be held, and its threads are not here.
            unsafe { ManuallyDrop::drop(&mut self.shared) };
        }
    }
}

struct Shared {
    client: Arc<Client>,
    threads_max: usize,
    state: Mutex<State>,
    /// The oldest has come, for the consumer.
    came: Condvar,
    /// There is something to read, for the threads.
    called: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Entry>,
    /// Number of the oldest; all are numbered as they are submitted.
    oldest: u64,
    runs: u64,
    /// So many of the oldest may be read or hold a slot.
    room: usize,
    threads: usize,
    /// Threads that wait, and of those how many were called already.
    idle: usize,
    called: usize,
    /// Since when the consumer waits for the oldest.
    asked: Option<Instant>,
    closed: bool,
}

struct Entry {
    /// Submitted by one call.
    run: u64,
    timeout: Duration,
    progress: Progress,
}

enum Progress {
    Wanted(BatchRequest),
    Reading(Cancel),
    /// With its request, should it be given back, and when its read began.
    Came(BatchRequest, Result<Came>, Instant),
}

impl Entry {
    fn reading(&self) -> Option<&Cancel> {
        if let Progress::Reading(cancel) = &self.progress { Some(cancel) } else { None }
    }

    fn is_wanted(&self) -> bool {
        matches!(self.progress, Progress::Wanted(_))
    }
}

/// Neighbours that one thread reads.
struct Run {
    first: u64,
    requests: Vec<BatchRequest>,
    limits: Limits,
}

impl State {
    /// The oldest, if it came. A failure counts only if its read ended for somebody who waited: what was in its way
    /// before may be gone.
    fn take_oldest(&mut self, asked: Instant) -> Result<Option<Result<Came>>> {
        let Some(oldest) = self.queue.pop_front() else {
            return Err(Error::new(Code::Invalid, "no batch was submitted"));
        };
        let Entry { run, timeout, progress } = oldest;
        match progress {
            Progress::Came(request, Err(_), began)
                if began < asked && asked + timeout > Instant::now() =>
            {
                let progress = Progress::Wanted(request);
                self.queue.push_front(Entry { run, timeout, progress });
                Ok(None)
            }
            Progress::Came(_, came, _) => {
                self.oldest += 1;
                self.asked = None;
                Ok(Some(came))
            }
            progress => {
                self.queue.push_front(Entry { run, timeout, progress });
                Ok(None)
            }
        }
    }

    fn wants_thread(&self) -> bool {
        self.queue.iter().take(self.room).any(Entry::is_wanted)
    }

    /// What is to be read first, with those of its run behind it.
    fn take_run(&mut self) -> Option<Run> {
        let start = self.queue.iter().take(self.room).position(Entry::is_wanted)?;
        let (number, timeout) = (self.queue[start].run, self.queue[start].timeout);
        let began = self.asked.filter(|_| start == 0).unwrap_or_else(Instant::now);
        let limits = Limits::until(began + timeout);
        let mut requests = Vec::new();
        for entry in self.queue.iter_mut().take(self.room).skip(start) {
            if entry.run != number || !entry.is_wanted() {
                break;
            }
            let reading = Progress::Reading(limits.cancel.clone());
            if let Progress::Wanted(request) = replace(&mut entry.progress, reading) {
                requests.push(request);
            }
        }
        Some(Run { first: self.oldest + start as u64, requests, limits })
    }

    /// What a run came to. What it left, what was given up, and what there is no room for any more is wanted again.
    fn settle(&mut self, run: Run, read: Result<Vec<Batch>>, began: Instant) {
        let at = Instant::now();
        let mut came = match read {
            Ok(batches) => batches.into_iter().map(|batch| Ok(Came { batch, at })).collect(),
            Err(error) if error.code == Code::Cancelled => Vec::new(),
            Err(error) => vec![Err(error)],
        }
        .into_iter();
        let start = (run.first - self.oldest) as usize;
        for (place, request) in (start..).zip(run.requests) {
            self.queue[place].progress = match came.next().filter(|_| place < self.room) {
                Some(came) => Progress::Came(request, came, began),
                None => Progress::Wanted(request),
            };
        }
    }

    /// Makes room for one less than hold slots now, down to the oldest alone. What comes of it is to be dropped, and to
    /// be cancelled.
    fn narrow(&mut self) -> (Vec<Result<Came>>, Vec<Cancel>) {
        let held = self.queue.iter().rposition(|entry| !entry.is_wanted()).unwrap_or(0);
        self.room = self.room.min(held).max(1);
        let (mut dropped, mut given_up) = (Vec::new(), Vec::new());
        for entry in self.queue.iter_mut().skip(self.room) {
            let reading = Progress::Reading(Cancel::default());
            entry.progress = match replace(&mut entry.progress, reading) {
                Progress::Came(request, came, _) => {
                    dropped.push(came);
                    Progress::Wanted(request)
                }
                Progress::Reading(cancel) => {
                    given_up.push(cancel.clone());
                    Progress::Reading(cancel)
                }
                wanted => wanted,
            };
        }
        (dropped, given_up)
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self) -> Result<MutexGuard<'_, State>> {
        let state = self.state();
        if state.closed { Err(closed()) } else { Ok(state) }
    }

    /// Sees to it that somebody reads what is wanted: one thread, since one thing becomes wanted at a time.
    fn call_thread(self: &Arc<Self>, mut state: MutexGuard<'_, State>) -> Result<()> {
        if !state.wants_thread() {
            return Ok(());
        }
        if state.idle > state.called {
            state.called += 1;
            drop(state);
            self.called.notify_one();
        } else if state.threads < self.threads_max {
            state.threads += 1;
            let shared = self.clone();
            let started = std::thread::Builder::new()
                .name("millpool-ahead".into())
                .spawn(move || shared.serve());
            if let Err(error) = started {
                state.threads -= 1;
                // Those that there are serve it too.
                if state.threads == 0 {
                    return Err(Error::io("starting a thread that reads ahead", &error));
                }
            }
        }
        Ok(())
    }

    fn give_back(&self) {
        let (dropped, given_up) = self.state().narrow();
        given_up.iter().for_each(Cancel::cancel);
        drop(dropped);
    }

    fn wait_for_oldest(&self, until: Instant) -> Result<MutexGuard<'_, State>> {
        let state = self.open()?;
        if state.queue.front().is_some_and(|oldest| matches!(oldest.progress, Progress::Came(..))) {
            return Ok(state);
        }
        drop(wait(&self.came, state, until));
        self.open()
    }

    /// A thread's life.
    fn serve(&self) {
        while let Some(run) = self.next_run() {
            let began = Instant::now();
            let read = self.read(&run);
            let mut state = self.state();
            if state.closed {
                return;
            }
            let has_oldest = run.first == state.oldest;
            state.settle(run, read, began);
            let is_waited_for = has_oldest && state.asked.is_some();
            drop(state);
            if is_waited_for {
                self.came.notify_one();
            }
        }
    }

    fn next_run(&self) -> Option<Run> {
        let mut state = self.state();
        loop {
            if state.closed {
                return None;
            }
            if let Some(run) = state.take_run() {
                return Some(run);
            }
            state.idle += 1;
            while state.called == 0 && !state.closed {
                state = self.called.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            state.idle -= 1;
            state.called = state.called.saturating_sub(1);
        }
    }

    /// Asks again while the daemon is away, for as long as the read may take: one that is started again is waited for.
    fn read(&self, run: &Run) -> Result<Vec<Batch>> {
        loop {
            let read = || self.client.read_run(&run.requests, &run.limits);
            let fault = || Error::new(Code::Internal, "a read ended by a fault");
            let read = catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| Err(fault()));
            let Some(away) = away_of(&read) else { return read };
            if Instant::now() + RETRY >= run.limits.deadline || self.client.is_closed() {
                return Err(away);
            }
            drop(read);
            std::thread::sleep(RETRY);
            run.limits.cancel.check()?;
        }
    }
}

/// A daemon that stops closes what it was asked, and one that has stopped cannot be reached.
fn away_of(read: &Result<Vec<Batch>>) -> Option<Error> {
    let is_away = |error: &&Error| matches!(error.code, Code::Unreachable | Code::Closed);
    match read {
        Err(error) => Some(error).filter(is_away).cloned(),
        Ok(batches) => {
            let samples = batches.iter().flat_map(|batch| &batch.samples);
            let mut failures = samples.filter_map(|sample| match sample {
                Sample::Failed(error) => Some(error),
                _ => None,
            });
            failures.find(is_away).cloned()
        }
    }
}

fn closed() -> Error {
    Error::new(Code::Closed, "what was read ahead was given up")
}
