//! Client events: what a driver reports.

use alloc::boxed::Box;
use core::fmt;
use core::time::Duration;

use bytes::Bytes;

use crate::client::streams::decrypted::DecryptedPacket;
use crate::id::{ExchangeId, FlowId};
use crate::target::{FlowKind, Target};

/// Something that happened outside the client, handed to [`Client::handle`](crate::Client::handle).
#[derive(Clone, PartialEq, Eq)]
pub enum ClientEvent {
    /// The application wants a flow. [`Client::open`](crate::Client::open) does the same and returns the id.
    Open {
        /// Where to.
        target: Target,
        /// TCP or UDP.
        kind: FlowKind,
    },
    /// Something happened on the application's socket.
    Local {
        /// The flow of that socket.
        flow: FlowId,
        /// What happened.
        event: LocalEvent,
    },
    /// The answer of an exchange has begun to arrive. Optional: without it, a slow link looks like a lost answer.
    Answering {
        /// The exchange.
        exchange: ExchangeId,
    },
    /// An exchange was answered: HTTP status 200 with this body, decompressed.
    Reply {
        /// The exchange.
        exchange: ExchangeId,
        /// The whole body.
        body: Bytes,
    },
    /// An exchange whose call carried a packet was answered with this one, which a
    /// [`Decryptor`](crate::Decryptor) has decrypted. It counts as the `Reply` that it was decrypted from.
    Decrypted {
        /// The exchange.
        exchange: ExchangeId,
        /// The packet.
        packet: Box<DecryptedPacket>,
    },
    /// An exchange ended without a usable answer.
    ExchangeFailed {
        /// The exchange.
        exchange: ExchangeId,
        /// Why.
        why: ExchangeFailure,
    },
    /// The wake time of [`ClientAction::Idle`](crate::ClientAction::Idle) has come.
    Timeout,
    /// End every flow and open no new one. [`ClientAction::Closed`](crate::ClientAction::Closed) says when the client
    /// may be dropped.
    Close,
}

/// Payloads are left out.
impl fmt::Debug for ClientEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open { target, kind } => {
                f.debug_struct("Open").field("target", target).field("kind", kind).finish()
            }
            Self::Local { flow, event } => {
                f.debug_struct("Local").field("flow", flow).field("event", event).finish()
            }
            Self::Answering { exchange } => f.debug_struct("Answering").field("exchange", exchange).finish(),
            Self::Reply { exchange, body } => {
                f.debug_struct("Reply").field("exchange", exchange).field("body_len", &body.len()).finish()
            }
            Self::Decrypted { exchange, packet } => {
                f.debug_struct("Decrypted").field("exchange", exchange).field("packet", packet).finish()
            }
            Self::ExchangeFailed { exchange, why } => {
                f.debug_struct("ExchangeFailed").field("exchange", exchange).field("why", why).finish()
            }
            Self::Timeout => f.write_str("Timeout"),
            Self::Close => f.write_str("Close"),
        }
    }
}

/// What happened on an application's socket.
#[derive(Clone, PartialEq, Eq)]
pub enum LocalEvent {
    /// The application sent bytes, within the credit given; for UDP, one datagram, which needs no credit.
    Data(Bytes),
    /// The application will send nothing more (half-close). For UDP, its socket is closed.
    Fin,
    /// The application's socket failed or was reset: nothing more can be delivered.
    Reset,
    /// This many delivered bytes have reached the application.
    Written(usize),
}

impl fmt::Debug for LocalEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Data(bytes) => write!(f, "Data({} bytes)", bytes.len()),
            Self::Fin => f.write_str("Fin"),
            Self::Reset => f.write_str("Reset"),
            Self::Written(bytes) => write!(f, "Written({bytes})"),
        }
    }
}

/// Why an exchange failed, as far as the driver knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ExchangeFailure {
    /// The request was not sent, so the node cannot have it. The ops are sent again.
    NotSent,
    /// No answer came, or the connection broke. The node may have executed the request.
    Unknown,
    /// The relay refused the call (429, quota, 403), so it did not reach the node. The ops are sent again.
    Refused {
        /// The wait that the relay asked for, if it did.
        retry_after: Option<Duration>,
    },
    /// The relay or node refused the size of the body (413). The ops are sent again in smaller batches.
    TooLarge,
    /// The answer is invalid: HTML, a truncated body, another status. The node may have executed the request.
    Garbage,
}

impl fmt::Display for ExchangeFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSent => f.write_str("the request could not be sent"),
            Self::Unknown => f.write_str("no answer came back; the node may have executed the request"),
            Self::Refused { retry_after: None } => f.write_str("the relay refused the call"),
            Self::Refused { retry_after: Some(wait) } => {
                write!(f, "the relay refused the call and asked to wait {} s", wait.as_secs())
            }
            Self::TooLarge => f.write_str("the request body was larger than the relay or node takes"),
            Self::Garbage => f.write_str("the answer is invalid (HTML, truncated or malformed)"),
        }
    }
}

impl core::error::Error for ExchangeFailure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_debug_print_of_an_event_shows_no_payload() {
        let bytes = Bytes::from_static(b"payload");
        let local = LocalEvent::Data(bytes.clone());
        for event in [
            ClientEvent::Reply { exchange: ExchangeId::new(1), body: bytes },
            ClientEvent::Local { flow: FlowId::new(1), event: local },
        ] {
            let text = alloc::format!("{event:?}");
            assert!(!text.contains("payload") && text.contains('7'), "{text}");
        }
    }
}
