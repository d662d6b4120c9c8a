//! Ids of what crosses the machines' boundary: numbers that count up and are never reused.

use core::fmt;
use core::hash::{Hash, Hasher};
use core::marker::PhantomData;

use sha2::{Digest, Sha256};

/// Defines numbers that must not be mixed up with others, each with the name of its value; with a kind of
/// [`relative`](crate::relative), they are hashed as such.
macro_rules! numbers {
    ($($(#[$attr:meta])* $name:ident($get:ident: $type:ty) $(= $kind:ident)?;)*) => {$(
        $(#[$attr])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub struct $name($type);

        impl $name {
            /// The one with this value: for drivers that allocate them, and for replaying a record.
            pub const fn new($get: $type) -> Self {
                Self($get)
            }

            /// The value.
            pub const fn $get(self) -> $type {
                self.0
            }
        }

        $(
            impl core::hash::Hash for $name {
                fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
                    crate::relative::hash(crate::relative::$kind, self.0, state);
                }
            }
        )?

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                core::fmt::Display::fmt(&self.0, f)
            }
        }
    )*};
}

pub(crate) use numbers;

numbers! {
    /// One flow at the client, allocated by [`Client::open`](crate::Client::open).
    FlowId(number: u64) = FLOW;
    /// One HTTP request of the client with its response, allocated by the client.
    ExchangeId(number: u64) = EXCHANGE;
    /// One HTTP request at the node, allocated by the driver, each larger than the one before.
    RequestId(number: u64) = REQUEST;
    /// One upstream connection or UDP association of the node, allocated by the node.
    UpstreamId(number: u64) = UPSTREAM;
    /// A relay of the client: its index in [`ClientOptions::relays`](crate::ClientOptions::relays).
    #[derive(Hash)]
    RelayId(index: u32);
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

/// A type whose values are made of bytes that nobody without the machine's seed can guess.
pub(crate) trait Generated {
    /// What keeps the values of one type apart from those of another that has the same seed.
    const LABEL: &'static [u8];

    /// The value made of the first bytes of `digest`.
    fn from_digest(digest: [u8; 32]) -> Self;
}

/// The first bytes of a digest.
pub(crate) fn first<const N: usize>(digest: [u8; 32]) -> [u8; N] {
    core::array::from_fn(|place| digest.get(place).copied().unwrap_or_default())
}

/// Generates values of one type: the n-th is made of SHA-256(label | seed | n), n in 8 bytes, highest first.
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
            .chain_update(self.generated.next().to_be_bytes());
        T::from_digest(digest.finalize().into())
    }
}

/// The seed is left out.
impl<T> fmt::Debug for IdGenerator<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdGenerator").field("generated", &self.generated.0).finish_non_exhaustive()
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

        fn from_digest(digest: [u8; 32]) -> Self {
            Self(first(digest))
        }
    }

    /// An id of another kind.
    struct Other([u8; 16]);

    impl Generated for Other {
        const LABEL: &'static [u8] = b"other";

        fn from_digest(digest: [u8; 32]) -> Self {
            Self(first(digest))
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
