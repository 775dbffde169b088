//! What the requests to one endpoint share: how many at once, how many retries, and how many second ones.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::Notify;

use crate::hedge::Hedges;
use crate::limit::Limit;
use crate::retry::RetryTokens;

pub(crate) struct Lane {
    pub limit: Limit,
    pub retries: RetryTokens,
    pub hedges: Hedges,
    /// Told whenever a slot came free.
    freed: Arc<Notify>,
}

impl Lane {
    pub fn new(max_requests: usize, hedge: bool, freed: Arc<Notify>) -> Arc<Self> {
        let limit = Limit::new(max_requests, Instant::now());
        let (retries, hedges) = (RetryTokens::new(), Hedges::new(hedge));
        Arc::new(Lane { limit, retries, hedges, freed })
    }

    pub fn try_start(self: &Arc<Self>) -> Option<Slot> {
        self.limit.try_start().then(|| Slot { lane: self.clone() })
    }

    /// For the second GET of `len` bytes; `None` when it would be one too many.
    pub fn try_hedge(self: &Arc<Self>, len: u32) -> Option<Slot> {
        let started = self.limit.try_start_beyond(Instant::now());
        let slot = started.then(|| Slot { lane: self.clone() })?;
        self.hedges.take(len).then_some(slot)
    }
}

/// The right to have one request under way; free again when dropped.
pub(crate) struct Slot {
    lane: Arc<Lane>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.lane.limit.finished();
        self.lane.freed.notify_one();
    }
}
