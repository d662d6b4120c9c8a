//! Names for the things that cross the machines' boundary: monotone numbers, never reused.

use core::fmt;

use sha2::{Digest, Sha256};

use crate::wire::Sid;
use crate::wire::packet::{ClientId, Epoch};

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    )*};
}

ids! {
    /// One flow at the client, allocated by [`Client::open`](crate::Client::open).
    FlowId;
    /// One HTTP request of the client with its response, allocated by the client.
    ExchangeId;
    /// One HTTP request at the node, allocated by the driver, each larger than the one before.
    RequestId;
    /// One upstream connection or UDP association of the node, allocated by the node.
    UpstreamId;
}

/// A relay of the client: its place in [`ClientOptions::relays`](crate::ClientOptions::relays).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelayId(u32);

impl RelayId {
    /// The relay at this place of the configuration.
    pub const fn new(place: u32) -> Self {
        Self(place)
    }

    /// The relay's place in the configuration.
    pub const fn place(self) -> u32 {
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

/// Mints names of 16 bytes that nobody without the seed can guess: the first bytes of
/// SHA-256(label | seed | n), n in 8 bytes, highest first.
#[derive(Clone)]
struct Mint {
    label: &'static [u8],
    seed: [u8; 32],
    minted: Counter,
}

impl Mint {
    const fn new(label: &'static [u8], seed: [u8; 32]) -> Self {
        Self { label, seed, minted: Counter(0) }
    }

    fn next(&mut self) -> [u8; 16] {
        let digest = Sha256::new()
            .chain_update(self.label)
            .chain_update(self.seed)
            .chain_update(self.minted.next().to_be_bytes())
            .finalize();
        let mut bytes = [0; 16];
        for (byte, random) in bytes.iter_mut().zip(digest.iter()) {
            *byte = *random;
        }
        bytes
    }
}

/// The seed is left out.
impl fmt::Debug for Mint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mint").field("minted", &self.minted).finish_non_exhaustive()
    }
}

macro_rules! mints {
    ($($(#[$doc:meta])* $name:ident, $label:literal => $minted:ty, $make:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub(crate) struct $name(Mint);

        impl $name {
            pub(crate) const fn new(seed: [u8; 32]) -> Self {
                Self(Mint::new($label, seed))
            }

            /// The next one.
            pub(crate) fn mint(&mut self) -> $minted {
                $make(self.0.next())
            }
        }
    )*};
}

mints! {
    /// Mints session ids: random-looking UUIDs (version 4), the form of the deployed nodes.
    SidMint, b"seqlane sid" => Sid, Sid::uuid;
    /// Mints names of client instances (protocol.md 3.1).
    ClientMint, b"seqlane client" => ClientId, ClientId;
    /// Mints epochs (protocol.md 3.1).
    EpochMint, b"seqlane epoch" => Epoch, Epoch;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minted_sids_are_version_4_uuids_and_differ() {
        let mut mint = SidMint::new([7; 32]);
        let (a, b) = (mint.mint(), mint.mint());
        assert_ne!(a, b);
        for sid in [a, b] {
            let parts: alloc::vec::Vec<&str> = sid.as_str().split('-').collect();
            assert_eq!(parts.iter().map(|part| part.len()).collect::<alloc::vec::Vec<_>>(), [8, 4, 4, 4, 12]);
            assert!(parts[2].starts_with('4'));
            assert!(parts[3].starts_with(['8', '9', 'a', 'b']));
        }
    }

    #[test]
    fn the_same_seed_mints_the_same_sids() {
        assert_eq!(SidMint::new([1; 32]).mint(), SidMint::new([1; 32]).mint());
        assert_ne!(SidMint::new([1; 32]).mint(), SidMint::new([2; 32]).mint());
    }

    #[test]
    fn names_of_one_seed_share_nothing() {
        let Epoch(epoch) = EpochMint::new([1; 32]).mint();
        assert_ne!(Sid::uuid(epoch), SidMint::new([1; 32]).mint());
    }

    #[test]
    fn debug_hides_the_seed() {
        assert!(!alloc::format!("{:?}", SidMint::new([77; 32])).contains("77"));
    }
}
