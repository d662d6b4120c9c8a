//! A session of a client and a node, recorded at both ends and replayed.

use std::time::Duration;

use seqlane::wire::handshake::{HELLO, ReceivedHello, SecretKeys};
use seqlane::wire::seal::PACKET;
use seqlane::wire::{self, Limits, Op};
use seqlane::{
    ClientAction, Endpoint, ExchangeId, FlowId, FlowKind, Form, LocalEvent, NodeAction, NodeEvent, RequestId,
    Target, UpstreamEvent, names_of_seed,
};

use super::*;

const CLIENT_SEED: [u8; 32] = [0xC1; 32];
const NODE_SEED: [u8; 32] = [0x0D; 32];

/// A machine that is recorded.
struct Taped<M: Machine> {
    machine: M,
    writer: RecordingWriter<M>,
    file: Vec<u8>,
}

impl<M: Machine> Taped<M> {
    fn new(machine: M, options: &M::Options, seed: [u8; 32]) -> Self {
        let mut file = Vec::new();
        let writer = RecordingWriter::begin(options, names_of_seed(seed), Instant::ZERO, &mut file);
        Self { machine, writer, file }
    }

    fn handle(&mut self, now: Instant, event: M::Event) {
        self.writer.event(now, &self.machine.opened(event.clone()), &mut self.file);
        self.machine.handle(now, event).expect("within the contract");
    }

    fn poll(&mut self) -> M::Action {
        let action = self.machine.poll();
        self.writer.action(&action, &mut self.file);
        action
    }

    fn finish(mut self) -> Vec<u8> {
        self.writer.end(Ending::Stopped, &mut self.file);
        self.file
    }
}

/// A client and a node without anything between them, the target an echo.
struct Session {
    client: Taped<Client>,
    node: Taped<Node>,
    now: Instant,
    requests: u64,
    asked: Vec<(RequestId, ExchangeId, Option<seqlane::Decryptor>)>,
    /// Every body that was on the wire.
    wire: Vec<Bytes>,
    wake: [Option<Instant>; 2],
    received: Vec<u8>,
    /// Whether answers go to the client as they came.
    is_plain: bool,
}

impl Session {
    fn new(secret: Option<&str>, is_plain: bool) -> Self {
        let relay = RelayOptions::new(Secret::new(KEY)).form(Form::Node);
        let client = ClientOptions::new(vec![relay]).secret(secret.map(Secret::new));
        let node = NodeOptions::new(Secret::new(KEY)).secret(secret.map(Secret::new));
        let machine = Client::new(client.clone().validate().expect("valid"), CLIENT_SEED, Instant::ZERO);
        let at_node = Node::new(node.clone().validate().expect("valid"), NODE_SEED, Instant::ZERO);
        Self {
            client: Taped::new(machine, &client, CLIENT_SEED),
            node: Taped::new(at_node, &node, NODE_SEED),
            now: Instant::ZERO,
            requests: 0,
            asked: Vec::new(),
            wire: Vec::new(),
            wake: [None; 2],
            received: Vec::new(),
            is_plain,
        }
    }

    /// Lets both do what they have to, for this time.
    fn run(&mut self, time: Duration) {
        let end = self.now.saturating_add(time);
        loop {
            self.drain();
            let due = self.wake.iter().flatten().min().copied().filter(|due| *due <= end);
            let Some(due) = due else { break };
            self.now = due.max(self.now);
            let is_due = |wake: Option<Instant>| wake.is_some_and(|wake| wake <= due);
            if is_due(self.wake[0]) {
                self.client.handle(self.now, ClientEvent::Timeout);
            }
            if is_due(self.wake[1]) {
                self.node.handle(self.now, NodeEvent::Timeout);
            }
        }
        self.now = end;
    }

    fn drain(&mut self) {
        loop {
            let actions = (self.client.poll(), self.node.poll());
            if let (ClientAction::Idle { wake: client }, NodeAction::Idle { wake: node }) = &actions {
                self.wake = [client, node].map(|wake| wake.as_ref().map(|wake| wake.at));
                return;
            }
            self.now = self.now.saturating_add(Duration::from_millis(1));
            self.perform_client(actions.0);
            self.perform_node(actions.1);
        }
    }

    fn perform_client(&mut self, action: ClientAction) {
        match action {
            ClientAction::Send { exchange, body, decryptor, .. } => {
                let request = RequestId::new(self.requests);
                self.requests += 1;
                self.asked.push((request, exchange, decryptor));
                let body = body.into_bytes();
                self.wire.push(body.clone());
                self.node.handle(self.now, NodeEvent::Request { request, endpoint: Endpoint::Batch, body });
            }
            ClientAction::Deliver { flow, bytes } => {
                self.received.extend_from_slice(&bytes);
                let event = LocalEvent::Written(bytes.len());
                self.client.handle(self.now, ClientEvent::Local { flow, event });
            }
            _ => {}
        }
    }

    fn perform_node(&mut self, action: NodeAction) {
        match action {
            NodeAction::Respond { request, response } => {
                let place = self.asked.iter().position(|(asked, ..)| *asked == request).expect("asked");
                let (_, exchange, decryptor) = self.asked.swap_remove(place);
                let body = response.body.into_bytes();
                self.wire.push(body.clone());
                let event = match decryptor.filter(|_| !self.is_plain) {
                    Some(decryptor) => decryptor.event(exchange, body),
                    None => ClientEvent::Reply { exchange, body },
                };
                self.client.handle(self.now, event);
            }
            NodeAction::OpenUpstream { upstream, .. } => {
                self.node.handle(self.now, NodeEvent::Upstream { upstream, event: UpstreamEvent::Opened });
            }
            NodeAction::WriteUpstream { upstream, bytes } => {
                for event in [UpstreamEvent::Written(bytes.len()), UpstreamEvent::Data(bytes)] {
                    self.node.handle(self.now, NodeEvent::Upstream { upstream, event });
                }
            }
            _ => {}
        }
    }

    /// A whole session: a flow with an echo, a packet that is damaged on the way, the end of the client and of the node.
    fn play(mut self) -> (Self, FlowId) {
        self.run(Duration::from_secs(1));
        let target = Target::new("example.org", 80).expect("a target");
        let kind = FlowKind::Tcp;
        self.client.handle(self.now, ClientEvent::Open { target, kind });
        let flow = FlowId::new(0);
        self.run(Duration::from_millis(10));
        let event = LocalEvent::Data("there and back".into());
        self.client.handle(self.now, ClientEvent::Local { flow, event });
        self.run(Duration::from_secs(5));
        self.strangers();
        self.run(Duration::from_secs(5));
        self.node.handle(self.now, NodeEvent::Drain);
        self.run(Duration::from_secs(1));
        self.client.handle(self.now, ClientEvent::Close);
        self.run(Duration::from_secs(5));
        self.node.handle(self.now, NodeEvent::Close);
        self.run(Duration::from_secs(1));
        (self, flow)
    }

    /// Copies of what the client sent come again, damaged too: also behind the first byte of what lies open in a recording.
    fn strangers(&mut self) {
        for body in self.wire.clone() {
            let Some(packet) = packet_of(&body) else { continue };
            for (place, change) in [(0, 0), (0, 0x80), (60, 1), (9, 1)] {
                let mut packet = packet.to_vec();
                packet[place] ^= change;
                let op = Op::Streams { packet: packet.into() };
                let body = wire::encode_request(Form::Node, &Secret::new(KEY), [&op].into_iter());
                let request = RequestId::new(self.requests);
                self.requests += 1;
                self.node.handle(self.now, NodeEvent::Request { request, endpoint: Endpoint::Batch, body });
                // Held ones are copies of requests that the client still waits for; nobody waits for the others.
                self.swallow();
            }
        }
    }

    fn swallow(&mut self) {
        while !matches!(self.node.poll(), NodeAction::Idle { .. }) {}
    }
}

/// The packet in a request.
fn packet_of(body: &Bytes) -> Option<Bytes> {
    let request = wire::decode_request(body, Limits { max_body: 1 << 24, max_ops: 50 }).ok()?;
    match request.decode_ops().into_iter().next()? {
        Ok(Op::Streams { packet }) => Some(packet),
        _ => None,
    }
}

/// Replays a recording, and compares every action.
fn replay<M: Machine>(recorded: Recorded<M>) -> (usize, M::Options) {
    let Recorded { options, names, start, entries, .. } = recorded;
    let mask = M::mask(&options);
    let mut machine = M::start(options.clone(), names, start).expect("valid");
    let mut compared = 0;
    let mut after = String::new();
    for entry in entries {
        match entry.expect("readable") {
            Entry::Event { now, event } => {
                after = format!("{event:?}");
                machine.handle(now, event).expect("within the contract");
            }
            Entry::Action(expected) => {
                let action = machine.poll();
                assert_eq!(M::record_action(&action, &mask), expected, "action {compared} after {after}");
                compared += 1;
            }
            Entry::Refused(why) => panic!("{why}"),
            Entry::End(ending) => assert_eq!(ending, Ending::Stopped),
        }
    }
    (compared, options)
}

#[test]
fn a_session_is_replayed_without_a_difference_at_both_ends() {
    for secret in [Some(SECRET), None] {
        for is_plain in [true, false] {
            let (session, _) = Session::new(secret, is_plain).play();
            assert_eq!(session.received, b"there and back");
            assert!(
                session.node.machine.stats().clients == 1 && session.node.machine.stats().bad_packets > 3
            );
            let (at_client, _) = replay(client(session.client.finish()));
            let (at_node, _) = replay(node(session.node.finish()));
            assert!(at_client > 20 && at_node > 20);
        }
    }
}

/// What a node with the secret, or a client, finds in bytes that were recorded.
fn opens(keys: &SecretKeys, packet: &[u8]) -> bool {
    match packet.first() {
        Some(&HELLO) => ReceivedHello::open(keys, packet).is_ok(),
        _ => false,
    }
}

#[test]
fn nothing_that_was_on_the_wire_opens_with_a_recording_and_the_secret() {
    let (session, _) = Session::new(Some(SECRET), true).play();
    let wire: Vec<Bytes> = session.wire.clone();
    let files = [session.client.finish(), session.node.finish()];
    for file in &files {
        for seed in [CLIENT_SEED, NODE_SEED] {
            assert!(!file.windows(8).any(|part| part == &seed[..8]), "the seed is in the file");
            assert!(!contains(file, &format!("{},", seed[0]).repeat(4)), "the seed is in the head");
        }
        assert!(!contains(file, SECRET) && !contains(file, "horse"));
        // Whole packets are not in it, nor what is left of them behind their ids.
        for body in &wire {
            if let Some(packet) = packet_of(body) {
                let tag = &packet[packet.len() - 16..];
                assert!(!file.windows(16).any(|part| part == tag), "a tag is in the file");
            }
        }
    }
    let secret = SecretKeys::new(&Secret::new(SECRET));
    for event in events(node(files[1].clone())) {
        let NodeEvent::Request { body, .. } = event else { continue };
        let Some(packet) = packet_of(&body) else { continue };
        assert!(!opens(&secret, &packet), "a hello of the recording opens under the secret");
    }
    // Names make the same names, and no key: who has them and the secret opens no packet.
    let recorded = node(files[1].clone());
    let options = NodeOptions::new(Secret::new(KEY)).secret(Secret::new(SECRET));
    let mut again = Node::new(options.validate().expect("valid"), recorded.names, Instant::ZERO);
    for (number, body) in (0..).zip(&wire) {
        let Some(packet) = packet_of(body).filter(|packet| matches!(packet[0], PACKET | HELLO)) else {
            continue;
        };
        let is_packet = packet[0] == PACKET;
        if is_packet {
            assert_eq!(again.readable(&packet), None, "a packet opens");
        }
        let event = NodeEvent::Request {
            request: RequestId::new(number),
            endpoint: Endpoint::Batch,
            body: body.clone(),
        };
        again.handle(Instant::ZERO, event).expect("within the contract");
        while !matches!(again.poll(), NodeAction::Idle { .. }) {}
    }
    assert_eq!(again.stats().clients, 0, "no connection is confirmed by what was recorded");
}
