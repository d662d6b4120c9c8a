//! How a client comes to share a connection with a node, and loses it (protocol.md 3.1 "Hello", 3.2 rules 12 and 13).

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use core::time::Duration;

use crate::client::relays::{HelloDelays, Path, Purpose, Relay, Relays};
use crate::client::streams::connection::NodeConnection;
use crate::client::streams::round_trips::Size;
use crate::client::streams::timeout::LossDetector;
use crate::config::ClientOptions;
use crate::id::{FlowId, IdGenerator, RelayId};
use crate::time::{Instant, share};
use crate::timer::TimerSlot;
use crate::wire::direction::Direction;
use crate::wire::number::{ExchangeNumber, StreamNumber};
use crate::wire::packet::{ClientId, Epoch, Grants};
use crate::wire::seal::{Nonces, Seal};

/// The longest delay between hellos while no flow waits for an answer.
const LONGEST_HELLO_DELAY: Duration = Duration::from_secs(60);

/// Level 2 of a client.
#[derive(Clone, Debug)]
pub(in crate::client) struct Streams {
    pub(super) up: Seal,
    pub(super) down: Seal,
    pub(super) nonces: Nonces,
    ids: IdGenerator<ClientId>,
    pub(super) state: State,
    pub(super) flows: BTreeMap<FlowId, StreamFlow>,
    pub(super) timer: TimerSlot,
    /// How long a flow waits for a connection.
    open_wait: Duration,
    /// Whether a flow waits for the connection.
    pub(super) wanted: bool,
    /// Whether a hello was ever accepted.
    pub(super) accepted: bool,
    /// Whether the client was closed: no new connection is made.
    pub(super) closed: bool,
}

/// A flow that is a stream.
#[derive(Clone, Debug)]
pub(super) struct StreamFlow {
    pub(super) number: StreamNumber,
    pub(super) timer: TimerSlot,
}

/// Whether there is a connection.
///
/// ```text
///   Handshake ── a hello is accepted ──▶ Ready
///      ▲                                  │ unknown, confirmed; or too long without a word and without streams
///      └──────────────────────────────────┘
/// ```
#[derive(Clone, Debug)]
pub(super) enum State {
    /// Hellos go out under this name; the next has this number.
    Handshake { client: ClientId, next: ExchangeNumber, loss: LossDetector },
    /// There is one.
    Ready(Box<NodeConnection>),
}

/// Whether level 2 is there for a flow that opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::client) enum Availability {
    /// Level 2.
    Ready,
    /// It will be known soon.
    Undecided,
    /// Sessions.
    Sessions,
}

impl Streams {
    /// Level 2 that says hello through every relay at once.
    pub(in crate::client) fn new(
        config: &ClientOptions,
        seed: [u8; 32],
        relays: &mut Relays,
        now: Instant,
    ) -> Option<Self> {
        let secret = config.seal_secret()?;
        let (up, down) = (Seal::new(secret, Direction::Up), Seal::new(secret, Direction::Down));
        let mut ids = IdGenerator::new(seed);
        let client = ids.generate();
        for relay in relays.iter_mut().filter(|relay| relay.passes().is_narrow(relay.options())) {
            relay.destination_mut().on_narrow();
        }
        let loss = LossDetector::new(now);
        Some(Self {
            up,
            down,
            nonces: Nonces::new(seed),
            ids,
            state: State::Handshake { client, next: ExchangeNumber::ZERO, loss },
            flows: BTreeMap::new(),
            closed: false,
            timer: TimerSlot::default(),
            open_wait: config.request_timeout,
            wanted: false,
            accepted: false,
        })
    }

    /// The same with packets that are not sealed. No packet has been made yet.
    #[cfg(any(test, feature = "model"))]
    pub(in crate::client) fn unsealed(self) -> Self {
        Self { up: Seal::null(Direction::Up), down: Seal::null(Direction::Down), ..self }
    }

    pub(super) fn connection(&self) -> Option<&NodeConnection> {
        match &self.state {
            State::Ready(connection) => Some(connection),
            State::Handshake { .. } => None,
        }
    }

    pub(in crate::client) fn connection_mut(&mut self) -> Option<&mut NodeConnection> {
        match &mut self.state {
            State::Ready(connection) => Some(connection),
            State::Handshake { .. } => None,
        }
    }

    /// The client is closed.
    pub(in crate::client) const fn close(&mut self) {
        self.closed = true;
    }

    /// Whether a flow waits for the connection.
    pub(in crate::client) const fn set_wanted(&mut self, wanted: bool) {
        self.wanted = wanted;
    }

    /// Payload bytes that are buffered. Visits every stream.
    pub(in crate::client) fn buffered(&self) -> usize {
        self.connection().map_or(0, NodeConnection::buffered)
    }

    /// The name under which the client speaks.
    pub(super) fn client(&self) -> ClientId {
        match &self.state {
            State::Handshake { client, .. } => *client,
            State::Ready(connection) => connection.client(),
        }
    }

    fn loss(&self) -> &LossDetector {
        match &self.state {
            State::Handshake { loss, .. } => loss,
            State::Ready(connection) => &connection.loss,
        }
    }

    /// The time after which a hello counts as lost.
    pub(super) fn hello_timeout(&self) -> Duration {
        self.loss().timeout(None, Size::Small, 0)
    }

    /// What a flow that opens now finds, with these relays.
    pub(in crate::client) fn availability(&self, now: Instant, relays: &Relays) -> Availability {
        match &self.state {
            State::Ready(connection) => {
                let here = |relay: &Relay| relay.destination().is_here();
                let usable = relays.iter().any(|relay| here(relay) && relay.is_usable(now));
                // Where nothing can be used, waiting for the node of the connection is as good as anything.
                let known = relays.iter().any(here) && !relays.iter().any(|relay| relay.is_usable(now));
                if (usable || known) && connection.shared.has_place() && !connection.draining {
                    Availability::Ready
                } else {
                    Availability::Sessions
                }
            }
            State::Handshake { .. } => {
                let delays = self.hello_delays();
                // A relay that has no room for a hello holds nobody up either.
                let asks = |relay: &Relay| {
                    !relay.destination().is_unknown() || relay.can_take(now, Purpose::Active(Path::Any))
                };
                let pending = |relay: &Relay| {
                    relay.is_usable(now) && relay.destination().is_pending(now, delays) && asks(relay)
                };
                let silent = relays.iter().all(|relay| relay.destination().is_open());
                if silent || relays.iter().any(pending) {
                    Availability::Undecided
                } else {
                    Availability::Sessions
                }
            }
        }
    }

    /// The backoff of a relay after the first failed exchange.
    pub(super) fn first_backoff(&self) -> Duration {
        share(self.loss().rtt().p50, 1, 8)
    }

    /// A flow is about to open: a connection that the node may have dropped is replaced before.
    pub(in crate::client) fn renew(&mut self, relays: &mut Relays, config: &ClientOptions, now: Instant) {
        let idle = share(config.tuning.streams.idle, 1, 2);
        let stale = self.connection().is_some_and(|connection| connection.is_stale(now, idle));
        if stale && !planted!(SilentReturn) {
            self.start_over(relays, now);
        }
    }

    /// A relay through which a hello should go now: each one once before there is any need, and again while it matters.
    pub(super) fn wants_hello(&self, now: Instant, relays: &Relays) -> Option<RelayId> {
        let due = |relay: &&Relay| {
            let ahead = relay.destination().is_unknown() && !self.accepted;
            (self.asks_again() || ahead) && relay.destination().wants_hello(now, self.hello_delays())
        };
        let fits = |relay: &&Relay| relay.can_take(now, Purpose::Active(Path::Any));
        relays.iter().filter(due).find(fits).map(Relay::id)
    }

    /// When the next hello through a relay is due that was asked before.
    pub(super) fn hello_at(&self, relay: &Relay) -> Option<Instant> {
        relay.destination().hello_at(self.hello_delays()).filter(|_| self.asks_again())
    }

    /// Whether it matters where relays lead that have not answered, or not well.
    fn asks_again(&self) -> bool {
        self.wanted || self.is_in_use()
    }

    /// Whether the node has streams of the client, or is to hear of their end.
    pub(in crate::client) fn is_in_use(&self) -> bool {
        self.connection().is_some_and(NodeConnection::is_in_use)
    }

    /// A flow waits for a connection only so long: in that time, every relay is to be asked several times.
    fn hello_delays(&self) -> HelloDelays {
        let longest = if self.wanted { share(self.open_wait, 1, 4) } else { LONGEST_HELLO_DELAY };
        HelloDelays { first: self.hello_timeout(), longest }
    }

    /// The node has accepted a hello. The first time, a connection begins.
    pub(super) fn on_accepted(&mut self, epoch: Epoch, grants: Grants, config: &ClientOptions, now: Instant) {
        self.accepted = true;
        if let State::Handshake { client, next, loss } = &self.state {
            let connection = NodeConnection::new(*client, epoch, grants, *next, loss.clone(), config, now);
            self.state = State::Ready(Box::new(connection));
        }
    }

    /// The connection is over, and its streams have ended: the next hello has a new name. What was measured of the path
    /// stays.
    pub(super) fn start_over(&mut self, relays: &mut Relays, now: Instant) {
        let State::Ready(connection) = &mut self.state else { return };
        let loss = core::mem::replace(&mut connection.loss, LossDetector::new(now));
        self.state = State::Handshake { client: self.ids.generate(), next: ExchangeNumber::ZERO, loss };
        relays.forget_node();
    }
}
