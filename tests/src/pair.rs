//! A client and a node joined by a network that a test plays: it delivers, reorders, doubles, loses.
//!
//! Every byte that is sent tells its flow, its direction and its place, so that any swap, loss or doubling
//! shows at once. After every step the properties of docs/protocol.md section 4 are checked.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use bytes::Bytes;
use seqlane::{
    Client, ClientAction, ClientEvent, ClientOptions, ConnectFailure, EndReason, Endpoint, ExchangeFailure,
    ExchangeId, FlowKind, Form, Instant, Level, LocalEvent, Node, NodeAction, NodeEvent, NodeNotice,
    NodeOptions, RelayOptions, RequestId, Secret, StreamId, Target, UpstreamEvent, UpstreamId, Wake,
};

/// One thing that happens. Indices pick among what there is at the moment, so any number is good.
#[derive(Clone, Debug)]
pub enum Step {
    /// The application opens a flow.
    Open,
    /// The application of a flow writes bytes, as many as it has credit for.
    Write(usize, usize),
    /// The application of a flow has sent everything.
    Finish(usize),
    /// The application of a flow resets it.
    Reset(usize),
    /// The application of a flow reads everything that was delivered.
    Read(usize),
    /// An upstream answers an attempt to open it: with a refusal when the flag is set.
    Connect(usize, bool),
    /// An upstream sends bytes, as many as it has credit for.
    UpstreamWrite(usize, usize),
    /// An upstream has sent everything.
    UpstreamFinish(usize),
    /// An upstream is reset.
    UpstreamReset(usize),
    /// An upstream takes everything that waits for it.
    UpstreamRead(usize),
    /// A request in flight arrives.
    Arrive(usize),
    /// A request in flight arrives and stays in flight: it will arrive again.
    Double(usize),
    /// A reply in flight arrives.
    Return(usize),
    /// A request in flight is lost, and the client is told that nobody knows.
    LoseRequest(usize),
    /// A request in flight never left.
    NotSent(usize),
    /// A reply in flight is lost.
    LoseReply(usize),
    /// A reply in flight turns into something else.
    Spoil(usize, usize),
    /// Time passes, with every timeout on the way.
    Pass(u64),
}

struct Request {
    exchange: ExchangeId,
    body: Bytes,
}

struct Reply {
    exchange: ExchangeId,
    body: Bytes,
}

/// The application's end of a flow.
#[derive(Default)]
struct Local {
    credit: usize,
    written: usize,
    finished: bool,
    received: Vec<u8>,
    unread: usize,
    fin: bool,
    ended: Option<EndReason>,
}

/// The far end of a flow.
struct Upstream {
    /// Which flow opened it: its target says so.
    flow: u64,
    line: Line,
    ended: bool,
    credit: usize,
    written: usize,
    finished: bool,
    received: Vec<u8>,
    unread: usize,
}

/// ```text
///   Opening ── Opened ──▶ Open ── Reset, or shut by the node ──▶ Gone
///      └── Failed, or shut by the node ──▶ Gone
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    Opening,
    Open,
    /// Nothing may be said of it any more; `shut` when it was the node that ended it.
    Gone {
        shut: bool,
    },
}

/// The two machines and everything between and around them.
pub struct Pair {
    client: Client,
    node: Node,
    now: Instant,
    client_wake: Option<Wake>,
    node_wake: Option<Wake>,
    requests: Vec<Request>,
    /// Requests at the node; without an exchange when nobody waits for the answer.
    held: BTreeMap<RequestId, Option<ExchangeId>>,
    replies: Vec<Reply>,
    next_request: u64,
    locals: BTreeMap<StreamId, Local>,
    upstreams: BTreeMap<UpstreamId, Upstream>,
    /// Exchanges that were sent and have not ended.
    exchanges: BTreeMap<ExchangeId, usize>,
    level: Level,
    transcript: DefaultHasher,
}

const CLIENT_BOUND: usize = 64 << 20;
const NODE_BOUND: usize = 64 << 20;

/// The byte at `offset` of the stream that `flow` sends in the direction `up`.
fn byte(flow: u64, up: bool, offset: usize) -> u8 {
    let mut mixed =
        (offset as u64 ^ (flow << 40) ^ (u64::from(up) << 60)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^= mixed >> 29;
    mixed.wrapping_mul(0xbf58_476d_1ce4_e5b9).to_be_bytes()[0]
}

fn bytes(flow: u64, up: bool, from: usize, len: usize) -> Bytes {
    (from..from + len).map(|offset| byte(flow, up, offset)).collect::<Vec<u8>>().into()
}

fn is_prefix(received: &[u8], flow: u64, up: bool) -> bool {
    received.iter().enumerate().all(|(offset, got)| *got == byte(flow, up, offset))
}

/// The `index`-th key of a map, whatever the number.
fn pick<K: Copy, V>(map: &BTreeMap<K, V>, index: usize) -> Option<K> {
    map.keys().nth(index.checked_rem(map.len())?).copied()
}

impl Pair {
    /// A fresh pair with small bounds, both sides of this level.
    pub fn new(level: Level) -> Self {
        let relay = RelayOptions { form: Form::Node, ..RelayOptions::new(Secret::new("key")) };
        let client = ClientOptions {
            max_level: level,
            max_op_payload: 700,
            max_batch_payload: 2000,
            uplink_window: 64 << 10,
            downlink_window: 3000,
            max_depth: 4,
            ..ClientOptions::new(vec![relay; 2])
        };
        let node = NodeOptions {
            write_queue: 2000,
            session_buffer: 64 << 10,
            max_drain: 900,
            max_batch_drain: 1500,
            ..NodeOptions::new(Secret::new("key"))
        };
        let now = Instant::from_micros(5);
        let mut pair = Self {
            client: Client::new(client.validate().expect("valid"), [1; 32], now),
            node: Node::new(node.validate().expect("valid"), [2; 32], now),
            now,
            client_wake: None,
            node_wake: None,
            requests: Vec::new(),
            held: BTreeMap::new(),
            replies: Vec::new(),
            next_request: 0,
            locals: BTreeMap::new(),
            upstreams: BTreeMap::new(),
            exchanges: BTreeMap::new(),
            level,
            transcript: DefaultHasher::new(),
        };
        pair.drain();
        pair
    }

    /// Plays the steps, then lets the network heal and everything come to its end. Returns a hash of all
    /// that both machines did.
    ///
    /// # Panics
    /// When a property is violated; the message names it.
    pub fn play(level: Level, steps: &[Step]) -> u64 {
        let mut pair = Self::new(level);
        for step in steps {
            pair.step(step);
            pair.check();
        }
        pair.heal();
        pair.close();
        pair.transcript.finish()
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Open => self.open(),
            Step::Write(index, len) => self.write(index, len),
            Step::Finish(index) => self.finish(index),
            Step::Reset(index) => {
                if let Some(stream) = pick(&self.locals, index) {
                    self.local(stream, LocalEvent::Reset);
                }
            }
            Step::Read(index) => {
                if let Some(stream) = pick(&self.locals, index) {
                    self.read(stream);
                }
            }
            Step::Connect(index, refuse) => self.connect(index, refuse),
            Step::UpstreamWrite(index, len) => self.upstream_write(index, len),
            Step::UpstreamFinish(index) => self.upstream_finish(index),
            Step::UpstreamReset(index) => {
                if let Some(id) = pick(&self.upstreams, index)
                    && let Some(upstream) = self.upstreams.get_mut(&id).filter(|u| u.line == Line::Open)
                {
                    upstream.line = Line::Gone { shut: false };
                    self.upstream(id, UpstreamEvent::Reset);
                }
            }
            Step::UpstreamRead(index) => {
                if let Some(id) = pick(&self.upstreams, index) {
                    self.upstream_read(id);
                }
            }
            Step::Pass(millis) => self.pass(Duration::from_millis(millis)),
            Step::Arrive(_)
            | Step::Double(_)
            | Step::Return(_)
            | Step::LoseRequest(_)
            | Step::NotSent(_)
            | Step::LoseReply(_)
            | Step::Spoil(..) => self.network(step),
        }
    }

    /// What the network does to requests and replies.
    fn network(&mut self, step: &Step) {
        let place = |index: usize, len: usize| index.checked_rem(len);
        match *step {
            Step::Arrive(index) => {
                if let Some(place) = place(index, self.requests.len()) {
                    let request = self.requests.remove(place);
                    self.arrive(request.body, Some(request.exchange));
                }
            }
            // Level 0 has nothing that tells a second copy from a new op: doubling is not survived there.
            Step::Double(index) if self.level >= Level::Sequenced => {
                if let Some(place) = place(index, self.requests.len()) {
                    let body = self.requests[place].body.clone();
                    self.arrive(body, None);
                }
            }
            Step::Return(index) => {
                if let Some(place) = place(index, self.replies.len()) {
                    let reply = self.replies.remove(place);
                    self.end_exchange(reply.exchange, Ok(reply.body));
                }
            }
            Step::LoseRequest(index) => {
                if let Some(place) = place(index, self.requests.len()) {
                    let request = self.requests.remove(place);
                    self.end_exchange(request.exchange, Err(ExchangeFailure::Unknown));
                }
            }
            Step::NotSent(index) => {
                if let Some(place) = place(index, self.requests.len()) {
                    let request = self.requests.remove(place);
                    self.end_exchange(request.exchange, Err(ExchangeFailure::NotSent));
                }
            }
            Step::LoseReply(index) => {
                if let Some(place) = place(index, self.replies.len()) {
                    let reply = self.replies.remove(place);
                    self.end_exchange(reply.exchange, Err(ExchangeFailure::Unknown));
                }
            }
            Step::Spoil(index, cut) => {
                if let Some(place) = place(index, self.replies.len()) {
                    let reply = self.replies.remove(place);
                    let kept = cut.checked_rem(reply.body.len()).unwrap_or(0);
                    self.end_exchange(reply.exchange, Ok(reply.body.slice(..kept)));
                }
            }
            _ => {}
        }
    }

    fn open(&mut self) {
        let host = format!("flow{}", self.locals.len());
        let target = Target::new(&host, 443).expect("a target");
        let stream = self.client.open(self.now, target, FlowKind::Tcp).expect("room for a flow");
        self.locals.insert(stream, Local::default());
        self.drain();
    }

    fn write(&mut self, index: usize, len: usize) {
        let Some(stream) = pick(&self.locals, index) else { return };
        let Some(local) = self.locals.get_mut(&stream).filter(|l| !l.finished && l.ended.is_none()) else {
            return;
        };
        let len = len.min(local.credit);
        let chunk = bytes(stream.number(), true, local.written, len);
        local.credit -= len;
        local.written += len;
        self.local(stream, LocalEvent::Data(chunk));
    }

    fn finish(&mut self, index: usize) {
        let Some(stream) = pick(&self.locals, index) else { return };
        if let Some(local) = self.locals.get_mut(&stream).filter(|l| !l.finished && l.ended.is_none()) {
            local.finished = true;
            self.local(stream, LocalEvent::Fin);
        }
    }

    fn read(&mut self, stream: StreamId) {
        if let Some(local) = self.locals.get_mut(&stream).filter(|local| local.unread > 0) {
            let unread = core::mem::take(&mut local.unread);
            self.local(stream, LocalEvent::Written(unread));
        }
    }

    fn connect(&mut self, index: usize, refuse: bool) {
        let Some(id) = pick(&self.upstreams, index) else { return };
        let Some(upstream) = self.upstreams.get_mut(&id).filter(|u| u.line == Line::Opening) else {
            return;
        };
        if refuse {
            upstream.line = Line::Gone { shut: false };
            self.upstream(id, UpstreamEvent::Failed(ConnectFailure::Refused));
        } else {
            upstream.line = Line::Open;
            self.upstream(id, UpstreamEvent::Opened);
        }
    }

    fn upstream_write(&mut self, index: usize, len: usize) {
        let Some(id) = pick(&self.upstreams, index) else { return };
        let Some(upstream) = self.upstreams.get_mut(&id).filter(|u| u.line == Line::Open && !u.finished)
        else {
            return;
        };
        let len = len.min(upstream.credit);
        if len > 0 {
            let chunk = bytes(upstream.flow, false, upstream.written, len);
            upstream.credit -= len;
            upstream.written += len;
            self.upstream(id, UpstreamEvent::Data(chunk));
        }
    }

    fn upstream_finish(&mut self, index: usize) {
        let Some(id) = pick(&self.upstreams, index) else { return };
        if let Some(upstream) = self.upstreams.get_mut(&id).filter(|u| u.line == Line::Open && !u.finished) {
            upstream.finished = true;
            self.upstream(id, UpstreamEvent::Fin);
        }
    }

    fn upstream_read(&mut self, id: UpstreamId) {
        if let Some(upstream) = self.upstreams.get_mut(&id).filter(|u| u.line == Line::Open && u.unread > 0) {
            let unread = core::mem::take(&mut upstream.unread);
            self.upstream(id, UpstreamEvent::Written(unread));
        }
    }

    fn arrive(&mut self, body: Bytes, exchange: Option<ExchangeId>) {
        let request = RequestId::new(self.next_request);
        self.next_request += 1;
        self.held.insert(request, exchange);
        let event = NodeEvent::Request { request, endpoint: Endpoint::Batch, body };
        self.node.handle(self.now, event).expect("S9: a request is never misuse");
        self.drain();
    }

    fn end_exchange(&mut self, exchange: ExchangeId, outcome: Result<Bytes, ExchangeFailure>) {
        self.exchanges.remove(&exchange);
        let event = match outcome {
            Ok(body) => ClientEvent::Reply { exchange, body },
            Err(why) => ClientEvent::ExchangeFailed { exchange, why },
        };
        self.client.handle(self.now, event).expect("S9: an answer is never misuse");
        self.drain();
    }

    fn local(&mut self, stream: StreamId, event: LocalEvent) {
        self.client.handle(self.now, ClientEvent::Local { stream, event }).expect("within the contract");
        self.drain();
    }

    fn upstream(&mut self, upstream: UpstreamId, event: UpstreamEvent) {
        self.node.handle(self.now, NodeEvent::Upstream { upstream, event }).expect("within the contract");
        self.drain();
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

    fn drain(&mut self) {
        self.client_wake = loop {
            let action = self.client.poll();
            format!("{action:?}").hash(&mut self.transcript);
            if let ClientAction::Idle { wake } = action {
                break wake;
            }
            self.on_client(action);
        };
        self.node_wake = loop {
            let action = self.node.poll();
            format!("{action:?}").hash(&mut self.transcript);
            if let NodeAction::Idle { wake } = action {
                break wake;
            }
            self.on_node(action);
        };
    }

    fn on_client(&mut self, action: ClientAction) {
        let live = |locals: &mut BTreeMap<StreamId, Local>, stream: StreamId| {
            let ended = locals.get(&stream).is_none_or(|local| local.ended.is_some());
            assert!(!ended, "S4: something for stream {stream} after its end");
        };
        match action {
            ClientAction::Send { exchange, body, .. } => {
                assert!(
                    self.exchanges.insert(exchange, body.len()).is_none(),
                    "S5: an exchange was sent twice"
                );
                self.requests.push(Request { exchange, body });
            }
            ClientAction::Deliver { stream, bytes } => {
                live(&mut self.locals, stream);
                let local = self.locals.get_mut(&stream).expect("a live stream");
                assert!(!local.fin, "S4: bytes after the end of the downlink");
                local.received.extend_from_slice(&bytes);
                local.unread += bytes.len();
            }
            ClientAction::Credit { stream, bytes } => {
                // A flow that is being opened is not in the list yet.
                self.locals.entry(stream).or_default().credit += bytes;
            }
            ClientAction::Opened { .. } | ClientAction::Event(_) | ClientAction::Idle { .. } => {}
            ClientAction::Fin { stream } => {
                live(&mut self.locals, stream);
                self.locals.get_mut(&stream).expect("a live stream").fin = true;
            }
            ClientAction::Ended { stream, why } => {
                live(&mut self.locals, stream);
                self.locals.get_mut(&stream).expect("a live stream").ended = Some(why);
            }
        }
    }

    fn on_node(&mut self, action: NodeAction) {
        match action {
            NodeAction::Respond { request, response } => {
                let exchange = self.held.remove(&request).expect("S5: a request was answered twice");
                if let Some(exchange) = exchange {
                    self.replies.push(Reply { exchange, body: response.body });
                }
            }
            NodeAction::OpenUpstream { upstream, target, .. } => {
                let flow = target.host().trim_start_matches("flow").parse().expect("a flow's number");
                let fresh = Upstream {
                    flow,
                    line: Line::Opening,
                    ended: false,
                    credit: 0,
                    written: 0,
                    finished: false,
                    received: Vec::new(),
                    unread: 0,
                };
                assert!(self.upstreams.insert(upstream, fresh).is_none(), "an upstream id was used twice");
            }
            NodeAction::WriteUpstream { upstream, bytes } => {
                let upstream = self.upstreams.get_mut(&upstream).expect("an open upstream");
                assert!(
                    upstream.line != Line::Gone { shut: true },
                    "S4: bytes for an upstream that was shut"
                );
                upstream.received.extend_from_slice(&bytes);
                upstream.unread += bytes.len();
            }
            NodeAction::Credit { upstream, bytes } => {
                self.upstreams.get_mut(&upstream).expect("an open upstream").credit += bytes;
            }
            NodeAction::FinishUpstream { upstream } => {
                panic!("{upstream} is half-closed at a level that has no half-close");
            }
            NodeAction::ShutUpstream { upstream, .. } => {
                let upstream = self.upstreams.get_mut(&upstream).expect("an upstream");
                assert!(upstream.line != Line::Gone { shut: true }, "S4: an upstream was shut twice");
                upstream.line = Line::Gone { shut: true };
            }
            NodeAction::Event(NodeNotice::SessionEnded { upstream, .. }) => {
                let upstream = self.upstreams.get_mut(&upstream).expect("an upstream");
                assert!(!core::mem::replace(&mut upstream.ended, true), "S4: a session ended twice");
            }
            NodeAction::Event(_) | NodeAction::Idle { .. } => {}
        }
    }

    fn check(&self) {
        for (stream, local) in &self.locals {
            let flow = stream.number();
            assert!(
                is_prefix(&local.received, flow, false),
                "S1: the downlink of flow {flow} is not what was sent"
            );
            let sent = self.upstreams.values().filter(|upstream| upstream.flow == flow);
            let most = sent.map(|upstream| upstream.written).max().unwrap_or(0);
            assert!(local.received.len() <= most, "S1: more than was sent");
            if local.ended == Some(EndReason::Finished) {
                let whole =
                    |upstream: &Upstream| upstream.flow == flow && upstream.written == local.received.len();
                assert!(self.upstreams.values().any(whole), "S1: flow {flow} finished without its tail");
            }
        }
        for upstream in self.upstreams.values() {
            let flow = upstream.flow;
            assert!(is_prefix(&upstream.received, flow, true), "S1, S2: the uplink of flow {flow}");
            let sent = self.locals.iter().find(|(stream, _)| stream.number() == flow);
            assert!(sent.is_some_and(|(_, local)| upstream.received.len() <= local.written), "S2");
        }
        assert!(self.client.buffered_bytes() <= CLIENT_BOUND, "S6: the client keeps too much");
        assert!(self.node.buffered_bytes() <= NODE_BOUND, "S6: the node keeps too much");
    }

    /// From here on the network loses nothing, upstreams finish and everybody reads: every flow must end.
    fn heal(&mut self) {
        for round in 0..2_000 {
            for index in 0..self.upstreams.len() {
                self.connect(index, false);
                self.upstream_finish(index);
                if let Some(id) = pick(&self.upstreams, index) {
                    self.upstream_read(id);
                }
            }
            for index in 0..self.locals.len() {
                self.finish(index);
                if let Some(stream) = pick(&self.locals, index) {
                    self.read(stream);
                }
            }
            while !self.requests.is_empty() {
                self.network(&Step::Arrive(0));
            }
            while !self.replies.is_empty() {
                self.network(&Step::Return(0));
            }
            self.check();
            if self.locals.values().all(|local| local.ended.is_some()) && self.exchanges.is_empty() {
                return;
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
        assert!(self.held.is_empty(), "S5: a request was never answered");
        assert_eq!(self.client.buffered_bytes(), 0, "the client keeps something");
        for (id, upstream) in &self.upstreams {
            assert!(
                upstream.ended || upstream.line != Line::Open,
                "S4: the session of upstream {id} has no end"
            );
        }
        self.check();
    }
}
