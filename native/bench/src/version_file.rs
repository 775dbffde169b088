//! A dataset version of all objects of a bucket that the load generator serves, as a snapshot of it would be: made
//! without a listing, since a hundred million entries are to be measured, not their import.

use std::path::Path;

use millpool_core::{DatasetRoot, DatasetWriter, Identity, ObjectRef};

use crate::catalog::Catalog;
use crate::failure::Failure;

/// Where the bucket is attached.
const ATTACHED_AT: &str = "/data";
const PREFIX_BYTES: usize = "data/".len();

/// Writes it to `place` and says on stdout what version it is.
pub fn write(place: &str, endpoint: &str, bucket: &str) -> Result<(), Failure> {
    let catalog = Catalog::of_bucket(bucket)?;
    let identity = Identity::of(&format!("s3\0{endpoint}\0{bucket}"));
    let root = DatasetRoot { path: ATTACHED_AT.into(), identity };
    let mut writer = DatasetWriter::create(Path::new(place), root)?;
    for number in 0..catalog.count {
        let key = catalog.key(number);
        let tag = catalog.etag(number).into_bytes();
        let path = &key[PREFIX_BYTES..];
        let object = ObjectRef {
            attachment: 0,
            source_key: key.clone().into_bytes(),
            size: catalog.size,
            tag,
        };
        writer.push(path, &object)?;
    }
    let summary = writer.finish()?;
    let hex: String = summary.version.iter().map(|byte| format!("{byte:02x}")).collect();
    println!("{hex}");
    Ok(())
}
