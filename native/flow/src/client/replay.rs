//! What one stage alone would reach: a batch that was read before is read again into a slot that is thrown away.

use std::time::{Duration, Instant};

use millpool_core::{Copy, Outcome, Result, gather, gather_direct};

use super::copies::Copies;
use super::layout::BatchRequest;
use super::read::Reading;
use super::session::{Limits, Session};

/// What was copied, and how long it took. All zero where nothing could be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Replayed {
    pub samples: u64,
    pub bytes: u64,
    pub spent: Duration,
}

/// The same samples, by one thread each way.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Replay {
    /// Out of mapped memory: those that are in it.
    pub gather: Replayed,
    /// Past the page cache, where the filesystem lets us.
    pub device: Replayed,
}

/// Nobody is told of it: no receipt, no hit, and nothing is fetched. It takes a slot only if one is free.
pub fn replay(session: &Session, request: &BatchRequest, limits: &Limits) -> Result<Replay> {
    let at_once = Limits { deadline: Instant::now(), ..limits.clone() };
    let (mut reading, link) = Reading::start(session, request, limits, &at_once)?;
    let resident = reading.locate(&link)?;
    let mut found = Replay::default();
    let warm = reading.copies_of(&resident).only(Copy::is_in_memory);
    found.gather = timed(&reading, &warm, |outcomes| gather(&warm.copies, outcomes));
    limits.cancel.check()?;
    let direct = reading.copies_of(&resident).only(Copy::has_direct);
    found.device = timed(&reading, &direct, |outcomes| {
        gather_direct(&direct.copies, &session.reader, outcomes);
    });
    Ok(found)
}

/// Runs `copy`, which makes all of `copies`. One that went wrong makes the time worthless.
fn timed(
    reading: &Reading<'_>,
    copies: &Copies<'_>,
    copy: impl FnOnce(&mut Vec<Outcome>),
) -> Replayed {
    if copies.parts.is_empty() {
        return Replayed::default();
    }
    let mut outcomes = Vec::new();
    let start = Instant::now();
    copy(&mut outcomes);
    let spent = start.elapsed();
    if outcomes.iter().any(|outcome| matches!(outcome, Outcome::Mismatch | Outcome::Faulted)) {
        return Replayed::default();
    }
    let mut replayed = Replayed { spent, ..Replayed::default() };
    let mut last = None;
    for part in copies.parts.iter().map(|(n, _)| &reading.parts[*n]) {
        replayed.bytes += u64::from(part.len);
        replayed.samples += u64::from(last != Some(part.sample));
        last = Some(part.sample);
    }
    replayed
}
