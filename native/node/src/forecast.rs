//! When samples are read next: what eviction by order goes by.

use millpool_core::{Forecast, JobAhead, KeepTerms, SegmentWorth};
use napi::bindgen_prelude::{Float64Array, Object};
use napi::{Env, Result};
use napi_derive::napi;

use crate::dataset::version_of;
use crate::engine::NativeEngine;
use crate::failure::whole;
use crate::work::promise;

#[napi(object)]
pub struct NativeJobAhead {
    pub seed: f64,
    pub epoch: f64,
    pub shuffle: bool,
    pub drop_last: bool,
    pub global_batch: f64,
    pub world: f64,
    pub ranks: Vec<u32>,
    pub begun_at: f64,
    pub position: f64,
    pub pace: f64,
}

#[napi(object)]
pub struct NativeKeepTerms {
    pub jobs: Vec<NativeJobAhead>,
    pub job: u32,
    pub epoch: f64,
    pub bar: f64,
}

#[napi(object)]
pub struct NativeSegmentWorth {
    pub number: u32,
    pub generation: u32,
    pub worth: f64,
}

impl TryFrom<NativeJobAhead> for JobAhead {
    type Error = napi::Error;

    fn try_from(job: NativeJobAhead) -> Result<JobAhead> {
        Ok(JobAhead {
            seed: whole("seed", job.seed)?,
            epoch: whole("epoch", job.epoch)?,
            shuffle: job.shuffle,
            drop_last: job.drop_last,
            global_batch: whole("globalBatch", job.global_batch)?,
            world: whole("world", job.world)?,
            ranks: job.ranks.into_iter().map(u64::from).collect(),
            begun_at: whole("begunAt", job.begun_at)?,
            position: whole("position", job.position)?,
            pace: job.pace,
        })
    }
}

fn jobs_of(jobs: Vec<NativeJobAhead>) -> Result<Vec<JobAhead>> {
    jobs.into_iter().map(JobAhead::try_from).collect()
}

#[napi]
impl NativeEngine {
    #[napi(catch_unwind)]
    pub fn segment_worths<'env>(
        &self,
        env: &'env Env,
        version: String,
        jobs: Vec<NativeJobAhead>,
        turn: f64,
    ) -> Result<Object<'env>> {
        let (parts, version) = (self.parts(), version_of(&version)?);
        let (jobs, turn) = (jobs_of(jobs)?, whole("turn", turn)?);
        promise(env, move || {
            let dataset = parts.dataset(&version)?;
            let worths = Forecast::new(dataset.len(), jobs)?.weigh(&dataset, &parts.store, turn);
            let named = |SegmentWorth { number, generation, worth }| NativeSegmentWorth {
                number,
                generation,
                worth,
            };
            Ok(worths.into_iter().map(named).collect::<Vec<_>>())
        })
    }

    /// What of these samples is not worth keeping is not kept when it is read.
    #[napi(catch_unwind)]
    pub fn judge_samples<'env>(
        &self,
        env: &'env Env,
        version: String,
        samples: Float64Array,
        terms: NativeKeepTerms,
    ) -> Result<Object<'env>> {
        let (parts, version) = (self.parts(), version_of(&version)?);
        let samples: Vec<u64> =
            samples.iter().map(|sample| whole("a sample", *sample)).collect::<Result<_>>()?;
        let job = terms.job as usize;
        let keep = KeepTerms { job, epoch: whole("epoch", terms.epoch)?, bar: terms.bar };
        let jobs = jobs_of(terms.jobs)?;
        promise(env, move || {
            let dataset = parts.dataset(&version)?;
            let judged = Forecast::new(dataset.len(), jobs)?.judge(&dataset, &samples, keep)?;
            parts.store.let_in(&judged.kept);
            parts.store.pass_by(&judged.passed);
            Ok(())
        })
    }
}
