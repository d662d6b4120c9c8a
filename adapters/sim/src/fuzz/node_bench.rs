//! A driver of a node with arbitrary upstreams and an arbitrary clock.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use seqlane::{
    ConnectFailure, Endpoint, FlowKind, Instant, Node, NodeAction, NodeEvent, RequestId, UpstreamEvent,
    UpstreamId, Wake,
};

use crate::{Chooser, DecisionPoint, FromBytes};

/// What upstreams send counts up from 0 and begins again after this many bytes.
pub(super) const CYCLE: usize = 251;

/// An upstream as the driver sees it.
struct ArbitraryUpstream {
    kind: FlowKind,
    open: bool,
    credit: usize,
    unwritten: usize,
    sent: usize,
    finished: bool,
    half_closed: bool,
}

impl ArbitraryUpstream {
    /// The next `len` bytes that it sends.
    fn send(&mut self, len: usize) -> Bytes {
        let bytes: Vec<u8> = (self.sent..self.sent + len).map(|place| (place % CYCLE) as u8).collect();
        self.sent += len;
        bytes.into()
    }

    /// What happens to it, within the contract; `way` is one of 7.
    fn event(&mut self, way: u32, size: usize) -> Option<UpstreamEvent> {
        let tcp = self.kind == FlowKind::Tcp;
        Some(match (way, self.open) {
            (0, false) => UpstreamEvent::Failed(ConnectFailure::Refused),
            (_, false) => {
                self.open = true;
                UpstreamEvent::Opened
            }
            (0, true) => UpstreamEvent::Reset,
            (1, true) if tcp && !self.finished => {
                self.finished = true;
                UpstreamEvent::Fin
            }
            (2 | 3, true) if tcp => {
                let bytes = self.unwritten.min(size);
                self.unwritten -= bytes;
                UpstreamEvent::Written(bytes)
            }
            (_, true) if tcp && !self.finished => {
                let bytes = self.credit.min(size);
                self.credit -= bytes;
                UpstreamEvent::Data(self.send(bytes))
            }
            (_, true) if !tcp => UpstreamEvent::Datagram(self.send(size)),
            _ => return None,
        })
    }
}

/// A node, what decides about everything around it, and the books of its driver.
pub(super) struct NodeBench<'a> {
    pub(super) decide: FromBytes<'a>,
    pub(super) node: Node,
    now: Instant,
    wake: Option<Wake>,
    requests: u64,
    held: BTreeSet<RequestId>,
    upstreams: BTreeMap<UpstreamId, ArbitraryUpstream>,
    /// What the node wanted done, for a target that looks at it.
    pub(super) seen: Vec<NodeAction>,
}

impl<'a> NodeBench<'a> {
    pub(super) const fn new(data: &'a [u8], node: Node) -> Self {
        Self {
            decide: FromBytes::new(data),
            node,
            now: Instant::ZERO,
            wake: None,
            requests: 0,
            held: BTreeSet::new(),
            upstreams: BTreeMap::new(),
            seen: Vec::new(),
        }
    }

    pub(super) fn one_of(&mut self, n: u32) -> u32 {
        self.decide.decide(DecisionPoint::Host, 0, n)
    }

    fn event(&mut self, event: NodeEvent) {
        self.node.handle(self.now, event).expect("within the contract");
    }

    pub(super) fn request(&mut self, endpoint: Endpoint, body: Bytes) -> RequestId {
        let request = RequestId::new(self.requests);
        self.requests += 1;
        self.held.insert(request);
        self.event(NodeEvent::Request { request, endpoint, body });
        request
    }

    /// The caller of a held request goes away.
    pub(super) fn leave(&mut self) {
        let place = self.one_of(6) as usize;
        if let Some(request) = self.held.iter().copied().nth(place) {
            self.held.remove(&request);
            self.event(NodeEvent::RequestGone { request });
        }
    }

    /// Something happens to an upstream, with sizes below 200 times `scale`.
    pub(super) fn upstream(&mut self, scale: usize) {
        let place = self.one_of(6) as usize;
        let Some(id) = self.upstreams.keys().copied().nth(place) else { return };
        let (way, size) = (self.one_of(7), self.one_of(200) as usize * scale);
        let Some(event) = self.upstreams.get_mut(&id).and_then(|upstream| upstream.event(way, size)) else {
            return;
        };
        if matches!(event, UpstreamEvent::Failed(_) | UpstreamEvent::Reset) {
            self.upstreams.remove(&id);
        }
        self.event(NodeEvent::Upstream { upstream: id, event });
    }

    /// Time passes, and the node is woken whenever it asked for it.
    pub(super) fn pass(&mut self) {
        let millis = u64::from(self.one_of(60_000));
        let end = self.now.saturating_add(Duration::from_millis(millis));
        for _ in 0..200 {
            let Some(wake) = self.wake.filter(|wake| wake.at <= end) else { break };
            self.now = self.now.max(wake.at);
            self.event(NodeEvent::Timeout);
            self.drain();
            assert!(self.wake.is_none_or(|next| next.at > self.now), "{:?} after {wake:?}", self.wake);
        }
        self.now = end;
    }

    /// Closes the node, which keeps nothing then.
    pub(super) fn close(&mut self) {
        self.event(NodeEvent::Close);
        self.drain();
        assert!(self.held.is_empty(), "a closed node has answered every request");
        assert!(self.upstreams.is_empty(), "a closed node has no upstream");
        assert_eq!(self.node.buffered_bytes(), 0, "a closed node keeps no bytes");
        assert_eq!(self.wake, None, "a closed node waits for nothing");
        let stats = self.node.stats();
        assert_eq!(stats.requests, stats.responses + stats.requests_gone, "every request ends once");
        assert_eq!(stats.sessions_opened, stats.sessions_ended, "every session ends once");
    }

    /// Carries out what the node wants done.
    pub(super) fn drain(&mut self) {
        loop {
            let action = self.node.poll();
            match &action {
                NodeAction::Idle { wake } => {
                    self.wake = *wake;
                    assert!(matches!(self.node.poll(), NodeAction::Idle { wake: again } if again == *wake));
                    return;
                }
                NodeAction::Respond { request, .. } => {
                    assert!(self.held.remove(request), "request {request} is answered once");
                }
                NodeAction::OpenUpstream { upstream, kind, .. } => self.on_open(*upstream, *kind),
                NodeAction::WriteUpstream { upstream, bytes } => self.on_write(*upstream, bytes.len()),
                NodeAction::Credit { upstream, bytes } => {
                    if let Some(upstream) = self.upstreams.get_mut(upstream) {
                        upstream.credit += bytes;
                    }
                }
                NodeAction::FinishUpstream { upstream } => self.on_finish(*upstream),
                NodeAction::ShutUpstream { upstream, .. } => drop(self.upstreams.remove(upstream)),
                NodeAction::Event(_) => {}
            }
            self.seen.push(action);
        }
    }

    fn on_open(&mut self, upstream: UpstreamId, kind: FlowKind) {
        let opened = ArbitraryUpstream {
            kind,
            open: false,
            credit: 0,
            unwritten: 0,
            sent: 0,
            finished: false,
            half_closed: false,
        };
        assert!(self.upstreams.insert(upstream, opened).is_none(), "an upstream is opened once");
    }

    fn on_write(&mut self, upstream: UpstreamId, len: usize) {
        if let Some(upstream) = self.upstreams.get_mut(&upstream) {
            assert!(upstream.open, "nothing is written before the connection");
            assert!(!upstream.half_closed, "nothing is written behind the end");
            if upstream.kind == FlowKind::Tcp {
                upstream.unwritten += len;
            }
        }
    }

    fn on_finish(&mut self, upstream: UpstreamId) {
        if let Some(upstream) = self.upstreams.get_mut(&upstream) {
            assert!(upstream.open && upstream.kind == FlowKind::Tcp, "only a connection has two halves");
            assert!(!upstream.half_closed, "a half ends once");
            upstream.half_closed = true;
        }
    }
}
