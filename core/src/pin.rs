//! Rule for payloads that are kept: how much memory one may keep alive.

use bytes::Bytes;

/// A payload that would keep alive more than this many times its own length is copied.
const MOST: usize = 4;

/// A payload out of a body, or of a packet, of `body` bytes, as it may be kept.
pub(crate) fn compact(payload: Bytes, body: usize) -> Bytes {
    if payload.len().saturating_mul(MOST) < body { Bytes::copy_from_slice(&payload) } else { payload }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_keeps_alive_at_most_four_times_itself() {
        let body = Bytes::from(alloc::vec![7; 100]);
        let (large, small) = (body.slice(..25), body.slice(25..49));
        assert_eq!(compact(large.clone(), body.len()).as_ptr(), large.as_ptr());
        let copy = compact(small.clone(), body.len());
        assert_ne!(copy.as_ptr(), small.as_ptr());
        assert_eq!(copy, small);
    }
}
