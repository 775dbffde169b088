//! What one process has of a daemon: a connection that comes back by itself, the key table, mappings, and the ring.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::File;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use millpool_core::{
    Code, Dataset, DeviceReader, Error, Identity, Location, Mapping, Result, Ring, SegmentName,
    Slot, TableReader,
};

use super::ClientConfig;
use super::cancel::Cancel;
use super::cold::ColdWatch;
use super::layout::Attachments;
use super::link::Link;
use super::mailbox::Mailbox;
use super::pending::Pending;
use super::places::KnownPlaces;
use super::receipts::Receipts;
use super::segments::{SegmentId, Segments};
use super::wait::{Abandon, wait};
use crate::frame::Kind;
use crate::message::{Described, NOT_ATTACHED, Wanted};

/// Between attempts to reach a daemon that was there before.
const RETRY_FIRST: Duration = Duration::from_millis(10);
const RETRY_LAST: Duration = Duration::from_millis(250);
/// How long a caller that gave up may wait for a slot yet.
const LEASE_STEP: Duration = Duration::from_millis(50);

pub struct Session {
    config: ClientConfig,
    pub ring: Arc<Ring>,
    pub segments: Arc<Segments>,
    pub places: KnownPlaces,
    pub receipts: Receipts,
    pub cold: ColdWatch,
    pub reader: DeviceReader,
    state: Mutex<State>,
    changed: Condvar,
    closed: AtomicBool,
    /// Of the connection of now, for a forked child; -1 without one.
    descriptor: AtomicI32,
    incarnation: AtomicU64,
}

#[derive(Default)]
struct State {
    link: Option<Arc<Link>>,
    table: Option<Arc<TableReader>>,
    identities: HashMap<u32, Identity>,
    /// Some thread is at it.
    connecting: bool,
}

/// One caller's limits.
#[derive(Clone)]
pub struct Limits {
    pub since: Instant,
    pub deadline: Instant,
    pub cancel: Cancel,
}

impl Limits {
    pub fn until(deadline: Instant) -> Limits {
        Limits { since: Instant::now(), deadline, cancel: Cancel::default() }
    }
}

impl Session {
    pub fn new(config: ClientConfig) -> Session {
        Session {
            ring: Ring::new(config.ring_bytes),
            segments: Arc::default(),
            places: KnownPlaces::default(),
            receipts: Receipts::default(),
            cold: ColdWatch::default(),
            reader: DeviceReader::default(),
            state: Mutex::default(),
            changed: Condvar::new(),
            closed: AtomicBool::new(false),
            descriptor: AtomicI32::new(-1),
            incarnation: AtomicU64::new(0),
            config,
        }
    }

    /// The connection: the one that is there, or a new one. Waits for a daemon that was there before and is gone;
    /// `Unreachable`, naming the socket, when it does not come back in time.
    pub fn link(&self, limits: &Limits) -> Result<Arc<Link>> {
        let mut pause = RETRY_FIRST;
        let mut state = self.state();
        loop {
            self.check(limits)?;
            if let Some(link) = state.link.as_ref().filter(|link| !link.is_over()) {
                return Ok(link.clone());
            }
            if state.connecting {
                let unreachable = || {
                    Error::new(Code::Unreachable, format!("no daemon answers at {}", self.name()))
                };
                state = wait(&self.changed, state, limits.deadline).ok_or_else(unreachable)?;
                continue;
            }
            state.connecting = true;
            drop(state);
            let opened =
                Link::open(&self.config.socket, &self.segments, self.config.maps, limits.deadline);
            state = self.state();
            state.connecting = false;
            self.changed.notify_all();
            match opened.and_then(|(link, table)| self.adopt(&mut state, link, table)) {
                Ok(link) => return Ok(link),
                Err(error) if error.code != Code::Unreachable || !self.was_connected() => {
                    return Err(error);
                }
                Err(error) => {
                    let until = (Instant::now() + pause).min(limits.deadline);
                    pause = (pause * 2).min(RETRY_LAST);
                    while let Some(woken) = wait(&self.changed, state, until) {
                        state = woken;
                    }
                    state = self.state();
                    if Instant::now() >= limits.deadline {
                        return Err(error);
                    }
                }
            }
        }
    }

    /// The connection and the key table, if both are there, without waiting.
    pub fn at_once(&self) -> Option<(Arc<Link>, Arc<TableReader>)> {
        let state = self.state();
        let link = state.link.clone().filter(|link| !link.is_over())?;
        Some((link, state.table.clone().filter(|table| !table.retired())?))
    }

    /// The connection, if there is one, without waiting.
    pub fn connected(&self) -> Option<Arc<Link>> {
        self.state().link.clone().filter(|link| !link.is_over())
    }

    /// A new run of the daemon: nothing that the one before said holds.
    fn adopt(&self, state: &mut State, link: Link, table: Option<File>) -> Result<Arc<Link>> {
        let incarnation = link.welcome.incarnation;
        if self.incarnation.swap(incarnation, Ordering::SeqCst) != incarnation {
            self.segments.clear();
            self.places.clear();
            state.identities.clear();
        }
        state.table = table.map(|file| TableReader::map(&file)).transpose()?.map(Arc::new);
        self.descriptor.store(link.descriptor(), Ordering::SeqCst);
        let link = Arc::new(link);
        state.link = Some(link.clone());
        if self.closed.load(Ordering::SeqCst) {
            link.shut();
        }
        Ok(link)
    }

    /// A slot of the ring. The ring knows of no callers that give up, so it is asked again and again.
    pub fn lease(&self, bytes: usize, limits: &Limits) -> Result<Slot> {
        loop {
            self.check(limits)?;
            let until = (Instant::now() + LEASE_STEP).min(limits.deadline);
            match self.ring.lease(bytes, until) {
                Err(error) if error.code == Code::Timeout && until < limits.deadline => {}
                leased => return leased,
            }
        }
    }

    /// The key table of now; `None` where this client does not map.
    pub fn table(&self, link: &Link, limits: &Limits) -> Result<Option<Arc<TableReader>>> {
        let table = self.state().table.clone();
        match table {
            Some(table) if table.retired() => {}
            current => return Ok(current),
        }
        let (_, file) = self.describe(link, &[Wanted::Table], limits)?.remove(0);
        let newer = file.map(|file| TableReader::map(&file)).transpose()?.map(Arc::new);
        self.state().table = newer.clone();
        Ok(newer)
    }

    /// The mappings of the segments that `locations` lie in. Those never asked for are mapped first; one that cannot be
    /// is not asked for again.
    pub fn mappings(
        &self,
        link: &Link,
        locations: &[Option<Location>],
        limits: &Limits,
    ) -> Result<Vec<Option<Arc<Mapping>>>> {
        let (mappings, unknown) = self.segments.of(locations);
        if unknown.is_empty() {
            return Ok(mappings);
        }
        let wanted: Vec<_> = unknown
            .iter()
            .map(|&(number, generation)| Wanted::Segment { number, generation })
            .collect();
        for (id, (described, file)) in unknown.iter().zip(self.describe(link, &wanted, limits)?) {
            let mapping = file.and_then(|file| map_segment(*id, &described, &file));
            self.segments.learn(*id, mapping);
        }
        Ok(self.segments.of(locations).0)
    }

    pub fn identity(&self, link: &Link, attachment: u32, limits: &Limits) -> Result<Identity> {
        if let Some(identity) = self.state().identities.get(&attachment) {
            return Ok(*identity);
        }
        let (described, _) =
            self.describe(link, &[Wanted::Attachment(attachment)], limits)?.remove(0);
        if !described.found {
            return Err(Error::new(
                Code::NotFound,
                format!("attachment {attachment} is not attached here"),
            ));
        }
        self.state().identities.insert(attachment, described.identity);
        Ok(described.identity)
    }

    /// The numbers that the attachments of datasets have now, or [`NOT_ATTACHED`]. Asked each time: they may have been
    /// attached anew since the last.
    pub fn attachments_of<'d>(
        &self,
        link: &Link,
        datasets: impl Iterator<Item = &'d Arc<Dataset>>,
        limits: &Limits,
    ) -> Result<Attachments> {
        let mut attachments = Attachments::new();
        for identity in datasets.map(|dataset| dataset.root().identity) {
            if let Entry::Vacant(unknown) = attachments.entry(identity) {
                let wanted = [Wanted::Identity(identity)];
                let (described, _) = self.describe(link, &wanted, limits)?.remove(0);
                unknown.insert(if described.found { described.attachment } else { NOT_ATTACHED });
            }
        }
        Ok(attachments)
    }

    /// Answers to all of `wanted`, in order; asked in one write.
    pub fn describe(
        &self,
        link: &Link,
        wanted: &[Wanted],
        limits: &Limits,
    ) -> Result<Vec<(Described, Option<File>)>> {
        let payloads: Vec<_> = wanted.iter().map(Wanted::encode).collect();
        let mailboxes: Vec<_> = wanted.iter().map(|_| Mailbox::new()).collect();
        let pending = mailboxes.iter().map(|mailbox| Pending::Described(mailbox.clone())).collect();
        let requests = link.requests(Kind::Descriptor, &payloads, pending, limits.deadline)?;
        let mut answers = Vec::with_capacity(wanted.len());
        for (mailbox, request) in mailboxes.iter().zip(requests) {
            limits.cancel.watch(mailbox.clone() as Arc<dyn Abandon>);
            let answer = mailbox.take(limits.deadline, &"a descriptor from the daemon");
            if answer.is_err() {
                link.forget(request);
            }
            answers.push(answer?);
        }
        Ok(answers)
    }

    pub fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        let link = self.state().link.clone();
        if let Some(link) = link {
            self.receipts.flush(&link);
            link.shut();
        }
        self.changed.notify_all();
    }

    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    pub fn check(&self, limits: &Limits) -> Result<()> {
        if self.is_closed() {
            return Err(Error::new(
                Code::Closed,
                "the connection to the daemon was closed by its owner",
            ));
        }
        limits.cancel.check()
    }

    pub fn incarnation(&self) -> u64 {
        self.incarnation.load(Ordering::SeqCst)
    }

    pub fn daemon_pid(&self) -> u32 {
        self.state().link.as_ref().map_or(0, |link| link.welcome.pid)
    }

    pub fn maps(&self) -> bool {
        self.state().table.is_some()
    }

    /// The session of a forked child. Of the inherited one only the socket is closed, once, so that the daemon sees the
    /// parent go when it ends. All else is leaked: its locks may be held, and its threads are not here.
    pub fn renewed(&self) -> Session {
        let inherited = self.descriptor.swap(-1, Ordering::SeqCst);
        if inherited >= 0 {
            // SAFETY: the descriptor is open in this child, and what owns it is never dropped here.
            unsafe { libc::close(inherited) };
        }
        Session::new(self.config.clone())
    }

    fn was_connected(&self) -> bool {
        self.incarnation() != 0
    }

    fn name(&self) -> std::path::Display<'_> {
        self.config.socket.display()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn map_segment(id: SegmentId, described: &Described, file: &File) -> Option<Mapping> {
    let name = SegmentName {
        number: id.0,
        generation: id.1,
        id: described.segment_id,
        identity: described.identity,
    };
    // Whatever is wrong with it, the daemon can still read it, or forget it.
    Mapping::map(file, &name).ok()
}
