//! Pages of listings, and the blocks that a first listing fills.

use std::cell::RefCell;
use std::ptr::null_mut;

use millpool_core::{
    BlockPacker, EntryDealer, EntryMerge, EntrySink, FileRows, PackedEntries, Pause, TakenEntry,
};
use millpool_source::ListPage;
use napi::bindgen_prelude::{Buffer, JsValue, Uint8ArraySlice, Uint32ArraySlice};
use napi::{Env, Result, sys};
use napi_derive::napi;

use crate::failure::{check, invalid, thrown};

#[napi(object)]
pub struct NativeListPage {
    pub files: Buffer,
    pub directories: Vec<Buffer>,
    pub markers: Vec<Buffer>,
    pub last: Option<Buffer>,
    pub truncated: bool,
    pub token: Option<String>,
}

thread_local! {
    /// An answer whole. Its memory is used again: the kernel's pages would cost as much as reading it.
    static BODY: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The answer in `chunks`, which are gone from then on: V8 counts what they take as its own until it collects them, and
/// so collects everything every few pages. Nothing where the answer is in any way unusual; then they stay.
#[napi(catch_unwind)]
pub fn read_list_page(
    env: &Env,
    chunks: Vec<Uint8ArraySlice<'_>>,
    prefix: &[u8],
) -> Result<Option<NativeListPage>> {
    let page = BODY.with_borrow_mut(|body| {
        body.clear();
        chunks.iter().for_each(|chunk| body.extend_from_slice(chunk));
        ListPage::read(body, prefix)
    });
    let Some(page) = page else {
        return Ok(None);
    };
    for chunk in chunks {
        let_go(env, chunk)?;
    }
    let ListPage { files, directories, markers, last, truncated, token } = page;
    let buffers = |names: Vec<Vec<u8>>| names.into_iter().map(Buffer::from).collect();
    Ok(Some(NativeListPage {
        files: files.into(),
        directories: buffers(directories),
        markers: buffers(markers),
        last: last.map(Buffer::from),
        truncated,
        token,
    }))
}

/// Frees the memory of a view, if that is all of its buffer and so nobody else's.
fn let_go(env: &Env, view: Uint8ArraySlice<'_>) -> Result<()> {
    let len = view.len();
    // SAFETY: values of this call; `view` is not used again.
    unsafe {
        let mut buffer = null_mut();
        let (mut whole, mut start) = (0, null_mut());
        check(sys::napi_get_typedarray_info(
            env.raw(),
            view.raw(),
            null_mut(),
            null_mut(),
            null_mut(),
            &mut buffer,
            null_mut(),
        ))?;
        check(sys::napi_get_arraybuffer_info(env.raw(), buffer, &mut start, &mut whole))?;
        if whole == len && len > 0 {
            check(sys::napi_detach_arraybuffer(env.raw(), buffer))?;
        }
    }
    Ok(())
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

    /// The last name of the block.
    #[napi(catch_unwind)]
    pub fn add_block(&mut self, class: u32, block: &[u8], after: &[u8]) -> Result<Buffer> {
        Ok(self.0.add_block(class as usize, block, after).map_err(thrown)?.into())
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

/// What `take` gives where it is no stream.
const ENOUGH: i32 = -1;
const OVER: i32 = -2;

#[napi(object)]
pub struct NativeTakenEntry {
    pub class: u8,
    pub name: Buffer,
}

#[napi]
pub struct NativeEntryMerge(EntryMerge);

#[napi]
impl NativeEntryMerge {
    #[napi(constructor, catch_unwind)]
    pub fn new(after: Option<NativeTakenEntry>) -> NativeEntryMerge {
        let after =
            after.map(|NativeTakenEntry { class, name }| TakenEntry { class, name: name.into() });
        NativeEntryMerge(EntryMerge::new(after))
    }

    /// One byte a stream: its class.
    #[napi(catch_unwind)]
    pub fn open(&mut self, classes: &[u8]) {
        self.0.open(classes);
    }

    #[napi(catch_unwind)]
    pub fn put(&mut self, stream: u32, block: Option<&[u8]>) -> Result<()> {
        self.0.put(stream as usize, block).map_err(thrown)
    }

    #[napi(catch_unwind)]
    pub fn take_page(&mut self, count: u32, page: &mut NativePackedEntries) -> Result<i32> {
        self.take(count, page.0.as_mut())
    }

    #[napi(catch_unwind)]
    pub fn take_blocks(&mut self, count: u32, blocks: &mut NativeBlockPacker) -> Result<i32> {
        self.take(count, blocks.0.as_mut())
    }

    #[napi(catch_unwind)]
    pub fn taken(&self) -> f64 {
        self.0.taken() as f64
    }

    #[napi(catch_unwind)]
    pub fn last(&self) -> Option<NativeTakenEntry> {
        let TakenEntry { class, name } = self.0.last()?.clone();
        Some(NativeTakenEntry { class, name: name.into() })
    }

    fn take(&mut self, count: u32, sink: Option<&mut impl EntrySink>) -> Result<i32> {
        let sink = sink.ok_or_else(|| invalid("it was finished"))?;
        match self.0.take(count as usize, sink).map_err(thrown)? {
            Pause::Enough => Ok(ENOUGH),
            Pause::Over => Ok(OVER),
            Pause::Wants(stream) => Ok(stream as i32),
        }
    }
}

#[napi]
pub struct NativePackedEntries(Option<PackedEntries>);

#[napi]
impl NativePackedEntries {
    #[napi(constructor, catch_unwind)]
    pub fn new(path: String) -> NativePackedEntries {
        NativePackedEntries(Some(PackedEntries::new(&path)))
    }

    #[napi(catch_unwind)]
    pub fn count(&self) -> u32 {
        self.0.as_ref().map_or(0, PackedEntries::count)
    }

    #[napi(catch_unwind)]
    pub fn finish(&mut self) -> Result<Buffer> {
        Ok(self.0.take().ok_or_else(|| invalid("it was finished"))?.finish().into())
    }
}

#[napi]
pub struct NativeBlockPacker(Option<BlockPacker>);

#[napi]
impl NativeBlockPacker {
    /// One of so many parts; 0: of all names.
    #[napi(constructor, catch_unwind)]
    pub fn new(parts: u32, index: u32) -> Result<NativeBlockPacker> {
        let part = (parts > 0).then_some((parts, index));
        Ok(NativeBlockPacker(Some(BlockPacker::new(part).map_err(thrown)?)))
    }

    #[napi(catch_unwind)]
    pub fn blocks(&self) -> u32 {
        self.0.as_ref().map_or(0, BlockPacker::blocks)
    }

    #[napi(catch_unwind)]
    pub fn finish(&mut self) -> Result<Buffer> {
        Ok(self.0.take().ok_or_else(|| invalid("it was finished"))?.finish().into())
    }
}
