//! Contents of flows: every byte depends on its flow, its direction and its position, every datagram has its number.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::setting::MAX_DATAGRAM;
use crate::harness::Pattern;

/// Number and length.
const HEADER: usize = 6;

/// What one end of a flow sends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Content {
    pattern: Pattern,
}

impl Content {
    /// What the application of `flow` sends.
    pub(super) fn up(flow: u64) -> Self {
        Self::new(flow * 2)
    }

    /// What the upstream of `flow` sends.
    pub(super) fn down(flow: u64) -> Self {
        Self::new(flow * 2 + 1)
    }

    fn new(number: u64) -> Self {
        Self { pattern: Pattern::new(usize::try_from(number).expect("few flows")) }
    }

    /// `len` bytes of the stream from `offset` on.
    pub(super) fn chunk(self, offset: usize, len: usize) -> Bytes {
        let mut chunk = Vec::with_capacity(len);
        while chunk.len() < len {
            chunk.extend_from_slice(self.pattern.piece(offset + chunk.len(), len - chunk.len()));
        }
        chunk.into()
    }

    /// The datagram of this number: the number, the length of the rest, and as many bytes that belong to it.
    fn datagram(self, number: u32, len: u16) -> Bytes {
        let place = usize::try_from(number).expect("a small number") * 101;
        let rest = self.chunk(place, len.into());
        [&number.to_be_bytes()[..], &len.to_be_bytes(), &rest].concat().into()
    }
}

/// How much was sent at one end of a flow.
#[derive(Debug, Default)]
pub(super) struct Sent {
    pub(super) bytes: usize,
    pub(super) datagrams: u32,
}

impl Sent {
    /// The next `len` bytes of `content`.
    pub(super) fn chunk(&mut self, content: Content, len: usize) -> Bytes {
        let chunk = content.chunk(self.bytes, len);
        self.bytes += len;
        chunk
    }

    /// The next datagram of `content`, of a length that `len` decides.
    pub(super) fn datagram(&mut self, content: Content, len: usize) -> Bytes {
        let len = u16::try_from(len % (MAX_DATAGRAM - HEADER)).expect("a short datagram");
        let datagram = content.datagram(self.datagrams, len);
        self.datagrams += 1;
        datagram
    }
}

/// What has arrived at one end of a flow.
#[derive(Debug, Default)]
pub(super) struct Received {
    pub(super) bytes: usize,
    datagrams: BTreeSet<u32>,
}

impl Received {
    /// Bytes arrived. They are the next ones, whatever was lost or duplicated.
    pub(super) fn chunk(&mut self, content: Content, bytes: &[u8]) {
        if let Err(mismatch) = content.pattern.check(self.bytes, bytes) {
            panic!("S1, S2: {mismatch} ({content:?})");
        }
        self.bytes += bytes.len();
    }

    /// A datagram arrived. It is one of the `sent` ones, whole, and at most once unless `duplicated`.
    pub(super) fn datagram(&mut self, content: Content, bytes: &Bytes, sent: u32, duplicated: bool) {
        let ([a, b, c, d, high, low], _) = bytes.split_first_chunk::<HEADER>().expect("S1: a cut datagram");
        let number = u32::from_be_bytes([*a, *b, *c, *d]);
        let whole = content.datagram(number, u16::from_be_bytes([*high, *low]));
        assert!(number < sent, "S1: datagram {number} was never sent");
        assert!(*bytes == whole, "S1: datagram {number} is not what was sent");
        assert!(self.datagrams.insert(number) || duplicated, "S2: datagram {number} came twice");
    }
}
