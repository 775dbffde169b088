//! The objects of a bucket, which its name tells: `objects-N-BYTES` holds N objects of BYTES each.

use crate::failure::{Failure, refused};
use crate::window::SAMPLE_BYTES_MAX;

const PREFIX: &str = "data/part-";
const PER_PART: u64 = 1000;
/// What zero-padded numbers can name: byte order is then the order of numbers.
const COUNT_MAX: u64 = 10_000_000;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Catalog {
    pub count: u64,
    pub size: u64,
}

impl Catalog {
    pub fn of_bucket(name: &str) -> Result<Catalog, Failure> {
        let numbers = name.strip_prefix("objects-").and_then(|rest| rest.split_once('-'));
        let parsed = numbers.and_then(|(count, size)| {
            Some(Catalog { count: count.parse().ok()?, size: size.parse().ok()? })
        });
        parsed
            .filter(|of| of.count <= COUNT_MAX && (1..=SAMPLE_BYTES_MAX).contains(&of.size))
            .ok_or_else(|| refused(format!("no bucket {name}: it is not objects-N-BYTES")))
    }

    pub fn key(number: u64) -> String {
        format!("{PREFIX}{:04}/object-{number:07}.bin", number / PER_PART)
    }

    /// The number of the object that a key names, if there is one.
    pub fn find(&self, key: &str) -> Option<u64> {
        let number = key.strip_suffix(".bin")?.get(key.len().checked_sub(11)?..)?.parse().ok()?;
        (number < self.count && Catalog::key(number) == key).then_some(number)
    }

    /// The first object whose key is after `key` in byte order.
    pub fn first_after(&self, key: &str) -> u64 {
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low + (high - low) / 2;
            if Catalog::key(middle).as_str() <= key { low = middle + 1 } else { high = middle }
        }
        low
    }

    pub fn etag(&self, number: u64) -> String {
        format!("\"{number:016x}{:016x}\"", self.size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_s_name_says_what_is_in_it() {
        let found = Catalog::of_bucket("objects-2000-102400").expect("a bucket");
        assert_eq!(found, Catalog { count: 2000, size: 102_400 });
        for wrong in
            ["objects-1", "objects-1-0", "things-1-1", "objects-1-99999999999", "objects--1"]
        {
            assert!(Catalog::of_bucket(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn keys_are_in_order_and_found_again() {
        let catalog = Catalog { count: 2500, size: 1 };
        for number in [0, 1, 999, 1000, 2499] {
            let key = Catalog::key(number);
            assert_eq!(catalog.find(&key), Some(number));
            assert_eq!(catalog.first_after(&key), number + 1);
            assert!(Catalog::key(number) < Catalog::key(number + 1));
        }
        assert_eq!(catalog.find(&Catalog::key(2500)), None);
        assert_eq!(catalog.find("data/part-0001/object-0000001.bin"), None);
        assert_eq!(catalog.find("x.bin"), None);
        assert_eq!(catalog.first_after(""), 0);
        assert_eq!(catalog.first_after("data/part-0001/"), 1000);
    }
}
