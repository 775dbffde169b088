//! Millpool's core: segments, the key table, gather, order, checksums. No async runtime, no napi, no PyO3.

mod error;
mod fill;
mod key;
mod location;
mod object;

pub use error::{Code, Error, Result};
pub use fill::{Done, Fill, Filled, RecordBytes, Urgency};
pub use key::{Identity, ObjectKey, PIECE_BYTES, RecordKey, piece_count, piece_len};
pub use location::Location;
pub use object::{ObjectRef, Want};
