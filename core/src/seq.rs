//! Sequence counters: the numbers that put a session's ops back into order.

use crate::id::numbers;

numbers! {
    /// A position in a session's order of data ops, from 0.
    ///
    /// ```
    /// use seqlane::Seq;
    ///
    /// let first = Seq::ZERO;
    /// assert_eq!(first.next().number(), 1);
    /// assert!(first < first.next());
    /// ```
    #[derive(Default)]
    Seq(number: u64) = SEQ;
}

impl Seq {
    /// The first number of every session.
    pub const ZERO: Self = Self(0);

    /// The number after this one. It saturates: at a million ops a second, 2^64 of them take half a
    /// million years, and a peer that starts near the end reaches a number that is refused as old.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// How far this number is ahead of `earlier`; 0 when it is not ahead.
    pub const fn ahead_of(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counting_never_wraps() {
        assert_eq!(Seq::new(u64::MAX).next(), Seq::new(u64::MAX));
    }

    #[test]
    fn distance_is_zero_backwards() {
        assert_eq!(Seq::new(5).ahead_of(Seq::new(2)), 3);
        assert_eq!(Seq::new(2).ahead_of(Seq::new(5)), 0);
    }
}
