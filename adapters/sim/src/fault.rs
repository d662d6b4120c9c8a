//! Fault kinds, F1 to F20.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

macro_rules! faults {
    ($($name:ident = $id:literal, $option:literal, $level:literal, $text:literal;)*) => {
        /// A kind of fault. Each can be switched and weighted, and is named in every report.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Fault {
            $(#[doc = $text] #[serde(rename = $option)] $name,)*
        }

        impl Fault {
            /// Every kind, F1 first.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// `F1` to `F20`.
            pub const fn id(self) -> &'static str {
                match self { $(Self::$name => $id,)* }
            }

            /// The name in scenario files and for `--set net.NAME=PROBABILITY`.
            pub const fn option(self) -> &'static str {
                match self { $(Self::$name => $option,)* }
            }

            /// What happens, in one line.
            pub const fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The lowest level that can survive it without wrong bytes; below, it does not happen.
            pub const fn from_level(self) -> u8 {
                match self { $(Self::$name => $level,)* }
            }
        }
    };
}

faults! {
    LoseRequest = "F1", "lose-request", 0, "a request is lost before the node";
    LoseReply = "F2", "lose-reply", 0, "a reply is lost after the node executed the request";
    Duplicate = "F3", "duplicate", 1, "a request arrives twice, the second copy early, late or after the close";
    Late = "F4", "late", 0, "a reply comes after the client gave up";
    Reorder = "F5", "reorder", 0, "requests and replies overtake each other, inside a relay and across relays";
    Truncate = "F6", "truncate", 0, "a request or reply is cut at any byte, with status 200";
    Garbage = "F7", "garbage", 0, "an HTML page, an error status, an empty body or gzip comes instead of a reply";
    Refuse = "F8", "refuse", 0, "429 with and without Retry-After, absurd values too; a daily budget that runs out";
    Restart = "F9", "restart", 0, "the node restarts, and every session is lost";
    Crash = "F10", "crash", 0, "the node restarts between an upstream write and the reply";
    Pause = "F11", "pause", 0, "a relay starts cold, pauses for 1 to 30 s, or dies";
    Mixed = "F12", "mixed", 0, "a relay leads to an older node or to one that has no such session";
    Clock = "F13", "clock", 0, "a host's clock drifts, stalls, or leaps by up to 8 h";
    BodyCap = "F14", "body-cap", 0, "a relay takes only small bodies (413)";
    HeavyTail = "F15", "heavy-tail", 0, "round trips have a tail of 60 s, or come in two kinds";
    Queueing = "F16", "queueing", 0, "a relay queues calls beyond a few instead of refusing them";
    Partition = "F17", "partition", 0, "relays are cut off in one direction, flap, or clog one by one";
    Swap = "F18", "swap", 2, "the reply to one request is delivered for another";
    Corrupt = "F19", "corrupt", 2, "bits of a packet flip, or an old packet comes again";
    Upstream = "F20", "upstream", 0, "an upstream refuses, resets, stops reading or floods";
}

impl Fault {
    /// The place in [`ALL`](Self::ALL).
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.id(), self.option())
    }
}

impl FromStr for Fault {
    type Err = UnknownFault;

    fn from_str(text: &str) -> Result<Self, UnknownFault> {
        let found =
            Self::ALL.iter().find(|fault| fault.option() == text || fault.id().eq_ignore_ascii_case(text));
        found.copied().ok_or_else(|| UnknownFault(text.to_owned()))
    }
}

/// No kind of fault has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no fault is called `{0}`; `faults` lists them")]
pub struct UnknownFault(String);
