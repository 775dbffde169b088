//! Where bytes come from: an S3 bucket or a folder.

use std::sync::Arc;

use millpool_core::{Error, Result};

use crate::awaited::Awaited;
use crate::buffer::RecordWriter;
use crate::folder_source::FolderSource;
use crate::lane::Slot;
use crate::piece::{Fetched, Piece};
use crate::s3_source::S3Source;

pub(crate) enum Source {
    S3(Box<S3Source>),
    Folder(Arc<FolderSource>),
    Away(Error),
}

impl Source {
    /// Reads one piece, all of it, of exactly the version that its object names. `slot` is held for as long as the
    /// source is kept busy, which can be longer than the caller waits. What is `awaited` may be asked for twice.
    pub async fn fetch(
        &self,
        piece: &Piece,
        into: RecordWriter,
        slot: Slot,
        awaited: &Awaited,
    ) -> Result<Fetched, Error> {
        match self {
            Source::S3(source) => {
                let fetched = source.fetch(piece, into, awaited).await;
                drop(slot);
                fetched
            }
            Source::Folder(source) => source.fetch(piece, into, slot).await,
            Source::Away(error) => Err(error.clone()),
        }
    }
}
