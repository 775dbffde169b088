//! The objects of a bucket, which its name tells: `objects-N-BYTES` holds N objects of BYTES each in directories of a
//! thousand, `flat-N-BYTES` holds them in one.

use crate::failure::{Failure, refused};
use crate::window::SAMPLE_BYTES_MAX;

const PREFIX: &str = "data/";
const PER_PART: u64 = 1000;
/// Numbers are padded with zeros, so that byte order is the order of numbers: those of more objects to more digits.
const COUNT_MAX: u64 = 1_000_000_000;
const SHORT_COUNT_MAX: u64 = 10_000_000;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Catalog {
    pub count: u64,
    pub size: u64,
    /// All objects in one directory.
    pub flat: bool,
}

impl Catalog {
    pub fn of_bucket(name: &str) -> Result<Catalog, Failure> {
        let (kind, numbers) = name.split_once('-').unwrap_or_default();
        let flat = match kind {
            "objects" => Some(false),
            "flat" => Some(true),
            _ => None,
        };
        let parsed = numbers.split_once('-').and_then(|(count, size)| {
            Some(Catalog { count: count.parse().ok()?, size: size.parse().ok()?, flat: flat? })
        });
        parsed
            .filter(|of| of.count <= COUNT_MAX && (1..=SAMPLE_BYTES_MAX).contains(&of.size))
            .ok_or_else(|| {
                refused(format!("no bucket {name}: it is not objects-N-BYTES or flat-N-BYTES"))
            })
    }

    pub fn key(&self, number: u64) -> String {
        let digits = self.digits();
        if self.flat {
            return format!("{PREFIX}object-{number:0digits$}.bin");
        }
        let parts = digits - 3;
        format!("{PREFIX}part-{:0parts$}/object-{number:0digits$}.bin", number / PER_PART)
    }

    fn digits(&self) -> usize {
        if self.count <= SHORT_COUNT_MAX { 7 } else { 9 }
    }

    /// The number of the object that a key names, if there is one.
    pub fn find(&self, key: &str) -> Option<u64> {
        let name = key.strip_suffix(".bin")?;
        let number = name.get(name.len().checked_sub(self.digits())?..)?.parse().ok()?;
        (number < self.count && self.key(number) == key).then_some(number)
    }

    /// The first object whose key is after `key` in byte order.
    pub fn first_after(&self, key: &str) -> u64 {
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.key(middle).as_str() <= key { low = middle + 1 } else { high = middle }
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
        assert_eq!(found, Catalog { count: 2000, size: 102_400, flat: false });
        assert!(Catalog::of_bucket("flat-7-1").expect("a bucket").flat);
        for wrong in
            ["objects-1", "objects-1-0", "things-1-1", "objects-1-99999999999", "objects--1"]
        {
            assert!(Catalog::of_bucket(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn keys_are_in_order_and_found_again() {
        let flat = Catalog { count: 2500, size: 1, flat: true };
        assert_eq!(flat.key(1999), "data/object-0001999.bin");
        assert_eq!(flat.first_after("data/object-0001999.bin"), 2000);
        let catalog = Catalog { flat: false, ..flat };
        for number in [0, 1, 999, 1000, 2499] {
            let key = catalog.key(number);
            assert_eq!(catalog.find(&key), Some(number));
            assert_eq!(catalog.first_after(&key), number + 1);
            assert!(catalog.key(number) < catalog.key(number + 1));
        }
        assert_eq!(catalog.find(&catalog.key(2500)), None);
        assert_eq!(catalog.find("data/part-0001/object-0000001.bin"), None);
        assert_eq!(catalog.find("x.bin"), None);
        assert_eq!(catalog.first_after(""), 0);
        let large = Catalog { count: 100_000_000, ..catalog };
        assert_eq!(large.key(12_345_678), "data/part-012345/object-012345678.bin");
        assert_eq!(large.find(&large.key(12_345_678)), Some(12_345_678));
        assert_eq!(catalog.first_after("data/part-0001/"), 1000);
    }
}
