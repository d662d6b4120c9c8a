//! Upstreams at the node, with what they have sent and received.

use std::collections::BTreeMap;

use seqlane::{
    ConnectFailure, FlowId, FlowKind, NodeAction, NodeEvent, NodeNotice, UpstreamEvent, UpstreamId,
};

use super::content::{Content, Received, Sent};
use super::local::Local;
use super::{Pair, pick};

/// The far end of a flow.
#[derive(Debug)]
pub(super) struct Upstream {
    /// The flow that opened it, from its target.
    pub(super) flow: u64,
    pub(super) kind: FlowKind,
    line: Line,
    opened: bool,
    ended: bool,
    credit: usize,
    pub(super) sent: Sent,
    pub(super) received: Received,
    finished: bool,
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
    /// Ended: no event may follow; `shut` when the node ended it.
    Gone {
        shut: bool,
    },
}

impl Upstream {
    fn new(flow: u64, kind: FlowKind) -> Self {
        Self {
            flow,
            kind,
            line: Line::Opening,
            opened: false,
            ended: false,
            credit: 0,
            sent: Sent::default(),
            received: Received::default(),
            finished: false,
            unread: 0,
        }
    }

    pub(super) fn is_gone(&self) -> bool {
        matches!(self.line, Line::Gone { .. })
    }

    /// Whether the node has reported the end of the session, if there was one.
    pub(super) fn has_ended(&self) -> bool {
        self.ended == self.opened
    }
}

impl Pair {
    /// An upstream that is open and has not finished.
    fn speaking(&mut self, index: usize) -> Option<(UpstreamId, &mut Upstream)> {
        let id = pick(&self.upstreams, index)?;
        let upstream = self.upstreams.get_mut(&id)?;
        (upstream.line == Line::Open && !upstream.finished).then_some((id, upstream))
    }

    pub(super) fn connect(&mut self, index: usize, refuse: bool) {
        let Some(id) = pick(&self.upstreams, index) else { return };
        let Some(upstream) = self.upstreams.get_mut(&id).filter(|u| u.line == Line::Opening) else {
            return;
        };
        if refuse {
            upstream.line = Line::Gone { shut: false };
            self.upstream(id, UpstreamEvent::Failed(ConnectFailure::Refused));
        } else {
            upstream.line = Line::Open;
            upstream.opened = true;
            self.upstream(id, UpstreamEvent::Opened);
        }
    }

    pub(super) fn upstream_write(&mut self, index: usize, len: usize) {
        let Some((id, upstream)) = self.speaking(index) else { return };
        let (flow, kind) = (upstream.flow, upstream.kind);
        let content = Content::down(flow);
        let event = match kind {
            FlowKind::Tcp => {
                let len = len.min(upstream.credit);
                upstream.credit -= len;
                UpstreamEvent::Data(upstream.sent.chunk(content, len))
            }
            FlowKind::Udp => {
                let local = nth(&mut self.locals, flow);
                UpstreamEvent::Datagram(local.datagrams_down.datagram(content, len))
            }
        };
        self.upstream(id, event);
    }

    pub(super) fn upstream_finish(&mut self, index: usize) {
        if let Some((id, upstream)) = self.speaking(index).filter(|(_, u)| u.kind == FlowKind::Tcp) {
            upstream.finished = true;
            self.upstream(id, UpstreamEvent::Fin);
        }
    }

    pub(super) fn upstream_reset(&mut self, index: usize) {
        if let Some(id) = pick(&self.upstreams, index)
            && let Some(upstream) = self.upstreams.get_mut(&id).filter(|u| u.line == Line::Open)
        {
            upstream.line = Line::Gone { shut: false };
            self.upstream(id, UpstreamEvent::Reset);
        }
    }

    pub(super) fn upstream_read(&mut self, index: usize) {
        if let Some(id) = pick(&self.upstreams, index)
            && let Some(upstream) = self.upstreams.get_mut(&id).filter(|u| u.line == Line::Open)
            && upstream.unread > 0
        {
            let unread = core::mem::take(&mut upstream.unread);
            self.upstream(id, UpstreamEvent::Written(unread));
        }
    }

    fn upstream(&mut self, upstream: UpstreamId, event: UpstreamEvent) {
        self.node.handle(self.now, NodeEvent::Upstream { upstream, event }).expect("within the contract");
        self.drain();
    }

    /// Performs an action of the node, and checks that it is allowed.
    pub(super) fn on_node(&mut self, action: NodeAction) {
        match action {
            NodeAction::Respond { request, response } => {
                self.on_respond(request, response.body.into_bytes());
            }
            NodeAction::OpenUpstream { upstream, target, kind, .. } => {
                let flow = target.host().trim_start_matches("flow").parse().expect("a flow's number");
                let fresh = self.upstreams.insert(upstream, Upstream::new(flow, kind)).is_none();
                assert!(fresh, "an upstream id was used twice");
            }
            NodeAction::WriteUpstream { upstream, bytes } => {
                let duplicated = self.duplicated;
                let upstream = served(self.upstreams.get_mut(&upstream));
                let content = Content::up(upstream.flow);
                match upstream.kind {
                    FlowKind::Tcp => {
                        upstream.unread += bytes.len();
                        upstream.received.chunk(content, &bytes);
                    }
                    FlowKind::Udp => {
                        let sent = nth(&mut self.locals, upstream.flow).sent.datagrams;
                        upstream.received.datagram(content, &bytes, sent, duplicated);
                    }
                }
            }
            NodeAction::Credit { upstream, bytes } => {
                served(self.upstreams.get_mut(&upstream)).credit += bytes
            }
            NodeAction::FinishUpstream { upstream } => {
                panic!("S4: {upstream} is half-closed at a level that has no half-close");
            }
            NodeAction::ShutUpstream { upstream, .. } => {
                served(self.upstreams.get_mut(&upstream)).line = Line::Gone { shut: true };
            }
            NodeAction::Event(NodeNotice::SessionEnded { upstream, .. }) => {
                let upstream = self.upstreams.get_mut(&upstream).expect("an upstream");
                assert!(!core::mem::replace(&mut upstream.ended, true), "S4: a session ended twice");
            }
            NodeAction::Event(_) | NodeAction::Idle { .. } => {}
        }
    }
}

/// The application of the flow of this number.
fn nth(locals: &mut BTreeMap<FlowId, Local>, flow: u64) -> &mut Local {
    locals.get_mut(&FlowId::new(flow)).expect("S3: an upstream that no application asked for")
}

/// An upstream that the node has not shut. One that was reset may still be spoken to: the two cross.
fn served(upstream: Option<&mut Upstream>) -> &mut Upstream {
    upstream
        .filter(|upstream| upstream.line != Line::Gone { shut: true })
        .expect("S4: something for an upstream after it was shut")
}
