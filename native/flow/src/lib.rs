//! Flow: how sample bytes, descriptors and control messages travel between a daemon and the processes of its node.
//! Layouts: docs/formats.md "Flow frames".

mod client;
mod cursor;
mod frame;
#[cfg(test)]
mod golden;
mod message;
mod object_list;
mod piece;
mod server;

pub use client::{
    Ahead, Batch, BatchRequest, Came, Cancel, Client, ClientConfig, ClientStatus, KNOWN_BYTES_MAX,
    KnownBatch, KnownRequest, Limits, PlanPosition, Ranges, Replay, Replayed, Sample, Selection,
    Tally, Waits,
};
pub use message::Receipt;
pub use object_list::{decode_objects, encode_objects};
pub use server::{Control, ControlCall, ControlReply, Server, ServerConfig, ServerStatus};
