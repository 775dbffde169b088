//! One thread a device takes records in, packs them into extents, and publishes them once they are written. This is how
//! others see it; `writer_thread.rs` is what it does.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use crate::catalog::Catalog;
use crate::device::Device;
use crate::extent::Record;
use crate::inbox::{Inbox, Unsettled};
use crate::writer_thread::{WriterParts, WriterThread};
use crate::{Code, Error, Identity, Result};

pub(crate) struct Writer {
    pub device: Arc<Device>,
    catalog: Arc<Catalog>,
    inbox: Arc<Inbox>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    pub fn start(device: Arc<Device>, parts: WriterParts) -> Result<Writer> {
        let inbox = Arc::new(Inbox::default());
        let catalog = parts.catalog.clone();
        let work = WriterThread::new(inbox.clone(), device.clone(), parts);
        let thread = std::thread::Builder::new()
            .name(format!("millpool-dev{}", device.index))
            .spawn(move || work.run())
            .map_err(|error| Error::io("starting a writer thread", &error))?;
        Ok(Writer { device, catalog, inbox, thread: Mutex::new(Some(thread)) })
    }

    /// Takes a record in. False when the thread has ended.
    pub fn push(&self, identity: Identity, record: Record) -> bool {
        let len = u64::from(record.len());
        let tenant = self.catalog.tenants.of(&identity);
        self.device.add_queued(len);
        tenant.add_queued(len);
        let is_taken = self.inbox.push(identity, record);
        if !is_taken {
            self.device.take_queued(len);
            tenant.take_queued(len);
        }
        is_taken
    }

    /// Seals the open segment of `identity` soon, if there is one.
    pub fn seal(&self, identity: Identity) {
        self.inbox.seal(identity);
    }

    /// Returns when all that was pushed before is published, or was dropped because the device refused it.
    pub fn flush(&self, deadline: Instant) -> Result<()> {
        let path = self.device.path().display();
        self.inbox.flush(deadline).map_err(|unsettled| match unsettled {
            Unsettled::Ended => Error::new(Code::Closed, format!("the writer of {path} has ended")),
            Unsettled::Late => {
                Error::new(Code::Timeout, format!("waited for {path} to write what was queued"))
            }
        })
    }

    /// Writes what is queued, seals all, ends the thread. Idempotent.
    pub fn close(&self) {
        self.inbox.close();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // A fault in there has marked the device already.
            let _ = thread.join();
        }
    }
}
