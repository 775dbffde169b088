//! Millpool's core: segments, the key table, gather, order, checksums. No async runtime, no napi, no PyO3.

mod bucket;
mod catalog;
mod crc;
mod cuckoo;
mod dataset;
mod dataset_writer;
mod device;
mod error;
mod extent;
pub mod fault;
mod field;
mod fill;
mod footer;
mod gather;
#[cfg(test)]
mod golden;
mod key;
mod location;
#[cfg(all(test, loom))]
mod loom_table;
mod mapping;
mod object;
mod open_segment;
mod order;
mod prefetch;
mod record_entry;
mod recovery;
mod ring;
mod schedule;
mod segment;
mod segment_contents;
mod store;
mod table;
mod writer;

pub use catalog::Freed;
pub use cuckoo::TableFull;
pub use dataset::{Dataset, DatasetRoot, DatasetSummary};
pub use dataset_writer::DatasetWriter;
pub use device::{DeviceConfig, DeviceState, DeviceStatus, MAX_QUEUED_BYTES};
pub use error::{Code, Error, Result};
pub use fill::{Done, Fill, Filled, RecordBytes, Urgency};
pub use gather::{Copy, Outcome, gather};
pub use key::{Identity, ObjectKey, PIECE_BYTES, RecordKey, piece_count, piece_len};
pub use location::Location;
pub use mapping::{Mapping, SegmentName};
pub use object::{ObjectRef, Want};
pub use order::{MAX_SAMPLES, Permutation};
pub use ring::{Ring, Slot};
pub use schedule::{Schedule, ScheduleConfig, Step};
pub use segment::{SegmentFile, SegmentStatus};
pub use store::{Admission, Store, StoreConfig};
pub use table::{TableHandle, TableReader, TableWriter};
