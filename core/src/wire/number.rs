//! The numbers that client and node count with at level 2 (protocol.md 3.1).

use core::fmt;
use core::hash::{Hash, Hasher};

use crate::wire::varint;

macro_rules! numbers {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
        pub struct $name(u64);

        impl $name {
            /// The first of them.
            pub const ZERO: Self = Self(0);

            /// The one with this value.
            pub const fn new(number: u64) -> Self {
                Self(number)
            }

            /// The value.
            pub const fn get(self) -> u64 {
                self.0
            }

            /// The one after this. It stops at the largest that the wire can carry.
            #[must_use]
            pub const fn next(self) -> Self {
                if self.0 < varint::MAX { Self(self.0.saturating_add(1)) } else { self }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    )*};
}

numbers! {
    /// A stream of one client: the client counts them from 0 without gaps.
    #[derive(Hash)]
    StreamNumber;
    /// An exchange of one client: counts up from 0, never used again.
    #[derive(Hash)]
    ExchangeNumber;
    /// An answer to one client: the node counts its answers, whatever they answer.
    AnswerNumber;
}

/// Only the order of answers counts, and a new one is newer than all that have come.
impl Hash for AnswerNumber {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}
