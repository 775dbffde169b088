//! What of a read is resident, and the copies that it is read by.

use std::sync::Arc;

use millpool_core::{Copy, Location, Mapping};

use super::segments::SegmentId;

/// Where a part lies, if this process can read it there.
pub struct Resident(pub Option<(Location, Arc<Mapping>)>);

impl Resident {
    pub fn is_here(&self) -> bool {
        self.0.is_some()
    }
}

/// Records to copy, and which parts they are.
#[derive(Default)]
pub struct Copies<'a> {
    pub copies: Vec<Copy<'a>>,
    pub parts: Vec<(usize, SegmentId)>,
}

impl<'a> Copies<'a> {
    pub fn only(self, which: impl Fn(&Copy<'a>) -> bool) -> Copies<'a> {
        let is_other: Vec<bool> = self.copies.iter().map(|copy| !which(copy)).collect();
        self.split(&is_other).0
    }

    /// Those that are not, and those that are.
    pub fn split(self, is_cold: &[bool]) -> (Copies<'a>, Copies<'a>) {
        let (mut warm, mut cold) = (Copies::default(), Copies::default());
        for ((copy, part), is_cold) in self.copies.into_iter().zip(self.parts).zip(is_cold) {
            let side = if *is_cold { &mut cold } else { &mut warm };
            side.copies.push(copy);
            side.parts.push(part);
        }
        (warm, cold)
    }
}
