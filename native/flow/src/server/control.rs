//! Control messages: opaque here, answered by whoever starts the server.

use std::sync::Arc;
use std::time::Duration;

use millpool_core::{Code, Error};

use super::message_room::Held;
use super::outbox::Answered;
use super::peer::{Admitted, Peer};
use crate::frame::{Kind, PAYLOAD_MAX};
use crate::message::{Receipt, encode_error};

/// The side of the server that decides. Called on the server's threads; must not block.
pub trait Control: Send + Sync {
    fn call(&self, call: ControlCall, reply: ControlReply);
    /// The caller gave up, or its connection ended; the reply, if it still comes, is not sent.
    fn cancelled(&self, connection: u64, request: u64);
    fn receipt(&self, connection: u64, receipt: Receipt);
    /// A connection ended: by an error of its own, by its client, or with the server.
    fn closed(&self, connection: u64, why: &Error);
}

pub struct ControlCall {
    /// Never used for another connection of this server.
    pub connection: u64,
    /// Chosen by the client.
    pub request: u64,
    /// The process at the other end, as the kernel says; 0 when it does not.
    pub pid: u32,
    pub body: Vec<u8>,
    /// How long the caller waits.
    pub timeout: Duration,
}

/// Answers one call, once. Dropped without an answer, it tells the caller so.
pub struct ControlReply {
    peer: Arc<Peer>,
    request: u64,
    admitted: Option<Admitted>,
}

impl ControlReply {
    pub(super) fn new(peer: Arc<Peer>, request: u64, admitted: Admitted) -> Self {
        ControlReply { peer, request, admitted: Some(admitted) }
    }

    /// Where all room of answers is taken, the caller is told that instead.
    pub fn send(mut self, body: &[u8]) {
        if body.len() > PAYLOAD_MAX as usize {
            let message = format!("a reply of {} bytes; {PAYLOAD_MAX} at most", body.len());
            return self.fail(&Error::new(Code::Invalid, message));
        }
        let replies = &self.peer.shared.replies;
        match replies.take_now(body.len()) {
            Some(room) => self.answer(Kind::ControlReply, body, Some(room)),
            None => {
                let error = replies.full(body.len());
                self.fail(&error);
            }
        }
    }

    pub fn fail(mut self, error: &Error) {
        self.answer(Kind::Error, &encode_error(error), None);
    }

    fn answer(&mut self, kind: Kind, payload: &[u8], room: Option<Held>) {
        if let Some(Admitted { permit, .. }) = self.admitted.take() {
            self.peer.end(self.request);
            let answered = Answered { _request: permit, _room: room };
            self.peer.outbox.reply(kind, self.request, payload, answered);
        }
    }
}

impl Drop for ControlReply {
    fn drop(&mut self) {
        let error = Error::new(Code::Closed, "the daemon stopped before it answered");
        self.answer(Kind::Error, &encode_error(&error), None);
    }
}
