//! Where bytes come from: GETs from S3 and reads from folders, each want answered once however many have it.

mod awaited;
mod buffer;
mod calendar;
mod config;
mod connection;
mod counters;
mod credentials;
mod endpoint;
mod exchange;
mod filler;
mod flights;
mod folder_source;
mod hedge;
mod lane;
mod limit;
mod list_page;
mod piece;
mod retry;
mod s3_request;
mod s3_response;
mod s3_source;
mod signature;
mod source;
mod stream;
mod tally;

pub use config::{FillerConfig, LEAST_BUDGET_BYTES, SourceConfig, Timeouts};
pub use counters::FillCounters;
pub use credentials::Credentials;
pub use filler::Filler;
pub use flights::UnderWay;
pub use list_page::ListPage;
pub use tally::{FETCH_SECONDS, SourceTally};
