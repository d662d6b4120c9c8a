//! Gzip of whole bodies, both ways.

use std::fmt;
use std::io::Read;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use http::HeaderMap;
use http::header::ACCEPT_ENCODING;
use zlib_rs::{DeflateConfig, ReturnCode, Strategy, compress_slice};

/// The first two bytes of every gzip body (RFC 1952).
const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Bodies from this size on are compressed and inflated on a blocking thread: a millisecond or more of work, which
/// would delay the other tasks of its thread.
pub(crate) const OFFLOAD: usize = 64 * 1024;

/// Smaller bodies are not worth the header of a gzip body.
const SMALLEST: usize = 512;

/// The part of a large body that is compressed as a sample.
const SAMPLE: usize = 16 * 1024;

/// Whether a body is gzip by its own first bytes, whatever its headers say.
pub(crate) fn is_gzip(body: &[u8]) -> bool {
    body.starts_with(&MAGIC)
}

/// Whether the sender of these headers takes a gzip answer (RFC 9110, 12.5.3).
pub(crate) fn accepts_gzip(headers: &HeaderMap) -> bool {
    let codings = headers.get_all(ACCEPT_ENCODING).into_iter().filter_map(|value| value.to_str().ok());
    let mut any = false;
    for coding in codings.flat_map(|list| list.split(',')) {
        let mut parts = coding.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let refused = parts
            .filter_map(|parameter| parameter.strip_prefix("q="))
            .any(|weight| weight.trim().parse::<f32>().is_ok_and(|weight| weight <= 0.0));
        if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") {
            return !refused;
        }
        any |= name == "*" && !refused;
    }
    any
}

/// Why a gzip body could not be read.
#[derive(Debug)]
pub(crate) enum Unreadable {
    /// It is no gzip, or ends early.
    Corrupt(std::io::Error),
    /// It inflates to more than this many bytes.
    TooLarge(usize),
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Corrupt(error) => error.fmt(f),
            Self::TooLarge(limit) => write!(f, "the body inflates to more than {limit} bytes"),
        }
    }
}

/// Inflates a body to at most `limit` bytes.
pub(crate) fn inflate(body: &[u8], limit: usize) -> Result<Vec<u8>, Unreadable> {
    let mut inflated = Vec::new();
    let bound = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    MultiGzDecoder::new(body).take(bound).read_to_end(&mut inflated).map_err(Unreadable::Corrupt)?;
    if inflated.len() > limit {
        return Err(Unreadable::TooLarge(limit));
    }
    Ok(inflated)
}

/// [`inflate`], on a thread of its own when it is much work.
pub(crate) async fn inflate_off_thread(body: Bytes, limit: usize) -> Result<Bytes, Unreadable> {
    // A small body may inflate to a large one, so its size is no measure of the work.
    tokio::task::spawn_blocking(move || inflate(&body, limit).map(Bytes::from))
        .await
        .unwrap_or_else(|stopped| Err(Unreadable::Corrupt(std::io::Error::other(stopped))))
}

/// The body as gzip, if that is smaller.
pub(crate) fn deflate(body: &[u8]) -> Option<Vec<u8>> {
    if body.len() < SMALLEST {
        return None;
    }
    if body.len() <= SAMPLE {
        return compress(body, Strategy::Default);
    }
    // Nearly every payload is encrypted: base64 of noise, in which no search finds a repeat and only the
    // two unused bits of each byte can be saved. Coding without a search saves them three times as fast.
    let sample = compress(body.get(..SAMPLE)?, Strategy::Default);
    let repeats = sample.is_some_and(|sample| sample.len() < SAMPLE * 7 / 10);
    compress(body, if repeats { Strategy::Default } else { Strategy::HuffmanOnly })
}

fn compress(body: &[u8], strategy: Strategy) -> Option<Vec<u8>> {
    /// Adding 16 to the window's size selects the gzip wrapper.
    const GZIP_WINDOW_BITS: i32 = 15 + 16;
    /// The fastest level with codes made for the body: level 1 has fixed ones, which gain nothing on base64.
    const LEVEL: i32 = 2;
    let mut config = DeflateConfig::new(LEVEL);
    config.window_bits = GZIP_WINDOW_BITS;
    config.strategy = strategy;
    // Room for anything smaller than the body, and no more: what does not fit is not wanted.
    let mut room = vec![0; body.len()];
    let (compressed, code) = compress_slice(&mut room, body, config);
    let len = compressed.len();
    if code != ReturnCode::Ok || len >= body.len() {
        return None;
    }
    room.truncate(len);
    Some(room)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(value: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_ENCODING, value.parse().unwrap());
        headers
    }

    /// Text like base64 of noise.
    fn noise(len: usize) -> Vec<u8> {
        const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            ALPHABET[usize::try_from(state >> 58).unwrap()]
        })
        .take(len)
        .collect()
    }

    #[test]
    fn gzip_is_accepted_by_name_or_wildcard_unless_its_weight_is_zero() {
        for yes in ["gzip", "deflate, GZIP;q=0.5", "br, *", "x-gzip"] {
            assert!(accepts_gzip(&headers(yes)), "{yes}");
        }
        for no in ["", "identity", "gzip;q=0", "gzip; q=0.0, *", "*;q=0", "gzipped"] {
            assert!(!accepts_gzip(&headers(no)), "{no}");
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
    }

    #[test]
    fn what_is_compressed_inflates_to_the_same_bytes() {
        for body in [noise(600), noise(100_000), b"lane ".repeat(200), b"lane ".repeat(100_000)] {
            let compressed = deflate(&body).unwrap();
            assert!(is_gzip(&compressed));
            assert!(compressed.len() < body.len() * 9 / 10, "{} of {}", compressed.len(), body.len());
            assert_eq!(inflate(&compressed, body.len()).unwrap(), body);
        }
    }

    #[test]
    fn what_does_not_shrink_is_left_alone() {
        assert_eq!(deflate(b"short"), None);
        let mut state = 1_u64;
        let dense: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state.to_be_bytes()[0]
        })
        .take(50_000)
        .collect();
        assert_eq!(deflate(&dense), None);
    }

    #[test]
    fn inflating_stops_at_the_limit() {
        let bomb = deflate(&vec![b'a'; 10_000_000]).unwrap();
        assert!(bomb.len() < 100_000);
        assert!(matches!(inflate(&bomb, 1_000_000), Err(Unreadable::TooLarge(1_000_000))));
        assert_eq!(inflate(&bomb, 10_000_000).unwrap().len(), 10_000_000);
    }

    #[test]
    fn a_cut_or_broken_body_is_corrupt() {
        let whole = deflate(&noise(5_000)).unwrap();
        assert!(matches!(inflate(&whole[..whole.len() / 2], 9_000), Err(Unreadable::Corrupt(_))));
        assert!(matches!(inflate(b"plain", 9_000), Err(Unreadable::Corrupt(_))));
    }
}
