//! A client and nodes joined by relays, in virtual time: every delay and every loss is drawn from a seed.

use alloc::collections::{BTreeMap, BinaryHeap};
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::cmp::Reverse;
use core::time::Duration;

use bytes::Bytes;

use crate::client::{
    Client, ClientAction, ClientEvent, ClientNotice, Decryptor, EndReason, ExchangeFailure, LocalEvent,
};
use crate::config::{ClientOptions, NodeOptions, RelayOptions};
use crate::error::ConnectFailure;
use crate::id::{ExchangeId, FlowId, RequestId, UpstreamId};
use crate::level::Level;
use crate::node::{Endpoint, Node, NodeAction, NodeEvent, Shut, UpstreamEvent};
use crate::secret::Secret;
use crate::target::{FlowKind, Target};
use crate::time::Instant;
use crate::wire::{self, BodyForm, Limits};

/// Of a thousand requests, or replies, so many.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Faults {
    pub(super) lose_request: u64,
    pub(super) lose_reply: u64,
    pub(super) double: u64,
    /// One way: from so many milliseconds to so many.
    pub(super) way: (u64, u64),
}

/// What happens at its time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Happening {
    Arrive { exchange: u64, body: Vec<u8>, form: u8, copy: bool },
    Return { exchange: u64, body: Vec<u8>, status: u16 },
    GiveUp { exchange: u64 },
}

/// An upstream, by its host: `echo`, `sink`, `silent`, `refuse`, or the number of bytes that it sends.
#[derive(Debug, Default)]
pub(super) struct Upstream {
    host: String,
    pub(super) got: Vec<u8>,
    credit: usize,
    to_send: usize,
    sent: usize,
    finished: bool,
    fin_due: bool,
    queue: Vec<u8>,
}

/// An application.
#[derive(Debug, Default)]
pub(super) struct App {
    pub(super) got: Vec<u8>,
    pub(super) datagrams: Vec<Bytes>,
    pub(super) credit: usize,
    pub(super) to_send: usize,
    pub(super) sent: usize,
    pub(super) finish: bool,
    pub(super) finished: bool,
    pub(super) fin: bool,
    pub(super) ended: Option<EndReason>,
    pub(super) stalled: bool,
    pub(super) unread: usize,
    udp: bool,
}

pub(super) struct Rig {
    pub(super) client: Client,
    pub(super) nodes: Vec<Node>,
    /// The node that each relay leads to; the first where nothing is said.
    pub(super) leads: BTreeMap<u32, usize>,
    /// Nodes that answer nothing.
    pub(super) silent: Vec<usize>,
    pub(super) now: Instant,
    pub(super) faults: Faults,
    pub(super) apps: BTreeMap<FlowId, App>,
    pub(super) upstreams: BTreeMap<(usize, UpstreamId), Upstream>,
    pub(super) notices: Vec<ClientNotice>,
    /// Relays that pass nothing on.
    pub(super) dead: Vec<u32>,
    /// Relays that refuse every call.
    pub(super) refusing: Vec<u32>,
    /// Relays that answer every call with an error page.
    pub(super) broken: Vec<u32>,
    /// Whether the id of a packet decides which node gets it.
    balanced: bool,
    /// Whether the client has said that all is said.
    pub(super) closed: bool,
    /// What every relay answers, whatever it is asked: a status and a body.
    pub(super) lie: Option<(u16, &'static str)>,
    /// Names of ops other than `streams` that left the client.
    pub(super) unsealed: Vec<&'static str>,
    /// Bodies of more bytes are refused.
    pub(super) largest_body: usize,
    pub(super) calls: u64,
    /// Calls by relay.
    pub(super) calls_of: BTreeMap<u32, u64>,
    /// The next reply of so many bytes is lost.
    pub(super) lose_next: Option<usize>,
    /// Whether answers are opened before the client has them.
    pub(super) opens: bool,
    decryptors: BTreeMap<u64, Decryptor>,
    events: BinaryHeap<Reverse<(Instant, u64, Happening)>>,
    order: u64,
    relays: BTreeMap<u64, u32>,
    requests: BTreeMap<(usize, u64), (u64, bool)>,
    next_request: u64,
    /// How many nodes were started.
    started: u8,
    random: u64,
    wake: Option<Instant>,
    node_wakes: Vec<Option<Instant>>,
    node_options: NodeOptions,
}

/// The byte at a place of a pattern that tells flows and directions apart.
pub(super) fn byte(salt: u64, place: usize) -> u8 {
    let mixed = (place as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ salt.wrapping_mul(0xd134_2543_de82_ef95);
    (mixed >> 29) as u8
}

pub(super) fn options(relays: usize) -> ClientOptions {
    let relays = vec![RelayOptions { binary: true, ..RelayOptions::new(Secret::new("k")) }; relays];
    ClientOptions { max_level: Level::Streams, ..ClientOptions::new(relays) }
}

impl Upstream {
    /// Whether the node has shut it.
    pub(super) const fn is_over(&self) -> bool {
        self.finished
    }
}

impl Rig {
    pub(super) fn new(options: ClientOptions, faults: Faults, seed: u64) -> Self {
        Self::with_node(options, Level::Streams, faults, seed)
    }

    pub(super) fn with_node(options: ClientOptions, level: Level, faults: Faults, seed: u64) -> Self {
        Self::with_nodes(options, (1, node_options(level)), faults, seed)
    }

    /// Nodes with these options; the relays lead to them in turn.
    pub(super) fn with_nodes(
        options: ClientOptions,
        (nodes, node_options): (usize, NodeOptions),
        faults: Faults,
        seed: u64,
    ) -> Self {
        let mut rig = Self::at_start(options, (nodes, node_options), faults, seed);
        rig.drain();
        rig
    }

    /// The same behind a balancer, which hashes ids.
    pub(super) fn balanced(
        options: ClientOptions,
        nodes: (usize, NodeOptions),
        faults: Faults,
        seed: u64,
    ) -> Self {
        let mut rig = Self::at_start(options, nodes, faults, seed);
        rig.balanced = true;
        rig.drain();
        rig
    }

    /// A node with a secret that the client does not have.
    pub(super) fn with_other_secret(
        options: ClientOptions,
        secret: Secret,
        node_options: NodeOptions,
        faults: Faults,
    ) -> Self {
        let mut rig = Self::at_start(options, (1, node_options), faults, 1);
        rig.node_options.secret = Some(secret);
        rig.nodes[0] = node(&rig.node_options, 0, rig.now);
        rig.drain();
        rig
    }

    /// Every relay answers `lie` from the first call on.
    pub(super) fn lying(options: ClientOptions, lie: (u16, &'static str), faults: Faults) -> Self {
        let mut rig = Self::at_start(options, (1, node_options(Level::Streams)), faults, 1);
        rig.lie = Some(lie);
        rig.drain();
        rig
    }

    fn at_start(
        options: ClientOptions,
        (nodes, node_options): (usize, NodeOptions),
        faults: Faults,
        seed: u64,
    ) -> Self {
        let now = Instant::from_micros(1_000_000);
        let node_options = NodeOptions { secret: options.secret.clone(), ..node_options };
        let leads = (0..).zip(0..options.relays.len()).map(|(relay, place)| (relay, place % nodes));
        let started = u8::try_from(nodes).unwrap();
        Self {
            leads: leads.collect(),
            silent: Vec::new(),
            client: Client::unsealed(options.validate().unwrap(), [7; 32], now),
            nodes: (0..started).map(|place| node(&node_options, place, now)).collect(),
            now,
            faults,
            apps: BTreeMap::new(),
            upstreams: BTreeMap::new(),
            notices: Vec::new(),
            dead: Vec::new(),
            refusing: Vec::new(),
            broken: Vec::new(),
            balanced: false,
            closed: false,
            lie: None,
            unsealed: Vec::new(),
            largest_body: usize::MAX,
            calls: 0,
            calls_of: BTreeMap::new(),
            lose_next: None,
            opens: false,
            decryptors: BTreeMap::new(),
            events: BinaryHeap::new(),
            order: 0,
            relays: BTreeMap::new(),
            requests: BTreeMap::new(),
            next_request: 0,
            started,
            random: seed.wrapping_mul(2).wrapping_add(1),
            wake: None,
            node_wakes: vec![None; nodes],
            node_options,
        }
    }

    fn draw(&mut self, most: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) % most.max(1)
    }

    fn way(&mut self) -> Duration {
        let (least, most) = self.faults.way;
        Duration::from_micros(least * 1_000 + self.draw((most - least) * 1_000 + 1))
    }

    fn at(&mut self, at: Instant, happening: Happening) {
        self.order += 1;
        self.events.push(Reverse((at, self.order, happening)));
    }

    /// The first node is another one from now on.
    pub(super) fn restart_node(&mut self) {
        self.nodes[0] = node(&self.node_options, self.started, self.now);
        self.started += 1;
        self.requests.retain(|(node, _), _| *node != 0);
        self.upstreams.retain(|(node, _), _| *node != 0);
        self.node_wakes[0] = None;
    }

    /// One more node, to which no relay leads yet.
    pub(super) fn add_node(&mut self) {
        self.nodes.push(node(&self.node_options, self.started, self.now));
        self.started += 1;
        self.node_wakes.push(None);
    }

    /// A node is about to stop.
    pub(super) fn drain_gently(&mut self, node: usize) {
        self.nodes[node].handle(self.now, NodeEvent::Drain).unwrap();
        self.drain();
    }

    pub(super) fn close(&mut self) {
        self.client.handle(self.now, ClientEvent::Close).unwrap();
        self.drain();
    }

    /// The node that a body goes to.
    fn node_for(&self, exchange: u64, body: &[u8]) -> usize {
        if !self.balanced {
            return self.node_of(exchange);
        }
        let limits = Limits { max_body: usize::MAX, max_ops: 1 };
        let packet = match wire::decode_request(body, limits).map(|request| request.decode_ops()) {
            Ok(ops) => match ops.into_iter().next() {
                Some(Ok(wire::Op::Streams { packet })) => packet.to_vec(),
                _ => return 0,
            },
            Err(_) => body.to_vec(),
        };
        let id = packet.get(1..17).unwrap_or_default();
        id.iter().map(|byte| usize::from(*byte)).sum::<usize>() % self.nodes.len()
    }

    fn node_of(&self, exchange: u64) -> usize {
        let relay = self.relays.get(&exchange);
        relay.and_then(|relay| self.leads.get(relay)).copied().unwrap_or_default()
    }

    pub(super) fn open(&mut self, host: &str, to_send: usize, finish: bool) -> FlowId {
        let id = self.client.open(self.now, Target::new(host, 443).unwrap(), FlowKind::Tcp).unwrap();
        self.apps.insert(id, App { to_send, finish, ..App::default() });
        self.drain();
        id
    }

    pub(super) fn open_udp(&mut self, host: &str) -> FlowId {
        let id = self.client.open(self.now, Target::new(host, 53).unwrap(), FlowKind::Udp).unwrap();
        self.apps.insert(id, App { udp: true, ..App::default() });
        self.drain();
        id
    }

    pub(super) fn local(&mut self, flow: FlowId, event: LocalEvent) {
        self.client.handle(self.now, ClientEvent::Local { flow, event }).unwrap();
        self.drain();
    }

    /// Lets an application read what it left unread.
    pub(super) fn read(&mut self, flow: FlowId) {
        let app = self.apps.get_mut(&flow).unwrap();
        app.stalled = false;
        let unread = core::mem::take(&mut app.unread);
        if app.ended.is_none() {
            self.local(flow, LocalEvent::Written(unread));
        }
    }

    pub(super) fn write(&mut self, flow: FlowId, bytes: usize) {
        self.apps.get_mut(&flow).unwrap().to_send += bytes;
        self.drain();
    }

    /// Lets things happen until nothing does any more before `end`, or `done` says so.
    pub(super) fn run(&mut self, most: Duration, mut done: impl FnMut(&Self) -> bool) -> bool {
        let end = self.now.saturating_add(most);
        while !done(self) {
            let first = self.events.peek().map(|Reverse((at, ..))| *at);
            let wakes = self.node_wakes.iter().copied().chain([first, self.wake]);
            let Some(next) = wakes.flatten().min() else { return false };
            if next > end {
                self.now = end;
                return false;
            }
            self.now = self.now.max(next);
            if self.wake.is_some_and(|at| at <= self.now) {
                self.client.handle(self.now, ClientEvent::Timeout).unwrap();
            }
            for (node, wake) in self.nodes.iter_mut().zip(&self.node_wakes) {
                if wake.is_some_and(|at| at <= self.now) {
                    node.handle(self.now, NodeEvent::Timeout).unwrap();
                }
            }
            while self.events.peek().is_some_and(|Reverse((at, ..))| *at <= self.now) {
                let Reverse((_, _, happening)) = self.events.pop().unwrap();
                self.happen(happening);
            }
            self.drain();
            for wake in self.node_wakes.iter().copied().chain([self.wake]).flatten() {
                assert!(wake > self.now, "S7: {wake:?} is not later than {:?}", self.now);
            }
        }
        true
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Arrive { exchange, body, form, copy } => {
                let endpoint = match form {
                    0 => Endpoint::Batch,
                    _ => Endpoint::Streams { key: Secret::new("k") },
                };
                let request = RequestId::new(self.next_request);
                let node = self.node_for(exchange, &body);
                if self.silent.contains(&node) {
                    return;
                }
                self.requests.insert((node, self.next_request), (exchange, copy));
                self.next_request += 1;
                self.nodes[node]
                    .handle(self.now, NodeEvent::Request { request, endpoint, body: body.into() })
                    .unwrap();
            }
            Happening::Return { exchange, body, status } => {
                let exchange = ExchangeId::new(exchange);
                let decryptor = self.decryptors.get(&exchange.number()).filter(|_| self.opens);
                let event = match (status, decryptor) {
                    (200, Some(decryptor)) => decryptor.event(exchange, body.into()),
                    (200, None) => ClientEvent::Reply { exchange, body: body.into() },
                    (status, _) => {
                        let why = match status {
                            413 => ExchangeFailure::TooLarge,
                            429 => ExchangeFailure::Refused { retry_after: None },
                            _ => ExchangeFailure::Garbage,
                        };
                        ClientEvent::ExchangeFailed { exchange, why }
                    }
                };
                self.client.handle(self.now, event).unwrap();
            }
            Happening::GiveUp { exchange } => {
                let exchange = ExchangeId::new(exchange);
                let event = ClientEvent::ExchangeFailed { exchange, why: ExchangeFailure::Unknown };
                self.client.handle(self.now, event).unwrap();
            }
        }
    }

    pub(super) fn drain(&mut self) {
        loop {
            let mut idle = true;
            loop {
                match self.client.poll() {
                    ClientAction::Idle { wake } => {
                        self.wake = wake.map(|wake| wake.at);
                        break;
                    }
                    action => {
                        idle = false;
                        self.on_client(action);
                    }
                }
            }
            for node in 0..self.nodes.len() {
                idle &= self.drain_node(node);
            }
            idle &= self.pump();
            if idle {
                return;
            }
        }
    }

    /// Takes the actions of a node. Returns whether there were none.
    fn drain_node(&mut self, node: usize) -> bool {
        let mut idle = true;
        loop {
            match self.nodes[node].poll() {
                NodeAction::Idle { wake } => {
                    self.node_wakes[node] = wake.map(|wake| wake.at);
                    return idle;
                }
                action => {
                    idle = false;
                    self.on_node(node, action);
                }
            }
        }
    }

    /// Applications and upstreams send what they may. Returns whether there was nothing.
    fn pump(&mut self) -> bool {
        let mut idle = true;
        let streams: Vec<FlowId> = self.apps.keys().copied().collect();
        for flow in streams {
            let app = self.apps.get_mut(&flow).unwrap();
            if app.ended.is_some() {
                continue;
            }
            while app.credit > 0 && app.sent < app.to_send {
                let len = app.credit.min(app.to_send - app.sent).min(16 * 1024);
                let bytes: Vec<u8> =
                    (app.sent..app.sent + len).map(|place| byte(flow.number(), place)).collect();
                app.sent += len;
                app.credit -= len;
                let event = LocalEvent::Data(bytes.into());
                idle = false;
                self.client.handle(self.now, ClientEvent::Local { flow, event }).unwrap();
            }
            if app.finish && !app.finished && app.sent == app.to_send {
                app.finished = true;
                let event = LocalEvent::Fin;
                idle = false;
                self.client.handle(self.now, ClientEvent::Local { flow, event }).unwrap();
            }
        }
        let upstreams: Vec<(usize, UpstreamId)> = self.upstreams.keys().copied().collect();
        for (node, upstream) in upstreams {
            let state = self.upstreams.get_mut(&(node, upstream)).unwrap();
            while state.credit > 0 && (state.sent < state.to_send || !state.queue.is_empty()) {
                let bytes: Vec<u8> = if state.queue.is_empty() {
                    let len = state.credit.min(state.to_send - state.sent).min(64 * 1024);
                    (state.sent..state.sent + len).map(|place| byte(1_000, place)).collect()
                } else {
                    let len = state.queue.len().min(state.credit);
                    state.queue.drain(..len).collect()
                };
                state.sent += bytes.len();
                state.credit -= bytes.len();
                let event = UpstreamEvent::Data(bytes.into());
                idle = false;
                self.nodes[node].handle(self.now, NodeEvent::Upstream { upstream, event }).unwrap();
            }
            if state.fin_due && !state.finished && state.queue.is_empty() && state.sent >= state.to_send {
                state.finished = true;
                let event = UpstreamEvent::Fin;
                idle = false;
                self.nodes[node].handle(self.now, NodeEvent::Upstream { upstream, event }).unwrap();
            }
        }
        idle
    }

    fn on_client(&mut self, action: ClientAction) {
        match action {
            ClientAction::Send { exchange, relay, body, form, deadline, decryptor } => {
                let number = exchange.number();
                self.decryptors.extend(decryptor.map(|decryptor| (number, decryptor)));
                let body = body.into_bytes();
                self.calls += 1;
                *self.calls_of.entry(relay.index()).or_default() += 1;
                if form != BodyForm::Packet {
                    let request =
                        wire::decode_request(&body, Limits { max_body: usize::MAX, max_ops: 1_000 });
                    let ops = request.unwrap().decode_ops();
                    let names = ops.iter().flatten().map(wire::Op::name).filter(|name| *name != "streams");
                    self.unsealed.extend(names);
                }
                let form = u8::from(form == BodyForm::Packet);
                self.relays.insert(number, relay.index());
                self.at(deadline, Happening::GiveUp { exchange: number });
                let broken = self.broken.contains(&relay.index());
                let refusal = if broken {
                    Some(502)
                } else if self.refusing.contains(&relay.index()) {
                    Some(429)
                } else {
                    (body.len() > self.largest_body).then_some(413)
                };
                if let Some(status) = refusal {
                    let at = self.now.saturating_add(self.way());
                    self.at(at, Happening::Return { exchange: number, body: Vec::new(), status });
                    return;
                }
                if let Some((status, body)) = self.lie {
                    let at = self.now.saturating_add(self.way());
                    self.at(at, Happening::Return { exchange: number, body: body.into(), status });
                    return;
                }
                if self.draw(1_000) < self.faults.lose_request || self.dead.contains(&relay.index()) {
                    return;
                }
                let at = self.now.saturating_add(self.way());
                if self.draw(1_000) < self.faults.double {
                    let at = at.saturating_add(self.way());
                    self.at(
                        at,
                        Happening::Arrive { exchange: number, body: body.to_vec(), form, copy: true },
                    );
                }
                self.at(at, Happening::Arrive { exchange: number, body: body.to_vec(), form, copy: false });
            }
            ClientAction::Deliver { flow, bytes } => {
                let app = self.apps.get_mut(&flow).unwrap();
                assert!(app.ended.is_none(), "S4: bytes after the end");
                if app.udp {
                    app.datagrams.push(bytes);
                    return;
                }
                app.got.extend_from_slice(&bytes);
                if app.stalled {
                    app.unread += bytes.len();
                } else {
                    let event = LocalEvent::Written(bytes.len());
                    self.client.handle(self.now, ClientEvent::Local { flow, event }).unwrap();
                }
            }
            ClientAction::Credit { flow, bytes } => self.apps.entry(flow).or_default().credit += bytes,
            ClientAction::Opened { .. } => {}
            ClientAction::Fin { flow } => {
                let app = self.apps.get_mut(&flow).unwrap();
                assert!(!app.fin, "two ends of one direction");
                app.fin = true;
            }
            ClientAction::Ended { flow, why } => {
                let app = self.apps.get_mut(&flow).unwrap();
                assert!(app.ended.is_none(), "S4: two ends");
                app.ended = Some(why);
            }
            ClientAction::Closed => self.closed = true,
            ClientAction::Event(notice) => self.notices.push(notice),
            ClientAction::Idle { .. } => {}
        }
    }

    fn on_node(&mut self, node: usize, action: NodeAction) {
        match action {
            NodeAction::Respond { request, response } => {
                let Some((exchange, copy)) = self.requests.remove(&(node, request.number())) else { return };
                let dead = self.relays.get(&exchange).is_some_and(|relay| self.dead.contains(relay));
                let dead = dead || self.silent.contains(&node);
                if copy || dead || self.draw(1_000) < self.faults.lose_reply {
                    return;
                }
                if self.lose_next.is_some_and(|least| response.body.len() >= least) {
                    self.lose_next = None;
                    return;
                }
                let at = self.now.saturating_add(self.way());
                let status = response.status;
                let body = response.body.into_bytes();
                self.at(at, Happening::Return { exchange, body: body.to_vec(), status });
            }
            NodeAction::OpenUpstream { upstream, target, .. } => {
                let host = target.host().to_string();
                let event = match host.as_str() {
                    "refuse" => UpstreamEvent::Failed(ConnectFailure::Refused),
                    _ => UpstreamEvent::Opened,
                };
                if event == UpstreamEvent::Opened {
                    let to_send = host.parse().unwrap_or(0);
                    let fin_due = to_send > 0;
                    self.upstreams
                        .insert((node, upstream), Upstream { host, to_send, fin_due, ..Upstream::default() });
                }
                self.nodes[node].handle(self.now, NodeEvent::Upstream { upstream, event }).unwrap();
            }
            NodeAction::WriteUpstream { upstream, bytes } => {
                let state = self.upstreams.get_mut(&(node, upstream)).unwrap();
                state.got.extend_from_slice(&bytes);
                if state.host == "echo-udp" {
                    let event = UpstreamEvent::Datagram(bytes);
                    self.nodes[node].handle(self.now, NodeEvent::Upstream { upstream, event }).unwrap();
                    return;
                }
                if state.host == "echo" {
                    state.queue.extend_from_slice(&bytes);
                }
                let event = UpstreamEvent::Written(bytes.len());
                self.nodes[node].handle(self.now, NodeEvent::Upstream { upstream, event }).unwrap();
            }
            NodeAction::Credit { upstream, bytes } => {
                if let Some(state) = self.upstreams.get_mut(&(node, upstream)) {
                    state.credit += bytes;
                }
            }
            NodeAction::FinishUpstream { upstream } => {
                let state = self.upstreams.get_mut(&(node, upstream)).unwrap();
                state.fin_due = true;
            }
            NodeAction::ShutUpstream { upstream, how } => {
                let state = self.upstreams.get_mut(&(node, upstream));
                if let (Some(state), Shut::Close | Shut::Reset) = (state, how) {
                    state.credit = 0;
                    state.finished = true;
                }
            }
            NodeAction::Event(_) | NodeAction::Idle { .. } => {}
        }
    }

    pub(super) fn app(&self, flow: FlowId) -> &App {
        &self.apps[&flow]
    }

    pub(super) fn ended(&self) -> bool {
        self.apps.values().all(|app| app.ended.is_some())
    }
}

pub(super) fn node_options(level: Level) -> NodeOptions {
    NodeOptions { max_level: level, min_level: Some(Level::Legacy), ..NodeOptions::new(Secret::new("k")) }
}

fn node(options: &NodeOptions, seed: u8, now: Instant) -> Node {
    Node::unsealed(options.clone().validate().unwrap(), [seed; 32], now)
}
