//! Millpool's core: segments, the key table, gather, order, checksums. No async runtime, no napi, no PyO3.

mod bucket;
mod catalog;
mod cuckoo;
mod device;
mod error;
mod extent;
mod field;
mod fill;
mod footer;
mod key;
mod location;
#[cfg(all(test, loom))]
mod loom_table;
mod object;
mod open_segment;
mod prefetch;
mod record_entry;
mod recover;
mod segment;
mod store;
mod table;
mod writer;

pub use catalog::Freed;
pub use cuckoo::TableFull;
pub use device::{DeviceConfig, DeviceState, DeviceStatus};
pub use error::{Code, Error, Result};
pub use fill::{Done, Fill, Filled, RecordBytes, Urgency};
pub use key::{Identity, ObjectKey, PIECE_BYTES, RecordKey, piece_count, piece_len};
pub use location::Location;
pub use object::{ObjectRef, Want};
pub use segment::{SegmentFile, SegmentStatus};
pub use store::{Admission, Store, StoreConfig};
pub use table::{TableHandle, TableReader, TableWriter};
