//! The daemon's side of flow: a task a connection, on a runtime that is handed in.

mod connection;
mod control;
mod message_room;
mod outbox;
mod peer;
mod read;
mod socket;

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use millpool_core::{Error, Fill, Identity, Result, Store};
use tokio::net::UnixListener;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};

pub use control::{Control, ControlCall, ControlReply};
use message_room::MessageRoom;
use outbox::Outbox;

use crate::frame::Kind;
use crate::message::Notice;

/// How long `stop` waits for what was queued before it to be written.
const STOP_PATIENCE: Duration = Duration::from_secs(5);
/// After accept failed (no descriptors left, most likely).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Where others wait for memory, the twelfth part of what a client has else.
const SHORT_STALL: u32 = 12;
/// Records that are read and checked at once before they are sent.
const CHECKS_MAX: usize = 16;

pub struct ServerConfig {
    pub socket: PathBuf,
    /// Permission bits of the socket's file.
    pub mode: u32,
    pub store: Arc<Store>,
    pub fill: Arc<dyn Fill>,
    pub control: Arc<dyn Control>,
    /// Known before the first client is served.
    pub attachments: HashMap<u32, Identity>,
    /// Folder of `VERSION.dataset` files, the version as 64 hex digits.
    pub datasets: PathBuf,
    /// Bytes of pieces that may be under way for one connection.
    pub in_flight_max: u64,
    /// Bytes of requests of all connections that are not answered yet, and of answers that are not written yet.
    pub request_bytes: usize,
    pub reply_bytes: usize,
    /// A client that takes nothing for so long, or leaves a request half sent, is dropped; a twelfth
    /// of it is enough while others wait for memory.
    pub stall: Duration,
    pub runtime: Handle,
}

#[derive(Default)]
pub struct ServerCounters {
    connections: AtomicU64,
    served_records: AtomicU64,
    served_bytes: AtomicU64,
}

/// Of the server's life, but for the connections of now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ServerStatus {
    pub connections: u64,
    pub served_records: u64,
    pub served_bytes: u64,
}

struct Shared {
    config: ServerConfig,
    store: Arc<Store>,
    incarnation: u64,
    identities: RwLock<HashMap<u32, Identity>>,
    outboxes: Mutex<HashMap<u64, Outbox>>,
    requests: MessageRoom,
    replies: MessageRoom,
    checks: Arc<Semaphore>,
    counters: ServerCounters,
    stopping: watch::Sender<bool>,
}

impl Shared {
    /// How long a client may do nothing.
    fn patience(&self) -> Duration {
        let is_short =
            self.requests.is_short() || self.replies.is_short() || self.config.fill.is_short();
        if is_short { self.config.stall / SHORT_STALL } else { self.config.stall }
    }

    fn identity(&self, attachment: u32) -> Option<Identity> {
        self.identities.read().unwrap_or_else(PoisonError::into_inner).get(&attachment).copied()
    }

    /// The newest, where several are of one bucket.
    fn attachment_of(&self, identity: &Identity) -> Option<u32> {
        let identities = self.identities.read().unwrap_or_else(PoisonError::into_inner);
        identities.iter().filter(|(_, of)| *of == identity).map(|(number, _)| *number).max()
    }

    fn outboxes(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Outbox>> {
        self.outboxes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub struct Server {
    shared: Arc<Shared>,
    /// Device and inode of the socket's file, to remove no other's.
    socket_inode: (u64, u64),
}

impl Server {
    /// Listens, and serves from now on. `Exists`, naming the socket, when another daemon answers there.
    pub fn start(mut config: ServerConfig) -> Result<Server> {
        let listener = socket::listen(&config.socket, config.mode)?;
        let metadata = std::fs::symlink_metadata(&config.socket)
            .map_err(|e| Error::io(format_args!("looking at {}", config.socket.display()), &e))?;
        let socket_inode = (metadata.dev(), metadata.ino());
        let runtime = config.runtime.clone();
        let shared = Arc::new(Shared {
            store: config.store.clone(),
            requests: MessageRoom::new("a request", config.request_bytes),
            replies: MessageRoom::new("an answer", config.reply_bytes),
            checks: Arc::new(Semaphore::new(CHECKS_MAX)),
            identities: RwLock::new(std::mem::take(&mut config.attachments)),
            config,
            // 0 is a client's for none.
            incarnation: random_number() | 1,
            outboxes: Mutex::default(),
            counters: ServerCounters::default(),
            stopping: watch::Sender::new(false),
        });
        let _context = runtime.enter();
        let listener = UnixListener::from_std(listener)
            .map_err(|e| Error::io("registering the socket", &e))?;
        runtime.spawn(accept(listener, shared.clone()));
        Ok(Server { shared, socket_inode })
    }

    /// Objects of `attachment` are of `identity` from now on.
    pub fn attach(&self, attachment: u32, identity: Identity) {
        self.shared
            .identities
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(attachment, identity);
    }

    pub fn detach(&self, attachment: u32) {
        self.shared.identities.write().unwrap_or_else(PoisonError::into_inner).remove(&attachment);
    }

    /// Tells every client that these segments (number, generation) are unlinked, so that it drops its mappings.
    pub fn segments_gone(&self, segments: Vec<(u32, u32)>) {
        let payload = Notice::SegmentsGone(segments).encode();
        for outbox in self.shared.outboxes().values() {
            outbox.send(Kind::Notice, 0, &payload);
        }
    }

    /// Of answers that no client has taken yet.
    pub fn unsent_bytes(&self) -> usize {
        self.shared.replies.held_bytes()
    }

    pub fn status(&self) -> ServerStatus {
        let counters = &self.shared.counters;
        ServerStatus {
            connections: counters.connections.load(Ordering::Relaxed),
            served_records: counters.served_records.load(Ordering::Relaxed),
            served_bytes: counters.served_bytes.load(Ordering::Relaxed),
        }
    }

    /// Stops listening, removes the socket, sends what is queued, and ends all connections. Idempotent.
    pub async fn stop(&self) {
        let shared = &self.shared;
        if shared.stopping.send_replace(true) {
            return;
        }
        let path = &shared.config.socket;
        if std::fs::symlink_metadata(path)
            .is_ok_and(|file| (file.dev(), file.ino()) == self.socket_inode)
        {
            let _ = std::fs::remove_file(path);
        }
        for outbox in shared.outboxes().values() {
            outbox.send(Kind::Notice, 0, &Notice::Stopping.encode());
            outbox.close();
        }
        // The sender sees its receivers go: the accept loop and each connection hold one.
        let _ = tokio::time::timeout(STOP_PATIENCE, shared.stopping.closed()).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stopping.send_replace(true);
    }
}

async fn accept(listener: UnixListener, shared: Arc<Shared>) {
    let mut stopping = shared.stopping.subscribe();
    let mut next_connection = 1;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopping.wait_for(|stop| *stop) => return,
        };
        match accepted {
            Ok((stream, _)) => {
                tokio::spawn(connection::serve(stream, next_connection, shared.clone()));
                next_connection += 1;
            }
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

fn random_number() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    // Each RandomState is keyed anew by the operating system's random numbers.
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}
