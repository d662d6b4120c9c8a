//! Decision points: the places at which a run asks its chooser.

use serde::{Deserialize, Serialize};

macro_rules! points {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// A named place in the simulator at which a [`Chooser`](crate::Chooser) is asked.
        ///
        /// The names are part of the format of recorded runs: a point is added, never renamed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum DecisionPoint {
            $($(#[$doc])* #[serde(rename = $text)] $name,)*
        }

        impl DecisionPoint {
            /// Every point.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The name in traces and recorded runs.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

points! {
    /// How many clients there are beyond the fewest.
    Clients = "clients",
    /// How many relays there are beyond the fewest.
    Relays = "relays",
    /// How many flows a client opens beyond the fewest.
    Flows = "flows",
    /// The level that clients may use, and then those of the nodes.
    Level = "level",
    /// Whether a relay takes packets of level 2 as they are.
    Binary = "binary",
    /// One of the configured bounds of a machine.
    Bound = "bound",
    /// Which script a flow plays.
    Script = "script",
    /// How much a flow sends.
    Size = "size",
    /// Whether a flow sends much more than that.
    Large = "large",
    /// When a flow begins, and how long it thinks between its turns.
    Pace = "pace",
    /// Whether this kind of fault happens in this run at all.
    FaultOn = "fault.on",
    /// How often this kind of fault happens in this run.
    FaultProbability = "fault.odds",
    /// The order of events that fall due at the same time.
    Tie = "tie",
    /// The round trip of an exchange.
    Latency = "latency",
    /// How much of the round trip is the way up.
    Split = "split",
    /// How long an upstream takes to open.
    Connect = "connect",
    /// F1: a request is lost before the node.
    LoseRequest = "f1.request",
    /// F2: a reply is lost after the node executed the request.
    LoseReply = "f2.reply",
    /// F3: a request arrives twice.
    Duplicate = "f3.duplicate",
    /// F3: when the second copy arrives, and whose answer the client gets.
    DuplicateDelay = "f3.delay",
    /// F4: a reply comes after the client's deadline.
    Late = "f4.late",
    /// F5: a request takes a detour.
    Reorder = "f5.reorder",
    /// F6: a body is cut.
    Truncate = "f6.truncate",
    /// F6: where the body is cut.
    TruncateAt = "f6.at",
    /// F7: the relay answers with something else.
    Garbage = "f7.garbage",
    /// F8: the relay refuses the call.
    Refuse = "f8.refuse",
    /// F8: a relay has a small daily budget.
    Quota = "f8.quota",
    /// F8: a relay's daily budget is renewed during the run.
    Renewal = "f8.renewal",
    /// F9: the node restarts.
    Restart = "f9.restart",
    /// F10: the node restarts between an upstream write and the reply.
    Crash = "f10.crash",
    /// F11: a relay pauses, or dies.
    Pause = "f11.pause",
    /// F12: a relay leads to another node.
    Mixed = "f12.mixed",
    /// F13: a host's clock drifts, stalls or leaps.
    Clock = "f13.clock",
    /// F14: a relay takes only small bodies.
    BodyCap = "f14.body",
    /// F15: round trips have a heavy tail.
    HeavyTail = "f15.tail",
    /// F16: a relay queues calls beyond a few.
    Queueing = "f16.queue",
    /// F17: a relay is cut off, in one direction or both, for a while.
    Partition = "f17.partition",
    /// F18: a reply is delivered for another request.
    Swap = "f18.swap",
    /// F18: among which answers, or requests, the other one is.
    SwapWith = "f18.with",
    /// Whether an answer begins to come a while before it is there.
    Answering = "answering",
    /// F19: bits of a body flip, or an old one comes again.
    Corrupt = "f19.corrupt",
    /// F19: where bits flip.
    CorruptAt = "f19.at",
    /// F20: an upstream refuses, resets, stalls or floods.
    Upstream = "f20.upstream",
    /// F20: an application tries a target again that it could not reach.
    Again = "f20.again",
    /// Callers from elsewhere, and what they do first.
    ForeignClients = "visitors",
    /// When change (restarts, pauses, partitions, clock faults) comes.
    When = "when",
    /// How long it lasts.
    Duration = "duration",
    /// Which relay is healed at the end.
    Core = "core",
    /// What stays broken with the other relays.
    Ruin = "ruin",
    /// What a host of the embedder's own decides.
    Host = "host",
    /// Whether flows are sealed or refused.
    Sealed = "sealed",
}

impl DecisionPoint {
    /// The point with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|point| point.name() == name)
    }
}
