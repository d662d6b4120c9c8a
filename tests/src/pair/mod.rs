//! A client and a node joined by a simulated network that delivers, reorders, duplicates and loses.
//!
//! A run is a list of [`Step`]s. Every byte depends on its flow, its direction and its position, so that any swap, loss
//! or duplication shows at once. After every step the properties of docs/protocol.md section 4
//! are checked; at the end the network heals, and every flow must come to its end.

mod content;
mod local;
mod network;
mod oracle;
mod setting;
mod step;
mod upstream;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use seqlane::{
    Client, ClientAction, ClientEvent, ClientStats, ExchangeId, FlowId, FlowKind, Instant, Node, NodeAction,
    NodeEvent, NodeStats, RequestId, UpstreamId, Wake,
};

pub use setting::Setting;
pub use step::{Fate, Step};

use local::Local;
use network::{Reply, Request};
use upstream::Upstream;

/// The two machines and everything between and around them.
#[derive(Debug)]
pub struct Pair {
    setting: Setting,
    client: Client,
    node: Node,
    now: Instant,
    client_wake: Option<Wake>,
    node_wake: Option<Wake>,
    requests: Vec<Request>,
    /// Requests at the node; without an exchange when no caller waits for the answer.
    held: BTreeMap<RequestId, Option<ExchangeId>>,
    replies: Vec<Reply>,
    next_request: u64,
    locals: BTreeMap<FlowId, Local>,
    upstreams: BTreeMap<UpstreamId, Upstream>,
    /// Exchanges that were sent and have not ended.
    exchanges: BTreeSet<ExchangeId>,
    /// Whether a request arrived twice: then its upstreams are open twice, and its datagrams arrived twice.
    duplicated: bool,
    transcript: DefaultHasher,
}

/// The outcome of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// A hash of everything that both machines asked for, to the byte.
    pub transcript: u64,
    /// What the client did.
    pub client: ClientStats,
    /// What the node did.
    pub node: NodeStats,
}

/// The `index`-th key of a map, whatever the number.
fn pick<K: Copy, V>(map: &BTreeMap<K, V>, index: usize) -> Option<K> {
    map.keys().nth(index.checked_rem(map.len())?).copied()
}

impl Pair {
    fn new(setting: Setting) -> Self {
        let now = Instant::from_micros(5);
        let mut pair = Self {
            setting,
            client: setting.client(now),
            node: setting.node(now),
            now,
            client_wake: None,
            node_wake: None,
            requests: Vec::new(),
            held: BTreeMap::new(),
            replies: Vec::new(),
            next_request: 0,
            locals: BTreeMap::new(),
            upstreams: BTreeMap::new(),
            exchanges: BTreeSet::new(),
            duplicated: false,
            transcript: DefaultHasher::new(),
        };
        pair.drain();
        pair
    }

    /// Plays the steps, then lets the network heal and everything come to its end.
    ///
    /// # Panics
    /// When a property is violated; the message names it.
    pub fn play(setting: Setting, steps: &[Step]) -> Outcome {
        let mut pair = Self::new(setting);
        for step in steps {
            pair.step(step);
            pair.check();
        }
        pair.heal();
        pair.close();
        Outcome {
            transcript: pair.transcript.finish(),
            client: pair.client.stats().clone(),
            node: pair.node.stats().clone(),
        }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Open => self.open(FlowKind::Tcp),
            Step::OpenUdp => self.open(FlowKind::Udp),
            Step::Write(index, len) => self.write(index, len),
            Step::Finish(index) => self.finish(index),
            Step::Reset(index) => self.reset(index),
            Step::Read(index) => self.read(index),
            Step::Connect(index, refuse) => self.connect(index, refuse),
            Step::UpstreamWrite(index, len) => self.upstream_write(index, len),
            Step::UpstreamFinish(index) => self.upstream_finish(index),
            Step::UpstreamReset(index) => self.upstream_reset(index),
            Step::UpstreamRead(index) => self.upstream_read(index),
            Step::Network(index, fate) => self.network(index, fate),
            Step::Pass(millis) => self.pass(Duration::from_millis(millis)),
        }
    }

    /// Lets time pass, each timeout at its own time.
    fn pass(&mut self, by: Duration) {
        let end = self.now.saturating_add(by);
        loop {
            let wakes = [self.client_wake, self.node_wake].into_iter().flatten();
            let Some(next) = wakes.map(|wake| wake.at).filter(|at| *at <= end).min() else { break };
            self.now = self.now.max(next);
            if self.client_wake.is_some_and(|wake| wake.at <= self.now) {
                self.client.handle(self.now, ClientEvent::Timeout).expect("a timeout is never misuse");
            }
            if self.node_wake.is_some_and(|wake| wake.at <= self.now) {
                self.node.handle(self.now, NodeEvent::Timeout).expect("a timeout is never misuse");
            }
            self.drain();
            for wake in [self.client_wake, self.node_wake].into_iter().flatten() {
                assert!(wake.at > self.now, "S7: {wake:?} is not later than {:?}", self.now);
            }
        }
        self.now = end;
    }

    /// Takes every action of both machines and does it.
    fn drain(&mut self) {
        self.client_wake = loop {
            let action = self.client.poll();
            self.write_down(&action);
            match &action {
                ClientAction::Send { body, .. } => body.clone().into_bytes().hash(&mut self.transcript),
                ClientAction::Deliver { bytes, .. } => bytes.hash(&mut self.transcript),
                _ => {}
            }
            if let ClientAction::Idle { wake } = action {
                break wake;
            }
            self.on_client(action);
        };
        self.node_wake = loop {
            let action = self.node.poll();
            self.write_down(&action);
            match &action {
                NodeAction::Respond { response, .. } => {
                    response.body.clone().into_bytes().hash(&mut self.transcript)
                }
                NodeAction::WriteUpstream { bytes, .. } => bytes.hash(&mut self.transcript),
                _ => {}
            }
            if let NodeAction::Idle { wake } = action {
                break wake;
            }
            self.on_node(action);
        };
    }

    fn write_down(&mut self, action: &impl core::fmt::Debug) {
        format!("{action:?}").hash(&mut self.transcript);
    }

    /// From here on the network loses nothing, upstreams finish and everybody reads: every flow must end.
    fn heal(&mut self) {
        for round in 0..2_000 {
            for index in 0..self.upstreams.len() {
                self.connect(index, false);
                self.upstream_finish(index);
                self.upstream_read(index);
            }
            for index in 0..self.locals.len() {
                self.finish(index);
                self.read(index);
            }
            while !self.requests.is_empty() {
                self.network(0, Fate::Arrive);
            }
            while !self.replies.is_empty() {
                self.network(0, Fate::Return);
            }
            self.check();
            if self.locals.values().all(|local| local.ended.is_some()) && self.exchanges.is_empty() {
                return self.check_settled();
            }
            self.pass(Duration::from_millis(if round < 100 { 20 } else { 500 }));
        }
        panic!("L1: flows that never end: {:?}", self.client);
    }

    /// After the end of everything, nothing is kept.
    fn close(&mut self) {
        self.client.handle(self.now, ClientEvent::Close).expect("closing is never misuse");
        self.node.handle(self.now, NodeEvent::Close).expect("closing is never misuse");
        self.drain();
        self.pass(Duration::from_secs(60));
        self.check_closed();
    }
}
