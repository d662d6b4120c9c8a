//! Compressed batches: `zops`, the base64 of the zstd of the array, in place of `ops` (protocol.md 1.5).

use std::borrow::Cow;
use std::fmt;
use std::io::{Error, Read};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The largest window of a frame, which is memory beside the ops: what RFC 8878, 3.1.1.1.2 asks decoders to
/// support, and four times what deployed clients use.
const MAX_WINDOW: u64 = 8 << 20;

/// A batch with compressed ops, not yet inflated.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct CompressedBatch {
    /// The members that are not about ops, as they came: `"k":"..."`.
    key: String,
    compressed: Vec<u8>,
}

/// Why the ops of a batch could not be inflated. The wording is that of deployed nodes.
#[derive(Debug)]
pub(super) enum ZopsError {
    /// Not base64.
    Base64(base64::DecodeError),
    /// Not zstd, or truncated.
    Corrupt(Error),
    /// Inflates to more than this many bytes.
    TooLarge(usize),
}

impl fmt::Display for ZopsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Base64(error) => write!(f, "zops b64: {error}"),
            Self::Corrupt(error) => write!(f, "zstd decode: {error}"),
            Self::TooLarge(limit) => write!(f, "zstd decode: the ops inflate to more than {limit} bytes"),
        }
    }
}

impl CompressedBatch {
    /// The batch in `body`, if its ops are compressed. Plain ops end the search where they begin, so that
    /// other batches are not read twice.
    pub(super) fn find(body: &[u8]) -> Option<Result<Self, ZopsError>> {
        let envelope = serde_json::Deserializer::from_slice(body).deserialize_map(ReadEnvelope).ok()?;
        let ops = envelope.zops?;
        let key = envelope.key.map(|key| format!("\"k\":{key},")).unwrap_or_default();
        let compressed = STANDARD.decode(&*ops).map_err(ZopsError::Base64);
        Some(compressed.map(|compressed| Self { key, compressed }))
    }

    /// The same batch with plain ops, of which there may be `limit` bytes.
    pub(super) fn inflate(&self, limit: usize) -> Result<Vec<u8>, ZopsError> {
        let corrupt = |error| ZopsError::Corrupt(Error::other(error));
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(MAX_WINDOW);
        let frame = StreamingDecoder::new_with_decoder(&*self.compressed, decoder).map_err(corrupt)?;
        let mut body = format!("{{{}\"ops\":", self.key).into_bytes();
        let bound = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
        let inflated = frame.take(bound).read_to_end(&mut body).map_err(ZopsError::Corrupt)?;
        if inflated > limit {
            return Err(ZopsError::TooLarge(limit));
        }
        body.push(b'}');
        Ok(body)
    }

    /// [`inflate`](Self::inflate), on a thread of its own: a small body may be a bomb.
    pub(super) async fn inflate_off_thread(self, limit: usize) -> Result<Bytes, ZopsError> {
        tokio::task::spawn_blocking(move || self.inflate(limit).map(Bytes::from))
            .await
            .unwrap_or_else(|stopped| Err(ZopsError::Corrupt(Error::other(stopped))))
    }
}

/// What matters of an envelope without plain ops.
#[derive(Default)]
struct Envelope<'a> {
    key: Option<&'a RawValue>,
    zops: Option<Cow<'a, str>>,
}

/// Reads an [`Envelope`], and fails at plain ops.
struct ReadEnvelope;

impl<'a> Visitor<'a> for ReadEnvelope {
    type Value = Envelope<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Envelope<'a>, A::Error> {
        let mut envelope = Envelope::default();
        while let Some(Text(name)) = map.next_key()? {
            match &*name {
                "k" => envelope.key = Some(map.next_value()?),
                "zops" => envelope.zops = Some(map.next_value::<Text<'a>>()?.0),
                "ops" => return Err(A::Error::custom("the ops are plain")),
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(envelope)
    }
}

/// A string, borrowed unless it has escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};
    use serde_json::{Value, json};

    use super::*;

    fn find(body: &str) -> Option<Result<CompressedBatch, ZopsError>> {
        CompressedBatch::find(body.as_bytes())
    }

    fn compressed(ops: &[u8]) -> String {
        STANDARD.encode(compress_to_vec(ops, CompressionLevel::Fastest))
    }

    fn inflated(body: &str, limit: usize) -> Result<Value, ZopsError> {
        let body = find(body).unwrap()?.inflate(limit)?;
        Ok(serde_json::from_slice(&body).unwrap())
    }

    #[test]
    fn what_the_reference_encoder_made_inflates_to_the_ops() {
        // Four closes, level 3, no content size: the settings of deployed clients.
        let body =
            r#"{"k":"key","zops":"KLUv/QBYLQEA8Ft7Im9wIjoiY2xvc2UiLCJzaWQiOiJub25lIn0sXQEAwU/TCQ==","zc":3}"#;
        let close = json!({"op": "close", "sid": "none"});
        let ops = [&close, &close, &close, &close];
        assert_eq!(inflated(body, 1000).unwrap(), json!({"k": "key", "ops": ops}));
    }

    #[test]
    fn the_key_is_kept_as_it_was_written() {
        let ops = compressed(b"[]");
        for key in [r#""k\u0065\"y""#, "7", "null"] {
            let body = inflated(&format!(r#"{{"zc":1,"zops":"{ops}","k":{key}}}"#), 100).unwrap();
            assert_eq!(body["k"], serde_json::from_str::<Value>(key).unwrap());
        }
        assert_eq!(inflated(&json!({"zops": ops}).to_string(), 100).unwrap(), json!({"ops": []}));
    }

    #[test]
    fn a_batch_with_plain_ops_is_none_of_these() {
        for body in [
            r#"{"k":"key","ops":[{"op":"close","sid":"zops"}],"zc":3}"#,
            r#"{"k":"key","ops":[],"zops":"AAAA"}"#,
            r#"{"k":"key","zops":null}"#,
            r#"{"k":"key"}"#,
            r#"["zops"]"#,
            r#"{"k":"key","zops":"KLUv"#,
            "",
        ] {
            assert!(find(body).is_none(), "{body}");
        }
    }

    #[test]
    fn plain_ops_are_not_read() {
        assert!(find(r#"{"k":"key","ops":[ no JSON"#).is_none());
        assert!(find(r#"{"k":"key","zc":[ no JSON"#).is_none());
    }

    #[test]
    fn escapes_are_no_hindrance() {
        let ops = compressed(br#"[{"op":"close","sid":"none"}]"#).replace('/', "\\/");
        assert!(ops.contains("\\/"));
        assert!(inflated(&format!(r#"{{"k":"key","zops":"{ops}"}}"#), 100).is_ok());
    }

    #[test]
    fn inflating_stops_at_the_limit() {
        let body = json!({"k": "key", "zops": compressed(&vec![b' '; 1_000_000])}).to_string();
        assert!(body.len() < 1000);
        let batch = find(&body).unwrap().unwrap();
        assert!(matches!(batch.inflate(999_999), Err(ZopsError::TooLarge(999_999))));
        assert!(batch.inflate(1_000_000).is_ok());
    }

    #[test]
    fn a_frame_that_wants_much_memory_is_refused() {
        // Magic, no content size, and a window of 16 MiB.
        let frame = STANDARD.encode([0x28, 0xb5, 0x2f, 0xfd, 0x00, 14 << 3, 0x01, 0x00, 0x00]);
        let error = inflated(&json!({"k": "key", "zops": frame}).to_string(), 100).unwrap_err();
        assert!(matches!(error, ZopsError::Corrupt(_)), "{error}");
    }

    #[test]
    fn what_is_no_base64_or_no_zstd_is_named() {
        for (zops, error) in [("*", "zops b64: "), ("", "zstd decode: "), ("AAAA", "zstd decode: ")] {
            let problem = inflated(&json!({"k": "key", "zops": zops}).to_string(), 100).unwrap_err();
            assert!(problem.to_string().starts_with(error), "{problem}");
        }
        let mut cut = compressed(b"[{},{},{},{}]");
        cut.truncate(cut.len() - 8);
        assert!(matches!(inflated(&json!({ "zops": cut }).to_string(), 100), Err(ZopsError::Corrupt(_))));
    }
}
