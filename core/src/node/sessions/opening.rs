//! Upstreams that are being opened.

use alloc::boxed::Box;

use crate::error::ConnectFailure;
use crate::id::UpstreamId;
use crate::level::{Caps, Level};
use crate::node::Node;
use crate::node::action::{NodeAction, NodeNotice, Shut};
use crate::node::sessions::batch::{Drain, OpRef, Role, Slot};
use crate::node::sessions::reply::Fixed;
use crate::node::sessions::session::Session;
use crate::node::upstreams::{Connect, Opening, State, Upstream};
use crate::target::Target;

impl Node {
    /// An op asks for a new upstream.
    pub(in crate::node) fn open(&mut self, at: OpRef, target: Target, opening: Opening) {
        if self.upstreams.len() >= self.config.max_sessions {
            self.notice(NodeNotice::LimitReached { limit: "max_sessions" });
            let text = alloc::format!("{}: too many sessions", opening.failure());
            return self.tell(at, Fixed::error(text, None));
        }
        let upstream = UpstreamId::new(self.opened.next());
        let kind = opening.kind();
        let deadline = self.now.saturating_add(self.config.connect_deadline);
        self.place(at, Slot::Connecting(upstream));
        let connect = Connect { op: at, target: target.clone(), opening, deadline };
        self.upstreams.insert(upstream, Upstream::new(State::Connecting(connect)));
        self.arm(upstream);
        self.actions.push_back(NodeAction::OpenUpstream { upstream, target, kind, deadline });
    }

    /// The upstream is open: it becomes a session.
    pub(in crate::node) fn on_opened(&mut self, upstream: UpstreamId) {
        let Some(State::Connecting(connect)) = self.remove_upstream(upstream) else { return };
        let kind = connect.opening.kind();
        let sid = self.sids.generate();
        let session = Session::new(sid, kind, &self.config, self.now);
        self.upstreams.insert(upstream, Upstream::new(State::Open(Box::new(session))));
        self.sessions.insert(sid, upstream);
        self.stats.sessions_opened = self.stats.sessions_opened.saturating_add(1);
        self.notice(NodeNotice::SessionOpened { upstream, target: connect.target, kind });
        self.answer_open(upstream, connect.op, connect.opening);
        self.touch(upstream);
    }

    /// Writes the first bytes, and lets the op wait for their answer.
    fn answer_open(&mut self, upstream: UpstreamId, at: OpRef, opening: Opening) {
        let level = if planted!(CapsBoasted) { Level::Sequenced } else { self.config.max_level };
        let caps = Some(Caps::of_level(level)).filter(|caps| *caps != Caps::NONE);
        let Some(batch) = self.requests.get(&at.request) else { return };
        let wait = batch.pace.start(self.now, false);
        let role = match opening {
            Opening::Plain => Role::Open(caps),
            Opening::FirstBytes(bytes) => {
                self.write(upstream, bytes);
                Role::FirstBytes(caps, wait)
            }
            Opening::Udp(datagram) if datagram.is_empty() => Role::Open(None),
            Opening::Udp(datagram) => {
                self.write(upstream, datagram);
                Role::FirstBytes(None, wait)
            }
        };
        if let Some(session) = self.upstreams.session_mut(upstream) {
            session.wait(at);
        }
        self.place(at, Slot::Waiting(Drain { upstream, seq: None, role }));
        // The session's name is something to tell.
        self.hear(at, matches!(role, Role::Open(_)));
    }

    /// The upstream could not be opened.
    pub(in crate::node) fn on_failed(&mut self, upstream: UpstreamId, failure: ConnectFailure) {
        if let Some(State::Connecting(connect)) = self.remove_upstream(upstream) {
            let text = alloc::format!("{}: {}", connect.opening.failure(), failure.text());
            self.notice(NodeNotice::ConnectFailed { upstream, target: connect.target, failure });
            self.tell(connect.op, Fixed::error(text, None));
        }
    }

    /// The upstream did not open in time.
    pub(in crate::node) fn on_connect_deadline(&mut self, upstream: UpstreamId) {
        self.actions.push_back(NodeAction::ShutUpstream { upstream, how: Shut::Reset });
        self.on_failed(upstream, ConnectFailure::TimedOut);
    }
}
