//! String fields of a text that may be JSON, found without parsing it: invalid JSON can contain keys too.

use std::ops::Range;

/// A field of an object whose value is a string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    /// The name, between its quotes.
    pub(crate) name: Range<usize>,
    /// The value, between its quotes, or to the end of the text.
    pub(crate) value: Range<usize>,
    /// Whether the value has both its quotes.
    pub(crate) is_whole: bool,
}

/// Every field with a string for a value, at any depth, in order.
pub(crate) struct Fields<'a> {
    text: &'a [u8],
    at: usize,
}

/// A string, between its quotes.
struct Literal {
    inside: Range<usize>,
    is_whole: bool,
}

impl<'a> Fields<'a> {
    pub(crate) const fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0 }
    }

    /// The next string, from `at` on.
    fn literal(&mut self) -> Option<Literal> {
        let start = find(self.text, self.at, |byte| byte == b'"')? + 1;
        let mut at = start;
        while let Some(place) = find(self.text, at, |byte| matches!(byte, b'"' | b'\\')) {
            if self.text.get(place) == Some(&b'"') {
                self.at = place + 1;
                return Some(Literal { inside: start..place, is_whole: true });
            }
            at = place + 2;
        }
        self.at = self.text.len();
        Some(Literal { inside: start..self.text.len(), is_whole: false })
    }
}

fn find(text: &[u8], from: usize, wanted: impl Fn(u8) -> bool) -> Option<usize> {
    let rest = text.get(from..)?;
    rest.iter().position(|byte| wanted(*byte)).map(|place| from.saturating_add(place))
}

impl Iterator for Fields<'_> {
    type Item = Field;

    fn next(&mut self) -> Option<Field> {
        let mut name = self.literal()?.inside;
        loop {
            let Literal { inside, is_whole } = self.literal()?;
            let between = name.end + 1..inside.start.saturating_sub(1);
            if self.text.get(between).is_some_and(|between| between.trim_ascii() == b":") {
                return Some(Field { name, value: inside, is_whole });
            }
            name = inside;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(text: &str) -> Vec<(&str, &str, bool)> {
        let fields = Fields::new(text.as_bytes());
        fields.map(|field| (&text[field.name], &text[field.value], field.is_whole)).collect()
    }

    #[test]
    fn fields_are_found_at_any_depth_and_with_any_white_space() {
        let text = r#"{"k" : "a", "ops":[{"op":"data","d": "Zg=="}], "n": 5, "e":""}"#;
        let found = [("k", "a", true), ("op", "data", true), ("d", "Zg==", true), ("e", "", true)];
        assert_eq!(fields(text), found);
    }

    #[test]
    fn a_quote_within_a_string_ends_nothing() {
        assert_eq!(
            fields(r#"{"a":"x\",\"k\":\"y","b":"\\"}"#),
            [("a", r#"x\",\"k\":\"y"#, true), ("b", r"\\", true)]
        );
    }

    #[test]
    fn a_value_that_is_cut_goes_to_the_end() {
        assert_eq!(fields(r#"{"k":"abc"#), [("k", "abc", false)]);
        assert_eq!(fields(r#"{"k":"abc\"#), [("k", r"abc\", false)]);
    }

    #[test]
    fn invalid_json_is_scanned_to_its_end() {
        let text: String = r#"""""k":":"{"#.into();
        assert!(fields(&text).len() <= text.len());
        assert_eq!(fields("<html>"), []);
    }
}
