//! Bytes from the application that no op carries yet.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use bytes::Bytes;

use crate::error::Misuse;
#[cfg(feature = "model")]
use crate::fingerprint::Fingerprint;

/// The bytes that wait, and whether more will come.
#[derive(Clone, Debug, Default)]
pub(in crate::client) struct Uplink {
    chunks: VecDeque<Bytes>,
    bytes: usize,
    end: End,
}

/// ```text
///   Open ── Fin ──▶ Finished
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum End {
    #[default]
    Open,
    Finished,
}

impl Uplink {
    /// The application sent `chunk`.
    pub(in crate::client) fn push(&mut self, chunk: Bytes) {
        self.bytes = self.bytes.saturating_add(chunk.len());
        if !chunk.is_empty() {
            self.chunks.push_back(chunk);
        }
    }

    /// All that waits.
    pub(in crate::client) fn into_chunks(self) -> VecDeque<Bytes> {
        self.chunks
    }

    /// The application will send no more.
    pub(in crate::client) fn finish(&mut self) -> Result<(), Misuse> {
        self.check_open()?;
        self.end = End::Finished;
        Ok(())
    }

    pub(in crate::client) fn check_open(&self) -> Result<(), Misuse> {
        match self.end {
            End::Open => Ok(()),
            End::Finished => Err(Misuse::AfterFin),
        }
    }

    pub(in crate::client) const fn is_finished(&self) -> bool {
        matches!(self.end, End::Finished)
    }

    pub(in crate::client) const fn len(&self) -> usize {
        self.bytes
    }

    /// Takes up to `most` bytes for one op. A chunk that fits alone is handed on as it is; several are
    /// joined, so that a call carries as much as it may.
    pub(in crate::client) fn take(&mut self, most: usize) -> Bytes {
        let wanted = self.bytes.min(most);
        let Some(front) = self.chunks.front_mut() else { return Bytes::new() };
        let taken = if front.len() >= wanted {
            let rest = front.split_off(wanted);
            core::mem::replace(front, rest)
        } else {
            self.join(wanted)
        };
        if self.chunks.front().is_some_and(Bytes::is_empty) {
            self.chunks.pop_front();
        }
        self.bytes = self.bytes.saturating_sub(taken.len());
        taken
    }

    fn join(&mut self, wanted: usize) -> Bytes {
        let mut joined = Vec::with_capacity(wanted);
        while let Some(front) = self.chunks.front_mut() {
            let missing = wanted.saturating_sub(joined.len());
            if missing == 0 {
                break;
            }
            joined.extend_from_slice(&front.split_to(missing.min(front.len())));
            if front.is_empty() {
                self.chunks.pop_front();
            }
        }
        joined.into()
    }

    /// The uplink's part of a state's fingerprint.
    #[cfg(feature = "model")]
    pub(in crate::client) fn fingerprint(&self, print: &mut Fingerprint<'_>) {
        print.value(self.end);
        print.each(self.chunks.iter(), |print, chunk| print.value(chunk));
    }

    /// Puts bytes back that an op carried in vain.
    pub(in crate::client) fn put_back(&mut self, chunk: Bytes) {
        self.bytes = self.bytes.saturating_add(chunk.len());
        if !chunk.is_empty() {
            self.chunks.push_front(chunk);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_leave_in_order_in_pieces_of_any_size() {
        for most in 1..12 {
            let mut uplink = Uplink::default();
            for chunk in [&b"abc"[..], b"", b"defgh", b"i"] {
                uplink.push(Bytes::from_static(chunk));
            }
            let mut all = Vec::new();
            while uplink.len() > 0 {
                let piece = uplink.take(most);
                assert!(!piece.is_empty() && piece.len() <= most);
                all.extend_from_slice(&piece);
            }
            assert_eq!(all, b"abcdefghi");
            assert!(uplink.take(most).is_empty());
        }
    }

    #[test]
    fn what_is_put_back_leaves_first() {
        let mut uplink = Uplink::default();
        uplink.push(Bytes::from_static(b"world"));
        uplink.put_back(Bytes::from_static(b"hello "));
        assert_eq!(uplink.take(100), "hello world");
    }

    #[test]
    fn a_chunk_that_fits_is_not_copied() {
        let chunk = Bytes::from(alloc::vec![7; 1000]);
        let mut uplink = Uplink::default();
        uplink.push(chunk.clone());
        assert_eq!(uplink.take(1000).as_ptr(), chunk.as_ptr());
    }

    #[test]
    fn nothing_may_follow_the_end() {
        let mut uplink = Uplink::default();
        uplink.finish().unwrap();
        assert_eq!(uplink.finish(), Err(Misuse::AfterFin));
        assert_eq!(uplink.check_open(), Err(Misuse::AfterFin));
    }
}
