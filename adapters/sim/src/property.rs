//! Properties: each has an id, a line of text, and a check.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::time::Time;

macro_rules! properties {
    ($($name:ident = $text:literal,)*) => {
        /// The id of a property (docs/simulating.md).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Property {
            $(#[doc = $text] $name,)*
        }

        impl Property {
            /// Every property.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The id as it is written.
            pub const fn id(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }

            /// What must hold, in one line.
            pub const fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

properties! {
    S1 = "delivered bytes are a prefix of those sent, in each direction of each flow, and all of them after an orderly end",
    S2 = "an upstream gets each byte at most once; an open makes at most one upstream connection, below level 2 unless its exchange is doubled",
    S3 = "an op is executed at most once, however often it arrives",
    S4 = "nothing is delivered after an end; each flow has exactly one end on each side; a close takes its place among the ops of its batch",
    S5 = "nothing is reported written that was not handed over, and nothing is sent beyond the credit",
    S6 = "after a restart of the node every flow that it had ends exactly once, and no byte of the old life surfaces",
    S7 = "seq counts every data op of a session from 0 without gap, each number again only if it came back unused; an op is refused for its number only if another copy came; a node offers what it speaks",
    S8 = "a poll without an event in between brings nothing new",
    S9 = "at one instant only a bounded number of things happens; after a timeout the next wake is later",
    S10 = "every request can be decoded, keeps to the bounds of a batch, and encodes to the same bytes again",
    S11 = "nothing panics",
    S12 = "neither key nor payload appears in a debug print",
    S13 = "every exchange ends exactly once; every accepted request is answered exactly once",
    S14 = "a client that waits for an exchange, or owes its node a word, names a wake time (level 2)",
    S15 = "a client whose lowest level is 2 sends nothing but packets, whatever it is answered",
    R1 = "the bytes that a machine holds stay within the configured bounds",
    R2 = "the calls in flight through a relay stay within its limit",
    R3 = "the calls of a day stay within a relay's budget, and a relay that refuses is left alone",
    R4 = "idle flows cost no more calls than their polls; at level 2, all together little more than one a hold",
    R5 = "after every flow has ended, nothing is held, no timer of a flow runs, and soon no more calls are made",
    I1 = "a flow that stalls does not delay the others",
    I2 = "no flow with data waits while others are served again and again",
    I3 = "a payload is written as soon as it and all before it have come, unless its upstream takes nothing",
    L1 = "once a relay is well again, every flow ends or delivers everything within the bound",
    L2 = "the same with every other relay broken permanently",
    L3 = "a close comes to its end",
    L4 = "a flow that is lost is reported as lost within the bound",
    L5 = "after a budget is renewed, flows continue",
    L6 = "a flow is lost only after something happened that can lose it",
    L7 = "after a success the backoff restarts from its minimum",
    L8 = "no stream of level 2 dies of lost, late, doubled or reordered exchanges while client and node live",
    D1 = "the same seed gives the same run, in every process and build",
    D2 = "a copy of a machine in the middle of a run behaves like the original",
    D5 = "a run without faults loses no flow and wastes no call",
    M1 = "everything that should happen sometimes happens in some run",
}

/// How a property was violated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// Which property.
    pub property: Property,
    /// When.
    pub at: Time,
    /// At which event of the run.
    pub event: u64,
    /// What was seen.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { property, at, event, what } = self;
        write!(f, "{}: {what} (event {event}, {at}). It must hold that {}", property.id(), property.text())
    }
}

impl Property {
    /// Whether it speaks of progress, and not of safety or bounds.
    pub const fn is_liveness(self) -> bool {
        matches!(self, Self::L1 | Self::L2 | Self::L3 | Self::L4 | Self::L5 | Self::L6 | Self::L7 | Self::L8)
    }

    /// Whether it speaks of what is used up.
    pub const fn is_resource(self) -> bool {
        matches!(self, Self::R1 | Self::R2 | Self::R3 | Self::R4 | Self::R5)
    }
}
