//! Test bench: a client, a manual clock, and a record of all actions.

use alloc::borrow::ToOwned;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use crate::client::{
    Client, ClientAction, ClientEvent, ClientNotice, EndReason, ExchangeFailure, LocalEvent,
};
use crate::level::Level;
use crate::wire::{self, Limits, Op, ReplyParts, Sid};
use crate::{
    Caps, ClientOptions, ExchangeId, FlowId, FlowKind, Instant, Misuse, RelayId, RelayOptions, Secret, Seq,
    Target, Wake,
};

/// A call that the client made.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) exchange: ExchangeId,
    pub(super) relay: RelayId,
    pub(super) ops: Vec<Op>,
    pub(super) body_len: usize,
    pub(super) deadline: Instant,
}

impl Call {
    /// The call's only op.
    pub(super) fn op(&self) -> &Op {
        assert_eq!(self.ops.len(), 1, "{self:?}");
        &self.ops[0]
    }

    pub(super) fn names(&self) -> Vec<&'static str> {
        self.ops.iter().map(Op::name).collect()
    }

    pub(super) fn seqs(&self) -> Vec<Option<u64>> {
        self.ops.iter().map(seq_of).collect()
    }

    pub(super) fn is_poll(&self) -> bool {
        self.ops.iter().all(|op| op.payload().is_some_and(Bytes::is_empty))
    }
}

pub(super) fn seq_of(op: &Op) -> Option<u64> {
    match op {
        Op::Data { seq, .. } => seq.map(Seq::number),
        _ => None,
    }
}

/// How a pretended way answers the client's question whether `seq` passes: at once, or as the test likes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    KeepsSeq,
    LosesSeq,
    Silent,
}

pub(super) struct Bench {
    pub(super) client: Client,
    pub(super) now: Instant,
    pub(super) calls: VecDeque<Call>,
    pub(super) delivered: BTreeMap<FlowId, Vec<u8>>,
    pub(super) datagrams: BTreeMap<FlowId, Vec<Bytes>>,
    pub(super) credit: BTreeMap<FlowId, usize>,
    pub(super) opened: Vec<FlowId>,
    pub(super) fins: Vec<FlowId>,
    pub(super) ended: BTreeMap<FlowId, EndReason>,
    pub(super) notices: Vec<ClientNotice>,
    pub(super) closed: bool,
    pub(super) wake: Option<Wake>,
    pub(super) ways: Vec<Way>,
}

pub(super) fn options(relays: usize) -> ClientOptions {
    let mut options = ClientOptions::new(vec![RelayOptions::new(Secret::new("key")); relays]);
    options.max_level = Level::Sequenced;
    options.tuning.server_first_ports.push(7777);
    options
}

/// A port on which opens do not wait for first bytes.
pub(super) const SERVER_FIRST: u16 = 7777;

pub(super) fn target(port: u16) -> Target {
    Target::new("host.example", port).unwrap()
}

pub(super) fn sid(text: &str) -> Sid {
    Sid::new(text).unwrap()
}

pub(super) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

impl Bench {
    pub(super) fn new(options: ClientOptions) -> Self {
        let relays = options.relays.len();
        let now = Instant::from_micros(1_000_000);
        let mut bench = Self {
            client: Client::new(options.validate().unwrap(), [3; 32], now),
            now,
            calls: VecDeque::new(),
            delivered: BTreeMap::new(),
            datagrams: BTreeMap::new(),
            credit: BTreeMap::new(),
            opened: Vec::new(),
            fins: Vec::new(),
            ended: BTreeMap::new(),
            notices: Vec::new(),
            closed: false,
            wake: None,
            ways: vec![Way::KeepsSeq; relays],
        };
        bench.drain();
        bench
    }

    /// A client with one relay and default options.
    pub(super) fn plain() -> Self {
        Self::new(options(1))
    }

    pub(super) fn drain(&mut self) {
        loop {
            match self.client.poll() {
                ClientAction::Send { exchange, relay, body, deadline, .. } => {
                    let limits = Limits { max_body: usize::MAX, max_ops: 10_000 };
                    let body = body.into_bytes();
                    let ops = wire::decode_request(&body, limits).unwrap().decode_ops();
                    let ops: Vec<Op> = ops.into_iter().map(|op| op.unwrap()).collect();
                    let body_len = body.len();
                    let call = Call { exchange, relay, ops, body_len, deadline };
                    let is_probe = |op: &Op| matches!(op, Op::Data { sid, .. } if *sid == self.client.sessions.probe_sid());
                    match self.ways[relay.index() as usize] {
                        Way::Silent => self.calls.push_back(call),
                        way if call.ops.iter().any(is_probe) => self.answer_probe(&call, way),
                        _ => self.calls.push_back(call),
                    }
                }
                ClientAction::Deliver { flow, bytes } => {
                    self.delivered.entry(flow).or_default().extend_from_slice(&bytes);
                    self.datagrams.entry(flow).or_default().push(bytes);
                }
                ClientAction::Credit { flow, bytes } => *self.credit.entry(flow).or_default() += bytes,
                ClientAction::Opened { flow } => self.opened.push(flow),
                ClientAction::Fin { flow } => self.fins.push(flow),
                ClientAction::Ended { flow, why } => {
                    assert_eq!(self.ended.insert(flow, why), None, "one end per flow");
                }
                ClientAction::Closed => self.closed = true,
                ClientAction::Event(notice) => self.notices.push(notice),
                ClientAction::Idle { wake } => {
                    self.wake = wake;
                    return;
                }
            }
        }
    }

    pub(super) fn handle(&mut self, event: ClientEvent) -> Result<(), Misuse> {
        let result = self.client.handle(self.now, event);
        self.drain();
        result
    }

    /// Lets time pass, with every timeout on the way at its own time.
    pub(super) fn pass(&mut self, by: Duration) {
        let end = self.now.saturating_add(by);
        while let Some(wake) = self.wake.filter(|wake| wake.at <= end) {
            self.now = self.now.max(wake.at);
            self.handle(ClientEvent::Timeout).unwrap();
            assert!(self.wake.is_none_or(|next| next.at > self.now), "a later deadline: {:?}", self.wake);
        }
        self.now = end;
    }

    pub(super) fn open(&mut self, target: Target, kind: FlowKind) -> FlowId {
        let id = self.client.open(self.now, target, kind).unwrap();
        self.drain();
        id
    }

    /// Opens a TCP flow that does not wait for first bytes.
    pub(super) fn open_tcp(&mut self) -> FlowId {
        self.open(target(SERVER_FIRST), FlowKind::Tcp)
    }

    pub(super) fn write(&mut self, flow: FlowId, bytes: impl AsRef<[u8]>) {
        let bytes = Bytes::copy_from_slice(bytes.as_ref());
        if let Some(credit) = self.credit.get_mut(&flow) {
            *credit = credit.saturating_sub(bytes.len());
        }
        self.local(flow, LocalEvent::Data(bytes)).unwrap();
    }

    pub(super) fn local(&mut self, flow: FlowId, event: LocalEvent) -> Result<(), Misuse> {
        self.handle(ClientEvent::Local { flow, event })
    }

    /// The next call that was made.
    pub(super) fn call(&mut self) -> Call {
        self.calls.pop_front().expect("the client made a call")
    }

    /// The only call that was made.
    pub(super) fn only_call(&mut self) -> Call {
        let call = self.call();
        assert!(self.calls.is_empty(), "only one call: {:?}", self.calls);
        call
    }

    fn answer_probe(&mut self, call: &Call, way: Way) {
        let seq = (way == Way::KeepsSeq).then_some(Seq::ZERO);
        let echo = ReplyParts {
            eof: Some(true),
            sid: Some(self.client.sessions.probe_sid()),
            seq,
            ..ReplyParts::default()
        };
        let body = wire::encode_answer(&[echo]);
        self.client.handle(self.now, ClientEvent::Reply { exchange: call.exchange, body }).unwrap();
    }

    /// Answers a call with these replies, one for each of its ops.
    pub(super) fn answer(&mut self, call: &Call, replies: &[ReplyParts<'_>]) {
        self.answer_raw(call, wire::encode_answer(replies));
    }

    pub(super) fn answer_raw(&mut self, call: &Call, body: impl AsRef<[u8]>) {
        let body = Bytes::copy_from_slice(body.as_ref());
        self.handle(ClientEvent::Reply { exchange: call.exchange, body }).unwrap();
    }

    pub(super) fn fail(&mut self, call: &Call, why: ExchangeFailure) {
        self.handle(ClientEvent::ExchangeFailed { exchange: call.exchange, why }).unwrap();
    }

    /// An established session with this id, its first poll in flight.
    pub(super) fn linked(&mut self, name: &str, caps: Option<Caps>) -> (FlowId, Call) {
        let flow = self.open_tcp();
        let connect = self.call();
        assert_eq!(connect.names(), ["connect"]);
        self.answer(&connect, &[connected(name, caps)]);
        if caps.is_none() {
            // Level 0 waits for the application a little before it polls.
            self.pass(ms(20));
        }
        let poll = self.call();
        assert!(poll.is_poll(), "{poll:?}");
        (flow, poll)
    }

    /// An established session of level 1.
    pub(super) fn sequenced(&mut self, name: &str) -> (FlowId, Call) {
        self.linked(name, Some(Caps::PIPELINE_SEQ))
    }

    pub(super) fn delivered(&self, flow: FlowId) -> &[u8] {
        self.delivered.get(&flow).map_or(&[], Vec::as_slice)
    }

    pub(super) fn notices_of(&mut self) -> Vec<ClientNotice> {
        core::mem::take(&mut self.notices)
    }
}

pub(super) fn connected<'a>(name: &str, caps: Option<Caps>) -> ReplyParts<'a> {
    ReplyParts { sid: Some(sid(name)), eof: Some(false), caps, ..ReplyParts::default() }
}

/// An empty reply to a data op.
pub(super) fn empty<'a>(op: &Op) -> ReplyParts<'a> {
    let (sid, seq) = match op {
        Op::Data { sid, seq, .. } => (*sid, *seq),
        Op::UdpData { sid, .. } => (*sid, None),
        other => panic!("a data op: {other:?}"),
    };
    ReplyParts { sid: Some(sid), eof: Some(false), seq, ..ReplyParts::default() }
}

/// A reply to a data op with these bytes.
pub(super) fn bringing<'a>(op: &Op, data: &'a [Bytes]) -> ReplyParts<'a> {
    ReplyParts { data, ..empty(op) }
}

pub(super) fn failing(error: &str) -> ReplyParts<'_> {
    ReplyParts { error: Some(error), ..ReplyParts::default() }
}

pub(super) fn bytes(text: &str) -> Vec<Bytes> {
    vec![Bytes::from(text.to_owned())]
}
