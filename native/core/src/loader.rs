//! Who brings into the key table what earlier runs left, while the store is served from.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};

use crate::catalog::Catalog;
use crate::recovery::Recovery;
use crate::{Code, Error, Result};

/// So few are loaded at once: it takes no longer than to begin.
const FEW_RECORDS: usize = 1 << 16;

/// What it says is what a person should know of the opening.
#[derive(Default)]
pub(crate) struct Loader {
    thread: Mutex<Option<JoinHandle<Vec<String>>>>,
    notices: OnceLock<Vec<String>>,
}

impl Loader {
    pub fn start(recovery: Recovery, catalog: Arc<Catalog>) -> Result<Loader> {
        let loader = Loader::default();
        if recovery.records() <= FEW_RECORDS {
            let _ = loader.notices.set(recovery.finish(&catalog)?);
            return Ok(loader);
        }
        let work = move || recovery.finish(&catalog).unwrap_or_else(|error| vec![unloaded(&error)]);
        let thread = thread::Builder::new().name("millpool-load".into()).spawn(work);
        let thread = thread.map_err(|error| Error::io("starting a thread", &error))?;
        *loader.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        Ok(loader)
    }

    /// Until all of it is there, or it has failed.
    pub fn wait(&self) -> &[String] {
        self.notices.get_or_init(|| {
            let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
            let ended = thread.map(JoinHandle::join);
            let fault = Error::new(Code::Internal, "a fault ended it");
            ended.map_or_else(Vec::new, |ended| ended.unwrap_or_else(|_| vec![unloaded(&fault)]))
        })
    }
}

fn unloaded(why: &Error) -> String {
    format!("what earlier runs left is not all used, until the next start: {why}")
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::unix::fs::FileExt;
    use std::path::Path;
    use std::time::Duration;

    use proptest::prelude::*;
    use tempfile::TempDir;

    use super::*;
    use crate::device::{Device, DeviceConfig, Tier};
    use crate::footer::Trailer;
    use crate::unloaded::Sought;
    use crate::{Identity, Location, ObjectKey, RecordBytes, RecordKey, Store, StoreConfig};

    const RECORDS: u64 = 8_000;
    /// There, and in no saved table.
    const FORGOTTEN: u64 = 7;

    struct Bytes(Vec<u8>);

    impl RecordBytes for Bytes {
        fn bytes(&self) -> &[u8] {
            &self.0
        }
        fn crc(&self) -> u32 {
            crc_fast::crc32_iscsi(&self.0)
        }
    }

    fn key(n: u64) -> RecordKey {
        ObjectKey::new(&Identity([0; 16]), &n.to_le_bytes(), 0, b"").piece(0)
    }

    /// Tells which record it is of.
    fn content(n: u64) -> Vec<u8> {
        n.to_le_bytes().repeat(1 + n as usize % 5)
    }

    fn config(path: &Path) -> DeviceConfig {
        DeviceConfig { path: path.into(), tier: Tier::Fast, size_bytes: 1 << 30, reserve_bytes: 0 }
    }

    /// As a clean stop leaves it: two segments, some records in both.
    fn filled() -> TempDir {
        let place = tempfile::tempdir().unwrap();
        for run in 0..2 {
            let (extent_delay, idle_seal) = (Duration::ZERO, Duration::from_secs(60));
            let devices = vec![config(place.path())];
            let config = StoreConfig { devices, extent_delay, idle_seal, table_bytes: 1 << 30 };
            let store = Store::open(config).unwrap();
            store.attach(1, Identity::of("test"), true);
            for n in run * RECORDS / 4..RECORDS * (1 + run) / 2 {
                store.append(1, key(n), 0, Arc::new(Bytes(content(n))));
            }
            store.flush(Duration::from_secs(60)).unwrap();
            store.forget(&[key(FORGOTTEN)]);
            assert_eq!(store.close(), Vec::<String>::new());
        }
        place
    }

    fn files(place: &Path) -> Vec<File> {
        let files = fs::read_dir(place.join("segments")).unwrap();
        let open = |path| File::options().read(true).write(true).open(path).unwrap();
        files.map(|file| open(file.unwrap().path())).collect()
    }

    fn trailer_of(file: &File) -> Trailer {
        Trailer::read(file, file.metadata().unwrap().len() as u32).unwrap()
    }

    fn begin(place: &Path) -> (Arc<Catalog>, Recovery) {
        let device = Arc::new(Device::open(config(place), 0).unwrap());
        let catalog = Arc::new(Catalog::new(0, 1 << 30).unwrap());
        let recovery = Recovery::begin(&catalog, &[device]).unwrap();
        (catalog, recovery)
    }

    /// What a reader gets who checks what he reads.
    fn read(catalog: &Catalog, at: &Location) -> Option<Vec<u8>> {
        let segment = catalog.segment(at.segment, at.generation)?;
        let mut bytes = vec![0; at.stored_len as usize];
        segment.file.read_exact_at(&mut bytes, at.offset.into()).ok()?;
        (crc_fast::crc32_iscsi(&bytes) == at.crc).then_some(bytes)
    }

    fn assert_loaded(catalog: &Catalog, recovery: Recovery, has_forgotten: bool) {
        recovery.finish(catalog).unwrap();
        for n in (0..RECORDS).filter(|n| has_forgotten || *n != FORGOTTEN) {
            let at = catalog.lookup(&key(n));
            assert_eq!(at.and_then(|at| read(catalog, &at)), Some(content(n)), "{n}");
        }
        assert_eq!(catalog.lookup(&key(FORGOTTEN)).is_some(), has_forgotten);
        let live: u64 = catalog.segments().iter().map(|segment| segment.live_records()).sum();
        assert_eq!(live, RECORDS - u64::from(!has_forgotten));
    }

    type Ending = fn(&Path);

    fn without_image(place: &Path) {
        fs::remove_file(place.join("table.image")).unwrap();
    }

    fn unsealed(place: &Path) {
        without_image(place);
        for file in files(place) {
            file.set_len(trailer_of(&file).data_end.into()).unwrap();
        }
    }

    #[test]
    fn records_are_found_before_they_are_loaded_however_the_run_before_ended() {
        let endings: [(Ending, bool); 3] =
            [(|_| (), false), (without_image, true), (unsealed, true)];
        for (ending, has_forgotten) in endings {
            let place = filled();
            ending(place.path());
            let (catalog, recovery) = begin(place.path());
            assert!(catalog.loading.is_under_way());
            for n in (0..RECORDS).step_by(RECORDS as usize / 50) {
                let Sought::Found(at) = catalog.loading.seek(&key(n)) else { panic!("record {n}") };
                assert_eq!(read(&catalog, &at), Some(content(n)));
                let absent = catalog.loading.seek(&key(RECORDS + n));
                assert!(matches!(absent, Sought::Absent), "record {n}");
            }
            assert!(catalog.table().file.metadata().unwrap().len() < 1 << 14, "nothing is loaded");
            let image = place.path().join("table.image");
            assert_eq!(image.exists(), !has_forgotten, "nothing is changed");
            assert_loaded(&catalog, recovery, has_forgotten);
            assert!(!image.exists() && !catalog.loading.is_under_way());
        }
    }

    /// Reading all of it at once takes less.
    #[test]
    fn many_look_ups_wait_for_the_table() {
        let place = filled();
        let (catalog, recovery) = begin(place.path());
        let is_sought = |n: &u64| !matches!(catalog.loading.seek(&key(*n)), Sought::Unknown);
        let sought = (0..RECORDS).filter(is_sought).count();
        assert!(sought > 50 && sought < RECORDS as usize / 16, "{sought}");
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| catalog.lookup(&key(RECORDS - 1)));
            assert_loaded(&catalog, recovery, false);
            assert!(waits.join().unwrap().is_some());
        });
    }

    #[test]
    fn what_is_pinned_or_evicted_meanwhile_is_so_afterwards() {
        let place = filled();
        let (catalog, recovery) = begin(place.path());
        let segments = catalog.segments();
        let pinned = (0..RECORDS).find(|n| {
            let Sought::Found(at) = catalog.loading.seek(&key(*n)) else { panic!("record {n}") };
            at.segment == segments[0].number()
        });
        let pinned = pinned.unwrap();
        catalog.pin(&[key(pinned)]);
        let numbers: Vec<_> = segments.iter().map(|segment| segment.number()).collect();
        std::thread::scope(|scope| {
            let evicts = scope.spawn(|| catalog.evict(&numbers));
            recovery.finish(&catalog).unwrap();
            assert!(evicts.join().unwrap().records > 0);
        });
        assert_eq!(segments[0].pinned_bytes(), content(pinned).len() as u64);
        assert!(catalog.lookup(&key(pinned)).is_some(), "its segment stays");
        assert!(catalog.segment(numbers[1], segments[1].generation()).is_none());
    }

    /// Of memory that ends, say.
    #[test]
    fn a_table_that_was_not_loaded_is_never_saved() {
        let place = filled();
        let (catalog, recovery) = begin(place.path());
        drop(crate::loading::Ending::of(&catalog.loading));
        assert!(catalog.lookup(&key(0)).is_none());
        assert!(catalog.save([1; 16], &[])[0].contains("not saved"));
        drop((catalog, recovery));
        let (catalog, recovery) = begin(place.path());
        assert_loaded(&catalog, recovery, false);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

        /// Whatever became of a saved table or of footers, nothing is taken for what it is not, and all is found again.
        #[test]
        fn damage_is_never_wrong_bytes(
            flips in prop::collection::vec((any::<prop::sample::Index>(), 1u8..), 1..5),
            in_footers in any::<bool>(),
        ) {
            let place = filled();
            let image = File::options().read(true).write(true).open(place.path().join("table.image"));
            let damaged = if in_footers { files(place.path()) } else { vec![image.unwrap()] };
            if in_footers {
                without_image(place.path());
            }
            for (at, change) in flips {
                let file = &damaged[at.index(damaged.len())];
                let from = if in_footers { trailer_of(file).data_end.into() } else { 8192 };
                let records = file.metadata().unwrap().len() - from - if in_footers { 4096 } else { 0 };
                let at = from + at.index(records as usize) as u64;
                let mut byte = [0];
                file.read_exact_at(&mut byte, at).unwrap();
                file.write_all_at(&[byte[0] ^ change], at).unwrap();
            }
            let (catalog, recovery) = begin(place.path());
            for n in 0..RECORDS {
                if let Sought::Found(at) = catalog.loading.seek(&key(n)) {
                    let bytes = read(&catalog, &at);
                    prop_assert!(bytes.is_none_or(|bytes| bytes == content(n)), "record {}", n);
                }
            }
            recovery.finish(&catalog).unwrap();
            for n in (0..RECORDS).filter(|n| *n != FORGOTTEN) {
                let at = catalog.lookup(&key(n)).unwrap();
                prop_assert_eq!(read(&catalog, &at), Some(content(n)), "record {}", n);
            }
        }
    }
}
