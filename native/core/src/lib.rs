//! Millpool's core: segments, the key table, gather, order, checksums. No async runtime, no napi, no PyO3.

mod bucket;
mod cuckoo;
mod error;
mod fill;
mod key;
mod location;
#[cfg(all(test, loom))]
mod loom_table;
mod object;
mod prefetch;
mod store;
mod table;

pub use cuckoo::TableFull;
pub use error::{Code, Error, Result};
pub use fill::{Done, Fill, Filled, RecordBytes, Urgency};
pub use key::{Identity, ObjectKey, PIECE_BYTES, RecordKey, piece_count, piece_len};
pub use location::Location;
pub use object::{ObjectRef, Want};
pub use store::{
    Admission, DeviceConfig, DeviceState, DeviceStatus, Freed, SegmentFile, SegmentStatus, Store, StoreConfig,
};
pub use table::{TableHandle, TableReader, TableWriter};
