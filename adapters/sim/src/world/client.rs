//! The client's side: a host around the machine, its clock, and what it wants done.

use std::collections::BTreeMap;
use std::time::Duration;

use seqlane::wire::reset::ResetCode;
use seqlane::{
    ClientAction, ClientConfig, ClientEvent, ClientNotice, EndReason, ExchangeId, FlowId, Instant, Level,
    LocalEvent, RelayId, Wake,
};

use crate::chooser::Chooser;
use crate::clock::HostClock;
use crate::coverage::CoveragePoint;
use crate::host::ClientHost;
use crate::property::Property;
use crate::rng::Xoshiro256pp;
use crate::scenario::Setup;
use crate::time::Time;
use crate::trace::{Actor, ExchangeName, Sink, What};
use crate::world::World;
use crate::world::event::Event;

/// More actions than this in one drain are a machine that does not come to rest.
const MOST_ACTIONS: u32 = 100_000;

/// A client in its host.
#[derive(Clone, Debug)]
pub(super) struct ClientSide<H> {
    pub(super) host: H,
    pub(super) clock: HostClock,
    pub(super) config: ClientConfig,
    /// The flow of each stream, in the order of their ids.
    pub(super) streams: Vec<usize>,
    /// Exchanges that have not ended, with their relays and deadlines.
    pub(super) exchanges: BTreeMap<ExchangeId, (RelayId, Instant)>,
    pub(super) wake: Option<Wake>,
    generation: u64,
    /// What its clock showed when it was made.
    pub(super) began: Instant,
}

impl<H: ClientHost> ClientSide<H> {
    pub(super) fn new(
        setup: &Setup,
        index: usize,
        host: &impl Fn(ClientConfig, [u8; 32], Instant) -> H,
    ) -> Self {
        let config = setup.client.clone().validate().expect("a setup's options are valid");
        let clock = HostClock::new(Duration::from_secs(1000 + 77 * index as u64), 0);
        let seed = Xoshiro256pp::new(0xc1_1e57 + index as u64).seed();
        let clock_start = clock.read(Time::ZERO);
        let host = host(config.clone(), seed, clock_start);
        Self {
            host,
            clock,
            config,
            streams: Vec::new(),
            exchanges: BTreeMap::new(),
            wake: None,
            generation: 0,
            began: clock_start,
        }
    }

    pub(super) fn flow(&self, stream: FlowId) -> Option<usize> {
        self.streams.get(usize::try_from(stream.number()).ok()?).copied()
    }
}

impl<H: ClientHost, C: Chooser, S: Sink> World<H, C, S> {
    pub(super) fn client_now(&self, client: usize) -> Instant {
        self.clients[client].clock.read(self.now)
    }

    /// Hands an event to a client; the actions are taken by the next drain.
    pub(super) fn client_handle(&mut self, client: usize, event: ClientEvent) {
        let now = self.client_now(client);
        if let Err(misuse) = self.clients[client].host.handle(now, event) {
            self.violated(Property::S5, format!("client{client} refuses a legal event: {misuse}"));
        }
    }

    pub(super) fn local(&mut self, flow: usize, event: LocalEvent) {
        if let Some(stream) = self.flows[flow].stream {
            self.client_handle(self.flows[flow].client, ClientEvent::Local { flow: stream, event });
        }
    }

    pub(super) fn on_client_wake(&mut self, client: usize, generation: u64) {
        if self.clients[client].generation != generation {
            return;
        }
        let Some(wake) = self.clients[client].wake else { return };
        self.tell(Actor::Client(client as u32), What::Timeout { timer: wake.timer });
        self.client_handle(client, ClientEvent::Timeout);
        self.clients[client].wake = None;
        self.drain_client(client);
        let (now, next) = (self.client_now(client), self.clients[client].wake);
        if let Some(next) = next.filter(|next| next.at <= now) {
            self.violated(
                Property::S9,
                format!(
                    "client{client} wants to be woken at once for {:?} after {:?}",
                    next.timer, wake.timer
                ),
            );
        }
    }

    /// Polls a client until it is idle, and carries out what it wants.
    pub(super) fn drain_client(&mut self, client: usize) {
        for _ in 0..MOST_ACTIONS {
            match self.clients[client].host.poll() {
                ClientAction::Idle { wake } => {
                    if self.clients[client].host.poll() != (ClientAction::Idle { wake }) {
                        self.violated(Property::S8, format!("client{client} is idle, and then is not"));
                    }
                    self.arm_client(client, wake);
                    return self.check_owing(client);
                }
                action => self.on_client_action(client, action),
            }
        }
        self.violated(
            Property::S9,
            format!("client{client} wants {MOST_ACTIONS} things done and is not idle"),
        );
    }

    /// Sets the one timer of a client; again after its clock was changed.
    pub(super) fn arm_client(&mut self, client: usize, wake: Option<Wake>) {
        if self.clients[client].wake == wake {
            return;
        }
        self.clients[client].wake = wake;
        self.rearm_client(client);
    }

    /// When a client's clock will show an instant; while it stands, as if it ran.
    pub(super) fn when(&self, client: usize, wanted: Instant) -> Time {
        let clock = &self.clients[client].clock;
        clock
            .when(self.now, wanted)
            .unwrap_or_else(|| self.now.after(wanted.saturating_since(clock.read(self.now))))
    }

    /// A client's clock was changed: everything that it waits for falls due at another time.
    pub(super) fn rearm_calls(&mut self, client: usize) {
        let open: Vec<_> = self.clients[client].exchanges.iter().map(|(id, (_, at))| (*id, *at)).collect();
        for (exchange, deadline) in open {
            self.at(self.when(client, deadline), Event::GiveUp(client, exchange));
        }
        self.rearm_client(client);
    }

    pub(super) fn rearm_client(&mut self, client: usize) {
        let side = &mut self.clients[client];
        side.generation += 1;
        let generation = side.generation;
        if let Some(at) = side.wake.and_then(|wake| side.clock.when(self.now, wake.at)) {
            self.at(at, Event::ClientWake(client, generation));
        }
    }

    fn on_client_action(&mut self, client: usize, action: ClientAction) {
        match action {
            ClientAction::Send { exchange, relay, body, form, deadline } => {
                let body = body.into_bytes();
                self.hash.absorb(exchange.number() << 8 | u64::from(relay.index()));
                std::hash::Hasher::write(&mut self.hash, &body);
                self.send(client, exchange, relay, (form, body), deadline);
            }
            ClientAction::Deliver { flow: stream, bytes } => {
                self.hash.absorb(stream.number() << 32 | bytes.len() as u64);
                if let Some(flow) = self.flow_of(client, stream, "Deliver") {
                    self.on_deliver(flow, bytes);
                }
            }
            ClientAction::Credit { flow: stream, bytes } => {
                self.hash.absorb(stream.number() << 32 | bytes as u64);
                if let Some(flow) = self.flow_of(client, stream, "Credit") {
                    self.flows[flow].local.credit += bytes;
                    self.pump_local(flow);
                }
            }
            ClientAction::Opened { flow: stream } => {
                if let Some(flow) = self.flow_of(client, stream, "Opened") {
                    self.tell(Actor::Client(client as u32), What::Opened { flow: flow as u32 });
                    self.flows[flow].local.opened = true;
                    self.pump_local(flow);
                }
            }
            ClientAction::Fin { flow: stream } => {
                if let Some(flow) = self.flow_of(client, stream, "Fin") {
                    self.tell(Actor::Client(client as u32), What::Fin { flow: flow as u32 });
                    self.flows[flow].local.fin = true;
                    self.pump_local(flow);
                }
            }
            ClientAction::Ended { flow: stream, why } => {
                self.hash.absorb(stream.number());
                if let Some(flow) = self.flow_of(client, stream, "Ended") {
                    self.tell(Actor::Client(client as u32), What::Ended { flow: flow as u32, why });
                    self.on_flow_ended(flow, why);
                }
            }
            ClientAction::Event(notice) => self.on_client_notice(client, notice),
            ClientAction::Closed | ClientAction::Idle { .. } => {}
        }
    }

    /// The flow of a stream that a client speaks of; nothing may be said of one that has ended (S4).
    fn flow_of(&mut self, client: usize, stream: FlowId, action: &str) -> Option<usize> {
        let flow = self.clients[client].flow(stream);
        match flow {
            None => {
                self.violated(Property::S4, format!("{action} for stream {stream}, which was never opened"))
            }
            Some(flow) if self.flows[flow].local.ended.is_some() => {
                self.violated(Property::S4, format!("{action} for flow {flow} after its end"));
            }
            Some(_) => return flow,
        }
        None
    }

    fn on_client_notice(&mut self, client: usize, notice: ClientNotice) {
        match notice {
            ClientNotice::Connected { flow: stream, level } => self.on_connected(client, stream, level),
            ClientNotice::StreamsReady { .. } => self.coverage.set(CoveragePoint::StreamsReady),
            ClientNotice::StreamsUnsupported { .. } => self.coverage.set(CoveragePoint::StreamsUnsupported),
            ClientNotice::RelayDown { relay, until } => {
                self.coverage.set(CoveragePoint::RelayDown);
                self.check_pause(client, relay, until);
            }
            ClientNotice::RelayUp { .. } => self.coverage.set(CoveragePoint::RelayUp),
            ClientNotice::BudgetSpent { .. } => self.coverage.set(CoveragePoint::BudgetSpent),
            ClientNotice::BodyLimitLowered { .. } => self.coverage.set(CoveragePoint::BodyLimitLowered),
            ClientNotice::ConnectDataUnsupported { .. } => {
                self.coverage.set(CoveragePoint::ConnectDataUnknown)
            }
            ClientNotice::SeqUnsupported { .. } => self.coverage.set(CoveragePoint::SeqUnsupported),
            ClientNotice::Unauthorized { .. } => self.coverage.set(CoveragePoint::Unauthorized),
            _ => {}
        }
    }

    /// L8, too: what goes out as a stream is one.
    fn on_connected(&mut self, client: usize, stream: FlowId, level: Level) {
        self.coverage.set(match level {
            Level::Legacy => CoveragePoint::LegacyFlow,
            Level::Sequenced => CoveragePoint::SequencedFlow,
            Level::Streams => CoveragePoint::StreamFlow,
        });
        let known = self.clients[client].flow(stream);
        if let Some(flow) = known.filter(|flow| self.is_stream(*flow) != (level == Level::Streams)) {
            self.violated(Property::S4, format!("flow {flow} is said to speak level {}", level.number()));
        }
    }

    /// Ends an exchange at its client.
    pub(super) fn end_exchange(&mut self, client: usize, exchange: ExchangeId, event: ClientEvent) {
        if self.clients[client].exchanges.contains_key(&exchange) {
            self.note_relay(client, exchange, &event);
            self.note_end(client, exchange, &event);
            self.clients[client].exchanges.remove(&exchange);
            self.client_handle(client, event);
            self.drain_client(client);
        }
    }

    pub(super) fn name(client: usize, exchange: ExchangeId) -> ExchangeName {
        ExchangeName { client: client as u32, number: exchange.number() }
    }

    /// What the end of a flow says of the run.
    pub(super) fn cover_end(&mut self, why: EndReason) {
        let point = match why {
            EndReason::Finished => return,
            EndReason::Local => CoveragePoint::FlowReset,
            EndReason::HalfCloseQuiet => CoveragePoint::FlowQuiet,
            EndReason::Idle => CoveragePoint::FlowIdle,
            EndReason::ConnectFailed(_) => CoveragePoint::ConnectFailed,
            EndReason::NodeError | EndReason::SequenceBroken => CoveragePoint::FlowNodeError,
            EndReason::ExchangeLost(_) => CoveragePoint::FlowLost,
            EndReason::ReplyOverdue => CoveragePoint::FlowOverdue,
            EndReason::NoRelay => CoveragePoint::FlowNoRelay,
            EndReason::Reset(ResetCode::Gone) => CoveragePoint::StreamGone,
            EndReason::Reset(_) => CoveragePoint::StreamReset,
            _ => return,
        };
        self.coverage.set(point);
    }
}
