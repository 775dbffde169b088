//! A data directory with many small records in it, by the store itself: what a daemon finds when it starts again.

use std::sync::Arc;
use std::time::Duration;

use millpool_core::{
    Admission, DeviceConfig, Identity, ObjectKey, PIECE_BYTES, RecordBytes, Store, StoreConfig,
    Tier,
};

use crate::failure::{Failure, at, parsed, refused};
use crate::window::Window;

/// Their identity is nobody's attachment: they are only there.
const IDENTITY: &str = "bench\0records";
const ATTACHMENT: u32 = 1;
/// Handed to the store before it is waited for.
const STEP: u64 = 100_000;
const PATIENCE: Duration = Duration::from_secs(120);
const COUNT_MAX: u64 = 100_000_000;

struct Sample {
    window: Arc<Window>,
    number: u64,
    size: u64,
}

impl RecordBytes for Sample {
    fn bytes(&self) -> &[u8] {
        self.window.sample(self.number, self.size)
    }

    fn crc(&self) -> u32 {
        crc_fast::crc32_iscsi(self.bytes())
    }
}

pub fn write(directory: &str, count: &str, size: &str, cache: &str) -> Result<(), Failure> {
    let (count, size): (u64, u64) = (parsed("COUNT", count)?, parsed("BYTES", size)?);
    if count > COUNT_MAX || !(1..=PIECE_BYTES).contains(&size) {
        return Err(refused(format!("{count} records of {size} bytes are not made here")));
    }
    let size_bytes = parsed("CACHE_BYTES", cache)?;
    let device =
        DeviceConfig { path: directory.into(), tier: Tier::Fast, size_bytes, reserve_bytes: 0 };
    let store = Store::open(StoreConfig {
        devices: vec![device],
        extent_delay: Duration::from_secs(1),
        idle_seal: PATIENCE,
        table_bytes: u64::MAX,
    })
    .map_err(at(directory))?;
    let identity = Identity::of(IDENTITY);
    store.attach(ATTACHMENT, identity, true);
    let window = Arc::new(Window::new()?);
    for number in 0..count {
        let key = ObjectKey::new(&identity, &number.to_le_bytes(), size, b"").piece(0);
        let bytes = Arc::new(Sample { window: window.clone(), number, size });
        if store.append(ATTACHMENT, key, 0, bytes) == Admission::Declined {
            return Err(refused(format!("record {number} was declined: {:?}", store.devices())));
        }
        if number % STEP == STEP - 1 {
            store.flush(PATIENCE).map_err(at("flushing"))?;
        }
    }
    store.flush(PATIENCE).map_err(at("flushing"))?;
    let found: u64 = store.segments().iter().map(|segment| segment.live_records).sum();
    store.close();
    if found < count {
        return Err(refused(format!("{found} of {count} records were written")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_finds_what_was_made() {
        let place = tempfile::tempdir().expect("a directory");
        let directory = place.path().to_str().expect("UTF-8");
        write(directory, "3000", "128", "100000000").expect("written");
        let devices = vec![DeviceConfig {
            path: directory.into(),
            tier: Tier::Fast,
            size_bytes: 100_000_000,
            reserve_bytes: 0,
        }];
        let (extent_delay, idle_seal) = (Duration::ZERO, PATIENCE);
        let store =
            Store::open(StoreConfig { devices, extent_delay, idle_seal, table_bytes: 1 << 30 })
                .expect("it opens");
        let records: u64 = store.segments().iter().map(|segment| segment.live_records).sum();
        assert_eq!(records, 3000);
        assert!(write(directory, "1", "0", "1").is_err());
    }
}
