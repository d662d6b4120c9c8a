//! Uplink bytes of an application that wait for an op.

use alloc::vec::Vec;

use bytes::Bytes;

use crate::error::Misuse;
use crate::queue::ByteQueue;

/// The uplink of one TCP flow.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct Uplink {
    queue: ByteQueue,
    finished: bool,
}

impl Uplink {
    /// The application sent `bytes`. An op joins what it takes, so joining it here would copy it twice.
    pub(super) fn push(&mut self, bytes: Bytes) {
        self.queue.push_behind(bytes, false);
    }

    /// All that waits.
    pub(super) fn into_pieces(mut self) -> Vec<Bytes> {
        let mut pieces = Vec::new();
        self.queue.take_into(usize::MAX, &mut pieces);
        pieces
    }

    /// The application will send no more.
    pub(super) fn finish(&mut self) -> Result<(), Misuse> {
        self.check_open()?;
        self.finished = true;
        Ok(())
    }

    pub(super) const fn check_open(&self) -> Result<(), Misuse> {
        if self.finished { Err(Misuse::AfterFin) } else { Ok(()) }
    }

    pub(super) const fn is_finished(&self) -> bool {
        self.finished
    }

    pub(super) const fn len(&self) -> usize {
        self.queue.len()
    }

    /// Takes up to `most` bytes for one op.
    pub(super) fn take(&mut self, most: usize) -> Bytes {
        self.queue.take(most)
    }

    /// Puts bytes back that the node cannot have had.
    pub(super) fn put_back(&mut self, bytes: Bytes) {
        self.queue.put_back(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_may_follow_the_end() {
        let mut uplink = Uplink::default();
        uplink.finish().unwrap();
        assert_eq!(uplink.finish(), Err(Misuse::AfterFin));
        assert_eq!(uplink.check_open(), Err(Misuse::AfterFin));
    }
}
