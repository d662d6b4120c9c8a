//! The handshake with a node: how a connection begins, and how it is replaced (protocol.md 3.1 Hello, 3.2 rules 12 and 13).

use alloc::boxed::Box;
use core::hash::{Hash, Hasher};
use core::time::Duration;

use crate::client::context::Context;
use crate::client::relays::{HelloDelays, Path, Purpose, Relay, Relays};
use crate::client::streams::calls::Outgoing;
use crate::client::streams::connection::NodeConnection;
use crate::client::streams::round_trips::Size;
use crate::client::streams::timeout::LossDetector;
use crate::config::ClientOptions;
use crate::id::IdGenerator;
use crate::time::{Instant, share};
use crate::wire::number::ExchangeNumber;
use crate::wire::packet::{ClientId, Epoch, Grants, RequestHeader, ResponseRoom};

/// The longest delay between hellos while no flow waits for an answer.
const LONGEST_HELLO_DELAY: Duration = Duration::from_secs(60);

/// The way to a connection, and the connection once there is one.
#[derive(Clone, Debug)]
pub(super) struct Handshake {
    ids: IdGenerator<ClientId>,
    state: State,
    /// How long a flow waits for a connection.
    open_wait: Duration,
    /// Whether a flow waits for a connection.
    wanted: bool,
    /// Whether a hello was ever accepted.
    accepted: bool,
}

/// Whether there is a connection.
///
/// ```text
///   Asking ── a hello is accepted ──▶ Ready
///      ▲                                │ unknown, confirmed; or too long without a word and without streams
///      └────────────────────────────────┘
/// ```
#[derive(Clone, Debug, Hash)]
enum State {
    /// Hellos go out under this name; the next has this number.
    Asking { client: ClientId, next: ExchangeNumber, loss: LossDetector },
    /// There is one.
    Ready(Box<NodeConnection>),
}

/// What level 2 is to a flow that opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::client) enum Availability {
    /// It can carry the flow.
    Ready,
    /// It will be known soon; the flow waits.
    Undecided,
    /// It cannot; sessions carry the flow.
    Sessions,
}

impl Handshake {
    /// A handshake that says hello through every relay at once.
    pub(super) fn new(config: &ClientOptions, seed: [u8; 32], relays: &mut Relays, now: Instant) -> Self {
        for relay in relays.iter_mut().filter(|relay| relay.is_narrow()) {
            relay.destination_mut().on_narrow();
            // That is a matter of the options, and no news.
            relay.destination_mut().take_mismatch();
        }
        let mut ids = IdGenerator::new(seed);
        let (client, loss) = (ids.generate(), LossDetector::new(now));
        Self {
            ids,
            state: State::Asking { client, next: ExchangeNumber::ZERO, loss },
            open_wait: config.request_timeout,
            wanted: false,
            accepted: false,
        }
    }

    pub(super) fn connection(&self) -> Option<&NodeConnection> {
        match &self.state {
            State::Ready(connection) => Some(connection),
            State::Asking { .. } => None,
        }
    }

    pub(super) fn connection_mut(&mut self) -> Option<&mut NodeConnection> {
        match &mut self.state {
            State::Ready(connection) => Some(connection),
            State::Asking { .. } => None,
        }
    }

    /// The connection, if it has this name.
    pub(super) fn connection_of(&mut self, client: ClientId) -> Option<&mut NodeConnection> {
        self.connection_mut().filter(|connection| connection.shared().client() == client)
    }

    /// Whether a flow waits for a connection.
    pub(super) const fn set_wanted(&mut self, wanted: bool) {
        self.wanted = wanted;
    }

    /// The name under which the client speaks.
    pub(super) fn client(&self) -> ClientId {
        match &self.state {
            State::Asking { client, .. } => *client,
            State::Ready(connection) => connection.shared().client(),
        }
    }

    fn loss(&self) -> &LossDetector {
        match &self.state {
            State::Asking { loss, .. } => loss,
            State::Ready(connection) => connection.controllers().loss(),
        }
    }

    /// The time after which a hello counts as lost.
    pub(super) fn hello_timeout(&self) -> Duration {
        self.loss().timeout(None, Size::Small, 0)
    }

    /// What a flow that opens now finds, with these relays.
    pub(super) fn availability(&self, now: Instant, relays: &Relays) -> Availability {
        let usable = |relay: &Relay| relay.is_usable(now);
        match &self.state {
            State::Ready(connection) => {
                // Where nothing can be used, waiting for the node of the connection is as good as anything.
                let idle = !relays.iter().any(usable);
                let reaches = |relay: &Relay| relay.destination().is_here() && (idle || usable(relay));
                let ready = connection.has_place() && relays.iter().any(reaches);
                if ready { Availability::Ready } else { Availability::Sessions }
            }
            State::Asking { .. } => {
                let delays = self.hello_delays();
                let pending = |relay: &Relay| {
                    let destination = relay.destination();
                    // A relay that has no room for a hello holds nobody up either.
                    let asks = !destination.is_unknown() || relay.can_take(now, Purpose::Active(Path::Any));
                    usable(relay) && destination.is_pending(now, delays) && asks
                };
                let silent = relays.iter().all(|relay| relay.destination().is_open());
                let undecided = silent || relays.iter().any(pending);
                if undecided { Availability::Undecided } else { Availability::Sessions }
            }
        }
    }

    /// The backoff of a relay after the first failed exchange.
    pub(super) fn first_backoff(&self) -> Duration {
        share(self.loss().rtt().p50, 1, 8)
    }

    /// A flow is about to open: a connection that the node may have dropped is replaced before.
    pub(super) fn renew(&mut self, relays: &mut Relays, config: &ClientOptions, now: Instant) {
        let idle = share(config.tuning.streams.idle, 1, 2);
        let stale = self.connection().is_some_and(|connection| connection.is_stale(now, idle));
        if stale {
            self.start_over(relays);
        }
    }

    /// A hello, if one is due through a relay that can take it: through each one once before there is any need, and again
    /// while it matters.
    pub(super) fn hello(&mut self, relays: &mut Relays, context: &Context) -> Option<Outgoing> {
        let now = context.now();
        let (again, delays) = (self.asks_again(), self.hello_delays());
        let relay = relays.iter_mut().find(|relay| {
            let destination = relay.destination();
            (again || destination.is_unknown() && !self.accepted)
                && destination.wants_hello(now, delays)
                && relay.can_take(now, Purpose::Active(Path::Any))
        })?;
        relay.destination_mut().on_hello(now);
        let header = match &mut self.state {
            State::Ready(connection) => {
                RequestHeader { epoch: None, ..connection.header_only(relay.id(), context) }
            }
            State::Asking { client, next, .. } => {
                let exchange = *next;
                *next = exchange.next();
                RequestHeader {
                    client: *client,
                    epoch: None,
                    exchange,
                    done: exchange,
                    hold: Duration::ZERO,
                    max_held: 1,
                    max_response: ResponseRoom::HeaderOnly,
                    total: context.config().tuning.streams.downlink_total,
                    confirm: None,
                }
            }
        };
        Some(Outgoing::header_only(relay.id(), header))
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
    pub(super) fn is_in_use(&self) -> bool {
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
        if let State::Asking { client, next, loss } = &self.state {
            let connection = NodeConnection::new(*client, epoch, grants, *next, loss.clone(), config, now);
            self.state = State::Ready(Box::new(connection));
        }
    }

    /// The connection is over, and its streams have ended: the next hello has a new name. What was measured of the path
    /// stays.
    pub(super) fn start_over(&mut self, relays: &mut Relays) {
        let loss = self.loss().clone();
        self.state = State::Asking { client: self.ids.generate(), next: ExchangeNumber::ZERO, loss };
        relays.forget_node();
    }
}

impl Hash for Handshake {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.state, self.wanted, self.accepted).hash(state);
    }
}
