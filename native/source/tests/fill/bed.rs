//! A filler over a real store, and wants that are answered once or fail the test.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use millpool_core::{
    Asker, DeviceConfig, Error, Fill, Filled, Identity, ObjectRef, Store, StoreConfig, Tier,
    Urgency, Want,
};
use millpool_source::{Credentials, Filler, FillerConfig, SourceConfig, Timeouts};

use crate::origin::Origin;

/// No test waits for longer than this before it fails.
pub const PATIENCE: Duration = Duration::from_secs(60);
pub const BUCKET: &str = "photos";

pub struct Bed {
    pub store: Arc<Store>,
    pub filler: Arc<Filler>,
    pub runtime: Option<tokio::runtime::Runtime>,
    pub place: tempfile::TempDir,
}

pub struct Terms {
    pub timeouts: Timeouts,
    pub max_requests: usize,
    pub budget_bytes: u64,
    pub hedge: bool,
}

impl Default for Terms {
    /// Patient, so that a slow machine changes no count of requests; and without second ones.
    fn default() -> Self {
        let timeouts = Timeouts {
            first_byte_small: PATIENCE,
            first_byte: PATIENCE,
            progress: PATIENCE,
            ..Timeouts::default()
        };
        Terms { timeouts, max_requests: 512, budget_bytes: 64 << 20, hedge: false }
    }
}

impl Terms {
    /// For sources that hang: each phase ends soon, and is tried again.
    pub fn impatient() -> Self {
        let timeouts = Timeouts {
            first_byte: Duration::from_millis(400),
            first_byte_small: Duration::from_millis(100),
            progress: Duration::from_millis(200),
            attempt: Duration::from_millis(1500),
            credentials: Duration::from_millis(100),
            ..Timeouts::default()
        };
        Terms { timeouts, ..Terms::default() }
    }
}

pub type Answer = (usize, Result<Filled, Error>);

impl Bed {
    pub fn new(terms: Terms) -> Bed {
        let place = tempfile::tempdir().unwrap();
        let cache = DeviceConfig {
            path: place.path().join("cache"),
            tier: Tier::Fast,
            size_bytes: 1 << 30,
            reserve_bytes: 0,
        };
        let store = Store::open(StoreConfig {
            devices: vec![cache],
            extent_delay: Duration::from_millis(5),
            idle_seal: PATIENCE,
            table_bytes: 1 << 30,
        })
        .unwrap();
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(2).enable_all().build().unwrap();
        let filler = Filler::new(FillerConfig {
            store: store.clone(),
            budget_bytes: terms.budget_bytes,
            runtime: runtime.handle().clone(),
            timeouts: terms.timeouts,
            max_requests: terms.max_requests,
            hedge: terms.hedge,
        })
        .unwrap();
        Bed { store, filler, runtime: Some(runtime), place }
    }

    /// A bed and an origin that is attached to it as 1, with credentials.
    pub fn with_origin(terms: Terms) -> (Bed, Origin) {
        let (bed, origin) = (Bed::new(terms), Origin::start());
        bed.attach(1, origin.source());
        bed.filler.set_credentials(1, Some(keys("AKIDEXAMPLE")));
        (bed, origin)
    }

    pub fn attach(&self, attachment: u32, source: SourceConfig) {
        let identity = Identity::of(&format!("{source:?}"));
        self.store.attach(attachment, identity, true);
        self.filler.attach(attachment, identity, source).unwrap();
    }

    pub fn folder(&self) -> PathBuf {
        self.place.path().join("source")
    }

    /// Answers come as they are given.
    pub fn ask(&self, wants: Vec<Want>, urgency: Urgency) -> Receiver<Answer> {
        self.ask_as(Asker { urgency, number: 0 }, wants)
    }

    pub fn ask_as(&self, asker: Asker, wants: Vec<Want>) -> Receiver<Answer> {
        let (send, receive) = channel();
        let send = Mutex::new(send);
        let done = move |index, answer| {
            // A test that has seen enough no longer listens.
            let _ = send.lock().unwrap().send((index, answer));
        };
        self.filler.fill(wants, asker, Arc::new(done));
        receive
    }

    pub fn fill(&self, wants: Vec<Want>) -> Vec<Result<Filled, Error>> {
        let count = wants.len();
        collect(&self.ask(wants, Urgency::Reader), count)
    }

    pub fn fill_one(&self, object: &Arc<ObjectRef>, piece: u32) -> Result<Filled, Error> {
        self.fill(vec![Want { object: object.clone(), piece }]).remove(0)
    }

    pub fn bytes(&self, object: &Arc<ObjectRef>, piece: u32) -> Vec<u8> {
        self.bytes_of(&self.fill_one(object, piece).unwrap_or_else(|error| panic!("{error}")))
    }

    pub fn error(&self, object: &Arc<ObjectRef>, piece: u32) -> Error {
        self.fill_one(object, piece).err().expect("it fails")
    }

    /// Checks the checksum too.
    pub fn bytes_of(&self, filled: &Filled) -> Vec<u8> {
        match filled {
            Filled::Resident(location) => self.store.read(location).unwrap(),
            Filled::Fetched { record, .. } => {
                assert_eq!(crc_fast::crc32_iscsi(record.bytes()), record.crc());
                record.bytes().to_vec()
            }
        }
    }
}

/// In the order of the wants; fails when one is not answered, or twice.
pub fn collect(answers: &Receiver<Answer>, count: usize) -> Vec<Result<Filled, Error>> {
    let mut collected: Vec<_> = (0..count).map(|_| None).collect();
    for _ in 0..count {
        let (index, answer) = answers.recv_timeout(PATIENCE).expect("every want is answered");
        assert!(collected[index].replace(answer).is_none(), "want {index} was answered twice");
    }
    assert!(answers.try_recv().is_err(), "an answer too many");
    collected.into_iter().flatten().collect()
}

pub fn want(object: &Arc<ObjectRef>) -> Want {
    Want { object: object.clone(), piece: 0 }
}

pub fn keys(access_key: &str) -> Credentials {
    Credentials {
        access_key: access_key.into(),
        secret_key: "hush-hush".into(),
        session_token: None,
        expires: None,
    }
}
