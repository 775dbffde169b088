//! Reads `layouts.tsv`: each layout of docs/formats.md as bytes, and as the fields that its writer put there.

use std::collections::HashMap;

/// One layout. Panics, with its name, wherever the file is not what the test takes it for.
pub struct LayoutVector {
    pub bytes: Vec<u8>,
    name: String,
    fields: HashMap<String, Field>,
}

struct Field {
    at: usize,
    size: usize,
    value: String,
}

impl LayoutVector {
    pub fn named(name: &str) -> LayoutVector {
        let text = include_str!("layouts.tsv");
        let head = format!("layout\t{name}\t");
        let mut lines = text.lines().skip_while(|line| !line.starts_with(&head));
        let length = lines.next().unwrap_or_else(|| panic!("no layout {name}"))[head.len()..]
            .parse()
            .unwrap();
        let mut vector =
            LayoutVector { bytes: vec![0; length], name: name.into(), fields: HashMap::new() };
        for line in lines.take_while(|line| !line.starts_with("layout\t")) {
            vector.add(line);
        }
        vector
    }

    fn add(&mut self, line: &str) {
        let [at, size, path, hex, value] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("five columns in {line:?} of {}", self.name)
        };
        let (at, size) = (at.parse().unwrap(), size.parse().unwrap());
        self.bytes[at..at + size].copy_from_slice(&bytes_of(hex));
        self.fields.insert(path.into(), Field { at, size, value: value.into() });
    }

    fn field(&self, path: &str) -> &Field {
        self.fields.get(path).unwrap_or_else(|| panic!("no {path} in {}", self.name))
    }

    /// `path` is STRUCT/NUMBER/FIELD.
    pub fn number<T: TryFrom<u64, Error: std::fmt::Debug>>(&self, path: &str) -> T {
        let value = &self.field(path).value;
        let number: u64 =
            value.parse().unwrap_or_else(|_| panic!("{path} of {} is {value:?}", self.name));
        T::try_from(number).unwrap()
    }

    pub fn part(&self, path: &str) -> &[u8] {
        let field = self.field(path);
        &self.bytes[field.at..field.at + field.size]
    }

    pub fn array<const N: usize>(&self, path: &str) -> [u8; N] {
        self.part(path)
            .try_into()
            .unwrap_or_else(|_| panic!("{path} of {} is not {N} bytes", self.name))
    }
}

/// Hex, or `xx*n` for a byte that comes n times.
fn bytes_of(hex: &str) -> Vec<u8> {
    if let Some((byte, count)) = hex.split_once('*') {
        return vec![u8::from_str_radix(byte, 16).unwrap(); count.parse().unwrap()];
    }
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}
