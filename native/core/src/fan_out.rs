//! The same work on many things, on several threads.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// As many as read a device well; more processors than this do not make it faster.
const MOST_THREADS: usize = 8;

/// What `work` makes of each item, in their order. Runs on as many threads as there are processors, and at most eight;
/// on this one alone where no other can be started.
pub(crate) fn fan_out<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let threads = thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS);
    let next = AtomicUsize::new(0);
    let run = || {
        let mut made = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(at) else { return made };
            made.push((at, work(item)));
        }
    };
    let mut made = thread::scope(|scope| {
        let others: Vec<_> = (1..threads.min(items.len()))
            .map_while(|_| thread::Builder::new().spawn_scoped(scope, run).ok())
            .collect();
        let mut made = run();
        for other in others {
            made.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        made
    });
    made.sort_unstable_by_key(|(at, _)| *at);
    made.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_in_the_order_of_their_items() {
        let items: Vec<usize> = (0..1000).collect();
        assert_eq!(fan_out(&items, |n| n * 2), items.iter().map(|n| n * 2).collect::<Vec<_>>());
        assert!(fan_out(&[] as &[usize], |n| n * 2).is_empty());
    }
}
