//! What the daemon is told after batches. Nobody waits for it, and nothing is wrong where it does not arrive.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::link::Link;
use crate::frame::{Kind, frame};
use crate::message::Receipt;

/// A receipt is worth no longer wait.
const PATIENCE: Duration = Duration::from_secs(1);
/// Batches that take a fraction of this share a receipt: each one costs a system call, and wakes the daemon.
const SHARED: Duration = Duration::from_millis(2);

#[derive(Default)]
pub struct Receipts(Mutex<State>);

#[derive(Default)]
struct State {
    kept: Option<Receipt>,
    sent: Option<Instant>,
}

impl Receipts {
    /// With those that were kept.
    pub fn send(&self, link: &Link, receipt: Receipt) {
        let other = self.state().add(receipt);
        let _ = other.map(|other| link.send(&message(&other), Instant::now() + PATIENCE));
        self.flush(link);
    }

    /// Sent with others: before the next message to the daemon, or after the first batch that ends [`SHARED`] after the
    /// last one that was sent. Waits for nothing.
    pub fn keep(&self, link: &Link, receipt: Receipt) {
        let mut state = self.state();
        let other = state.add(receipt);
        let _ = other.map(|other| link.offer(&message(&other), PATIENCE));
        if state.sent.is_none_or(|sent| sent.elapsed() >= SHARED) {
            state.sent = Some(Instant::now());
            // Kept on where the daemon has no room for it.
            state.kept.take_if(|kept| link.offer(&message(kept), PATIENCE));
        }
    }

    /// What was kept goes now.
    pub fn flush(&self, link: &Link) {
        let kept = self.state().kept.take();
        let _ = kept.map(|kept| link.send(&message(&kept), Instant::now() + PATIENCE));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// One of another plan than those that are kept takes their place.
    fn add(&mut self, receipt: Receipt) -> Option<Receipt> {
        match &mut self.kept {
            Some(kept) if kept.plan == receipt.plan => {
                kept.merge(receipt);
                None
            }
            _ => self.kept.replace(receipt),
        }
    }
}

fn message(receipt: &Receipt) -> Vec<u8> {
    frame(Kind::Receipt, 0, &receipt.encode())
}
