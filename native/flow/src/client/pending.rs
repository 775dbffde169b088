//! What a request waits in: filled by the connection's reader thread, or failed when the connection or the caller ends.

use std::fs::File;
use std::sync::Arc;

use millpool_core::Error;

use super::delivery::Delivery;
use super::mailbox::Mailbox;
use super::wait::Abandon;
use crate::message::Described;

#[derive(Clone)]
pub enum Pending {
    Control(Arc<Mailbox<Vec<u8>>>),
    Described(Arc<Mailbox<(Described, Option<File>)>>),
    Read(Arc<Delivery>),
}

impl Abandon for Pending {
    fn abandon(&self, error: &Error) {
        match self {
            Pending::Control(mailbox) => mailbox.abandon(error),
            Pending::Described(mailbox) => mailbox.abandon(error),
            Pending::Read(delivery) => delivery.abandon(error),
        }
    }
}
