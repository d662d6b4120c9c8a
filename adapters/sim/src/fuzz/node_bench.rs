//! A driver of a node with arbitrary upstreams and an arbitrary clock.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use seqlane::{
    ConnectFailure, Endpoint, FlowKind, Instant, Node, NodeAction, NodeEvent, RequestId, UpstreamEvent,
    UpstreamId, Wake,
};

use crate::FromBytes;

/// What upstreams send counts up from 0 and begins again after this many bytes.
pub(super) const CYCLE: usize = 251;

/// The clients of a node.
pub(super) trait Clients {
    /// The node wants something done.
    fn see(&mut self, action: NodeAction);
}

/// An upstream as the driver sees it.
#[derive(Default)]
struct ArbitraryUpstream {
    tcp: bool,
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
        let tcp = self.tcp;
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
    /// The node wants something done to it.
    fn take(&mut self, action: &NodeAction) {
        match action {
            NodeAction::WriteUpstream { bytes, .. } => {
                assert!(self.open, "nothing is written before the connection");
                assert!(!self.half_closed, "nothing is written behind the end");
                self.unwritten += if self.tcp { bytes.len() } else { 0 };
            }
            NodeAction::Credit { bytes, .. } => self.credit += bytes,
            NodeAction::FinishUpstream { .. } => {
                assert!(self.open && self.tcp, "only a connection has two halves");
                assert!(!self.half_closed, "a half ends once");
                self.half_closed = true;
            }
            _ => {}
        }
    }
}

/// A node, its clients, what decides about everything around it, and the books of its driver.
pub(super) struct NodeBench<'a, C> {
    pub(super) decide: FromBytes<'a>,
    pub(super) node: Node,
    pub(super) clients: C,
    now: Instant,
    wake: Option<Wake>,
    requests: u64,
    held: BTreeSet<RequestId>,
    upstreams: BTreeMap<UpstreamId, ArbitraryUpstream>,
}

impl<'a, C: Clients> NodeBench<'a, C> {
    pub(super) const fn new(data: &'a [u8], node: Node, clients: C) -> Self {
        Self {
            decide: FromBytes::new(data),
            node,
            clients,
            now: Instant::ZERO,
            wake: None,
            requests: 0,
            held: BTreeSet::new(),
            upstreams: BTreeMap::new(),
        }
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
        let place = self.decide.one_of(6) as usize;
        if let Some(request) = self.held.iter().copied().nth(place) {
            self.held.remove(&request);
            self.event(NodeEvent::RequestGone { request });
        }
    }

    /// Something happens to an upstream, with sizes below 200 times `scale`.
    pub(super) fn upstream(&mut self, scale: usize) {
        let place = self.decide.one_of(6) as usize;
        let Some(id) = self.upstreams.keys().copied().nth(place) else { return };
        let (way, size) = (self.decide.one_of(7), self.decide.one_of(200) as usize * scale);
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
        let millis = u64::from(self.decide.one_of(60_000));
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
            if let NodeAction::Idle { wake } = action {
                self.wake = wake;
                assert!(matches!(self.node.poll(), NodeAction::Idle { wake: again } if again == wake));
                return;
            }
            self.carry_out(&action);
            self.clients.see(action);
        }
    }

    fn carry_out(&mut self, action: &NodeAction) {
        match action {
            NodeAction::Respond { request, .. } => {
                assert!(self.held.remove(request), "request {request} is answered once");
            }
            NodeAction::OpenUpstream { upstream, kind, .. } => {
                let opened =
                    ArbitraryUpstream { tcp: *kind == FlowKind::Tcp, ..ArbitraryUpstream::default() };
                assert!(self.upstreams.insert(*upstream, opened).is_none(), "an upstream is opened once");
            }
            NodeAction::WriteUpstream { upstream, .. }
            | NodeAction::Credit { upstream, .. }
            | NodeAction::FinishUpstream { upstream } => {
                if let Some(upstream) = self.upstreams.get_mut(upstream) {
                    upstream.take(action);
                }
            }
            NodeAction::ShutUpstream { upstream, .. } => drop(self.upstreams.remove(upstream)),
            NodeAction::Event(_) | NodeAction::Idle { .. } => {}
        }
    }
}
