//! What an engine is made of, and what takes more than one of its parts.

use std::collections::HashMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use millpool_core::{
    Code, Dataset, DatasetRoot, Error, Identity, ObjectRef, ReadBack, RecordKey, Store,
    piece_count, piece_len,
};
use millpool_flow::Server;
use millpool_source::Filler;
use tokio::runtime::Runtime;

use crate::dataset::hex;
use crate::engine_config::NativeVerified;
use crate::events::Events;

const DATASETS_MAPPED: usize = 8;

pub(crate) struct Parts {
    pub store: Arc<Store>,
    pub filler: Arc<Filler>,
    pub identities: RwLock<HashMap<u32, Identity>>,
    /// Those that were asked for last, newest first: mapping one checks all of it.
    pub datasets: Mutex<Vec<([u8; 32], Arc<Dataset>)>>,
    /// Dataset versions of which every byte was resident, at which count of removals.
    pub whole: Mutex<HashMap<[u8; 32], u64>>,
    /// Once it serves.
    pub serving: Mutex<Option<Serving>>,
    pub runtime: Mutex<Option<Runtime>>,
    /// Loads of objects so far: each is an asker of its own.
    pub fetches: AtomicU64,
}

pub(crate) struct Serving {
    pub server: Arc<Server>,
    pub events: Arc<Events>,
    pub datasets: PathBuf,
}

impl Parts {
    pub fn runtime(&self) -> millpool_core::Result<tokio::runtime::Handle> {
        let runtime = self.runtime.lock().unwrap_or_else(PoisonError::into_inner);
        let closed = || Error::new(Code::Closed, "the engine is closed");
        runtime.as_ref().map(|runtime| runtime.handle().clone()).ok_or_else(closed)
    }

    pub fn whole_at(&self, version: &[u8; 32]) -> millpool_core::Result<Option<u64>> {
        // Before the look-ups: what is removed meanwhile makes the answer old.
        let removals = self.store.removals();
        let known = || self.whole.lock().unwrap_or_else(PoisonError::into_inner);
        if known().get(version) == Some(&removals) {
            return Ok(Some(removals));
        }
        let dataset = self.dataset(version)?;
        if !(0..dataset.len()).all(|sample| self.is_resident(&dataset, sample)) {
            return Ok(None);
        }
        let mut known = known();
        known.retain(|_, at| *at == removals);
        known.insert(*version, removals);
        Ok(Some(removals))
    }

    /// As far as the numbers of a dataset tell: a look-up for each piece. False for a sample that there is none of.
    pub fn is_resident(&self, dataset: &Dataset, sample: u64) -> bool {
        let (Some(key), Some(size)) = (dataset.object_key(sample), dataset.size(sample)) else {
            return false;
        };
        (0..piece_count(size)).all(|piece| {
            let found = self.store.lookup(&key.piece(piece));
            found.is_some_and(|location| location.holds(piece_len(size, piece)))
        })
    }

    pub fn identity(&self, attachment: u32) -> millpool_core::Result<Identity> {
        let identities = self.identities.read().unwrap_or_else(PoisonError::into_inner);
        let missing =
            || Error::new(Code::NotFound, format!("attachment {attachment} is not attached"));
        identities.get(&attachment).copied().ok_or_else(missing)
    }

    pub fn attachment_of(&self, root: &DatasetRoot) -> millpool_core::Result<u32> {
        let identities = self.identities.read().unwrap_or_else(PoisonError::into_inner);
        let same = identities.iter().filter(|(_, identity)| **identity == root.identity);
        let missing =
            || Error::new(Code::NotFound, format!("the source of {} is not attached", root.path));
        same.map(|(attachment, _)| *attachment).max().ok_or_else(missing)
    }

    /// Gives room back that nobody holds any more, and tells clients of segments that went, so that they drop their
    /// mappings.
    pub fn reap(&self) {
        let gone = self.store.reap();
        let serving = self.serving.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(serving), false) = (&*serving, gone.is_empty()) {
            serving.server.segments_gone(gone);
        }
    }

    pub fn dataset(&self, version: &[u8; 32]) -> millpool_core::Result<Arc<Dataset>> {
        let mut datasets = self.datasets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = datasets.iter().position(|(known, _)| known == version) {
            datasets[..=known].rotate_right(1);
            return Ok(datasets[0].1.clone());
        }
        let folder = self
            .serving
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .as_ref()
            .map(|s| s.datasets.clone());
        let folder =
            folder.ok_or_else(|| Error::new(Code::Invalid, "the engine does not serve yet"))?;
        let place = folder.join(format!("{}.dataset", hex(version)));
        let file = File::open(&place)
            .map_err(|error| Error::io(format!("opening {}", place.display()), &error))?;
        let dataset = Arc::new(Dataset::map(&file)?);
        datasets.insert(0, (*version, dataset.clone()));
        datasets.truncate(DATASETS_MAPPED);
        Ok(dataset)
    }

    /// Keys of an object's records, and their lengths.
    pub fn records(&self, object: &ObjectRef) -> millpool_core::Result<Vec<(RecordKey, u32)>> {
        let key = object.key(&self.identity(object.attachment)?);
        Ok((0..piece_count(object.size))
            .map(|piece| (key.piece(piece), piece_len(object.size, piece)))
            .collect())
    }

    /// Keys of the records of all these objects.
    pub fn keys(&self, objects: &[ObjectRef]) -> millpool_core::Result<Vec<RecordKey>> {
        let mut keys = Vec::new();
        for object in objects {
            keys.extend(self.records(object)?.into_iter().map(|(key, _)| key));
        }
        Ok(keys)
    }

    /// Reads all resident records of these objects back, and forgets those that are not what they were.
    pub fn verify(
        &self,
        objects: &[ObjectRef],
        verified: &mut NativeVerified,
    ) -> millpool_core::Result<()> {
        let (mut found, mut locations) = (Vec::new(), Vec::new());
        for (index, object) in objects.iter().enumerate() {
            for (key, _) in self.records(object)? {
                match self.store.lookup(&key) {
                    Some(location) => {
                        found.push((index as u32, key));
                        locations.push(location);
                    }
                    None => verified.missing += 1.0,
                }
            }
        }
        let results = ReadBack::of(&self.store).check(&locations);
        for (((index, key), location), result) in found.into_iter().zip(locations).zip(results) {
            match result {
                Ok(()) => {
                    verified.records += 1.0;
                    verified.bytes += f64::from(location.stored_len);
                    self.store.mark_verified(&[key]);
                }
                Err(error) if error.code == Code::Corrupt || error.code == Code::Io => {
                    self.store.forget_damaged(&key, (location.segment, location.generation));
                    if verified.corrupt.last() != Some(&index) {
                        verified.corrupt.push(index);
                    }
                }
                Err(_) => verified.missing += 1.0,
            }
        }
        Ok(())
    }

    pub fn take_reply(&self, connection: u64, call: u64) -> Option<millpool_flow::ControlReply> {
        let serving = self.serving.lock().unwrap_or_else(PoisonError::into_inner);
        serving.as_ref()?.events.take_reply(connection, call)
    }

    pub fn close(&self) -> Vec<String> {
        self.filler.close();
        let serving = self.serving.lock().unwrap_or_else(PoisonError::into_inner).take();
        let runtime = self.runtime.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let (Some(serving), Some(runtime)) = (&serving, &runtime) {
            serving.events.drop_replies();
            runtime.block_on(serving.server.stop());
        }
        let notices = self.store.close();
        if let Some(runtime) = runtime {
            runtime.shutdown_background();
        }
        notices
    }
}

impl Drop for Parts {
    /// Of an engine that nobody closed, at the garbage collector or the end of its thread: nothing is waited for there
    /// but the store, which seals what it has.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.get_mut().unwrap_or_else(PoisonError::into_inner).take()
        {
            runtime.shutdown_background();
        }
    }
}
