//! What the engine tells JavaScript: control calls as they come, receipts gathered over a while.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use millpool_core::Error;
use millpool_flow::{Control, ControlCall, ControlReply, Receipt};
use napi::bindgen_prelude::{Uint8Array, Uint32Array};
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi_derive::napi;
use tokio::runtime::Handle;

/// Receipts of this long make one call.
const GATHER: Duration = Duration::from_millis(20);

#[napi(object)]
pub struct NativeEvent {
    pub kind: String,
    pub connection: f64,
    pub call: Option<f64>,
    pub body: Option<Uint8Array>,
    pub timeout_ms: Option<f64>,
    pub pid: Option<u32>,
    pub receipts: Option<Vec<NativeReceipt>>,
}

#[napi(object)]
pub struct NativeReceipt {
    pub connection: f64,
    pub plan: u32,
    pub position: f64,
    pub samples: f64,
    pub hit_samples: f64,
    pub bytes: f64,
    pub segments: Uint32Array,
}

pub(crate) type Listener =
    ThreadsafeFunction<NativeEvent, (), NativeEvent, napi::Status, false, true>;

/// One row a connection and plan.
#[derive(Default)]
struct Row {
    position: u64,
    samples: u64,
    hit_samples: u64,
    bytes: u64,
    segments: Vec<u32>,
}

pub(crate) struct Events {
    listener: Listener,
    runtime: Handle,
    replies: Mutex<HashMap<(u64, u64), ControlReply>>,
    rows: Arc<Mutex<HashMap<(u64, u32), Row>>>,
    own: std::sync::Weak<Events>,
}

impl Events {
    pub fn new(listener: Listener, runtime: Handle) -> Arc<Events> {
        Arc::new_cyclic(|own| Events {
            listener,
            runtime,
            replies: Mutex::default(),
            rows: Arc::default(),
            own: own.clone(),
        })
    }

    /// `None` when the caller is gone.
    pub fn take_reply(&self, connection: u64, call: u64) -> Option<ControlReply> {
        self.replies.lock().unwrap_or_else(PoisonError::into_inner).remove(&(connection, call))
    }

    /// Those that nobody will answer any more tell their callers so.
    pub fn drop_replies(&self) {
        let replies =
            std::mem::take(&mut *self.replies.lock().unwrap_or_else(PoisonError::into_inner));
        drop(replies);
    }

    fn tell(&self, event: NativeEvent) {
        self.listener.call(event, ThreadsafeFunctionCallMode::NonBlocking);
    }

    fn tell_receipts(&self) {
        let rows = std::mem::take(&mut *self.rows.lock().unwrap_or_else(PoisonError::into_inner));
        let receipts = rows.into_iter().map(|((connection, plan), row)| NativeReceipt {
            connection: connection as f64,
            plan,
            position: row.position as f64,
            samples: row.samples as f64,
            hit_samples: row.hit_samples as f64,
            bytes: row.bytes as f64,
            segments: Uint32Array::new(row.segments),
        });
        self.tell(NativeEvent { receipts: Some(receipts.collect()), ..event("receipts", 0) });
    }
}

fn event(kind: &str, connection: u64) -> NativeEvent {
    NativeEvent {
        kind: kind.to_owned(),
        connection: connection as f64,
        call: None,
        body: None,
        timeout_ms: None,
        pid: None,
        receipts: None,
    }
}

impl Control for Events {
    fn call(&self, call: ControlCall, reply: ControlReply) {
        let name = (call.connection, call.request);
        self.replies.lock().unwrap_or_else(PoisonError::into_inner).insert(name, reply);
        self.tell(NativeEvent {
            call: Some(call.request as f64),
            body: Some(Uint8Array::new(call.body)),
            timeout_ms: Some(call.timeout.as_millis() as f64),
            pid: Some(call.pid),
            ..event("control", call.connection)
        });
    }

    fn cancelled(&self, connection: u64, request: u64) {
        drop(self.take_reply(connection, request));
        self.tell(NativeEvent { call: Some(request as f64), ..event("cancelled", connection) });
    }

    fn receipt(&self, connection: u64, receipt: Receipt) {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        let first = rows.is_empty();
        let row = rows.entry((connection, receipt.plan)).or_default();
        row.position = row.position.max(receipt.position);
        row.samples += u64::from(receipt.samples);
        row.hit_samples += u64::from(receipt.hit_samples);
        row.bytes += receipt.bytes;
        for segment in receipt.segments {
            if !row.segments.contains(&segment) {
                row.segments.push(segment);
            }
        }
        if let (true, Some(own)) = (first, self.own.upgrade()) {
            self.runtime.spawn(async move {
                tokio::time::sleep(GATHER).await;
                own.tell_receipts();
            });
        }
    }

    fn closed(&self, connection: u64, _why: &Error) {
        self.tell(event("closed", connection));
    }
}
