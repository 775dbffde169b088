//! The object list (docs/formats.md): how TypeScript and READ frames name objects.

use millpool_core::{Code, Error, ObjectRef, Result, write_object};

use crate::cursor::Cursor;

const TAG_MAX: usize = 1024;
/// Attachment, size and the two lengths.
const OBJECT_BYTES_MIN: usize = 16;

/// The objects of a whole list. `Invalid` when it is cut short, goes on after its end, or has a tag over 1,024 bytes.
pub fn decode_objects(bytes: &[u8]) -> Result<Vec<ObjectRef>> {
    let mut cursor = Cursor::new(bytes);
    let count = cursor.count(OBJECT_BYTES_MIN)?;
    let mut objects = Vec::with_capacity(count);
    for _ in 0..count {
        objects.push(decode_object(&mut cursor)?);
    }
    cursor.end()?;
    Ok(objects)
}

fn decode_object(cursor: &mut Cursor<'_>) -> Result<ObjectRef> {
    let attachment = cursor.u32()?;
    let size = cursor.u64()?;
    let tag_len = usize::from(cursor.u16()?);
    if tag_len > TAG_MAX {
        return Err(Error::new(
            Code::Invalid,
            format!("a tag of {tag_len} bytes; {TAG_MAX} at most"),
        ));
    }
    let tag = cursor.take(tag_len)?.to_vec();
    let key_len = usize::from(cursor.u16()?);
    let source_key = cursor.take(key_len)?.to_vec();
    Ok(ObjectRef { attachment, source_key, size, tag })
}

pub fn encode_objects<'a>(objects: impl ExactSizeIterator<Item = &'a ObjectRef>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(4 + objects.len() * 96);
    bytes.extend_from_slice(&(objects.len() as u32).to_le_bytes());
    for object in objects {
        let ObjectRef { attachment, source_key, size, tag } = object;
        write_object(&mut bytes, (*attachment, *size), tag, [source_key, &[]]);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn object() -> impl Strategy<Value = ObjectRef> {
        let bytes = proptest::collection::vec(any::<u8>(), 0..40);
        (any::<u32>(), bytes.clone(), any::<u64>(), bytes).prop_map(
            |(attachment, source_key, size, tag)| ObjectRef { attachment, source_key, size, tag },
        )
    }

    proptest! {
        #[test]
        fn decoding_undoes_encoding(objects in proptest::collection::vec(object(), 0..20)) {
            prop_assert_eq!(decode_objects(&encode_objects(objects.iter())).unwrap(), objects);
        }

        #[test]
        fn any_bytes_are_a_list_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(objects) = decode_objects(&bytes) {
                prop_assert_eq!(encode_objects(objects.iter()), bytes);
            }
        }
    }
}
