//! Ids of what crosses the machines' boundary: numbers that count up and are never reused.

use core::fmt;
use core::hash::{Hash, Hasher};
use core::marker::PhantomData;

use sha2::{Digest, Sha256};

use crate::relative;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $kind:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub struct $name(u64);

        impl $name {
            /// The id with this number: for drivers that allocate ids, and for replaying a record.
            pub const fn new(number: u64) -> Self {
                Self(number)
            }

            /// The number behind the id.
            pub const fn number(self) -> u64 {
                self.0
            }
        }

        impl Hash for $name {
            fn hash<H: Hasher>(&self, state: &mut H) {
                relative::hash(relative::$kind, self.0, state);
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    )*};
}

ids! {
    /// One flow at the client, allocated by [`Client::open`](crate::Client::open).
    FlowId = FLOW;
    /// One HTTP request of the client with its response, allocated by the client.
    ExchangeId = EXCHANGE;
    /// One HTTP request at the node, allocated by the driver, each larger than the one before.
    RequestId = REQUEST;
    /// One upstream connection or UDP association of the node, allocated by the node.
    UpstreamId = UPSTREAM;
}

/// A relay of the client: its index in [`ClientOptions::relays`](crate::ClientOptions::relays).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelayId(u32);

impl RelayId {
    /// The relay at this index of the configuration.
    pub const fn new(index: u32) -> Self {
        Self(index)
    }

    /// The relay's index in the configuration.
    pub const fn index(self) -> u32 {
        self.0
    }
}

impl fmt::Display for RelayId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Hands out ids of one kind, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counter(u64);

/// How far it has counted makes no difference.
impl Hash for Counter {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

impl Counter {
    /// The next number. 2^64 ids outlast any process; saturating keeps even that case from wrapping.
    pub(crate) const fn next(&mut self) -> u64 {
        let number = self.0;
        self.0 = self.0.saturating_add(1);
        number
    }

    /// How many numbers were handed out: every one below this.
    pub(crate) const fn issued(&self) -> u64 {
        self.0
    }
}

/// A type whose values are made of 16 bytes that nobody without the machine's seed can guess.
pub(crate) trait Generated {
    /// What keeps the values of one type apart from those of another that has the same seed.
    const LABEL: &'static [u8];

    /// The value with these bytes.
    fn from_bytes(bytes: [u8; 16]) -> Self;
}

/// Generates values of one type: the n-th has the first 16 bytes of SHA-256(label | seed | n), n in 8 bytes,
/// highest first.
#[derive(Clone)]
pub(crate) struct IdGenerator<T> {
    seed: [u8; 32],
    generated: Counter,
    of: PhantomData<T>,
}

impl<T: Generated> IdGenerator<T> {
    pub(crate) const fn new(seed: [u8; 32]) -> Self {
        Self { seed, generated: Counter(0), of: PhantomData }
    }

    /// A value that was not generated before.
    pub(crate) fn generate(&mut self) -> T {
        let digest = Sha256::new()
            .chain_update(T::LABEL)
            .chain_update(self.seed)
            .chain_update(self.generated.next().to_be_bytes())
            .finalize();
        let mut bytes = [0; 16];
        for (byte, random) in bytes.iter_mut().zip(digest.iter()) {
            *byte = *random;
        }
        T::from_bytes(bytes)
    }
}

/// The seed is left out.
impl<T> fmt::Debug for IdGenerator<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdGenerator").field("generated", &self.generated).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An id of a test.
    #[derive(Debug, PartialEq)]
    struct Id([u8; 16]);

    impl Generated for Id {
        const LABEL: &'static [u8] = b"id";

        fn from_bytes(bytes: [u8; 16]) -> Self {
            Self(bytes)
        }
    }

    /// An id of another kind.
    struct Other([u8; 16]);

    impl Generated for Other {
        const LABEL: &'static [u8] = b"other";

        fn from_bytes(bytes: [u8; 16]) -> Self {
            Self(bytes)
        }
    }

    #[test]
    fn the_ids_of_one_generator_differ() {
        let mut ids = IdGenerator::<Id>::new([7; 32]);
        assert_ne!(ids.generate(), ids.generate());
    }

    #[test]
    fn the_same_seed_generates_the_same_ids() {
        assert_eq!(IdGenerator::<Id>::new([1; 32]).generate(), IdGenerator::new([1; 32]).generate());
        assert_ne!(IdGenerator::<Id>::new([1; 32]).generate(), IdGenerator::new([2; 32]).generate());
    }

    #[test]
    fn ids_of_two_kinds_with_one_seed_share_nothing() {
        let (Id(id), Other(other)) =
            (IdGenerator::new([1; 32]).generate(), IdGenerator::new([1; 32]).generate());
        assert_ne!(id, other);
    }

    #[test]
    fn a_debug_print_hides_the_seed() {
        assert!(!alloc::format!("{:?}", IdGenerator::<Id>::new([77; 32])).contains("77"));
    }
}
