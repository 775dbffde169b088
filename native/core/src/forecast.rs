//! When samples are read next, by the plans that loaders of this node submitted: what the policy `order` goes by.
//!
//! Belady's rule ("A study of replacement algorithms for a virtual-storage computer", 1966) with whole segments: what
//! is read last goes first, and what would be read later than all that is here never comes in. A segment holds records
//! of many next uses; their worths add up, and a record's worth is one over the time until it is read.

use std::collections::HashMap;

use crate::store::Store;
use crate::{
    Code, Dataset, Error, Permutation, RecordKey, Result, Schedule, ScheduleConfig, piece_count,
};

/// What is read later than so many epochs is never read.
const EPOCHS_AHEAD: u64 = 16;
/// Of an epoch: what is read sooner than this is worth as much as what is read now, or one record of the next batch
/// would keep a whole segment.
const GRACE: f64 = 1.0 / 20.0;
/// Samples that are looked up to weigh segments: of some hundred segments, enough of each.
const SAMPLES_WEIGHED: u64 = 1 << 14;

/// Ranks of one job that read here, at the same place or nearly.
#[derive(Clone, Debug)]
pub struct JobAhead {
    pub seed: u64,
    pub epoch: u64,
    pub shuffle: bool,
    pub drop_last: bool,
    pub global_batch: u64,
    pub world: u64,
    pub ranks: Vec<u64>,
    /// Where the grid of steps of `epoch` begins.
    pub begun_at: u64,
    /// Up to where it has read.
    pub position: u64,
    /// Positions in a unit of time, the same for all jobs.
    pub pace: f64,
}

/// What a segment holds of a dataset.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct SegmentWorth {
    pub number: u32,
    pub generation: u32,
    /// Its bytes, each over the time until it is read.
    pub worth: f64,
}

/// On which terms samples that a job reads next are kept.
#[derive(Clone, Copy, Debug)]
pub struct KeepTerms {
    /// Which of the jobs reads them, and in which epoch.
    pub job: usize,
    pub epoch: u64,
    /// A byte of a sample is to be worth as much as this, from its read on.
    pub bar: f64,
}

/// Records that are to be kept when they are read, and those that are not.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Judged {
    pub kept: Vec<RecordKey>,
    pub passed: Vec<RecordKey>,
}

pub struct Forecast {
    count: u64,
    jobs: Vec<Job>,
    /// In the jobs' unit of time, as all times are.
    grace: f64,
}

struct Job {
    ahead: JobAhead,
    /// Of its epoch, and of those that come after it.
    orders: Vec<Permutation>,
    now: Schedule,
    later: Schedule,
}

impl Forecast {
    /// Of a dataset of `count` samples. `Invalid` for a job that could not be scheduled.
    pub fn new(count: u64, jobs: Vec<JobAhead>) -> Result<Forecast> {
        let shortest = jobs.iter().map(|job| count as f64 / job.pace).fold(f64::INFINITY, f64::min);
        let jobs = jobs.into_iter().map(|job| Job::new(count, job)).collect::<Result<_>>()?;
        Ok(Forecast { count, jobs, grace: shortest * GRACE })
    }

    /// What each segment holds of the dataset, by a sample of its samples.
    pub fn weigh(&self, dataset: &Dataset, store: &Store, turn: u64) -> Vec<SegmentWorth> {
        let stride = self.count.div_ceil(SAMPLES_WEIGHED).max(1);
        let mut worths: HashMap<(u32, u32), f64> = HashMap::new();
        for sample in (turn % stride..self.count).step_by(stride as usize) {
            let Some((key, size)) = dataset.object_key(sample).zip(dataset.size(sample)) else {
                continue;
            };
            let mut worth = None;
            for piece in 0..piece_count(size) {
                let Some(at) = store.lookup(&key.piece(piece)) else { continue };
                let worth = *worth.get_or_insert_with(|| self.worth(self.time_to(sample)));
                let bytes = f64::from(at.stored_len) * stride as f64;
                *worths.entry((at.segment, at.generation)).or_default() += bytes * worth;
            }
        }
        let named = |((number, generation), worth)| SegmentWorth { number, generation, worth };
        worths.into_iter().map(named).collect()
    }

    /// Of samples that a job is to read, what is worth keeping from then on. `Invalid` for a job that there is none of.
    pub fn judge(&self, dataset: &Dataset, samples: &[u64], terms: KeepTerms) -> Result<Judged> {
        if terms.job >= self.jobs.len() {
            let message = format!("job {} of {}", terms.job, self.jobs.len());
            return Err(Error::new(Code::Invalid, message));
        }
        let mut judged = Judged::default();
        for sample in samples {
            let Some((key, size)) = dataset.object_key(*sample).zip(dataset.size(*sample)) else {
                continue;
            };
            let is_worth = self.worth_after(*sample, terms.job, terms.epoch) >= terms.bar;
            let side = if is_worth { &mut judged.kept } else { &mut judged.passed };
            side.extend((0..piece_count(size)).map(|piece| key.piece(piece)));
        }
        Ok(judged)
    }

    /// From now on. `None`: not within some epochs.
    fn time_to(&self, sample: u64) -> Option<f64> {
        let soonest = self.jobs.iter().filter_map(|job| {
            let positions = job.positions_to(sample, job.ahead.epoch, job.ahead.position)?;
            Some(positions as f64 / job.ahead.pace)
        });
        soonest.min_by(f64::total_cmp)
    }

    /// From its read by `job` in `epoch` on.
    fn worth_after(&self, sample: u64, job: usize, epoch: u64) -> f64 {
        let own = &self.jobs[job];
        let Some(read_at) = own.position_of(sample, epoch) else { return 0.0 };
        let before = (epoch - own.ahead.epoch) * self.count + read_at;
        let reads_in = before.saturating_sub(own.ahead.position) as f64 / own.ahead.pace;
        let soonest = self.jobs.iter().enumerate().filter_map(|(n, other)| {
            if n == job {
                let positions = own.positions_to(sample, epoch, read_at + 1)?;
                return Some((positions + 1) as f64 / own.ahead.pace);
            }
            let ahead = &other.ahead;
            let passed = (reads_in * ahead.pace) as u64 + ahead.position;
            let epochs = passed / self.count.max(1);
            let (epoch, from) = (ahead.epoch + epochs, passed - epochs * self.count);
            Some(other.positions_to(sample, epoch, from)? as f64 / ahead.pace)
        });
        self.worth(soonest.min_by(f64::total_cmp))
    }

    fn worth(&self, time: Option<f64>) -> f64 {
        time.map_or(0.0, |time| 1.0 / (time + self.grace))
    }
}

impl Job {
    fn new(count: u64, mut ahead: JobAhead) -> Result<Job> {
        let is_sound = ahead.pace.is_finite() && ahead.pace > 0.0 && ahead.position <= count;
        if !is_sound {
            let message =
                format!("a job at {} of {count}, {} a second", ahead.position, ahead.pace);
            return Err(Error::new(Code::Invalid, message));
        }
        let schedule = |position| {
            Schedule::new(ScheduleConfig {
                count,
                global_batch: ahead.global_batch,
                world: ahead.world,
                rank: 0,
                drop_last: ahead.drop_last,
                position,
            })
        };
        let (now, later) = (schedule(ahead.begun_at)?, schedule(0)?);
        ahead.ranks.sort_unstable();
        let epochs = ahead.epoch..ahead.epoch.saturating_add(EPOCHS_AHEAD);
        let orders = epochs.map(|epoch| Permutation::new(count, ahead.seed, epoch)).collect();
        Ok(Job { ahead, orders, now, later })
    }

    /// Positions from one of `epoch` to the next at which some rank here reads the sample.
    fn positions_to(&self, sample: u64, epoch: u64, from: u64) -> Option<u64> {
        (epoch..self.ahead.epoch + self.orders.len() as u64).find_map(|at| {
            let position = self.position_of(sample, at)?;
            let is_ahead = at > epoch || position >= from;
            let schedule = if at == self.ahead.epoch { &self.now } else { &self.later };
            let rank = schedule.rank_of(position).filter(|_| is_ahead)?;
            self.ahead.ranks.binary_search(&rank).ok()?;
            Some((at - epoch) * self.orders[0].len() + position - from)
        })
    }

    fn position_of(&self, sample: u64, epoch: u64) -> Option<u64> {
        let order = self.orders.get(usize::try_from(epoch.checked_sub(self.ahead.epoch)?).ok()?)?;
        if sample >= order.len() {
            return None;
        }
        Some(if self.ahead.shuffle { order.position_of(sample) } else { sample })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn job(world: u64, ranks: &[u64]) -> JobAhead {
        JobAhead {
            seed: 7,
            epoch: 3,
            shuffle: true,
            drop_last: false,
            global_batch: 8,
            world,
            ranks: ranks.to_vec(),
            begun_at: 0,
            position: 0,
            pace: 1.0,
        }
    }

    /// What a loader of each rank reads, in its order: (time from now, sample).
    fn read_ahead(count: u64, job: &JobAhead) -> Vec<(u64, u64)> {
        let mut reads = Vec::new();
        for epoch in job.epoch..job.epoch + EPOCHS_AHEAD {
            let order = Permutation::new(count, job.seed, epoch);
            let begun_at = if epoch == job.epoch { job.begun_at } else { 0 };
            for rank in &job.ranks {
                let config = ScheduleConfig {
                    count,
                    global_batch: job.global_batch,
                    world: job.world,
                    rank: *rank,
                    drop_last: job.drop_last,
                    position: begun_at,
                };
                for step in Schedule::new(config).unwrap().filter(|step| step.padded == 0) {
                    for position in step.from..step.from + step.count {
                        let sample = if job.shuffle { order.at(position) } else { position };
                        let at = (epoch - job.epoch) * count + position;
                        reads.extend((at >= job.position).then(|| (at - job.position, sample)));
                    }
                }
            }
        }
        reads.sort_unstable();
        reads
    }

    /// Any job that a dataset of so many samples can have, standing anywhere.
    fn any_job() -> impl Strategy<Value = (u64, JobAhead)> {
        let world = (1..7u64).prop_flat_map(|world| (Just(world), 0..world, 0..world));
        let flags = (any::<bool>(), any::<bool>());
        let stands = (0.0..1.0, 0.0..1.0);
        (1..200u64, 1..40u64, world, flags, stands).prop_map(
            |(count, global_batch, (world, rank, other), (shuffle, drop_last), (from, to))| {
                let begun_at = (count as f64 * from) as u64;
                let mut ranks = vec![rank, other];
                ranks.dedup();
                let position = begun_at + ((count - begun_at) as f64 * to) as u64;
                let own = JobAhead {
                    shuffle,
                    drop_last,
                    global_batch,
                    begun_at,
                    position,
                    ..job(world, &ranks)
                };
                (count, own)
            },
        )
    }

    proptest! {
        #[test]
        fn the_next_read_is_the_one_that_the_schedule_comes_to_first((count, job) in any_job()) {
            let reads = read_ahead(count, &job);
            let forecast = Forecast::new(count, vec![job]).unwrap();
            for sample in 0..count {
                let first = reads.iter().find(|(_, of)| *of == sample).map(|(at, _)| *at as f64);
                prop_assert_eq!(forecast.time_to(sample), first, "sample {}", sample);
            }
        }
    }

    #[test]
    fn worth_after_a_read_is_of_the_read_after_it() {
        let count = 50;
        let one = job(2, &[1]);
        let mut other = job(1, &[0]);
        (other.seed, other.pace) = (9, 0.5);
        let reads = read_ahead(count, &one);
        let of_other = read_ahead(count, &other);
        let forecast = Forecast::new(count, vec![one, other]).unwrap();
        let mut seen = 0;
        for (n, (at, sample)) in reads.iter().enumerate().filter(|(_, (at, _))| *at < 2 * count) {
            let again = reads[n + 1..].iter().find(|(_, of)| of == sample);
            let own = again.map(|(next, _)| (next - at) as f64);
            // Half as fast: it comes to a position in twice the time.
            let beside = of_other.iter().find(|(next, of)| of == sample && *next >= at / 2);
            let beside = beside.map(|(next, _)| (next - at / 2) as f64 * 2.0);
            let next = own.into_iter().chain(beside).min_by(f64::total_cmp);
            let worth = forecast.worth_after(*sample, 0, 3 + at / count);
            assert!((worth - forecast.worth(next)).abs() < 1e-9, "{sample} at {at}: {next:?}");
            seen += 1;
        }
        assert!(seen > 40, "{seen}");
    }

    #[test]
    fn jobs_that_cannot_be_are_refused() {
        for bad in [
            JobAhead { pace: 0.0, ..job(1, &[0]) },
            JobAhead { pace: f64::NAN, ..job(1, &[0]) },
            JobAhead { position: 11, ..job(1, &[0]) },
            JobAhead { begun_at: 11, ..job(1, &[0]) },
            JobAhead { global_batch: 0, ..job(1, &[0]) },
        ] {
            assert_eq!(
                Forecast::new(10, vec![bad]).err().map(|error| error.code),
                Some(Code::Invalid)
            );
        }
    }
}
