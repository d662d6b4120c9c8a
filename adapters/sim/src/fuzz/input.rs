//! Choices that fuzz bodies make by their bytes.

use bytes::Bytes;

use crate::{Chooser, DecisionPoint, FromBytes};

impl FromBytes<'_> {
    /// A number below `n`.
    pub(super) fn one_of(&mut self, n: u32) -> u32 {
        self.decide(DecisionPoint::Host, 0, n)
    }

    pub(super) fn any<T: Copy, const N: usize>(&mut self, of: [T; N]) -> T {
        of[self.one_of(N as u32) as usize]
    }

    /// Up to `n` more than `base`, or `n` and less below it.
    pub(super) fn near(&mut self, base: u64, n: u32) -> u64 {
        let by = u64::from(self.one_of(n));
        if self.one_of(2) == 0 { base.saturating_sub(by + 1) } else { base.saturating_add(by) }
    }

    /// Fewer than `n` bytes.
    pub(super) fn bytes(&mut self, n: u32) -> Bytes {
        (0..self.one_of(n)).map(|_| self.one_of(256) as u8).collect()
    }

    /// Changes a bit.
    pub(super) fn damage(&mut self, bytes: &mut [u8]) {
        let place = self.one_of(65_536) as usize % bytes.len();
        bytes[place] ^= 1 << self.one_of(8);
    }
}
