//! A client with an arbitrary application and arbitrary relays (levels 0 and 1).

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use seqlane::wire::{self, Limits, Op, ReplyParts, Sid};
use seqlane::{
    Caps, Client, ClientAction, ClientEvent, ClientOptions, ClientTuning, ExchangeFailure, ExchangeId,
    FlowId, FlowKind, Instant, Level, LocalEvent, RelayOptions, Secret, Seq, Target, Wake,
};

use crate::FromBytes;

/// A flow as its application sees it.
#[derive(Default)]
struct ArbitraryApplication {
    credit: usize,
    unread: usize,
    finished: bool,
    ended: bool,
}

struct Bench<'a> {
    decide: FromBytes<'a>,
    client: Client,
    now: Instant,
    wake: Option<Wake>,
    calls: BTreeMap<ExchangeId, Bytes>,
    flows: BTreeMap<FlowId, ArbitraryApplication>,
}

/// Local events, replies and failures of any kind: nothing panics, nothing is misuse, every flow ends once, every
/// wake is later than the one before.
///
/// # Panics
/// When the client breaks its contract.
pub fn client(data: &[u8]) {
    let relay = RelayOptions::new(Secret::new("k")).max_concurrent(4).daily_calls(Some(500));
    let options = ClientOptions::new(vec![relay; 2])
        .max_level(Level::Sequenced)
        .max_depth(4)
        .tuning(ClientTuning::new().max_op_payload(64));
    let mut bench = Bench {
        decide: FromBytes::new(data),
        client: Client::new(options.validate().expect("valid"), [1; 32], Instant::ZERO),
        now: Instant::ZERO,
        wake: None,
        calls: BTreeMap::new(),
        flows: BTreeMap::new(),
    };
    bench.drain();
    for _ in 0..data.len().min(300) {
        bench.step();
        bench.drain();
    }
    bench.event(ClientEvent::Close);
    bench.drain();
    assert!(bench.flows.values().all(|flow| flow.ended), "every flow ends when the client closes");
    assert_eq!(bench.client.buffered_bytes(), 0);
}

impl Bench<'_> {
    fn event(&mut self, event: ClientEvent) {
        self.client.handle(self.now, event).expect("within the contract");
    }

    fn step(&mut self) {
        match self.decide.one_of(9) {
            0 => self.open(),
            1 => self.write(),
            2 => self.read(),
            3 => self.local_end(),
            4 | 5 => self.reply(),
            6 => self.fail(),
            7 => self.pass(),
            _ => self.garbage(),
        }
    }

    fn open(&mut self) {
        let kind = if self.decide.one_of(3) == 0 { FlowKind::Udp } else { FlowKind::Tcp };
        let port = if self.decide.one_of(2) == 0 { 443 } else { 25 };
        let target = Target::new("h", port).expect("a target");
        if let Ok(id) = self.client.open(self.now, target, kind) {
            self.flows.insert(id, ArbitraryApplication::default());
        }
    }

    fn flow(&mut self) -> Option<FlowId> {
        let place = self.decide.one_of(8) as usize;
        self.flows.iter().filter(|(_, flow)| !flow.ended).map(|(id, _)| *id).nth(place)
    }

    fn local(&mut self, id: FlowId, event: LocalEvent) {
        self.event(ClientEvent::Local { flow: id, event });
    }

    fn write(&mut self) {
        let Some(id) = self.flow() else { return };
        let len = self.decide.one_of(200) as usize;
        let Some(flow) = self.flows.get_mut(&id).filter(|flow| !flow.finished) else { return };
        let len = len.min(flow.credit);
        flow.credit -= len;
        self.local(id, LocalEvent::Data(Bytes::from(vec![7; len])));
    }

    fn read(&mut self) {
        let Some(id) = self.flow() else { return };
        let unread = self.flows.get_mut(&id).map_or(0, |flow| std::mem::take(&mut flow.unread));
        self.local(id, LocalEvent::Written(unread));
    }

    fn local_end(&mut self) {
        let Some(id) = self.flow() else { return };
        let reset = self.decide.one_of(2) == 0;
        let Some(flow) = self.flows.get_mut(&id).filter(|flow| !flow.finished) else { return };
        flow.finished = true;
        self.local(id, if reset { LocalEvent::Reset } else { LocalEvent::Fin });
    }

    fn call(&mut self) -> Option<(ExchangeId, Bytes)> {
        let place = self.decide.one_of(8) as usize;
        let exchange = self.calls.keys().copied().nth(place)?;
        self.calls.remove_entry(&exchange)
    }

    /// An answer that fits its request in most things.
    fn reply(&mut self) {
        let Some((exchange, body)) = self.call() else { return };
        let limits = Limits { max_body: 1 << 24, max_ops: 1000 };
        let ops = wire::decode_request(&body, limits).expect("a client's request").decode_ops();
        let sids = ["a", "b", "c"].map(|name| Sid::new(name).expect("a session id"));
        let data = [Bytes::from_static(b"downlink"), Bytes::new()];
        let packets = [Bytes::from_static(b"datagram")];
        let mut replies = Vec::new();
        for op in ops {
            let seq = match op {
                Ok(Op::Data { seq, .. }) if self.decide.one_of(8) > 0 => seq,
                _ => (self.decide.one_of(4) == 0).then_some(Seq::new(3)),
            };
            replies.push(ReplyParts {
                sid: Some(sids[self.decide.one_of(3) as usize]),
                data: &data[self.decide.one_of(2) as usize..],
                packets: &packets[..self.decide.one_of(2) as usize],
                eof: Some(self.decide.one_of(6) == 0),
                error: (self.decide.one_of(8) == 0).then_some("connect failed: connection refused"),
                seq,
                caps: (self.decide.one_of(2) == 0).then_some(Caps::PIPELINE_SEQ),
                ..ReplyParts::default()
            });
        }
        if self.decide.one_of(16) == 0 {
            replies.pop();
        }
        self.event(ClientEvent::Reply { exchange, body: wire::encode_answer(&replies) });
    }

    fn fail(&mut self) {
        let Some((exchange, _)) = self.call() else { return };
        let why = self.decide.any([
            ExchangeFailure::NotSent,
            ExchangeFailure::Unknown,
            ExchangeFailure::Refused { retry_after: Some(Duration::MAX) },
            ExchangeFailure::Refused { retry_after: None },
            ExchangeFailure::TooLarge,
            ExchangeFailure::Garbage,
        ]);
        self.event(ClientEvent::ExchangeFailed { exchange, why });
    }

    fn garbage(&mut self) {
        let Some((exchange, _)) = self.call() else { return };
        let body = self.decide.bytes(40);
        self.event(ClientEvent::Reply { exchange, body });
    }

    fn pass(&mut self) {
        let millis = u64::from(self.decide.one_of(60_000));
        let end = self.now.saturating_add(Duration::from_millis(millis));
        for _ in 0..200 {
            let Some(wake) = self.wake.filter(|wake| wake.at <= end) else { break };
            self.now = self.now.max(wake.at);
            self.event(ClientEvent::Timeout);
            self.drain();
            assert!(self.wake.is_none_or(|next| next.at > self.now), "{:?} after {wake:?}", self.wake);
        }
        self.now = end;
    }

    fn drain(&mut self) {
        loop {
            match self.client.poll() {
                ClientAction::Idle { wake } => {
                    self.wake = wake;
                    assert!(
                        matches!(self.client.poll(), ClientAction::Idle { wake: again } if again == wake)
                    );
                    return;
                }
                ClientAction::Send { exchange, body, .. } => {
                    let before = self.calls.insert(exchange, body.into_bytes());
                    assert_eq!(before, None, "an exchange is sent once");
                }
                ClientAction::Deliver { flow: id, bytes } => self.alive(id).unread += bytes.len(),
                ClientAction::Credit { flow: id, bytes } => self.alive(id).credit += bytes,
                ClientAction::Opened { flow: id } | ClientAction::Fin { flow: id } => {
                    self.alive(id);
                }
                ClientAction::Ended { flow: id, .. } => self.alive(id).ended = true,
                ClientAction::Closed | ClientAction::Event(_) => {}
            }
        }
    }

    fn alive(&mut self, id: FlowId) -> &mut ArbitraryApplication {
        let flow = self.flows.get_mut(&id).expect("a flow that was opened");
        assert!(!flow.ended, "nothing after the end of flow {id}");
        flow
    }
}
