//! Capability negotiation: one table of bits, and the levels that they stand for.

use core::fmt;

use serde::{Deserialize, Serialize};

/// The capabilities that a node names in its connect replies: a set of bits in a `u32`.
///
/// Unknown bits are kept and ignored, so a newer node can name more than this client knows.
///
/// ```
/// use seqlane::{Caps, Level};
///
/// let caps = Caps::from_bits(0b101);
/// assert!(caps.contains(Caps::PIPELINE_SEQ));
/// assert_eq!(caps.level(), Level::Sequenced);
/// assert_eq!(Caps::NONE.level(), Level::Legacy);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Caps(u32);

/// The one table: bit, name, and the level that a peer with the bit can speak.
const TABLE: [(Caps, &str, Level); 2] =
    [(Caps::PIPELINE_SEQ, "PIPELINE_SEQ", Level::Sequenced), (Caps::STREAMS, "STREAMS", Level::Streams)];

impl Caps {
    /// No capability: a peer of level 0.
    pub const NONE: Self = Self(0);
    /// Bit 0: several data ops of a session in flight, executed and answered in `seq` order.
    pub const PIPELINE_SEQ: Self = Self(1);
    /// Bit 1: streams, which no lost, late, doubled or reordered exchange breaks.
    pub const STREAMS: Self = Self(2);

    /// The set with these bits, known or not.
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// The bits as they go onto the wire.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Whether every bit of `other` is set here.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The highest level that a peer with these capabilities speaks.
    pub fn level(self) -> Level {
        TABLE
            .iter()
            .filter(|(bit, _, _)| self.contains(*bit))
            .map(|(_, _, level)| *level)
            .max()
            .unwrap_or(Level::Legacy)
    }

    /// The highest level that a session of a peer with these capabilities speaks: streams have no sessions.
    pub(crate) const fn session_level(self) -> Level {
        if self.contains(Self::PIPELINE_SEQ) { Level::Sequenced } else { Level::Legacy }
    }

    /// What a node that speaks every level up to `level` names.
    pub fn of_level(level: Level) -> Self {
        let bits =
            TABLE.iter().filter(|(_, _, needs)| *needs <= level).fold(0, |bits, (bit, _, _)| bits | bit.0);
        Self(bits)
    }
}

impl fmt::Display for Caps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (_, name, _) in TABLE.iter().filter(|(bit, _, _)| self.contains(*bit)) {
            write!(f, "{separator}{name}")?;
            separator = "+";
        }
        if separator.is_empty() { f.write_str("none") } else { Ok(()) }
    }
}

/// A level of service (protocol.md 0). A client speaks the highest one that both sides have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Level {
    /// Level 0: one data op in flight per session, unordered at the node.
    Legacy,
    /// Level 1: several data ops in flight per session, executed and answered in `seq` order.
    #[default]
    Sequenced,
    /// Level 2: numbered, acknowledged and repeated streams that share all exchanges of their client.
    Streams,
}

impl Level {
    /// The level with this number.
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Legacy),
            1 => Some(Self::Sequenced),
            2 => Some(Self::Streams),
            _ => None,
        }
    }

    /// The level's number.
    pub const fn number(self) -> u8 {
        self as u8
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "level {}", self.number())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn unknown_bits_are_kept_and_change_nothing() {
        let caps = Caps::from_bits(0xffff_fff0);
        assert_eq!(caps.bits(), 0xffff_fff0);
        assert_eq!(caps.level(), Level::Legacy);
        assert_eq!(Caps::from_bits(0xffff_fff1).level(), Level::Sequenced);
    }

    #[test]
    fn streams_alone_make_no_session_sequenced() {
        assert_eq!(Caps::STREAMS.level(), Level::Streams);
        assert_eq!(Caps::STREAMS.session_level(), Level::Legacy);
    }

    #[test]
    fn a_level_names_its_own_bits() {
        assert_eq!(Caps::of_level(Level::Legacy), Caps::NONE);
        assert_eq!(Caps::of_level(Level::Sequenced).bits(), 1);
        assert_eq!(Caps::of_level(Level::Streams).bits(), 3);
    }

    #[test]
    fn capabilities_print_by_name() {
        assert_eq!(Caps::NONE.to_string(), "none");
        assert_eq!(Caps::of_level(Level::Streams).to_string(), "PIPELINE_SEQ+STREAMS");
    }

    #[test]
    fn levels_print_by_number() {
        assert_eq!(Level::Streams.to_string(), "level 2");
    }

    #[test]
    fn level_numbers_round_trip() {
        for level in [Level::Legacy, Level::Sequenced, Level::Streams] {
            assert_eq!(Level::from_number(level.number()), Some(level));
        }
        assert_eq!(Level::from_number(9), None);
    }
}
