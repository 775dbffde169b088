//! Who reads what in which step. Pure: every rank computes the same from the same numbers, in any world.

use crate::{Code, Error, Result};

#[derive(Clone, Debug)]
pub struct ScheduleConfig {
    /// Samples in an epoch.
    pub count: u64,
    /// Samples that all ranks together get in a step.
    pub global_batch: u64,
    pub world: u64,
    pub rank: u64,
    /// Leave out what does not fill a step.
    pub drop_last: bool,
    /// Samples delivered to the whole world so far: where the grid of steps begins.
    pub position: u64,
}

/// What one rank reads in one step: positions [from, from + count), the last `padded` of which others read too.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Step {
    pub from: u64,
    pub count: u64,
    pub padded: u64,
    /// Of the whole world, before the step and after it.
    pub position: u64,
    pub next_position: u64,
}

/// The steps of one rank through what is left of an epoch. A step is dealt to the ranks contiguously, in sizes that
/// differ by at most one. Where a last step has fewer samples than ranks, ranks without one repeat a sample of it, so
/// that all have the same number of steps.
#[derive(Clone, Debug)]
pub struct Schedule {
    config: ScheduleConfig,
    end: u64,
}

impl Schedule {
    pub fn new(config: ScheduleConfig) -> Result<Schedule> {
        let ScheduleConfig { count, global_batch, world, rank, drop_last, position } = config;
        let refuse = |message: String| Err(Error::new(Code::Invalid, message));
        if global_batch == 0 {
            return refuse("a step of 0 samples never ends an epoch".into());
        }
        if rank >= world {
            return refuse(format!("rank {rank} is outside a world of {world}"));
        }
        if position > count {
            return refuse(format!("position {position} is past the end of {count} samples"));
        }
        let left = count - position;
        let end = if drop_last { position + left - left % global_batch } else { count };
        Ok(Schedule { config, end })
    }

    /// Which rank is dealt a position in the steps that are left; `None` where no step has it. Who repeats it to fill
    /// its step is not told.
    pub fn rank_of(&self, position: u64) -> Option<u64> {
        let ScheduleConfig { global_batch, world, position: begun_at, .. } = self.config;
        let into = position.checked_sub(begun_at).filter(|_| position < self.end)? % global_batch;
        let size = global_batch.min(self.end - (position - into));
        let (base, extra) = (size / world, size % world);
        let longer = extra * (base + 1);
        Some(if into < longer { into / (base + 1) } else { extra + (into - longer) / base })
    }
}

impl Iterator for Schedule {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        let ScheduleConfig { global_batch, world, rank, position, .. } = self.config;
        let size = global_batch.min(self.end - position);
        if size == 0 {
            return None;
        }
        let next_position = position + size;
        self.config.position = next_position;
        let (base, extra) = (size / world, size % world);
        let count = base + u64::from(rank < extra);
        if count == 0 {
            return Some(Step {
                from: position + rank % size,
                count: 1,
                padded: 1,
                position,
                next_position,
            });
        }
        Some(Step {
            from: position + rank * base + rank.min(extra),
            count,
            padded: 0,
            position,
            next_position,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn config(count: u64, global_batch: u64, world: u64, position: u64) -> ScheduleConfig {
        ScheduleConfig { count, global_batch, world, rank: 0, drop_last: false, position }
    }

    /// Every position that some rank reads without padding, and the number of steps of each rank.
    fn run(config: &ScheduleConfig, steps_max: usize) -> (Vec<u64>, Vec<usize>, u64) {
        let mut read = Vec::new();
        let mut steps = Vec::new();
        let mut position = config.position;
        for rank in 0..config.world {
            let schedule = Schedule::new(ScheduleConfig { rank, ..config.clone() }).unwrap();
            let dealt: Vec<_> = schedule.take(steps_max).collect();
            position = dealt.last().map_or(config.position, |step| step.next_position);
            steps.push(dealt.len());
            read.extend(
                dealt.iter().flat_map(|step| step.from..step.from + step.count - step.padded),
            );
        }
        read.sort_unstable();
        (read, steps, position)
    }

    #[test]
    fn impossible_schedules_are_refused() {
        for bad in [config(10, 0, 1, 0), config(10, 2, 0, 0), config(10, 2, 1, 11)] {
            assert_eq!(Schedule::new(bad).unwrap_err().code, Code::Invalid);
        }
    }

    #[test]
    fn drop_last_leaves_out_what_fills_no_step() {
        let (read, _, end) = run(&ScheduleConfig { drop_last: true, ..config(23, 5, 2, 0) }, 100);
        assert_eq!(read, (0..20).collect::<Vec<_>>());
        assert_eq!(end, 20);
    }

    proptest! {
        /// However often an epoch is stopped and resumed in another world: every position once, equal steps for all.
        #[test]
        fn every_position_is_read_once(
            count in 0..2000u64,
            global_batch in 1..300u64,
            worlds in prop::collection::vec((1..40u64, 1..6usize), 1..6),
        ) {
            let mut position = 0;
            let mut all = Vec::new();
            for (world, steps_max) in worlds.into_iter().chain([(3, usize::MAX)]) {
                let (read, steps, end) = run(&config(count, global_batch, world, position), steps_max);
                prop_assert!(steps.iter().all(|of_rank| *of_rank == steps[0]));
                all.extend(read);
                position = end;
            }
            prop_assert_eq!(position, count);
            prop_assert_eq!(all, (0..count).collect::<Vec<_>>());
        }
    }
}
