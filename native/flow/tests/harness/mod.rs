//! A node in one process: a real store on real files, a server on a real socket, and a source that is a folder.
#![allow(dead_code)] // each test file uses its part

use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use millpool_core::{
    Asker, Code, Dataset, DatasetRoot, DatasetWriter, DeviceConfig, Done, Error, Fill, Filled,
    Identity, ObjectRef, PIECE_BYTES, RecordBytes, Result, Store, StoreConfig, Tier, Want,
    piece_len,
};
use millpool_flow::{
    Batch, Client, ClientConfig, Control, ControlCall, ControlReply, Limits, Receipt, Sample,
    Selection, Server, ServerConfig,
};
use tempfile::TempDir;

pub const ATTACHMENT: u32 = 7;
pub const PATIENCE: Duration = Duration::from_secs(20);

pub fn identity() -> Identity {
    Identity::of("local\0test")
}

/// Waits for `true`; a test that would wait for ever says for what.
pub fn eventually(what: &str, mut check: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !check() {
        assert!(Instant::now() < deadline, "never happened: {what}");
        std::thread::yield_now();
    }
}

/// Lets fills through, or holds them back.
#[derive(Default)]
pub struct Gate {
    shut: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    pub fn set_shut(&self, shut: bool) {
        *self.shut.lock().unwrap() = shut;
        self.opened.notify_all();
    }

    fn pass(&self) {
        drop(self.opened.wait_while(self.shut.lock().unwrap(), |shut| *shut).unwrap());
    }
}

/// Reads pieces from files, stores them, and counts.
pub struct FolderFill {
    pub root: PathBuf,
    pub store: Arc<Store>,
    pub gate: Gate,
    pub asked: AtomicUsize,
}

struct Bytes(Vec<u8>, u32);

impl RecordBytes for Bytes {
    fn bytes(&self) -> &[u8] {
        &self.0
    }

    fn crc(&self) -> u32 {
        self.1
    }
}

impl FolderFill {
    fn one(&self, want: &Want) -> Result<Filled> {
        let key = want.object.key(&identity()).piece(want.piece);
        if let Some(location) = self.store.lookup(&key) {
            return Ok(Filled::Resident(location));
        }
        let path = self.root.join(std::str::from_utf8(&want.object.source_key).unwrap());
        let file = std::fs::File::open(&path).map_err(|e| Error::io(path.display(), &e))?;
        let mut bytes = vec![0; piece_len(want.object.size, want.piece) as usize];
        file.read_exact_at(&mut bytes, u64::from(want.piece) * PIECE_BYTES)
            .map_err(|e| Error::new(Code::SourceBroken, format!("{}: {e}", path.display())))?;
        let crc = crc_fast::crc32_iscsi(&bytes);
        let record: Arc<dyn RecordBytes> = Arc::new(Bytes(bytes, crc));
        self.store.append(want.object.attachment, key, want.piece, record.clone());
        Ok(Filled::Fetched { record, first: true })
    }
}

/// The fill that a server is given: a thread a call.
pub struct Threaded(pub Arc<FolderFill>);

impl Fill for Threaded {
    fn fill(&self, wants: Vec<Want>, _asker: Asker, done: Done) {
        let fill = self.0.clone();
        fill.asked.fetch_add(wants.len(), Ordering::SeqCst);
        std::thread::spawn(move || {
            for (n, want) in wants.iter().enumerate() {
                fill.gate.pass();
                done(n, fill.one(want));
            }
        });
    }
}

/// Echoes, but for bodies that say otherwise.
#[derive(Default)]
pub struct Echo {
    pub held: Mutex<Vec<ControlReply>>,
    pub cancelled: AtomicUsize,
    pub receipts: Mutex<Vec<Receipt>>,
    pub closed: Mutex<Vec<Error>>,
}

impl Control for Echo {
    fn call(&self, call: ControlCall, reply: ControlReply) {
        assert_eq!(call.pid, std::process::id());
        match call.body.as_slice() {
            b"hold" => self.held.lock().unwrap().push(reply),
            b"drop" => drop(reply),
            b"fail" => reply.fail(&Error::new(Code::Refused, "no")),
            body => reply.send(body),
        }
    }

    fn cancelled(&self, _connection: u64, _request: u64) {
        self.cancelled.fetch_add(1, Ordering::SeqCst);
    }

    fn receipt(&self, _connection: u64, receipt: Receipt) {
        self.receipts.lock().unwrap().push(receipt);
    }

    fn closed(&self, _connection: u64, why: &Error) {
        self.closed.lock().unwrap().push(why.clone());
    }
}

pub struct Node {
    pub folder: TempDir,
    pub store: Arc<Store>,
    pub fill: Arc<FolderFill>,
    pub control: Arc<Echo>,
    pub runtime: tokio::runtime::Runtime,
    pub server: Option<Server>,
    pub stall: Duration,
}

impl Node {
    pub fn start() -> Node {
        Self::start_with(Duration::from_secs(30))
    }

    pub fn start_with(stall: Duration) -> Node {
        let folder = tempfile::tempdir().unwrap();
        for name in ["source", "data", "datasets"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        let device = DeviceConfig {
            path: folder.path().join("data"),
            tier: Tier::Fast,
            size_bytes: 1 << 30,
            reserve_bytes: 0,
        };
        let (extent_delay, idle_seal) = (Duration::from_millis(5), Duration::from_secs(30));
        let store = Store::open(StoreConfig {
            devices: vec![device],
            extent_delay,
            idle_seal,
            table_bytes: 1 << 30,
        })
        .unwrap();
        store.attach(ATTACHMENT, identity(), true);
        let fill = Arc::new(FolderFill {
            root: folder.path().join("source"),
            store: store.clone(),
            gate: Gate::default(),
            asked: AtomicUsize::new(0),
        });
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let control = Arc::new(Echo::default());
        let mut node = Node { folder, store, fill, control, runtime, server: None, stall };
        node.serve();
        node
    }

    pub fn config(&self) -> ServerConfig {
        ServerConfig {
            socket: self.socket(),
            mode: 0o600,
            store: self.store.clone(),
            fill: Arc::new(Threaded(self.fill.clone())),
            control: self.control.clone(),
            attachments: [(ATTACHMENT, identity())].into(),
            datasets: self.folder.path().join("datasets"),
            in_flight_max: 8 << 20,
            request_bytes: 16 << 20,
            reply_bytes: 16 << 20,
            stall: self.stall,
            runtime: self.runtime.handle().clone(),
        }
    }

    pub fn serve(&mut self) {
        self.server = Some(Server::start(self.config()).unwrap());
    }

    pub fn stop(&mut self) {
        if let Some(server) = self.server.take() {
            self.runtime.block_on(server.stop());
        }
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("sock")
    }

    pub fn client(&self, maps: bool) -> Client {
        let config = ClientConfig { socket: self.socket(), ring_bytes: 256 << 20, maps };
        Client::connect(config, PATIENCE).unwrap()
    }

    /// Puts a file into the source; its bytes depend on its name.
    pub fn put(&self, name: &str, size: usize) -> ObjectRef {
        std::fs::write(self.fill.root.join(name), bytes_of(name, size)).unwrap();
        let tag = b"f:1:2:3:4".to_vec();
        ObjectRef {
            attachment: ATTACHMENT,
            source_key: name.as_bytes().to_vec(),
            size: size as u64,
            tag,
        }
    }

    /// A version of these files, in this order, mapped.
    pub fn dataset(&self, client: &Client, objects: &[ObjectRef]) -> Arc<Dataset> {
        let place = self.folder.path().join("datasets/new");
        let root = DatasetRoot { path: "/data".into(), identity: identity() };
        let mut writer = DatasetWriter::create(&place, root).unwrap();
        for object in objects {
            writer.push(std::str::from_utf8(&object.source_key).unwrap(), object).unwrap();
        }
        let summary = writer.finish().unwrap();
        let hex: String = summary.version.iter().map(|byte| format!("{byte:02x}")).collect();
        std::fs::rename(&place, place.with_file_name(format!("{hex}.dataset"))).unwrap();
        Arc::new(client.dataset(&summary.version, &soon()).unwrap())
    }

    pub fn asked(&self) -> usize {
        self.fill.asked.load(Ordering::SeqCst)
    }

    pub fn segment_files(&self) -> Vec<PathBuf> {
        files_below(&self.folder.path().join("data"))
            .into_iter()
            .filter(|path| path.extension().is_some_and(|ext| ext == "seg" || ext == "open"))
            .collect()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.fill.gate.set_shut(false);
        self.stop();
        self.store.close();
    }
}

pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() { files.extend(files_below(&path)) } else { files.push(path) }
    }
    files
}

/// Different for each name and at each place.
/// Of a name that begins so, each byte comes sixteen times, which compresses well.
pub const REPEATING: &str = "repeating";

pub fn bytes_of(name: &str, size: usize) -> Vec<u8> {
    let mut state = name.bytes().fold(0x9e37_79b9_7f4a_7c15_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    });
    let next = move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u8
    };
    let times = if name.starts_with(REPEATING) { 16 } else { 1 };
    let noise = std::iter::repeat_with(next).take(size.div_ceil(times));
    noise.flat_map(|byte| std::iter::repeat_n(byte, times)).take(size).collect()
}

pub fn soon() -> Limits {
    Limits::until(Instant::now() + PATIENCE)
}

pub fn read(client: &Client, objects: &[ObjectRef]) -> Batch {
    client.read(&Selection::Objects(objects.to_vec()).into(), &soon()).unwrap()
}

/// Every sample is there and has its own bytes.
pub fn assert_whole(batch: &Batch, objects: &[ObjectRef]) {
    for (n, object) in objects.iter().enumerate() {
        let name = std::str::from_utf8(&object.source_key).unwrap();
        let sample = batch.sample(n).unwrap_or_else(|| panic!("{name}: {:?}", batch.samples[n]));
        assert!(sample == bytes_of(name, object.size as usize), "{name} has other bytes");
    }
}

pub fn hits(batch: &Batch) -> usize {
    batch.samples.iter().filter(|sample| matches!(sample, Sample::Hit)).count()
}

/// Everything that comes until the other side closes.
pub fn read_to_end(stream: &mut std::os::unix::net::UnixStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    bytes
}
