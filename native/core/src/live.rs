//! What of a segment can be found, counted.

#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct Live {
    pub records: u64,
    pub bytes: u64,
}

impl Live {
    pub fn add(&mut self, stored_len: u32) {
        self.records += 1;
        self.bytes += u64::from(stored_len);
    }

    pub fn merge(&mut self, other: Live) {
        self.records += other.records;
        self.bytes += other.bytes;
    }

    pub fn take(&mut self, stored_len: u32) {
        self.records -= 1;
        self.bytes -= u64::from(stored_len);
    }
}
