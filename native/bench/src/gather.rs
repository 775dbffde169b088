//! The floor of a warm batch: each sample copied from a mapped file into one buffer that is used again and again.

use std::hint::black_box;

use memmap2::MmapMut;

use crate::failure::{Failure, at, refused};
use crate::laps::{drive, read_order};
use crate::sample_files::SampleFiles;

pub fn run(files: &SampleFiles, batch: usize) -> Result<(), Failure> {
    if batch == 0 {
        return Err(refused("BATCH cannot be 0"));
    }
    let packs = files.map_packed()?;
    let mut pooled = pooled_buffer(batch * files.size as usize)?;
    let lap = |order: Vec<u32>| {
        for numbers in order.chunks(batch) {
            for (number, target) in numbers.iter().zip(pooled.chunks_exact_mut(files.size as usize))
            {
                target.copy_from_slice(files.packed(&packs, u64::from(*number)));
            }
            black_box(&pooled);
        }
        Ok(order.len() as u64)
    };
    drive(|line| read_order(line, files.count), lap)
}

/// Touched, and on huge pages where the machine gives them.
fn pooled_buffer(bytes: usize) -> Result<MmapMut, Failure> {
    let mut buffer = MmapMut::map_anon(bytes).map_err(at("a buffer for a batch"))?;
    // A machine without transparent huge pages refuses, and is slower.
    let _ = buffer.advise(memmap2::Advice::HugePage);
    buffer.fill(1);
    Ok(buffer)
}
