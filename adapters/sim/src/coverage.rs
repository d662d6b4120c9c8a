//! Coverage points: what must happen in some run of a swarm.
//!
//! A fault that no longer triggers, or a path that no run takes, is found by its missing point.

use crate::fault::Fault;

macro_rules! coverage {
    ($($name:ident = $text:literal,)*) => {
        /// Something that must happen in some run.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum CoveragePoint {
            /// This kind of fault happened.
            Fault(Fault),
            $(#[doc = $text] $name,)*
        }

        const OTHERS: &[(CoveragePoint, &str)] = &[$((CoveragePoint::$name, $text),)*];
    };
}

coverage! {
    AllDone = "every flow of a run came to its orderly end",
    ReplyWaited = "a reply waited for an earlier one at the client",
    OpWaited = "an op waited for an earlier one at the node",
    OpsResent = "ops were sent again, because the node cannot have had them",
    LateReply = "a reply came after its exchange had ended",
    SequencedFlow = "a flow spoke level 1",
    StreamFlow = "a flow spoke level 2",
    StreamsReady = "a hello was answered",
    HelloRefused = "a node refused a hello, sealed",
    StrayPacket = "a packet came to a node that does not have its connection",
    TwoNodes = "a client had connections to two nodes",
    NodeSilent = "a node was judged silent while another one was heard",
    StreamsUnsupported = "a node turned out not to speak level 2",
    AskedAgain = "a client asked for an answer again (RESEND)",
    BareCall = "a client asked for a header alone: a probe, or a confirmation",
    RawPacket = "a packet travelled as it is",
    PacketRefused = "a node could not read a packet",
    StreamReset = "a stream ended because the node reset it",
    StreamGone = "a stream ended because its node had forgotten it",
    ClientForgotten = "a node forgot a client that was silent, with its streams",
    Answering = "an answer began to come before it was there",
    LegacyFlow = "a flow spoke level 0",
    FirstBytesRode = "the first bytes rode with the open",
    UnreachableHit = "an open failed at once, because the target is known to be unreachable",
    ConnectFailed = "a flow ended because its target could not be opened",
    FlowLost = "a flow ended because of a lost exchange",
    FlowNodeError = "a flow ended because the node answered with an error",
    FlowOverdue = "a flow ended because a reply was overdue",
    FlowQuiet = "a half-closed flow ended because it was quiet",
    FlowIdle = "a flow ended because it was idle",
    FlowLevelTooLow = "a flow was refused because no relay led to a node of level 2",
    FlowNoRelay = "a flow ended because no relay could take its ops",
    FlowReset = "a flow ended because its application reset it",
    HalfClosed = "an application finished its half and went on reading",
    RelayDown = "a relay was left alone",
    RelayUp = "a relay that was left alone was used again",
    BudgetSpent = "a relay's daily budget was spent",
    BodyLimitLowered = "batches became smaller after a refused body",
    SeqUnsupported = "a relay turned out to lose seq",
    Unauthorized = "a key was refused",
    SessionIdle = "the node ended an idle session",
    SessionWriteTimeout = "the node gave up an upstream that took nothing",
    SessionReset = "the node told a client of a reset upstream",
    SessionClosed = "the node closed a session for a client",
    SessionFinished = "the node ended a session after its tail",
    SessionAbandoned = "the node dropped an upstream whose client had left",
    DatagramDropped = "a datagram was dropped because a queue was full",
    CreditPaused = "an upstream or application waited for credit",
    ConnectDataUnknown = "a node turned out not to know connect_data",
    CloseAfterData = "a batch wrote to a session and closed it",
    CloseBeforeData = "a batch closed a session and wrote to it",
    Lingered = "an upstream lingered after its session until it had taken everything",
    BudgetRenewed = "a relay's daily budget was renewed",
    NodeLimit = "a limit of the node refused something",
}

impl CoveragePoint {
    /// Every point.
    pub fn all() -> impl Iterator<Item = Self> {
        Fault::ALL.iter().map(|fault| Self::Fault(*fault)).chain(OTHERS.iter().map(|(point, _)| *point))
    }

    /// What it stands for.
    pub fn text(self) -> &'static str {
        match self {
            Self::Fault(fault) => fault.text(),
            other => OTHERS.iter().find(|(point, _)| *point == other).map_or("", |(_, text)| text),
        }
    }

    fn bit(self) -> u128 {
        let place = match self {
            Self::Fault(fault) => fault.index(),
            other => {
                Fault::ALL.len() + OTHERS.iter().position(|(point, _)| *point == other).unwrap_or_default()
            }
        };
        1 << place
    }
}

/// A set of coverage points.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Coverage(u128);

impl Coverage {
    /// Adds a point.
    pub fn set(&mut self, point: CoveragePoint) {
        self.0 |= point.bit();
    }

    /// Whether a point was reached.
    pub fn has(self, point: CoveragePoint) -> bool {
        self.0 & point.bit() != 0
    }

    /// The points of both.
    #[must_use]
    pub const fn joined(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mark_has_a_bit_of_its_own() {
        let mut coverage = Coverage::default();
        let mut count = 0;
        for point in CoveragePoint::all() {
            assert!(!coverage.has(point), "{point:?}");
            coverage.set(point);
            count += 1;
        }
        assert_eq!(coverage.0.count_ones(), count);
    }
}
