//! What the requests to one endpoint share: how many at once, and how many retries.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::Notify;

use crate::limit::Limit;
use crate::retry::RetryTokens;

pub(crate) struct Lane {
    pub limit: Limit,
    pub retries: RetryTokens,
    /// Told whenever a slot came free.
    freed: Arc<Notify>,
}

impl Lane {
    pub fn new(max_requests: usize, freed: Arc<Notify>) -> Arc<Self> {
        let limit = Limit::new(max_requests, Instant::now());
        Arc::new(Lane { limit, retries: RetryTokens::new(), freed })
    }

    pub fn try_start(self: &Arc<Self>) -> Option<Slot> {
        self.limit.try_start().then(|| Slot { lane: self.clone() })
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
