//! Pages of listings, and the blocks that a first listing fills.

use millpool_core::{EntryDealer, FileRows};
use millpool_source::ListPage;
use napi::Result;
use napi::bindgen_prelude::{Buffer, Uint32ArraySlice};
use napi_derive::napi;

use crate::failure::thrown;

#[napi(object)]
pub struct NativeListPage {
    pub files: Buffer,
    pub directories: Vec<Buffer>,
    pub markers: Vec<Buffer>,
    pub last: Option<Buffer>,
    pub truncated: bool,
    pub token: Option<String>,
}

/// Nothing where the answer is in any way unusual.
#[napi(catch_unwind)]
pub fn read_list_page(body: &[u8], prefix: &[u8]) -> Option<NativeListPage> {
    let ListPage { files, directories, markers, last, truncated, token } =
        ListPage::read(body, prefix)?;
    let buffers = |names: Vec<Vec<u8>>| names.into_iter().map(Buffer::from).collect();
    Some(NativeListPage {
        files: files.into(),
        directories: buffers(directories),
        markers: buffers(markers),
        last: last.map(Buffer::from),
        truncated,
        token,
    })
}

#[napi]
pub struct NativeEntryDealer(EntryDealer);

#[napi]
impl NativeEntryDealer {
    /// One byte a partition: 0 where there is none.
    #[napi(constructor, catch_unwind)]
    pub fn new(present: &[u8]) -> Result<NativeEntryDealer> {
        let present = present.iter().map(|partition| *partition != 0).collect();
        Ok(NativeEntryDealer(EntryDealer::new(present).map_err(thrown)?))
    }

    #[napi(catch_unwind)]
    pub fn add_files(&mut self, files: &[u8], from: u32, to: u32, skip: u32) -> Result<u32> {
        let (from, to, skip) = (from as usize, to as usize, skip as usize);
        let next = self.0.add_files(FileRows::of(files), from, to, skip).map_err(thrown)?;
        Ok(next as u32)
    }

    #[napi(catch_unwind)]
    pub fn add(&mut self, class: u32, name: &[u8], record: &[u8]) -> Result<()> {
        self.0.add(class as usize, name, record).map_err(thrown)
    }

    /// How many names each partition was dealt.
    #[napi(catch_unwind)]
    pub fn counts(&self, mut counts: Uint32ArraySlice<'_>) {
        // SAFETY: JavaScript waits for this call.
        let counts = unsafe { counts.as_mut() };
        counts.iter_mut().zip(self.0.counts()).for_each(|(place, count)| *place = *count);
    }

    #[napi(catch_unwind)]
    pub fn end(&mut self) {
        self.0.end();
    }

    /// Blocks that were given since the last call; nothing where none was.
    #[napi(catch_unwind)]
    pub fn take(&mut self) -> Option<Buffer> {
        let blocks = self.0.take();
        (!blocks.is_empty()).then(|| blocks.into())
    }
}
