//! What the requests of one client share, and by which they answer it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use millpool_core::{Identity, PIECE_BYTES, Result};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Shared;
use super::message_room::Held;
use super::outbox::Outbox;
use crate::frame::broken;
use crate::message::Receipt;

/// Of how many bytes a credit is.
pub(super) const CREDIT_BYTES: u64 = 1024;
/// A connection has credit for one whole piece at least, or a large one would wait for ever.
const CREDITS_MIN: u64 = PIECE_BYTES / CREDIT_BYTES;
/// Requests under way at once; the next one is not read before one of them is answered.
const REQUESTS_MAX: usize = 256;

/// Which connection of this server it is, and the process at its other end.
#[derive(Clone, Copy)]
pub(super) struct PeerName {
    pub number: u64,
    pub pid: u32,
}

pub(super) struct Peer {
    pub shared: Arc<Shared>,
    pub name: PeerName,
    pub outbox: Outbox,
    pub credits: Arc<Semaphore>,
    requests: Arc<Semaphore>,
    under_way: Mutex<HashMap<u64, UnderWay>>,
    /// Of the attachment that the last READ asked for.
    last_asked: Mutex<Option<Identity>>,
}

/// What a request holds while it is under way.
pub(super) struct Admitted {
    pub permit: OwnedSemaphorePermit,
    /// Of its message.
    pub _room: Held,
}

pub(super) enum UnderWay {
    Control,
    /// Set when the client gave it up.
    Read(Arc<AtomicBool>),
}

impl Peer {
    pub fn new(shared: Arc<Shared>, name: PeerName, outbox: Outbox) -> Peer {
        let in_flight = shared.config.in_flight_max.div_ceil(CREDIT_BYTES);
        let credits = in_flight.clamp(CREDITS_MIN, u64::from(u32::MAX));
        Peer {
            shared,
            name,
            outbox,
            credits: Arc::new(Semaphore::new(credits as usize)),
            requests: Arc::new(Semaphore::new(REQUESTS_MAX)),
            under_way: Mutex::default(),
            last_asked: Mutex::default(),
        }
    }

    pub fn asks_for(&self, attachment: u32) {
        if let Some(identity) = self.shared.identity(attachment) {
            *self.last_asked.lock().unwrap_or_else(PoisonError::into_inner) = Some(identity);
        }
    }

    /// A batch counts for the segments that it read from; one that came by READ alone, for what was asked last.
    pub fn count_read(&self, receipt: &Receipt) {
        self.shared.store.touch(&receipt.segments, receipt.bytes);
        let asked = *self.last_asked.lock().unwrap_or_else(PoisonError::into_inner);
        if let (true, Some(identity)) = (receipt.segments.is_empty(), asked) {
            self.shared.store.count_read(&identity, receipt.bytes);
        }
    }

    /// To be held for as long as a request is under way.
    pub async fn admit(&self, room: Held) -> Admitted {
        let permit = self.requests.clone().acquire_owned().await;
        Admitted { permit: permit.expect("the semaphore is never closed"), _room: room }
    }

    pub fn begin(&self, request: u64, what: UnderWay) -> Result<()> {
        if request == 0 || self.under_way().insert(request, what).is_some() {
            return Err(broken(format!("request {request} is under way already")));
        }
        Ok(())
    }

    /// Nothing of this request is to come after its answer.
    pub fn end(&self, request: u64) {
        self.under_way().remove(&request);
    }

    pub fn cancel(&self, request: u64) {
        let found = self.under_way().remove(&request);
        self.abandon(request, found);
    }

    pub fn abandon_all(&self) {
        let all = std::mem::take(&mut *self.under_way());
        for (request, what) in all {
            self.abandon(request, Some(what));
        }
    }

    fn abandon(&self, request: u64, what: Option<UnderWay>) {
        match what {
            None => {}
            Some(UnderWay::Read(cancelled)) => cancelled.store(true, Ordering::Relaxed),
            Some(UnderWay::Control) => {
                self.shared.config.control.cancelled(self.name.number, request);
            }
        }
    }

    fn under_way(&self) -> MutexGuard<'_, HashMap<u64, UnderWay>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
