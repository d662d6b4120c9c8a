//! Client actions: what a driver has to do.

use core::fmt;

use bytes::Bytes;

use crate::client::event::ExchangeFailure;
use crate::client::streams::decryptor::Decryptor;
use crate::error::ConnectFailure;
use crate::id::{ExchangeId, FlowId, RelayId};
use crate::level::Level;
use crate::time::Instant;
use crate::timer::Wake;
use crate::wire::end::EndCode;
use crate::wire::handshake::NoticeKind;
use crate::wire::reset::ResetCode;
use crate::wire::{Body, BodyForm};

/// What the driver shall do, from [`Client::poll`](crate::Client::poll).
#[derive(Clone)]
#[cfg_attr(test, derive(PartialEq, Eq))]
pub enum ClientAction {
    /// POST `body` to `relay`. Report `Reply` or `ExchangeFailed`; at `deadline` at the latest, as
    /// `ExchangeFailed` with [`ExchangeFailure::Unknown`].
    Send {
        /// Names the exchange in the event that ends it.
        exchange: ExchangeId,
        /// The relay to use.
        relay: RelayId,
        /// The request body. Its bytes may still have to be made, on any thread.
        body: Body,
        /// The form of the body, which decides where it goes.
        form: BodyForm,
        /// When to give up.
        deadline: Instant,
        /// What decrypts the answer, if it is a packet: on any thread. Optional: the client does the same with a `Reply`.
        decryptor: Option<Decryptor>,
    },
    /// Write bytes to the application; for UDP, one datagram. Report `Written`.
    Deliver {
        /// The flow.
        flow: FlowId,
        /// The bytes.
        bytes: Bytes,
    },
    /// This many more bytes may be read from the application and handed in.
    Credit {
        /// The flow.
        flow: FlowId,
        /// Bytes in addition to earlier credit.
        bytes: usize,
    },
    /// Tell the application that its flow is open: at once in optimistic opening, when the node has said so
    /// in confirmed opening.
    Opened {
        /// The flow.
        flow: FlowId,
    },
    /// Everything was delivered: close the writing half of the application's socket in order (FIN).
    Fin {
        /// The flow.
        flow: FlowId,
    },
    /// The flow is over; nothing follows for it. Unless the reason [is orderly](EndReason::is_orderly),
    /// reset the application's socket, so that a cut is not mistaken for an end.
    Ended {
        /// The flow.
        flow: FlowId,
        /// Why.
        why: EndReason,
    },
    /// Everything is said after [`Close`](crate::ClientEvent::Close): no call is under way, and the node knows which
    /// sessions are over, as far as relays could tell it. The client may be dropped.
    Closed,
    /// A notice for an observer; there is nothing to do.
    Event(ClientNotice),
    /// Nothing else is queued. Sleep until something happens, or until `wake` at the latest; then hand in
    /// `Timeout`.
    Idle {
        /// The next deadline, if there is one.
        wake: Option<Wake>,
    },
}

impl fmt::Debug for ClientAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Send { exchange, relay, body, form, deadline, decryptor: _ } => f
                .debug_struct("Send")
                .field("exchange", exchange)
                .field("relay", relay)
                .field("body_len", &body.len())
                .field("form", form)
                .field("deadline", deadline)
                .finish(),
            Self::Deliver { flow, bytes } => {
                f.debug_struct("Deliver").field("flow", flow).field("len", &bytes.len()).finish()
            }
            Self::Credit { flow, bytes } => {
                f.debug_struct("Credit").field("flow", flow).field("bytes", bytes).finish()
            }
            Self::Opened { flow } => f.debug_struct("Opened").field("flow", flow).finish(),
            Self::Fin { flow } => f.debug_struct("Fin").field("flow", flow).finish(),
            Self::Ended { flow, why } => {
                f.debug_struct("Ended").field("flow", flow).field("why", why).finish()
            }
            Self::Closed => f.write_str("Closed"),
            Self::Event(notice) => f.debug_tuple("Event").field(notice).finish(),
            Self::Idle { wake } => f.debug_struct("Idle").field("wake", wake).finish(),
        }
    }
}

/// Why a flow ended at the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EndReason {
    /// The upstream ended and everything was delivered.
    Finished,
    /// The application reset its socket, or both sides were done with it.
    Local,
    /// The application half-closed, and no downlink came for the configured quiet time.
    HalfCloseQuiet,
    /// A UDP flow without traffic for the configured idle time.
    Idle,
    /// The node could not open the target.
    ConnectFailed(ConnectFailure),
    /// The node answered an op of this session with an error.
    NodeError,
    /// Replies cannot be put into order any more: one without `seq`, or with a foreign one.
    SequenceBroken,
    /// An exchange with an op of this session failed, so bytes may be missing (levels 0 and 1).
    ExchangeLost(ExchangeFailure),
    /// A reply did not come within the watchdog time.
    ReplyOverdue,
    /// No relay could take an op of this flow for as long as a call may last.
    NoRelay,
    /// The flow could not have the configured lowest level, `min_level`: nothing of it was sent.
    LevelTooLow,
    /// The client was closed.
    ClientClosed,
    /// The node reset the stream (level 2).
    Reset(ResetCode),
    /// The node ended the connection that the stream was part of (level 2).
    NodeEnded(EndCode),
    /// The node does not answer, and another one does (level 2).
    NodeSilent,
}

impl EndReason {
    /// Whether the flow ended in order, so that the application's socket closes without a reset.
    /// Quiet after a half-close is not one: a slow upstream would look finished.
    pub const fn is_orderly(self) -> bool {
        matches!(self, Self::Finished | Self::Local | Self::Idle)
    }

    /// The reason behind the error reply to an open: the target, or the op itself.
    pub(super) fn of_failed_open(error: &str) -> Self {
        if error.to_ascii_lowercase().contains("connect failed") {
            Self::ConnectFailed(ConnectFailure::from_text(error))
        } else {
            Self::NodeError
        }
    }
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Finished => f.write_str("finished"),
            Self::Local => f.write_str("closed by the application"),
            Self::HalfCloseQuiet => f.write_str("half-closed by the application, and no data since"),
            Self::Idle => f.write_str("idle"),
            Self::ConnectFailed(failure) => write!(f, "the node could not open the target: {failure}"),
            Self::NodeError => f.write_str("the node answered with an error"),
            Self::SequenceBroken => f.write_str("a reply came without its sequence number"),
            Self::ExchangeLost(failure) => write!(f, "an exchange failed: {failure}"),
            Self::ReplyOverdue => f.write_str("a reply is overdue"),
            Self::NoRelay => f.write_str("no relay could take a call in time"),
            Self::LevelTooLow => f.write_str("the node does not offer the lowest level that is allowed here"),
            Self::ClientClosed => f.write_str("the client was closed"),
            Self::Reset(code) => write!(f, "reset by the node: {code}"),
            Self::NodeEnded(code) => write!(f, "the node ended the connection: {code}"),
            Self::NodeSilent => f.write_str("the node does not answer, and another one does"),
        }
    }
}

impl core::error::Error for EndReason {}

/// A notice that an observer may log or count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientNotice {
    /// The node opened the target; the flow speaks this level. It can come a second time with a lower one,
    /// when it turns out that no relay keeps `seq`.
    Connected {
        /// The flow.
        flow: FlowId,
        /// Its level.
        level: Level,
    },
    /// An exchange failed.
    ExchangeFailed {
        /// The exchange.
        exchange: ExchangeId,
        /// The relay that it went through.
        relay: RelayId,
        /// Why.
        why: ExchangeFailure,
    },
    /// A relay backs off until a time.
    RelayDown {
        /// The relay.
        relay: RelayId,
        /// Until when.
        until: Instant,
    },
    /// A relay that was backing off answered again.
    RelayUp {
        /// The relay.
        relay: RelayId,
    },
    /// A relay loses `seq`, which the node behind it keeps: level 1 is not used through that relay.
    SeqUnsupported {
        /// The relay.
        relay: RelayId,
    },
    /// The node behind a relay speaks level 2, and answered through that relay.
    StreamsReady {
        /// The relay.
        relay: RelayId,
    },
    /// The node behind a relay does not speak level 2, or takes no connection now: flows are sessions through that relay.
    StreamsUnsupported {
        /// The relay.
        relay: RelayId,
    },
    /// The node behind a relay has the secret, and takes no connection: it says so, sealed.
    NodeRefused {
        /// The relay.
        relay: RelayId,
        /// What it says.
        why: NoticeKind,
        /// When it is asked again at the earliest.
        until: Instant,
    },
    /// The node has ended a connection, whose streams end with it.
    ConnectionEnded {
        /// Why.
        why: EndCode,
    },
    /// The node of a connection does not answer while another one does: new flows go there.
    NodeSilent,
    /// A node that was silent answers again.
    NodeBack,
    /// A relay or the node behind it does not know `connect_data`: connects carry no data through it.
    ConnectDataUnsupported {
        /// The relay.
        relay: RelayId,
    },
    /// A relay or node refused a body for its size: batches through it are smaller from now on.
    BodyLimitLowered {
        /// The relay.
        relay: RelayId,
        /// The new largest body in bytes.
        limit: usize,
    },
    /// The daily budget of a relay is spent until a time.
    BudgetSpent {
        /// The relay.
        relay: RelayId,
        /// When its budget is renewed.
        until: Instant,
    },
    /// The node does not accept the key that is configured for this relay.
    Unauthorized {
        /// The relay.
        relay: RelayId,
    },
}
