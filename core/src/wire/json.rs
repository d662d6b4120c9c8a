//! JSON on the way in, as borrowed raw values; JSON on the way out, into a sink.
//!
//! A raw value is known to be JSON and not yet interpreted, so a value of the wrong type costs its own
//! field and nothing else. Reading does not recurse: a level of nesting takes a byte of heap, and no stack.

use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::wire::base64;

/// The JSON text of one value, not null.
#[derive(Clone, Copy)]
pub(super) struct Raw<'a>(&'a str);

impl<'a> Raw<'a> {
    /// The value, unless it is null: null counts as absent everywhere on this wire.
    pub(super) fn new(value: &'a RawValue) -> Option<Self> {
        (value.get() != "null").then_some(Self(value.get()))
    }

    /// The JSON text.
    pub(super) const fn text(self) -> &'a str {
        self.0
    }

    /// What stands between the quotes, escapes and all, if this is a string.
    pub(super) fn quoted(self) -> Option<&'a str> {
        self.0.strip_prefix('"')?.strip_suffix('"')
    }

    /// The string, if this is one; borrowed unless it has escapes.
    pub(super) fn string(self) -> Option<Cow<'a, str>> {
        let quoted = self.quoted()?;
        if quoted.contains('\\') {
            serde_json::from_str::<Text<'a>>(self.0).ok().map(|text| text.0)
        } else {
            Some(Cow::Borrowed(quoted))
        }
    }

    /// The number or truth value, if this is one that `T` can hold exactly as written: no sign, fraction or exponent.
    pub(super) fn plain<T: FromStr>(self) -> Option<T> {
        self.0.parse().ok()
    }
}

/// A string, borrowed unless it has escapes.
#[derive(Deserialize)]
pub(super) struct Text<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

/// The values that the object `json` has under these keys, in their order. Of a key that comes twice, the last counts.
pub(super) fn read_object<'a, const N: usize>(
    json: &'a str,
    keys: [&str; N],
) -> Result<[Option<Raw<'a>>; N], serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_str(json);
    let values = reader.deserialize_map(ReadFields(keys))?;
    reader.end()?;
    Ok(values)
}

struct ReadFields<'k, const N: usize>([&'k str; N]);

impl<'a, const N: usize> Visitor<'a> for ReadFields<'_, N> {
    type Value = [Option<Raw<'a>>; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut values = [None; N];
        while let Some(Text(key)) = map.next_key()? {
            let value = Raw::new(map.next_value()?);
            if let Some((_, place)) = self.0.iter().zip(&mut values).find(|(known, _)| **known == key) {
                *place = value;
            }
        }
        Ok(values)
    }
}

/// The elements of an array, of which at most `max` are kept.
pub(super) struct Elements<'a> {
    pub(super) kept: Vec<&'a RawValue>,
    /// How many there are in all.
    pub(super) count: usize,
}

/// Reads an array into [`Elements`]. A wrong type is an error of the reader.
#[derive(Clone, Copy)]
pub(super) struct ReadElements {
    pub(super) max: usize,
}

impl<'a> DeserializeSeed<'a> for ReadElements {
    type Value = Elements<'a>;

    fn deserialize<D: Deserializer<'a>>(self, reader: D) -> Result<Elements<'a>, D::Error> {
        reader.deserialize_seq(self)
    }
}

impl<'a> Visitor<'a> for ReadElements {
    type Value = Elements<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut array: A) -> Result<Elements<'a>, A::Error> {
        /// What most batches have room in: deployed clients send 50 ops at most.
        const USUAL: usize = 64;
        let mut kept = Vec::with_capacity(self.max.min(USUAL));
        while kept.len() < self.max {
            match array.next_element()? {
                Some(element) => kept.push(element),
                None => return Ok(Elements { count: kept.len(), kept }),
            }
        }
        let mut count = kept.len();
        while array.next_element::<IgnoredAny>()?.is_some() {
            count = count.saturating_add(1);
        }
        Ok(Elements { kept, count })
    }
}

/// Reads an array or null.
#[derive(Clone, Copy)]
pub(super) struct OrNull(pub(super) ReadElements);

impl<'a> DeserializeSeed<'a> for OrNull {
    type Value = Option<Elements<'a>>;

    fn deserialize<D: Deserializer<'a>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_option(self)
    }
}

impl<'a> Visitor<'a> for OrNull {
    type Value = Option<Elements<'a>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array or null")
    }

    fn visit_none<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'a>>(self, reader: D) -> Result<Self::Value, D::Error> {
        self.0.deserialize(reader).map(Some)
    }
}

/// Reads the array `value`, if it is one.
pub(super) fn read_elements(value: Raw<'_>, max: usize) -> Option<Elements<'_>> {
    let mut reader = serde_json::Deserializer::from_str(value.0);
    ReadElements { max }.deserialize(&mut reader).ok()
}

/// At most `max` bytes of `text`, cut between characters.
pub(super) fn cut(text: &str, max: usize) -> &str {
    text.get(..text.floor_char_boundary(max)).unwrap_or_default()
}

/// Where JSON goes: into a buffer, or only its length into a sum. Both are written by the same code, so
/// that a buffer is allocated once with exactly the size it needs.
pub(super) trait Sink {
    /// Writes `text` as it is.
    fn raw(&mut self, text: &str);

    /// Writes the base64 of the concatenated `chunks`, without quotes.
    fn base64(&mut self, chunks: &[Bytes]);

    /// Writes a string.
    fn string(&mut self, text: &str) {
        self.raw("\"");
        if text.bytes().any(|byte| needs_escape(byte.into())) {
            self.escaped(text);
        } else {
            self.raw(text);
        }
        self.raw("\"");
    }

    /// Writes a text with escapes where it needs them.
    fn escaped(&mut self, text: &str) {
        for piece in text.split_inclusive(needs_escape) {
            let mut chars = piece.chars();
            match chars.next_back().filter(|last| needs_escape(*last)) {
                Some(last) => {
                    self.raw(chars.as_str());
                    self.escape(last);
                }
                None => self.raw(piece),
            }
        }
    }

    /// Writes a character that cannot stand in a string as it is (RFC 8259 section 7).
    fn escape(&mut self, character: char) {
        match character {
            '"' => self.raw("\\\""),
            '\\' => self.raw("\\\\"),
            '\u{8}' => self.raw("\\b"),
            '\u{c}' => self.raw("\\f"),
            '\n' => self.raw("\\n"),
            '\r' => self.raw("\\r"),
            '\t' => self.raw("\\t"),
            control => {
                let code = u32::from(control);
                self.raw(if code < 0x10 { "\\u000" } else { "\\u001" });
                let digit = char::from_digit(code & 0xf, 16).unwrap_or_default();
                self.raw(digit.encode_utf8(&mut [0; 4]));
            }
        }
    }

    /// Writes a number: what stands before the last digit, and the last digit. 20 digits are the most.
    fn number(&mut self, number: u64) {
        const DIGITS: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
        if number >= 10 {
            self.number(number / 10);
        }
        let digit = usize::try_from(number % 10).unwrap_or_default();
        self.raw(DIGITS.get(digit).copied().unwrap_or_default());
    }

    /// Writes an array of what `write` writes for each of `items`.
    fn array<T>(&mut self, items: impl Iterator<Item = T>, mut write: impl FnMut(&mut Self, T)) {
        self.raw("[");
        for (place, item) in items.enumerate() {
            if place > 0 {
                self.raw(",");
            }
            write(self, item);
        }
        self.raw("]");
    }

    /// Starts an object.
    fn object(&mut self) -> Object<'_, Self> {
        self.raw("{");
        Object { sink: self, separator: "\"" }
    }
}

const fn needs_escape(character: char) -> bool {
    matches!(character, '"' | '\\' | '\0'..='\u{1f}')
}

impl Sink for Vec<u8> {
    fn raw(&mut self, text: &str) {
        self.extend_from_slice(text.as_bytes());
    }

    fn base64(&mut self, chunks: &[Bytes]) {
        base64::encode(chunks, self);
    }
}

/// The length of what is written.
#[derive(Default)]
pub(super) struct Length(pub(super) usize);

impl Sink for Length {
    fn raw(&mut self, text: &str) {
        self.0 = self.0.saturating_add(text.len());
    }

    fn base64(&mut self, chunks: &[Bytes]) {
        let bytes = chunks.iter().fold(0, |sum: usize, chunk| sum.saturating_add(chunk.len()));
        self.0 = self.0.saturating_add(base64::encoded_len(bytes));
    }
}

/// An object that is being written. It must be [ended](Self::end).
pub(super) struct Object<'s, S: Sink + ?Sized> {
    sink: &'s mut S,
    /// What stands before the next key, its quote included.
    separator: &'static str,
}

impl<S: Sink + ?Sized> Object<'_, S> {
    /// Starts a field: the caller writes its value next.
    pub(super) fn field(&mut self, key: &str) -> &mut S {
        self.sink.raw(self.separator);
        self.separator = ",\"";
        self.sink.raw(key);
        self.sink.raw("\":");
        self.sink
    }

    /// A string field.
    pub(super) fn string(&mut self, key: &str, text: &str) {
        self.field(key).string(text);
    }

    /// A number field.
    pub(super) fn number(&mut self, key: &str, number: u64) {
        self.field(key).number(number);
    }

    /// A field with the base64 of the concatenated `chunks`.
    pub(super) fn base64(&mut self, key: &str, chunks: &[Bytes]) {
        quoted_base64(self.field(key), chunks);
    }

    /// Ends the object.
    pub(super) fn end(self) {
        self.sink.raw("}");
    }
}

/// Writes a string with the base64 of the concatenated `chunks`.
pub(super) fn quoted_base64<S: Sink + ?Sized>(sink: &mut S, chunks: &[Bytes]) {
    sink.raw("\"");
    sink.base64(chunks);
    sink.raw("\"");
}
