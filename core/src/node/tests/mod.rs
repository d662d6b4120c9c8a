//! Tests of the node on a manual clock.

mod backpressure;
mod budget;
mod close;
mod contract;
#[cfg(feature = "model")]
mod fingerprint;
mod gone;
mod head_of_line;
mod hold;
mod legacy;
mod open;
mod random;
mod request;
mod sequencer;
mod stream;

mod udp;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use super::*;
use crate::config::NodeOptions;
use crate::error::ConnectFailure;
use crate::secret::Secret;
use crate::seq::Seq;
use crate::target::{FlowKind, Target};
use crate::timer::{TimerKind, Wake};
use crate::wire::{self, Form, Limits, Op, Reply, Sid};

const KEY: &str = "the key";

/// A node with a driver that does what it is told, keeps what it saw, and checks the contract as it goes.
struct Rig {
    node: Node,
    now: Duration,
    next_request: u64,
    ops: BTreeMap<RequestId, usize>,
    responses: BTreeMap<RequestId, Response>,
    opens: Vec<(UpstreamId, Target, FlowKind)>,
    written: BTreeMap<UpstreamId, Vec<u8>>,
    credit: BTreeMap<UpstreamId, usize>,
    shut: BTreeMap<UpstreamId, Shut>,
    finished: BTreeSet<UpstreamId>,
    ended: BTreeMap<UpstreamId, SessionEnd>,
    notices: Vec<NodeNotice>,
    wake: Option<Wake>,
    /// Upstreams that take no bytes.
    stuck: BTreeSet<UpstreamId>,
    /// Bytes that they have not taken.
    untaken: BTreeMap<UpstreamId, usize>,
}

impl Rig {
    fn new() -> Self {
        Self::with(|_| {})
    }

    /// A node of level 0.
    fn legacy() -> Self {
        Self::with(|options| options.max_level = crate::level::Level::Legacy)
    }

    fn with(change: impl FnOnce(&mut NodeOptions)) -> Self {
        let mut options = NodeOptions::new(Secret::new(KEY));
        options.max_level = crate::level::Level::Sequenced;
        change(&mut options);
        Self {
            node: Node::new(options.validate().unwrap(), [7; 32], Instant::ZERO),
            now: Duration::ZERO,
            next_request: 0,
            ops: BTreeMap::new(),
            responses: BTreeMap::new(),
            opens: Vec::new(),
            written: BTreeMap::new(),
            credit: BTreeMap::new(),
            shut: BTreeMap::new(),
            finished: BTreeSet::new(),
            ended: BTreeMap::new(),
            notices: Vec::new(),
            wake: None,
            stuck: BTreeSet::new(),
            untaken: BTreeMap::new(),
        }
    }

    fn clock(&self) -> Instant {
        Instant::ZERO.saturating_add(self.now)
    }

    fn try_event(&mut self, event: NodeEvent) -> Result<(), Misuse> {
        self.node.handle(self.clock(), event)?;
        self.drain();
        Ok(())
    }

    fn event(&mut self, event: NodeEvent) {
        self.try_event(event).unwrap();
    }

    /// Takes every action and does it.
    fn drain(&mut self) {
        loop {
            match self.node.poll() {
                NodeAction::Respond { request, response } => {
                    assert!(self.responses.insert(request, response).is_none(), "{request} answered twice");
                }
                NodeAction::OpenUpstream { upstream, target, kind, user: _, deadline } => {
                    assert!(deadline > self.clock());
                    self.opens.push((upstream, target, kind));
                }
                NodeAction::WriteUpstream { upstream, bytes } => {
                    assert!(!self.shut.contains_key(&upstream), "written after the end");
                    assert!(!self.finished.contains(&upstream), "written after the half-close");
                    self.written.entry(upstream).or_default().extend_from_slice(&bytes);
                    let kind = self.opens.iter().find(|open| open.0 == upstream).unwrap().2;
                    if self.stuck.contains(&upstream) {
                        *self.untaken.entry(upstream).or_default() += bytes.len();
                    } else if kind == FlowKind::Tcp {
                        let event = UpstreamEvent::Written(bytes.len());
                        self.node.handle(self.clock(), NodeEvent::Upstream { upstream, event }).unwrap();
                    }
                }
                NodeAction::Credit { upstream, bytes } => {
                    assert!(!self.shut.contains_key(&upstream), "credit after the end");
                    *self.credit.entry(upstream).or_default() += bytes;
                }
                NodeAction::FinishUpstream { upstream } => {
                    assert!(!self.shut.contains_key(&upstream), "finished after the end");
                    assert!(self.finished.insert(upstream), "{upstream} finished twice");
                }
                NodeAction::ShutUpstream { upstream, how } => {
                    assert!(self.shut.insert(upstream, how).is_none(), "{upstream} shut twice");
                }
                NodeAction::Event(notice) => {
                    if let NodeNotice::SessionEnded { upstream, why } = notice {
                        assert!(self.ended.insert(upstream, why).is_none(), "{upstream} ended twice");
                    }
                    self.notices.push(notice);
                }
                NodeAction::Idle { wake } => {
                    self.wake = wake;
                    return;
                }
            }
        }
    }

    /// Lets time pass until `millis` after the start, waking the node whenever it asked for it.
    fn run_until(&mut self, millis: u64) {
        let end = Duration::from_millis(millis);
        while let Some(wake) = self.wake.filter(|wake| wake.at <= Instant::ZERO.saturating_add(end)) {
            self.now = self.now.max(Duration::from_micros(wake.at.as_micros()));
            self.event(NodeEvent::Timeout);
            assert!(self.wake.is_none_or(|next| next.at > wake.at), "a busy loop at {wake:?}");
        }
        self.now = end;
    }

    /// Lets `millis` pass.
    fn run(&mut self, millis: u64) {
        self.run_until(self.millis() + millis);
    }

    fn millis(&self) -> u64 {
        self.now.as_millis().try_into().unwrap()
    }

    fn request(&mut self, endpoint: Endpoint, body: impl Into<Bytes>) -> RequestId {
        let request = RequestId::new(self.next_request);
        self.next_request += 1;
        self.event(NodeEvent::Request { request, endpoint, body: body.into() });
        request
    }

    fn batch(&mut self, ops: &[Op]) -> RequestId {
        let body = wire::encode_request(Form::Node, &Secret::new(KEY), ops.iter());
        let request = self.request(Endpoint::Batch, body);
        self.ops.insert(request, ops.len());
        request
    }

    /// A batch whose ops are given as JSON.
    fn batch_json(&mut self, ops: &str) -> RequestId {
        let count = wire::decode_request(format(ops).as_bytes(), LIMITS).unwrap().len();
        let request = self.request(Endpoint::Batch, format(ops));
        self.ops.insert(request, count);
        request
    }

    fn single(&mut self, fields: &str) -> RequestId {
        self.request(Endpoint::Single, alloc::format!(r#"{{"k":"{KEY}",{fields}}}"#))
    }

    fn gone(&mut self, request: RequestId) {
        self.event(NodeEvent::RequestGone { request });
    }

    fn is_held(&self, request: RequestId) -> bool {
        !self.responses.contains_key(&request)
    }

    fn response(&self, request: RequestId) -> &Response {
        self.responses.get(&request).unwrap_or_else(|| panic!("request {request} is held"))
    }

    fn body(&self, request: RequestId) -> String {
        String::from_utf8(self.response(request).body.clone().into_bytes().to_vec()).unwrap()
    }

    fn replies(&self, request: RequestId) -> Vec<Reply> {
        let response = self.response(request);
        assert_eq!((response.status, response.content_type), (200, "application/json"));
        wire::decode_answer(&response.body.clone().into_bytes(), self.ops[&request], LIMITS).unwrap()
    }

    /// The one reply of a batch of one op.
    fn reply(&self, request: RequestId) -> Reply {
        let mut replies = self.replies(request);
        assert_eq!(replies.len(), 1);
        replies.remove(0)
    }

    fn error(&self, request: RequestId) -> String {
        self.reply(request).error.expect("an error").into()
    }

    fn upstream(&mut self, upstream: UpstreamId, event: UpstreamEvent) {
        self.event(NodeEvent::Upstream { upstream, event });
    }

    fn opened(&mut self, upstream: UpstreamId) {
        self.upstream(upstream, UpstreamEvent::Opened);
    }

    fn data(&mut self, upstream: UpstreamId, bytes: &[u8]) {
        *self.credit.get_mut(&upstream).unwrap() -= bytes.len();
        self.upstream(upstream, UpstreamEvent::Data(Bytes::copy_from_slice(bytes)));
    }

    fn datagram(&mut self, upstream: UpstreamId, bytes: &[u8]) {
        self.upstream(upstream, UpstreamEvent::Datagram(Bytes::copy_from_slice(bytes)));
    }

    fn fin(&mut self, upstream: UpstreamId) {
        self.upstream(upstream, UpstreamEvent::Fin);
    }

    /// Sends as much as there is credit for, in pieces of 64 KiB, until `bytes` are sent; says how many were.
    fn fill(&mut self, upstream: UpstreamId, bytes: usize) -> usize {
        let mut sent = 0;
        while sent < bytes {
            let piece = self.credit[&upstream].min(64 * 1024).min(bytes - sent);
            if piece == 0 {
                break;
            }
            self.data(upstream, &alloc::vec![b'x'; piece]);
            sent += piece;
        }
        sent
    }

    fn last_opened(&self) -> UpstreamId {
        self.opens.last().unwrap().0
    }

    /// A TCP session that is open, and known to the client.
    fn session(&mut self) -> (Sid, UpstreamId) {
        let request = self.batch(&[connect()]);
        let upstream = self.last_opened();
        self.opened(upstream);
        (self.reply(request).sid.unwrap(), upstream)
    }

    /// The same with an upstream that takes no bytes.
    fn stuck_session(&mut self) -> (Sid, UpstreamId) {
        let (sid, upstream) = self.session();
        self.stuck.insert(upstream);
        (sid, upstream)
    }

    /// A UDP session that is open, and known to the client.
    fn udp_session(&mut self) -> (Sid, UpstreamId) {
        let request = self.batch(&[udp_open(b"")]);
        let upstream = self.last_opened();
        self.opened(upstream);
        (self.reply(request).sid.unwrap(), upstream)
    }

    fn written(&self, upstream: UpstreamId) -> &[u8] {
        self.written.get(&upstream).map_or(&[], Vec::as_slice)
    }

    /// The upstream takes everything from now on, beginning with `bytes` that it owes.
    fn unstick(&mut self, upstream: UpstreamId, bytes: usize) {
        self.stuck.remove(&upstream);
        self.untaken.remove(&upstream);
        self.upstream(upstream, UpstreamEvent::Written(bytes));
    }
}

const LIMITS: Limits = Limits { max_body: usize::MAX, max_ops: 10_000 };

fn format(ops: &str) -> String {
    alloc::format!(r#"{{"k":"{KEY}","ops":[{ops}]}}"#)
}

fn target() -> Target {
    Target::new("example.org", 443).unwrap()
}

fn connect() -> Op {
    Op::Connect { target: target() }
}

fn connect_data(payload: &'static [u8]) -> Op {
    Op::ConnectData { target: target(), payload: Bytes::from_static(payload) }
}

/// A data op of level 1.
fn data(sid: Sid, seq: u64, payload: &'static [u8]) -> Op {
    Op::Data { sid, seq: Some(Seq::new(seq)), payload: Bytes::from_static(payload) }
}

/// A poll of level 1.
fn poll(sid: Sid, seq: u64) -> Op {
    data(sid, seq, b"")
}

/// A data op of level 0.
fn plain(sid: Sid, payload: &'static [u8]) -> Op {
    Op::Data { sid, seq: None, payload: Bytes::from_static(payload) }
}

fn udp_open(payload: &'static [u8]) -> Op {
    Op::UdpOpen { target: target(), payload: Bytes::from_static(payload) }
}

fn udp_data(sid: Sid, payload: &'static [u8]) -> Op {
    Op::UdpData { sid, payload: Bytes::from_static(payload) }
}

fn close(sid: Sid) -> Op {
    Op::Close { sid }
}

fn big(sid: Sid, seq: u64, bytes: usize) -> Op {
    Op::Data { sid, seq: Some(Seq::new(seq)), payload: alloc::vec![b'u'; bytes].into() }
}
