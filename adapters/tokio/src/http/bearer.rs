//! Keys in the header of a request: `Authorization: Bearer KEY` (RFC 6750), as sent with packets.

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};

/// The header's value for a key; `None` for a key that cannot be sent in a header: with a control character, or with a
/// space at either end.
pub(crate) fn header(key: &str) -> Option<HeaderValue> {
    let fits = !key.is_empty() && key.trim() == key && !key.contains('\t');
    let mut value = HeaderValue::from_bytes(format!("Bearer {key}").as_bytes()).ok().filter(|_| fits)?;
    value.set_sensitive(true);
    Some(value)
}

/// The key of a request; empty, which no key is, when it has none.
pub(crate) fn key(headers: &HeaderMap) -> &str {
    let value = headers.get(AUTHORIZATION).map_or(&[][..], HeaderValue::as_bytes);
    let (scheme, key) = str::from_utf8(value).ok().and_then(|text| text.split_once(' ')).unwrap_or_default();
    if scheme.eq_ignore_ascii_case("bearer") { key.trim() } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &[u8]) -> String {
        let value = HeaderValue::from_bytes(value).unwrap();
        key(&HeaderMap::from_iter([(AUTHORIZATION, value)])).to_owned()
    }

    #[test]
    fn a_written_key_is_read() {
        for text in ["n0de", "two words", "a:b=c/d+e~", "clé"] {
            assert_eq!(read(header(text).unwrap().as_bytes()), text);
        }
    }

    #[test]
    fn an_invalid_header_key_is_not_written() {
        for text in ["", " a", "a ", "a\tb", "a\r\nX-Other: b", "\u{7f}"] {
            assert_eq!(header(text), None, "{text:?}");
        }
    }

    #[test]
    fn the_value_is_not_printed() {
        assert!(!format!("{:?}", header("n0de").unwrap()).contains("n0de"));
    }

    #[test]
    fn the_scheme_is_case_insensitive_and_any_other_gives_no_key() {
        assert_eq!(read(b"bearer  n0de"), "n0de");
        for value in [&b"n0de"[..], b"Basic n0de", b"Bearer", b"Bearer \xff", b""] {
            assert_eq!(read(value), "", "{value:?}");
        }
        assert_eq!(key(&HeaderMap::new()), "");
    }
}
