//! Why records are not resident: what happened last to those that could have been.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::segment::unix_seconds;
use crate::{Code, RecordKey};

/// Places, one for each value of a key's last bits: 1.5 MiB, taken from the kernel as they are written to.
const PLACES: usize = 1 << 16;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// Fetched; no device had room for it.
    NoRoom,
    /// Fetched; the key table had no room for it.
    TableFull,
    /// Fetched; its identity had its share of the cache already.
    OverShare,
    /// Fetched; all that is here of its identity is read sooner.
    ReadLater,
    /// Fetched; its attachment admits nothing.
    NotAdmitted,
    /// Fetched, served and not kept: its object had been written a moment ago.
    Young,
    /// The fetch failed.
    Failed(Code),
    /// Somebody asked to forget it.
    Freed,
    /// Its segment was given up for others.
    Evicted,
    /// Its bytes did not match their checksum.
    Damaged,
}

/// A fate and when it came, in Unix seconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Dated {
    pub fate: Fate,
    pub at: u64,
}

/// The last fate of as many records as there are places; one record's can take the place of another's.
#[derive(Default)]
pub struct Fates {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Empty until the first is noted.
    places: Vec<Option<(RecordKey, Dated)>>,
    overwritten: u64,
}

impl Fates {
    pub fn note(&self, keys: impl IntoIterator<Item = RecordKey>, fate: Fate) {
        let at = unix_seconds();
        let mut state = self.state();
        for key in keys {
            if state.places.is_empty() {
                state.places.resize(PLACES, None);
            }
            let former = state.places[place_of(&key)].replace((key, Dated { fate, at }));
            state.overwritten += u64::from(former.is_some_and(|(other, _)| other != key));
        }
    }

    pub fn of(&self, key: &RecordKey) -> Option<Dated> {
        let state = self.state();
        let (noted, dated) = (*state.places.get(place_of(key))?)?;
        (noted == *key).then_some(dated)
    }

    /// Nothing was overwritten: a record without a fate was never wanted in this run, or is resident.
    pub fn is_complete(&self) -> bool {
        self.state().overwritten == 0
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn place_of(key: &RecordKey) -> usize {
    usize::from(u16::from_le_bytes([key.0[14], key.0[15]]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u16, other: u8) -> RecordKey {
        let mut key = [other; 16];
        key[14..].copy_from_slice(&n.to_le_bytes());
        RecordKey(key)
    }

    #[test]
    fn the_last_fate_of_a_record_is_told_and_a_lost_one_is_not_made_up() {
        let fates = Fates::default();
        assert_eq!(fates.of(&key(1, 0)), None);
        fates.note([key(1, 0), key(2, 0)], Fate::Young);
        fates.note([key(1, 0)], Fate::Evicted);
        assert_eq!(fates.of(&key(1, 0)).map(|dated| dated.fate), Some(Fate::Evicted));
        assert_eq!(fates.of(&key(2, 0)).map(|dated| dated.fate), Some(Fate::Young));
        assert!(fates.is_complete(), "one record's own fates are no loss");
        fates.note([key(2, 9)], Fate::Failed(Code::Io));
        assert_eq!(fates.of(&key(2, 0)), None, "its place is another's now");
        assert_eq!(fates.of(&key(2, 9)).map(|dated| dated.fate), Some(Fate::Failed(Code::Io)));
        assert!(!fates.is_complete());
    }
}
