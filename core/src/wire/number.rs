//! The numbers that client and node count with at level 2 (protocol.md 3.1).

use core::hash::{Hash, Hasher};

use crate::id::numbers;
use crate::wire::varint;

numbers! {
    /// A stream of one client: the client counts them from 0 without gaps.
    #[derive(Default, Hash)]
    StreamNumber(get: u64);
    /// An exchange of one client: counts up from 0, never used again.
    #[derive(Default, Hash)]
    ExchangeNumber(get: u64);
    /// An answer to one client: the node counts its answers, whatever they answer.
    #[derive(Default)]
    AnswerNumber(get: u64);
}

/// Only the order of answers counts, and a new one is newer than all that have come.
impl Hash for AnswerNumber {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

macro_rules! counted {
    ($($name:ident)*) => {$(
        impl $name {
            /// The first of them.
            pub const ZERO: Self = Self(0);

            /// The one after this. It stops at the largest that the wire can carry.
            #[must_use]
            pub const fn next(self) -> Self {
                if self.0 < varint::MAX { Self(self.0.saturating_add(1)) } else { self }
            }
        }
    )*};
}

counted! { StreamNumber ExchangeNumber AnswerNumber }
