//! The answer to a LIST, in the form in which servers send it: elements without attributes, text or elements in each,
//! nothing else. Whatever is not so, what only a real XML parser would get right, and whatever a listing must not
//! contain is none of this module's: the caller asks a parser that knows it all, and says what is wrong. Such a parser
//! takes fifty times as long for a page of 1,000 keys.

use std::borrow::Cow;

use millpool_core::{FileRow, FileRowsWriter};

use crate::calendar::parse_iso_date;

const ROOT_START: &[u8] = b"<ListBucketResult";
const ROOT_END: &[u8] = b"</ListBucketResult>";
const OBJECT_START: &[u8] = b"<Contents>";
const OBJECT_END: &[u8] = b"</Contents>";
const PREFIX_START: &[u8] = b"<CommonPrefixes>";
const PREFIX_END: &[u8] = b"</CommonPrefixes>";
const NUMBER_DIGITS_MAX: usize = 16;
/// A tag is at most 1,024 bytes, its quotes included.
const ETAG_BYTES_MAX: usize = 1_022;

/// Keys and prefixes ascend, each alone, and all begin as was asked.
#[derive(PartialEq, Eq, Debug)]
pub struct ListPage {
    /// Packed (`FileRows`).
    pub files: Vec<u8>,
    /// What later names are rolled up into, with its slash.
    pub directories: Vec<Vec<u8>>,
    /// Keys that end in a slash and have a content.
    pub markers: Vec<Vec<u8>>,
    /// The last key or prefix, also when it is none of the above.
    pub last: Option<Vec<u8>>,
    pub truncated: bool,
    pub token: Option<String>,
}

impl ListPage {
    /// Of the keys that begin with `prefix`; `None` for everything unusual.
    pub fn read(body: &[u8], prefix: &[u8]) -> Option<ListPage> {
        std::str::from_utf8(body).ok()?;
        let begin = root_content(body)?;
        let mut reader = Reader { text: body, from: 0, to: 0, is_empty: false };
        let answer = Answer::read(&mut reader, begin)?;
        answer.page(prefix)
    }
}

/// Where the content of the root element begins; there is nothing but a prolog before it.
fn root_content(body: &[u8]) -> Option<usize> {
    let after_prolog = match body.strip_prefix(b"<?xml ") {
        Some(rest) => {
            let end = position(rest, b'>')?;
            let is_plain = rest[..end].ends_with(b"?") && !rest[..end].contains(&b'<');
            is_plain.then_some(&rest[end + 1..])?
        }
        None => body,
    };
    let root = after_prolog.trim_ascii_start();
    let len = position(root, b'>')?;
    let tag = root[..len].strip_prefix(ROOT_START)?;
    let is_plain = !tag.contains(&b'<') && !tag.ends_with(b"/");
    is_plain.then_some(body.len() - root.len() + len + 1)
}

/// What an answer says, as it says it.
#[derive(Default)]
struct Answer<'a> {
    objects: Vec<Object<'a>>,
    prefixes: Vec<&'a [u8]>,
    /// Elements that were there, each once.
    told: Vec<&'a [u8]>,
    /// Names are encoded as in a form.
    is_encoded: bool,
    truncated: bool,
    token: Option<String>,
}

#[derive(Default)]
struct Object<'a> {
    key: Option<&'a [u8]>,
    size: Option<f64>,
    etag: Option<&'a [u8]>,
    modified_ms: Option<f64>,
}

impl<'a> Answer<'a> {
    fn read(reader: &mut Reader<'a>, begin: usize) -> Option<Answer<'a>> {
        let mut answer = Answer::default();
        let mut last_time = (&[][..], 0.0);
        let mut at = reader.skip_space(begin);
        while !reader.is_at(ROOT_END, at) {
            if reader.is_at(OBJECT_START, at) {
                let object;
                (object, at) = reader.object(at + OBJECT_START.len(), &mut last_time)?;
                answer.objects.push(object);
            } else if reader.is_at(PREFIX_START, at) {
                let prefix;
                (prefix, at) = reader.prefix(at + PREFIX_START.len())?;
                answer.prefixes.push(prefix);
            } else {
                let name = reader.enter(at)?;
                let text = resolved(reader.content()?)?;
                answer.tell(name, &text)?;
                at = reader.leave(name)?;
            }
            at = reader.skip_space(at);
        }
        let rest = &reader.text[at + ROOT_END.len()..];
        let is_list = [&b"IsTruncated"[..], b"Name", b"KeyCount"]
            .iter()
            .any(|name| answer.told.contains(name));
        (is_list && rest.iter().copied().all(is_space)).then_some(answer)
    }

    fn tell(&mut self, name: &'a [u8], text: &[u8]) -> Option<()> {
        if self.told.contains(&name) {
            return None;
        }
        self.told.push(name);
        match name {
            b"IsTruncated" => {
                self.truncated = match text {
                    b"true" => true,
                    b"false" => false,
                    _ => return None,
                }
            }
            b"NextContinuationToken" => self.token = Some(String::from_utf8(text.to_vec()).ok()?),
            // May stand behind what it is about.
            b"EncodingType" => self.is_encoded = text == b"url",
            _ => {}
        }
        Some(())
    }

    /// With everything that could hide a file looked for.
    fn page(self, prefix: &[u8]) -> Option<ListPage> {
        let mut files = FileRowsWriter::new(self.objects.len());
        let mut markers = Vec::new();
        let mut last_key: Option<Cow<'_, [u8]>> = None;
        let mut tag = Vec::new();
        for Object { key, size, etag, modified_ms } in &self.objects {
            let (key, size) = (self.name((*key)?)?, (*size)?);
            check_order(last_key.as_deref(), &key, prefix)?;
            write_tag(*etag, *modified_ms, &mut tag)?;
            if key.last() != Some(&b'/') {
                let modified_ms = modified_ms.unwrap_or(0.0);
                files.push(FileRow { size, modified_ms, key: &key, tag: &tag })?;
            } else if size > 0.0 {
                markers.push(key.to_vec());
            }
            last_key = Some(key);
        }
        let mut directories: Vec<Vec<u8>> = Vec::with_capacity(self.prefixes.len());
        for name in &self.prefixes {
            let name = self.name(name)?;
            check_order(directories.last().map(Vec::as_slice), &name, prefix)?;
            directories.push(name.into_owned());
        }
        let last = last_key.map(Cow::into_owned).max(directories.last().cloned());
        let (files, truncated) = (files.finish(), self.truncated);
        Some(ListPage { files, directories, markers, last, truncated, token: self.token })
    }

    fn name<'n>(&self, text: &'n [u8]) -> Option<Cow<'n, [u8]>> {
        let text = resolved(text)?;
        let is_plain = !self.is_encoded || !text.iter().any(|byte| matches!(byte, b'%' | b'+'));
        Some(if is_plain { text } else { form_decoded(text) })
    }
}

/// `None` where a name does not come after the one before it, or is not below what was asked for.
fn check_order(before: Option<&[u8]>, name: &[u8], prefix: &[u8]) -> Option<()> {
    let ascends = before.is_none_or(|before| before < name);
    (ascends && name.starts_with(prefix)).then_some(())
}

/// Goes through the text from one element to the next.
struct Reader<'a> {
    text: &'a [u8],
    /// Of the last element that was entered: where its content begins, and the first `<` after that.
    from: usize,
    to: usize,
    /// It has no closing tag.
    is_empty: bool,
}

impl<'a> Reader<'a> {
    /// An object, and where it ends. Many of a page have the time of the one before.
    fn object(
        &mut self,
        begin: usize,
        last_time: &mut (&'a [u8], f64),
    ) -> Option<(Object<'a>, usize)> {
        let mut object = Object::default();
        let mut at = self.skip_space(begin);
        while !self.is_at(OBJECT_END, at) {
            let name = self.enter(at)?;
            match name {
                b"Key" if object.key.is_none() => object.key = Some(self.content()?),
                b"Size" if object.size.is_none() => object.size = Some(whole(self.content()?)?),
                b"ETag" if object.etag.is_none() => object.etag = Some(self.content()?),
                b"LastModified" if object.modified_ms.is_none() => {
                    let text = self.content()?;
                    if last_time.0 != text {
                        *last_time = (text, parse_iso_date(text)? as f64);
                    }
                    object.modified_ms = Some(last_time.1);
                }
                b"Key" | b"Size" | b"ETag" | b"LastModified" => return None,
                _ => {}
            }
            at = self.leave(name)?;
            at = self.skip_space(at);
        }
        Some((object, at + OBJECT_END.len()))
    }

    fn prefix(&mut self, begin: usize) -> Option<(&'a [u8], usize)> {
        let at = self.skip_space(begin);
        (self.enter(at)? == b"Prefix").then_some(())?;
        let prefix = self.content()?;
        let end = self.leave(b"Prefix")?;
        let end = self.skip_space(end);
        self.is_at(PREFIX_END, end).then_some((prefix, end + PREFIX_END.len()))
    }

    /// The name of the element that begins here.
    fn enter(&mut self, at: usize) -> Option<&'a [u8]> {
        let text = self.text;
        (text.get(at) == Some(&b'<')).then_some(())?;
        let end = at + position(&text[at..], b'>')?;
        self.is_empty = text[end - 1] == b'/';
        let name = &text[at + 1..if self.is_empty { end - 1 } else { end }];
        let is_name = !name.is_empty()
            && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
        self.from = end + 1;
        self.to = self.from + if self.is_empty { 0 } else { position(&text[self.from..], b'<')? };
        is_name.then_some(name)
    }

    /// Where the element ends that was entered; what it may hold is text, or elements that hold text.
    fn leave(&mut self, name: &[u8]) -> Option<usize> {
        if self.is_empty {
            return Some(self.to);
        }
        let (from, to) = (self.from, self.to);
        if let Some(end) = self.closed(name, to) {
            return Some(end);
        }
        let mut at = self.skip_space(from);
        loop {
            if let Some(end) = self.closed(name, at) {
                return Some(end);
            }
            let inner = self.enter(at)?;
            let end = if self.is_empty { self.to } else { self.closed(inner, self.to)? };
            at = self.skip_space(end);
        }
    }

    /// Where the closing tag ends, if it is one of this name that begins here.
    fn closed(&self, name: &[u8], at: usize) -> Option<usize> {
        let rest = self.text.get(at..)?.strip_prefix(b"</")?.strip_prefix(name)?;
        rest.starts_with(b">").then_some(at + name.len() + 3)
    }

    /// The text of the element that was entered.
    fn content(&self) -> Option<&'a [u8]> {
        let is_text = self.is_empty || self.text.get(self.to + 1) == Some(&b'/');
        is_text.then_some(&self.text[self.from..self.to])
    }

    fn is_at(&self, what: &[u8], at: usize) -> bool {
        self.text.get(at..).is_some_and(|text| text.starts_with(what))
    }

    fn skip_space(&self, at: usize) -> usize {
        self.text[at..]
            .iter()
            .position(|byte| !is_space(*byte))
            .map_or(self.text.len(), |len| at + len)
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

fn position(text: &[u8], byte: u8) -> Option<usize> {
    text.iter().position(|other| *other == byte)
}

/// With its entities as what they stand for.
fn resolved(text: &[u8]) -> Option<Cow<'_, [u8]>> {
    if !text.iter().any(is_special) {
        return Some(Cow::Borrowed(text));
    }
    let mut result = Vec::with_capacity(text.len());
    resolve(text, &mut result)?;
    Some(Cow::Owned(result))
}

/// Ends of lines are for a parser that knows what becomes of them.
fn is_special(byte: &u8) -> bool {
    matches!(byte, b'&' | b'\r' | b'\n')
}

fn resolve(mut text: &[u8], to: &mut Vec<u8>) -> Option<()> {
    while let Some(at) = text.iter().position(is_special) {
        to.extend_from_slice(&text[..at]);
        (text[at] == b'&').then_some(())?;
        let end = at + position(&text[at..], b';')?;
        push_entity(&text[at + 1..end], to)?;
        text = &text[end + 1..];
    }
    to.extend_from_slice(text);
    Some(())
}

fn push_entity(entity: &[u8], to: &mut Vec<u8>) -> Option<()> {
    let character = match entity {
        b"amp" => '&',
        b"lt" => '<',
        b"gt" => '>',
        b"quot" => '"',
        b"apos" => '\'',
        [b'#', b'x' | b'X', hex @ ..] => numbered(hex, 16)?,
        [b'#', decimal @ ..] => numbered(decimal, 10)?,
        _ => return None,
    };
    to.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    Some(())
}

fn numbered(digits: &[u8], radix: u32) -> Option<char> {
    let is_number = digits.iter().all(u8::is_ascii_hexdigit);
    let code = u32::from_str_radix(std::str::from_utf8(digits).ok()?, radix).ok()?;
    char::from_u32(code).filter(|_| is_number && code > 0)
}

/// S3 encodes like a form; a text that is not encoded after all is taken as it is.
fn form_decoded(text: Cow<'_, [u8]>) -> Cow<'_, [u8]> {
    match decoded(&text) {
        Some(decoded) => Cow::Owned(decoded),
        None => text,
    }
}

fn decoded(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        if *byte == b'%' {
            let digit = |place: usize| char::from(*text.get(place)?).to_digit(16);
            bytes.push((digit(at + 1)? << 4 | digit(at + 2)?) as u8);
            at += 3;
        } else {
            bytes.push(if *byte == b'+' { b' ' } else { *byte });
            at += 1;
        }
    }
    std::str::from_utf8(&bytes).ok()?;
    Some(bytes)
}

/// Of as many digits as no number of a bucket has more.
fn whole(text: &[u8]) -> Option<f64> {
    let is_number =
        (1..=NUMBER_DIGITS_MAX).contains(&text.len()) && text.iter().all(u8::is_ascii_digit);
    let number =
        text.iter().fold(0u64, |number, digit| 10 * number + u64::from(digit.wrapping_sub(b'0')));
    is_number.then_some(number as f64)
}

/// The tag of an object, as `version-tag.ts` has it: its ETag with quotes, or where it has none that could be sent back
/// in `If-Match`, the second it was modified. `None` where the source gives neither.
fn write_tag(etag: Option<&[u8]>, modified_ms: Option<f64>, tag: &mut Vec<u8>) -> Option<()> {
    tag.clear();
    resolve(etag.unwrap_or_default(), tag)?;
    if !is_strong(tag) {
        tag.clear();
        tag.extend_from_slice(format!("m:{}", (modified_ms? / 1_000.0).floor()).as_bytes());
    } else if !tag.starts_with(b"\"") {
        tag.insert(0, b'"');
        tag.push(b'"');
    }
    Some(())
}

/// A weak ETag (`W/"…"`) never matches; an empty one is what servers send for files put behind their back.
fn is_strong(etag: &[u8]) -> bool {
    let quoted = etag.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
    let inner = quoted.unwrap_or(etag);
    let is_plain = !inner.is_empty() && inner.iter().all(|byte| matches!(byte, 0x21 | 0x23..=0x7e));
    is_plain && !etag.starts_with(b"W/") && etag.len() <= ETAG_BYTES_MAX
}

#[cfg(test)]
mod tests {
    use millpool_core::FileRows;

    use super::*;

    const OBJECT: &str = "<Contents><Key>a%2Fb+c</Key><LastModified>2026-01-05T06:07:08.123Z</LastModified>\
                          <ETag>&quot;e&quot;</ETag><Size>5</Size></Contents>";

    fn page(inner: &str) -> String {
        format!(
            "<?xml version=\"1.0\"?>\n<ListBucketResult xmlns=\"x\"><Name>n</Name>{inner}</ListBucketResult>\n"
        )
    }

    #[test]
    fn an_object_is_read() {
        let text = page(&format!(
            "{OBJECT}<EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>"
        ));
        let read = ListPage::read(text.as_bytes(), b"a/").unwrap();
        let row =
            FileRow { size: 5.0, modified_ms: 1_767_593_228_123.0, key: b"a/b c", tag: b"\"e\"" };
        assert_eq!(FileRows::of(&read.files).row(0).unwrap(), row);
        assert_eq!((read.last.as_deref(), read.truncated), (Some(&b"a/b c"[..]), true));
    }

    #[test]
    fn an_answer_cut_anywhere_is_none() {
        let text = page(OBJECT);
        let whole = text.trim_end().len();
        for len in 0..whole {
            assert_eq!(ListPage::read(&text.as_bytes()[..len], b""), None, "{len}");
        }
        assert!(ListPage::read(&text.as_bytes()[..whole], b"").is_some());
    }

    #[test]
    fn an_answer_with_any_byte_changed_is_read_or_not() {
        let text = page(OBJECT).into_bytes();
        for at in 0..text.len() {
            for byte in [b'<', b'>', b'/', b'&', b';', b'%', 0, 0xff] {
                let mut changed = text.clone();
                changed[at] = byte;
                let _ = ListPage::read(&changed, b"");
            }
        }
    }
}
