//! Training that is stopped and goes on, over and over, in worlds of any size: over the pure order, a hundred thousand
//! times. Whatever happened, the samples are those of a run that was never stopped, in its order.

use millpool_core::{Permutation, Schedule, ScheduleConfig};
use proptest::prelude::*;

const SCHEDULES: u32 = 100_000;

/// A run in some world, that ends after so many steps, or later when its epoch does.
#[derive(Clone, Copy, Debug)]
struct Run {
    world: u64,
    steps: usize,
}

/// Where a run may begin.
#[derive(Clone, Copy)]
struct Place {
    epoch: u64,
    position: u64,
}

#[derive(Clone, Copy, Debug)]
struct Job {
    count: u64,
    global_batch: u64,
    seed: u64,
    drop_last: bool,
}

impl Job {
    fn schedule(&self, place: Place, world: u64, rank: u64) -> Schedule {
        let Job { count, global_batch, drop_last, .. } = *self;
        let position = place.position;
        Schedule::new(ScheduleConfig { count, global_batch, world, rank, drop_last, position })
            .unwrap()
    }

    /// What a run reads, each step's ranks one after the other, and where the next one begins. Padding is left out.
    fn read(&self, run: Run, place: Place) -> (Vec<u64>, Place) {
        let order = Permutation::new(self.count, self.seed, place.epoch);
        let mut ranks: Vec<_> =
            (0..run.world).map(|rank| self.schedule(place, run.world, rank)).collect();
        let mut read = Vec::new();
        let mut position = place.position;
        for _ in 0..run.steps {
            let step: Vec<_> = ranks.iter_mut().map(Iterator::next).collect();
            let Some(step) = step.into_iter().collect::<Option<Vec<_>>>() else {
                return (read, Place { epoch: place.epoch + 1, position: 0 });
            };
            for dealt in &step {
                assert_eq!(
                    dealt.next_position, step[0].next_position,
                    "all ranks are at one place"
                );
                let positions = dealt.from..dealt.from + dealt.count - dealt.padded;
                read.extend(positions.map(|position| order.at(position)));
            }
            position = step[0].next_position;
        }
        (read, Place { epoch: place.epoch, position })
    }
}

fn job() -> impl Strategy<Value = Job> {
    (1..80u64, 1..24u64, any::<u64>(), any::<bool>()).prop_map(
        |(count, global_batch, seed, drop_last)| Job { count, global_batch, seed, drop_last },
    )
}

fn run() -> impl Strategy<Value = Run> {
    (1..9u64, 0..12usize).prop_map(|(world, steps)| Run { world, steps })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(SCHEDULES))]

    #[test]
    fn a_job_that_is_stopped_at_any_step_reads_what_one_that_never_stops_does(
        job in job(),
        runs in prop::collection::vec(run(), 1..8),
    ) {
        let mut place = Place { epoch: 0, position: 0 };
        let mut epochs: Vec<Vec<u64>> = vec![Vec::new()];
        let last = Run { world: 3, steps: usize::MAX };
        for run in runs.into_iter().chain([last]) {
            let (read, next) = job.read(run, place);
            epochs.last_mut().unwrap().extend(read);
            if next.epoch > place.epoch {
                epochs.push(Vec::new());
            }
            place = next;
        }
        epochs.pop();
        let never_stopped = Run { world: 1, steps: usize::MAX };
        for (epoch, read) in epochs.iter().enumerate() {
            let whole = job.read(never_stopped, Place { epoch: epoch as u64, position: 0 }).0;
            // With drop_last the grid of a resumed run has the same end, since steps are never cut.
            prop_assert_eq!(read, &whole);
        }
    }
}
