//! Whether somebody waits for a fetch: what is fetched ahead may come to be waited for while it is under way.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// False, until it is told once; one task at most waits for that.
#[derive(Default)]
pub(crate) struct Awaited {
    is: AtomicBool,
    news: Notify,
}

impl Awaited {
    pub fn tell(&self) {
        self.is.store(true, Ordering::Release);
        self.news.notify_one();
    }

    pub async fn told(&self) {
        while !self.is.load(Ordering::Acquire) {
            self.news.notified().await;
        }
    }
}
