//! What one identity has of the cache, and how much it may have: counted here, record by record, and decided elsewhere.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use crate::compression::Trial;
use crate::{Identity, Tier};

/// Of one identity since the store was opened; what it has stored is counted from what was found at the start on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TenantStatus {
    pub identity: Identity,
    /// Space that its segments take on fast devices, without what open ones claimed ahead.
    pub stored_bytes: u64,
    /// The same on slow ones.
    pub slow_bytes: u64,
    /// Taken in and not written yet.
    pub queued_bytes: u64,
    /// What it may have on fast devices, stored and queued together; `None`: all there is.
    pub quota_bytes: Option<u64>,
    /// Bytes of records that were not kept for want of room or quota.
    pub declined_bytes: u64,
    /// Bytes that readers took, from segments or not.
    pub read_bytes: u64,
}

const NO_QUOTA: u64 = u64::MAX;

pub(crate) struct Tenant {
    identity: Identity,
    /// A segment's parts of it change one after the other, so for a moment it may be below zero.
    stored: AtomicI64,
    slow: AtomicI64,
    queued: AtomicU64,
    quota: AtomicU64,
    declined: AtomicU64,
    read: AtomicU64,
    is_short: AtomicBool,
    pub trial: Trial,
}

impl Tenant {
    fn new(identity: Identity) -> Tenant {
        Tenant {
            identity,
            stored: AtomicI64::new(0),
            slow: AtomicI64::new(0),
            queued: AtomicU64::new(0),
            quota: AtomicU64::new(NO_QUOTA),
            declined: AtomicU64::new(0),
            read: AtomicU64::new(0),
            is_short: AtomicBool::new(false),
            trial: Trial::default(),
        }
    }

    pub fn add_stored(&self, tier: Tier, bytes: u64) {
        self.stored_on(tier).fetch_add(bytes as i64, Ordering::Relaxed);
    }

    pub fn take_stored(&self, tier: Tier, bytes: u64) {
        self.stored_on(tier).fetch_sub(bytes as i64, Ordering::Relaxed);
    }

    pub fn add_queued(&self, bytes: u64) {
        self.queued.fetch_add(bytes, Ordering::Relaxed);
    }

    pub fn take_queued(&self, bytes: u64) {
        self.queued.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub fn add_declined(&self, bytes: u64) {
        self.declined.fetch_add(bytes, Ordering::Relaxed);
    }

    pub fn add_read(&self, bytes: u64) {
        self.read.fetch_add(bytes, Ordering::Relaxed);
    }

    pub fn set_quota(&self, bytes: Option<u64>) {
        self.quota.store(bytes.unwrap_or(NO_QUOTA), Ordering::Relaxed);
    }

    /// There is too little room for all that is in use.
    pub fn is_short(&self) -> bool {
        self.is_short.load(Ordering::Relaxed)
    }

    pub fn set_short(&self, is_short: bool) {
        self.is_short.store(is_short, Ordering::Relaxed);
    }

    /// Bytes that its quota leaves.
    pub fn room(&self) -> u64 {
        let has = self.stored_bytes(Tier::Fast).saturating_add(self.queued.load(Ordering::Relaxed));
        self.quota.load(Ordering::Relaxed).saturating_sub(has)
    }

    fn stored_on(&self, tier: Tier) -> &AtomicI64 {
        match tier {
            Tier::Fast => &self.stored,
            Tier::Slow => &self.slow,
        }
    }

    fn stored_bytes(&self, tier: Tier) -> u64 {
        self.stored_on(tier).load(Ordering::Relaxed).try_into().unwrap_or(0)
    }

    fn status(&self) -> TenantStatus {
        let quota = self.quota.load(Ordering::Relaxed);
        TenantStatus {
            identity: self.identity,
            stored_bytes: self.stored_bytes(Tier::Fast),
            slow_bytes: self.stored_bytes(Tier::Slow),
            queued_bytes: self.queued.load(Ordering::Relaxed),
            quota_bytes: (quota != NO_QUOTA).then_some(quota),
            declined_bytes: self.declined.load(Ordering::Relaxed),
            read_bytes: self.read.load(Ordering::Relaxed),
        }
    }
}

/// Every identity that was ever heard of in this run: a few.
#[derive(Default)]
pub(crate) struct Tenants(RwLock<HashMap<Identity, Arc<Tenant>>>);

impl Tenants {
    pub fn of(&self, identity: &Identity) -> Arc<Tenant> {
        if let Some(known) = self.0.read().unwrap_or_else(PoisonError::into_inner).get(identity) {
            return known.clone();
        }
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        all.entry(*identity).or_insert_with(|| Arc::new(Tenant::new(*identity))).clone()
    }

    pub fn statuses(&self) -> Vec<TenantStatus> {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        all.values().map(|tenant| tenant.status()).collect()
    }
}
