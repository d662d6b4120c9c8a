//! How a client comes to share a connection with a node, and loses it (protocol.md 3.1 "Hello", 3.2 rules 12 and 13).

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use crate::client::relays::path::{HELLO_LONGEST, Leads, Patience, Route};
use crate::client::relays::{Path, Purpose, RelayTable};
use crate::client::streams::calls::is_narrow;
use crate::client::streams::connection::NodeConnection;
use crate::client::streams::timeout::{LossDetector, Size};
use crate::config::ClientConfig;
use crate::id::{IdGenerator, RelayId};
use crate::time::{Instant, share};
use crate::timer::{TimerKind, TimerSlot};
use crate::wire::direction::Direction;
use crate::wire::number::ExchangeNumber;
use crate::wire::packet::{ClientId, Epoch, Grants};
use crate::wire::seal::{Nonces, Seal};

/// Level 2 of a client.
#[derive(Clone, Debug)]
pub(in crate::client) struct Streams {
    pub(super) up: Seal,
    pub(in crate::client) down: Seal,
    pub(super) nonces: Nonces,
    ids: IdGenerator<ClientId>,
    pub(super) routes: Vec<Route>,
    pub(super) state: State,
    pub(in crate::client) timer: TimerSlot,
    /// What the timer is for.
    pub(in crate::client) due: TimerKind,
    /// How long a flow waits for a connection.
    open_wait: Duration,
    /// Whether a flow waits for the connection.
    pub(in crate::client) wanted: bool,
    /// Whether there ever was a connection.
    pub(super) welcomed: bool,
}

/// Whether there is a connection.
///
/// ```text
///   Greeting ── a hello is answered ──▶ Ready
///      ▲                                  │ unknown, confirmed; or too long without a word and without streams
///      └──────────────────────────────────┘
/// ```
#[derive(Clone, Debug)]
pub(super) enum State {
    /// Hellos go out under this name; the next has this number.
    Greeting { client: ClientId, next: ExchangeNumber, loss: LossDetector },
    /// There is one.
    Ready(Box<NodeConnection>),
}

/// What a flow that opens finds.
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
    /// Says hello through every relay at once.
    pub(in crate::client) fn new(config: &ClientConfig, seed: [u8; 32], now: Instant) -> Option<Self> {
        let secret = config.seal_secret()?;
        let (up, down) = (Seal::new(secret, Direction::Up), Seal::new(secret, Direction::Down));
        let mut ids = IdGenerator::new(seed);
        let client = ids.generate();
        let routes = (0..).zip(&config.relays).map(|(place, relay)| {
            let mut route = Route::new(RelayId::new(place));
            if is_narrow(relay, relay.max_body) {
                route.on_narrow();
            }
            route
        });
        let loss = LossDetector::new(config.relays.len(), now);
        Some(Self {
            up,
            down,
            nonces: Nonces::new(seed),
            ids,
            routes: routes.collect(),
            state: State::Greeting { client, next: ExchangeNumber::ZERO, loss },
            timer: TimerSlot::default(),
            due: TimerKind::Hello,
            open_wait: config.request_timeout,
            wanted: false,
            welcomed: false,
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
            State::Greeting { .. } => None,
        }
    }

    pub(in crate::client) fn connection_mut(&mut self) -> Option<&mut NodeConnection> {
        match &mut self.state {
            State::Ready(connection) => Some(connection),
            State::Greeting { .. } => None,
        }
    }

    /// Payload bytes that are kept. Visits every stream.
    pub(in crate::client) fn kept(&self) -> usize {
        self.connection().map_or(0, NodeConnection::kept)
    }

    /// Whether there is or may be a way to the node of the connection that every chunk fits.
    pub(super) fn has_way(&self) -> bool {
        self.routes.iter().any(Route::may_lead)
    }

    pub(super) fn route_mut(&mut self, relay: RelayId) -> Option<&mut Route> {
        self.routes.iter_mut().find(|route| route.relay == relay)
    }

    /// The name under which the client speaks.
    pub(super) fn client(&self) -> ClientId {
        match &self.state {
            State::Greeting { client, .. } => *client,
            State::Ready(connection) => connection.client,
        }
    }

    fn loss(&self) -> &LossDetector {
        match &self.state {
            State::Greeting { loss, .. } => loss,
            State::Ready(connection) => &connection.loss,
        }
    }

    /// How long a hello may take before another one goes out.
    pub(super) fn patience(&self) -> Duration {
        self.loss().timeout(RelayId::new(u32::MAX), Size::Small, 0)
    }

    /// What a flow that opens now finds, with these relays.
    pub(in crate::client) fn outlook(&self, now: Instant, relays: &RelayTable) -> Availability {
        let patience = self.hello_patience();
        let usable = |relay: RelayId| relays.is_usable(now, relay);
        let open = |route: &Route| matches!(route.leads, Leads::Asked { .. } | Leads::Unknown);
        match &self.state {
            State::Ready(connection) => {
                let leads = |route: &&Route| route.leads == Leads::Here;
                let here = self.routes.iter().filter(leads).any(|route| usable(route.relay));
                // Where nothing can be used, waiting for the node of the connection is as good as anything.
                let none = !self.routes.iter().any(|route| usable(route.relay));
                let known = self.routes.iter().any(|route| leads(&route));
                if (here || none && known) && connection.has_place() && !connection.draining {
                    Availability::Ready
                } else {
                    Availability::Sessions
                }
            }
            State::Greeting { .. } => {
                let silent = self.routes.iter().all(open);
                // A relay that has no room for a hello holds nobody up either.
                let asks = |route: &Route| {
                    route.leads != Leads::Unknown
                        || relays.could_take(now, route.relay, Purpose::Active(Path::Any))
                };
                let pending =
                    |route: &Route| usable(route.relay) && route.is_pending(now, patience) && asks(route);
                if silent || self.routes.iter().any(pending) {
                    Availability::Undecided
                } else {
                    Availability::Sessions
                }
            }
        }
    }

    /// How long a relay rests the first time that a call through it came to nothing.
    pub(super) fn rest(&self) -> Duration {
        share(self.loss().rtt().p50, 1, 8)
    }

    /// A flow is about to open: a connection that the node may have forgotten is replaced before.
    pub(in crate::client) fn renew(&mut self, config: &ClientConfig, now: Instant) {
        let stale = self
            .connection()
            .is_some_and(|connection| connection.is_stale(now, share(config.streams.idle, 1, 2)));
        if stale && !planted!(SilentReturn) {
            self.start_over(config, now);
        }
    }

    /// A relay through which a hello should go now: each one once before there is any need, and again while it matters.
    pub(super) fn wants_hello(&self, now: Instant, fits: impl Fn(RelayId) -> bool) -> Option<RelayId> {
        let due = |route: &&Route| {
            let ahead = route.leads == Leads::Unknown && !self.welcomed;
            (self.asks_again() || ahead) && route.wants_hello(now, self.hello_patience())
        };
        self.routes.iter().filter(due).map(|route| route.relay).find(|relay| fits(*relay))
    }

    /// When the next hello is due that was asked before.
    pub(super) fn hello_at(&self, route: &Route) -> Option<Instant> {
        route.hello_at(self.hello_patience()).filter(|_| self.asks_again())
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
    fn hello_patience(&self) -> Patience {
        let longest = if self.wanted { share(self.open_wait, 1, 4) } else { HELLO_LONGEST };
        Patience { usual: self.patience(), longest }
    }

    /// The first answer to a hello: there is a connection.
    pub(super) fn on_welcome(&mut self, epoch: Epoch, grants: Grants, config: &ClientConfig, now: Instant) {
        self.welcomed = true;
        if let State::Greeting { client, next, loss } = &self.state {
            let connection = NodeConnection::new(*client, epoch, grants, *next, loss.clone(), config, now);
            self.state = State::Ready(Box::new(connection));
        }
    }

    /// An answer through `relay` says that the node does not know the epoch. Whether that is confirmed: by another relay,
    /// or by the same one while no other says otherwise.
    pub(super) fn on_unknown(&mut self, relay: RelayId, now: Instant) -> bool {
        let patience = self.patience();
        let others = |route: &&Route| route.relay != relay && route.leads == Leads::Here;
        let alone = self.routes.iter().filter(others).count() == 0;
        // One that is too narrow for chunks led to the node all the same.
        let witness =
            |route: &Route| matches!(route.leads, Leads::Here | Leads::Narrow) && route.unknown.is_some();
        let second = self.routes.iter().any(|route| route.relay != relay && witness(route));
        let before =
            self.route_mut(relay).and_then(|route| route.unknown.replace(route.unknown.unwrap_or(now)));
        second || before.is_some_and(|first| alone || now.saturating_since(first) >= patience)
    }

    /// An exchange through `relay` that was sent at `sent` was answered in the connection's epoch: relays that say otherwise
    /// lead elsewhere. Gives those that nobody was told of.
    pub(super) fn on_known(&mut self, relay: RelayId, sent: Instant, now: Instant) -> Vec<RelayId> {
        let mut astray = Vec::new();
        for route in &mut self.routes {
            if route.relay == relay {
                route.unknown = None;
            } else if route.unknown.is_some_and(|first| first < sent) {
                route.unknown = None;
                if route.on_elsewhere(now) {
                    astray.push(route.relay);
                }
            }
        }
        astray
    }

    /// The connection is over, and its streams have ended: the client greets under a new name. What was measured of the path
    /// stays.
    pub(super) fn start_over(&mut self, config: &ClientConfig, now: Instant) {
        let State::Ready(connection) = &mut self.state else { return };
        let loss = core::mem::replace(&mut connection.loss, LossDetector::new(config.relays.len(), now));
        self.state = State::Greeting { client: self.ids.generate(), next: ExchangeNumber::ZERO, loss };
        self.routes.iter_mut().for_each(Route::forget_node);
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::config::{ClientOptions, RelayOptions};
    use crate::level::Level;
    use crate::secret::Secret;

    const NOW: Instant = Instant::from_micros(1_000_000);
    const FIRST: RelayId = RelayId::new(0);

    /// Level 2 over relays that lead where this says.
    fn streams(leads: &[Leads]) -> Streams {
        let relays = vec![RelayOptions::new(Secret::new("k")); leads.len()];
        let options = ClientOptions { max_level: Level::Streams, ..ClientOptions::new(relays) };
        let mut streams = Streams::new(&options.validate().unwrap(), [7; 32], NOW).unwrap();
        streams.routes.iter_mut().zip(leads).for_each(|(route, leads)| route.leads = *leads);
        streams
    }

    #[test]
    fn the_only_relay_confirms_a_restart_itself() {
        let mut streams = streams(&[Leads::Here]);
        assert!(!streams.on_unknown(FIRST, NOW));
        assert!(streams.on_unknown(FIRST, NOW));
    }

    #[test]
    fn while_others_lead_there_a_relay_confirms_a_restart_itself_only_after_a_while() {
        let mut streams = streams(&[Leads::Here, Leads::Here]);
        let patience = streams.patience();
        assert!(!streams.on_unknown(FIRST, NOW));
        assert!(!streams.on_unknown(FIRST, NOW));
        assert!(streams.on_unknown(FIRST, NOW.saturating_add(patience)));
    }

    #[test]
    fn a_relay_that_is_too_narrow_for_chunks_confirms_a_restart_and_one_that_leads_elsewhere_does_not() {
        for (second, confirms) in
            [(Leads::Here, true), (Leads::Narrow, true), (Leads::Elsewhere { until: NOW }, false)]
        {
            let mut streams = streams(&[Leads::Here, second, Leads::Here]);
            streams.routes[1].unknown = Some(NOW);
            assert_eq!(streams.on_unknown(FIRST, NOW), confirms, "{second:?}");
        }
    }
}
