//! What ten thousand idle streams of level 2 cost: heap at the client and at the node, and calls.
#![allow(missing_docs)] // a test has no callers

use std::collections::BTreeMap;
use std::time::Duration;

use seqlane::{
    Client, ClientAction, ClientEvent, ClientNotice, ClientOptions, Endpoint, ExchangeId, FlowKind, Instant,
    Level, Node, NodeAction, NodeEvent, NodeOptions, NodeStreamOptions, RelayOptions, RequestId, Secret,
    Target, UpstreamEvent, Wake,
};
use seqlane_tests::allocator::{Counting, live};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const STREAMS: usize = 10_000;

/// How long an idle client has a request held.
const HOLD: Duration = Duration::from_secs(25);

/// From one to the other, and back.
const WAY: Duration = Duration::from_millis(50);

/// A client and a node on a path that loses nothing, in virtual time.
struct Pair {
    client: Client,
    node: Node,
    now: Instant,
    way: BTreeMap<(Instant, u64), Parcel>,
    /// What was put on the way, calls, and requests so far.
    parcels: u64,
    calls: u64,
    held: BTreeMap<RequestId, ExchangeId>,
    wakes: [Option<Wake>; 2],
    /// Streams that are open at level 2.
    streams: usize,
}

enum Parcel {
    Up(NodeEvent),
    Down(ClientEvent),
}

impl Pair {
    fn new() -> Self {
        let now = Instant::from_micros(1);
        let relay = RelayOptions::new(Secret::new("k"));
        let mut client = ClientOptions::new(vec![relay]);
        client.max_flows = STREAMS;
        client.max_level = Level::Streams;
        let streams = NodeStreamOptions::default().max_streams(STREAMS as u32);
        let mut node = NodeOptions::new(Secret::new("k"));
        // One client gets at most half of the places that are left.
        node.max_sessions = 2 * STREAMS + 64;
        node.tuning.streams = streams;
        node.max_level = Level::Streams;
        Self {
            client: Client::new(client.validate().expect("valid options"), [1; 32], now),
            node: Node::new(node.validate().expect("valid options"), [2; 32], now),
            now,
            way: BTreeMap::new(),
            parcels: 0,
            calls: 0,
            held: BTreeMap::new(),
            wakes: [None; 2],
            streams: 0,
        }
    }

    fn send(&mut self, parcel: Parcel) {
        self.way.insert((self.now.saturating_add(WAY), self.parcels), parcel);
        self.parcels += 1;
    }

    /// Takes every action of both.
    fn drain(&mut self) {
        self.wakes[0] = loop {
            match self.client.poll() {
                ClientAction::Send { exchange, body, .. } => {
                    let request = RequestId::new(self.calls);
                    self.calls += 1;
                    self.held.insert(request, exchange);
                    let (endpoint, body) = (Endpoint::Batch, body.into_bytes());
                    self.send(Parcel::Up(NodeEvent::Request { request, endpoint, body }));
                }
                ClientAction::Event(ClientNotice::Connected { level, .. }) => {
                    assert_eq!(level, Level::Streams);
                    self.streams += 1;
                }
                ClientAction::Ended { flow, why } => panic!("flow {flow} ended: {why}"),
                ClientAction::Idle { wake } => break wake,
                _ => {}
            }
        };
        self.wakes[1] = loop {
            match self.node.poll() {
                NodeAction::Respond { request, response } => {
                    let exchange = self.held.remove(&request).expect("a request that is held");
                    let body = response.body.into_bytes();
                    self.send(Parcel::Down(ClientEvent::Reply { exchange, body }));
                }
                NodeAction::OpenUpstream { upstream, .. } => {
                    let event = NodeEvent::Upstream { upstream, event: UpstreamEvent::Opened };
                    self.node.handle(self.now, event).expect("an upstream of the node's");
                }
                NodeAction::Idle { wake } => break wake,
                _ => {}
            }
        };
    }

    /// Lets time pass.
    fn run(&mut self, time: Duration) {
        let end = self.now.saturating_add(time);
        loop {
            self.drain();
            let arrival = self.way.first_key_value().map(|((at, _), _)| *at);
            let wakes = self.wakes.iter().flatten().map(|wake| wake.at);
            let Some(at) = arrival.into_iter().chain(wakes).min().filter(|at| *at <= end) else { break };
            self.now = self.now.max(at);
            while let Some(first) = self.way.first_entry().filter(|first| first.key().0 <= self.now) {
                match first.remove() {
                    Parcel::Up(event) => self.node.handle(self.now, event).expect("a request"),
                    Parcel::Down(event) => self.client.handle(self.now, event).expect("a call of ours"),
                }
            }
            self.client.handle(self.now, ClientEvent::Timeout).expect("no misuse");
            self.node.handle(self.now, NodeEvent::Timeout).expect("no misuse");
        }
        self.now = end;
    }

    /// A pair with every stream open and nothing to do.
    fn idle() -> Self {
        let mut pair = Self::new();
        pair.run(Duration::from_secs(1));
        for number in 0..STREAMS {
            let target = Target::new(&format!("host-{number}.example.org"), 22).expect("a target");
            pair.client.open(pair.now, target, FlowKind::Tcp).expect("room");
        }
        pair.run(Duration::from_secs(120));
        assert_eq!(pair.streams, STREAMS);
        pair
    }
}

/// What dropping it frees.
fn heap<T>(machine: T) -> usize {
    let before = live();
    drop(machine);
    usize::try_from(before - live()).expect("less than before")
}

#[test]
fn an_idle_stream_takes_at_most_2_kib_at_the_client_and_at_the_node() {
    let Pair { client, node, .. } = Pair::idle();
    let (client, node) = (heap(client) / STREAMS, heap(node) / STREAMS);
    println!("{client} bytes of heap per idle stream at the client, {node} at the node");
    assert!(client <= 2048 && node <= 2048, "{client} bytes at the client, {node} at the node");
}

#[test]
fn ten_thousand_idle_streams_cost_one_call_per_hold() {
    let mut pair = Pair::idle();
    let before = pair.calls;
    let time = Duration::from_secs(3600);
    pair.run(time);
    let calls = pair.calls - before;
    let holds = time.as_secs_f64() / (HOLD + 2 * WAY).as_secs_f64();
    println!("{calls} calls in an hour of {holds:.1} holds");
    assert!(calls as f64 <= holds * 1.01 + 1.0, "{calls} calls in {holds:.1} holds");
}
