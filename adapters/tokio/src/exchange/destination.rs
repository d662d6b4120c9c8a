//! Destinations of calls: URI and headers.

use std::fmt;

use http::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Uri};
use seqlane::wire::{Limits, decode_request, encode_request};
use seqlane::{Form, Secret};

use crate::http::{answer, bearer};

/// An address that takes bodies of one form. `Debug` shows the host only.
#[derive(Clone)]
pub struct Destination {
    uri: Uri,
    headers: HeaderMap,
}

impl Destination {
    /// An address that takes batches, as JSON.
    pub fn of_batches(uri: Uri) -> Self {
        let headers = [(CONTENT_TYPE, answer::JSON), (ACCEPT_ENCODING, HeaderValue::from_static("gzip"))];
        Self { uri, headers: HeaderMap::from_iter(headers) }
    }

    /// An address that takes raw packets from callers with `key` (protocol.md 3).
    ///
    /// # Errors
    /// [`InvalidHeaderKey`] when the key cannot be sent in a header.
    pub fn of_packets(uri: Uri, key: &Secret) -> Result<Self, InvalidHeaderKey> {
        let authorization = bearer::header(&text(key)).ok_or(InvalidHeaderKey)?;
        let headers = [(CONTENT_TYPE, answer::PACKET), (AUTHORIZATION, authorization)];
        Ok(Self { uri, headers: HeaderMap::from_iter(headers) })
    }

    pub(super) const fn uri(&self) -> &Uri {
        &self.uri
    }

    pub(super) const fn headers(&self) -> &HeaderMap {
        &self.headers
    }
}

/// The text of a key. Only the core writes keys, so it is read from an envelope that the core writes.
fn text(key: &Secret) -> String {
    let body = encode_request(Form::Node, key, [].iter());
    let limits = Limits { max_body: body.len(), max_ops: 0 };
    decode_request(&body, limits).map(|request| request.key.to_string()).unwrap_or_default()
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Destination").field("host", &self.uri.host()).finish_non_exhaustive()
    }
}

/// A key that cannot be sent in a header, as packets need it: it has a control character, or a space at either end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidHeaderKey;

impl fmt::Display for InvalidHeaderKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "the key cannot be sent in a header: it has a control character, or a space at either end",
        )
    }
}

impl std::error::Error for InvalidHeaderKey {}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri() -> Uri {
        "https://relay.example/secret/path".parse().unwrap()
    }

    #[test]
    fn packets_show_the_key_as_it_is() {
        let key = Secret::new("a \"quoted\" k\\ey");
        let headers = Destination::of_packets(uri(), &key).unwrap().headers;
        assert_eq!(bearer::key(&headers), "a \"quoted\" k\\ey");
    }

    #[test]
    fn a_key_that_no_header_carries_is_refused() {
        assert_eq!(Destination::of_packets(uri(), &Secret::new("a\nb")).unwrap_err(), InvalidHeaderKey);
    }

    #[test]
    fn neither_the_key_nor_the_path_is_printed() {
        let to = Destination::of_packets(uri(), &Secret::new("n0de")).unwrap();
        let text = format!("{to:?}");
        assert!(text.contains("relay.example") && !text.contains("n0de") && !text.contains("path"), "{text}");
    }
}
