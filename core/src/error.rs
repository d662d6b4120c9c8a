//! Errors by blame: the caller's ([`Misuse`], [`ConfigError`](crate::ConfigError)), the target's ([`ConnectFailure`]),
//! or the peer's and the network's ([`EndReason`](crate::EndReason), [`ExchangeFailure`](crate::ExchangeFailure)).

use core::fmt;

use crate::id::{ExchangeId, FlowId, RequestId, UpstreamId};

/// The driver broke the contract of a machine, whose state is unchanged.
///
/// An event about something that has *ended* is not misuse: the driver may not have seen the end yet, so the machine
/// ignores it. Misuse is an event about something that never existed, or that the contract rules out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Misuse {
    /// No flow with this id was ever opened.
    UnknownFlow(FlowId),
    /// No exchange with this id was ever sent.
    UnknownExchange(ExchangeId),
    /// No request with this id was ever handed in.
    UnknownRequest(RequestId),
    /// No upstream with this id was ever opened.
    UnknownUpstream(UpstreamId),
    /// Request ids must increase; this one does not.
    RequestIdReused(RequestId),
    /// More bytes were handed in than the machine gave credit for.
    CreditExceeded,
    /// More bytes were reported written than the machine asked to write.
    WrittenTooMuch,
    /// Data or a second end after the end of that direction.
    AfterFin,
    /// The event does not fit the kind of flow, or its state: a datagram on a TCP flow, an `Opened` for an
    /// upstream that is open.
    WrongKind,
    /// A datagram of more than 65 535 bytes.
    DatagramTooLarge,
    /// An [`Open`](crate::ClientEvent::Open) event that opened no flow.
    NotOpened(OpenError),
}

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownFlow(id) => write!(f, "flow {id} was never opened"),
            Self::UnknownExchange(id) => write!(f, "exchange {id} was never sent"),
            Self::UnknownRequest(id) => write!(f, "request {id} was never handed in"),
            Self::UnknownUpstream(id) => write!(f, "upstream {id} was never opened"),
            Self::RequestIdReused(id) => write!(f, "request ids must increase; {id} does not"),
            Self::CreditExceeded => f.write_str("more bytes were handed in than there was credit for"),
            Self::WrittenTooMuch => f.write_str("more bytes were reported written than were handed out"),
            Self::AfterFin => f.write_str("data or a second end after the end of that direction"),
            Self::WrongKind => f.write_str("the event does not fit the kind or the state of its flow"),
            Self::DatagramTooLarge => f.write_str("a datagram must have at most 65535 bytes"),
            Self::NotOpened(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for Misuse {}

/// Why a client opened no flow. Both reasons are ordinary: refuse the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OpenError {
    /// As many flows are open as the configuration allows.
    FlowLimit,
    /// The client was closed.
    Closed,
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FlowLimit => "as many flows are open as the configuration allows",
            Self::Closed => "the client was closed",
        })
    }
}

impl core::error::Error for OpenError {}

impl From<OpenError> for Misuse {
    fn from(error: OpenError) -> Self {
        Self::NotOpened(error)
    }
}

/// Why an upstream could not be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ConnectFailure {
    /// The target answered and refused.
    Refused,
    /// No route to the host.
    HostUnreachable,
    /// The name does not resolve.
    NoSuchName,
    /// No route to the network.
    NetworkUnreachable,
    /// Nothing answered before the deadline.
    TimedOut,
    /// The node does not open this target: it is private, or not allowed.
    NotAllowed,
    /// Anything else.
    Other,
}

impl ConnectFailure {
    /// The text behind `connect failed: ` on the wire. Deployed clients look for some of these words.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Refused => "Connection refused (os error 111)",
            Self::HostUnreachable => "No route to host (os error 113)",
            Self::NoSuchName => "failed to lookup address information: Name or service not known",
            Self::NetworkUnreachable => "Network is unreachable (os error 101)",
            Self::TimedOut => "connect timeout",
            Self::NotAllowed => "target not allowed",
            Self::Other => "the connection could not be made",
        }
    }

    /// Reads a node's error text, ours or a deployed node's.
    pub fn from_text(text: &str) -> Self {
        let text = text.to_ascii_lowercase();
        let signs: [(Self, &[&str]); 6] = [
            (Self::NetworkUnreachable, &["network is unreachable", "os error 101"]),
            (Self::HostUnreachable, &["no route to host", "os error 113"]),
            (Self::Refused, &["connection refused", "os error 111"]),
            (Self::NotAllowed, &["not allowed"]),
            (Self::TimedOut, &["timeout", "timed out", "os error 110"]),
            (Self::NoSuchName, &["failed to lookup", "name or service not known", "no such host"]),
        ];
        signs
            .iter()
            .find(|(_, words)| words.iter().any(|word| text.contains(word)))
            .map_or(Self::Other, |(failure, _)| *failure)
    }

    /// Whether the node cannot reach the target at all, so that another attempt soon is useless.
    pub const fn is_unreachable(self) -> bool {
        matches!(self, Self::HostUnreachable | Self::NetworkUnreachable)
    }
}

impl fmt::Display for ConnectFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refused => "connection refused",
            Self::HostUnreachable => "no route to host",
            Self::NoSuchName => "no such host name",
            Self::NetworkUnreachable => "network unreachable",
            Self::TimedOut => "timed out",
            Self::NotAllowed => "target not allowed",
            Self::Other => "connection failed",
        })
    }
}

impl core::error::Error for ConnectFailure {}

#[cfg(test)]
mod tests {
    use super::*;

    impl ConnectFailure {
        pub(crate) const ALL: [Self; 7] = [
            Self::Refused,
            Self::HostUnreachable,
            Self::NoSuchName,
            Self::NetworkUnreachable,
            Self::TimedOut,
            Self::NotAllowed,
            Self::Other,
        ];
    }

    #[test]
    fn every_failure_round_trips_as_text() {
        for failure in ConnectFailure::ALL {
            assert_eq!(ConnectFailure::from_text(failure.text()), failure);
        }
    }

    #[test]
    fn unreachable_texts_of_deployed_nodes_are_recognised() {
        for text in [
            "connect failed: Network is unreachable (os error 101)",
            "connect failed: NO ROUTE TO HOST",
            "connect failed: something (os error 113)",
        ] {
            assert!(ConnectFailure::from_text(text).is_unreachable(), "{text}");
        }
        for text in
            ["connect failed: Connection refused (os error 111)", "connect failed: connect timeout", ""]
        {
            assert!(!ConnectFailure::from_text(text).is_unreachable(), "{text}");
        }
    }
}
