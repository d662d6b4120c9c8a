//! How sessions end, each with one notice, and the node itself.

use crate::id::{RequestId, UpstreamId};
use crate::node::action::{NodeAction, NodeNotice, SessionEnd, Shut};
use crate::node::sessions::batch::{OpRef, Slot};
use crate::node::sessions::closed::Departure;
use crate::node::sessions::reply::Fixed;
use crate::node::sessions::session::{Session, Source};
use crate::node::upstreams::{State, Upstream};
use crate::node::{Node, Phase};
use crate::seq::Seq;
use crate::target::FlowKind;
use crate::wire::Sid;

/// What ops hear of an upstream that was reset, once its last bytes are fetched.
pub(in crate::node) const UPSTREAM_RESET: &str = "upstream was reset";

/// Why a session ends, and what its ops are told.
#[derive(Clone, Copy, Debug)]
pub(in crate::node) struct Parting {
    why: SessionEnd,
    /// The error of the ops that still wait and of those that come later; without one, they see the end of
    /// the flow. A cut must not look like an end.
    cut: Option<&'static str>,
}

impl Parting {
    pub(in crate::node) const fn of(why: SessionEnd) -> Self {
        let cut = match why {
            SessionEnd::Reset => Some(UPSTREAM_RESET),
            SessionEnd::WriteTimedOut => Some("write failed: upstream takes no bytes"),
            SessionEnd::Idle => Some("session was idle for too long"),
            SessionEnd::NodeClosed => Some("node is shutting down"),
            SessionEnd::Finished | SessionEnd::Closed | SessionEnd::Abandoned | SessionEnd::ClientLost => {
                None
            }
        };
        Self { why, cut }
    }
}

impl Node {
    /// Ends a session: its ops are answered, and its upstream is shut.
    pub(in crate::node) fn end_session(&mut self, upstream: UpstreamId, parting: Parting) {
        // Two ops of one batch may both see the end; what lingers by then must not be disturbed.
        if self.upstreams.session(upstream).is_none() {
            return;
        }
        let Some(State::Open(mut session)) = self.remove_upstream(upstream) else { return };
        self.sessions.remove(&session.sid);
        self.starved.remove(&upstream);
        session.credit.close(&mut self.pool);
        let departure = Departure { expected: session.turn.expected(), cut: parting.cut };
        if session.kind() == FlowKind::Tcp {
            self.departed.remember(session.sid, departure);
        }
        self.dismiss(&mut session, departure);
        self.stats.sessions_ended = self.stats.sessions_ended.saturating_add(1);
        self.part(upstream, *session, parting.why);
        self.notice(NodeNotice::SessionEnded { upstream, why: parting.why });
    }

    /// Answers the ops that wait for a session that ends.
    fn dismiss(&mut self, session: &mut Session, departure: Departure) {
        let udp = session.kind() == FlowKind::Udp;
        let farewell = |sid: Sid, seq: Option<Seq>| match departure.cut {
            // Datagrams may be lost anyway: a UDP flow only ever ends.
            Some(why) if !udp => Fixed::error(why, seq),
            Some(_) | None => Fixed::eof(sid, seq),
        };
        for op in session.waiters() {
            let slot = self.requests.get(&op.request).and_then(|batch| batch.slots.get(op.place));
            if let Some(Slot::Waiting(drain)) = slot {
                let reply = farewell(session.sid, drain.seq);
                self.tell(op, reply);
            }
        }
        for op in session.turn.take_all() {
            self.tell(op.op, farewell(session.sid, op.seq));
        }
    }

    /// Shuts the upstream of a session that has ended, or lets it linger until its last byte is written.
    fn part(&mut self, upstream: UpstreamId, session: Session, why: SessionEnd) {
        if session.source == Source::Reset || (planted!(UpstreamLeft) && why == SessionEnd::Closed) {
            return;
        }
        let closes = match why {
            SessionEnd::WriteTimedOut => Shut::Reset,
            SessionEnd::Finished
            | SessionEnd::Closed
            | SessionEnd::Idle
            | SessionEnd::Reset
            | SessionEnd::Abandoned
            | SessionEnd::ClientLost
            | SessionEnd::NodeClosed => Shut::Close,
        };
        if closes == Shut::Close
            && session.uplink.unwritten() > 0
            && !planted!(LingerSkipped)
            && self.phase == Phase::Running
        {
            self.upstreams.insert(upstream, Upstream::new(State::Lingering(session.uplink)));
            self.arm(upstream);
        } else {
            self.actions.push_back(NodeAction::ShutUpstream { upstream, how: closes });
        }
    }

    /// Ends an upstream that has no session any more.
    pub(in crate::node) fn shut(&mut self, upstream: UpstreamId, how: Shut) {
        if self.remove_upstream(upstream).is_some() {
            self.actions.push_back(NodeAction::ShutUpstream { upstream, how });
        }
    }

    /// A client closes a session, which may be gone already.
    pub(in crate::node) fn close_session(&mut self, sid: Sid) {
        if let Some(upstream) = self.sessions.get(&sid) {
            self.end_session(*upstream, Parting::of(SessionEnd::Closed));
        }
    }

    /// Answers every request and ends every session; from now on the node only refuses.
    pub(in crate::node) fn on_close(&mut self) {
        self.phase = Phase::Closed;
        self.close_clients();
        let held: alloc::vec::Vec<RequestId> = self.requests.keys().copied().collect();
        for request in held {
            self.dismiss_unready(request);
            self.answer(request);
        }
        while let Some((upstream, entry)) = self.upstreams.first_key_value() {
            let upstream = *upstream;
            match &entry.state {
                State::Open(_) => self.end_session(upstream, Parting::of(SessionEnd::NodeClosed)),
                State::Connecting(_) => self.shut(upstream, Shut::Reset),
                State::Lingering(_) => self.shut(upstream, Shut::Close),
                // Its client went before.
                State::Stream(_) => self.shut(upstream, Shut::Reset),
            }
        }
    }

    /// Answers the ops of a request that cannot run any more, since the node is closing.
    fn dismiss_unready(&mut self, request: RequestId) {
        const WHY: &str = "node is shutting down";
        let places = self.requests.get(&request).map_or(0, |batch| batch.slots.len());
        for place in 0..places {
            let op = OpRef { request, place };
            let slot = self.requests.get(&request).and_then(|batch| batch.slots.get(place));
            match slot {
                Some(Slot::Connecting(upstream)) => {
                    let upstream = *upstream;
                    let entry = self.upstreams.get(&upstream).map(|entry| &entry.state);
                    if let Some(State::Connecting(connect)) = entry {
                        let text = alloc::format!("{}: {WHY}", connect.opening.failure());
                        self.tell(op, Fixed::error(text, None));
                        self.shut(upstream, Shut::Reset);
                    }
                }
                Some(Slot::Queued { upstream, seq }) => {
                    let (upstream, seq) = (*upstream, *seq);
                    if let Some(session) = self.upstreams.session_mut(upstream) {
                        session.turn.withdraw(op, seq);
                    }
                    self.tell(op, Fixed::error(WHY, seq));
                }
                Some(
                    Slot::Unread
                    | Slot::Waiting(_)
                    | Slot::Closing(_)
                    | Slot::Ready(_)
                    | Slot::Exchange(..)
                    | Slot::Packet(_),
                )
                | None => {}
            }
        }
    }
}
