//! What upstreams do: bytes come and go, and time passes.

use bytes::Bytes;

use crate::id::UpstreamId;
use crate::node::action::{NodeAction, NodeNotice, Shut};
use crate::node::event::UpstreamEvent;
use crate::node::sessions::ending::Parting;
use crate::node::sessions::reply::Fixed;
use crate::node::sessions::session::Source;
use crate::node::upstreams::State;
use crate::node::{Node, SessionEnd, Task};
use crate::target::FlowKind;
use crate::time::Instant;

/// Dropped datagrams are reported the first time, and then each time that this many more are gone.
pub(in crate::node) const DROPS_PER_NOTICE: u64 = 100;

/// A reader that has this much credit left gets no more yet: two reads of the usual size, so that small ones
/// do not cost an action each.
pub(in crate::node) const ENOUGH_CREDIT: usize = 128 * 1024;

impl Node {
    /// Something happened to an upstream; the contract was checked. One that has ended is ignored.
    pub(in crate::node) fn on_upstream(&mut self, upstream: UpstreamId, event: UpstreamEvent) {
        if let Some(at) = self.upstreams.stream(upstream) {
            return self.on_stream_event(upstream, at, event);
        }
        match event {
            UpstreamEvent::Opened => self.on_opened(upstream),
            UpstreamEvent::Failed(failure) => self.on_failed(upstream, failure),
            UpstreamEvent::Data(bytes) => self.on_data(upstream, bytes),
            UpstreamEvent::Datagram(datagram) => self.on_datagram(upstream, datagram),
            UpstreamEvent::Fin => self.on_source_end(upstream, Source::Finished),
            UpstreamEvent::Reset => self.on_source_end(upstream, Source::Reset),
            UpstreamEvent::Written(bytes) => self.on_written(upstream, bytes),
        }
    }

    fn on_data(&mut self, upstream: UpstreamId, bytes: Bytes) {
        let now = self.now;
        let Some(session) = self.upstreams.session_mut(upstream) else { return };
        if session.source == Source::Live && !bytes.is_empty() && session.arrive(bytes, now).is_ok() {
            self.on_news(upstream);
        }
    }

    fn on_datagram(&mut self, upstream: UpstreamId, datagram: Bytes) {
        let Self { config, upstreams, pool, now, .. } = self;
        let Some(session) = upstreams.session_mut(upstream) else { return };
        if session.source != Source::Live {
            return;
        }
        let (before, dropped) = session.arrive_datagram(datagram, config.tuning.udp_queue, pool, *now);
        self.stats.datagrams_dropped =
            self.stats.datagrams_dropped.saturating_add(dropped.saturating_sub(before));
        if dropped > before && (before == 0 || before / DROPS_PER_NOTICE < dropped / DROPS_PER_NOTICE) {
            self.notice(NodeNotice::DatagramsDropped { upstream, dropped });
        }
        self.on_news(upstream);
    }

    /// No more will come from upstream. After a reset it takes nothing either.
    fn on_source_end(&mut self, upstream: UpstreamId, source: Source) {
        match self.upstreams.get_mut(&upstream).map(|entry| &mut entry.state) {
            Some(State::Open(session)) if session.source != Source::Reset => {
                session.end_source(source);
                self.on_news(upstream);
            }
            Some(State::Lingering(_)) if source == Source::Reset => {
                self.remove_upstream(upstream);
            }
            Some(State::Open(_) | State::Lingering(_) | State::Connecting(_) | State::Stream(_)) | None => {}
        }
    }

    fn on_written(&mut self, upstream: UpstreamId, bytes: usize) {
        let now = self.now;
        match self.upstreams.get_mut(&upstream).map(|entry| &mut entry.state) {
            Some(State::Open(session)) => {
                session.uplink.written(bytes, now);
                session.last_active = now;
                self.touch(upstream);
            }
            Some(State::Lingering(uplink)) => {
                uplink.written(bytes, now);
                if uplink.unwritten() == 0 {
                    self.shut(upstream, Shut::Close);
                } else {
                    self.arm(upstream);
                }
            }
            Some(State::Connecting(_) | State::Stream(_)) | None => {}
        }
    }

    /// There is something to fetch: every op that waits hears of it once, and the first to be answered
    /// takes it.
    fn on_news(&mut self, upstream: UpstreamId) {
        let Some(session) = self.upstreams.session_mut(upstream) else { return };
        for op in session.tell_waiters() {
            if let Some(batch) = self.requests.get_mut(&op.request) {
                batch.hear(op.place, self.now);
                if !batch.listed {
                    batch.listed = true;
                    self.agenda.push_back(Task::Batch(op.request));
                }
            }
        }
        self.touch(upstream);
    }

    /// Gives the reader of an upstream what credit there is.
    pub(in crate::node) fn grant(&mut self, upstream: UpstreamId) {
        if let Some(at) = self.upstreams.stream(upstream) {
            return self.grant_stream(upstream, at);
        }
        let Self { upstreams, pool, starved, actions, .. } = self;
        let Some(session) = upstreams.session_mut(upstream) else { return };
        if session.kind() == FlowKind::Udp || session.source != Source::Live {
            return;
        }
        if session.credit.promised() >= ENOUGH_CREDIT {
            return;
        }
        let bytes = session.credit.grant(pool);
        if bytes > 0 {
            actions.push_back(NodeAction::Credit { upstream, bytes });
        }
        if session.credit.is_blocked() {
            starved.insert(upstream);
        }
    }

    /// Gives credit to upstreams that got none while the pool was empty, the oldest first.
    pub(in crate::node) fn feed_starved(&mut self) {
        while self.pool.has_room()
            && let Some(upstream) = self.starved.pop_first()
        {
            self.grant(upstream);
        }
    }

    /// A deadline of an upstream has passed.
    pub(in crate::node) fn on_upstream_deadline(&mut self, upstream: UpstreamId) {
        match self.upstreams.get(&upstream).map(|entry| &entry.state) {
            Some(State::Connecting(_)) => self.on_connect_deadline(upstream),
            Some(State::Open(_)) => self.on_session_deadline(upstream),
            Some(State::Lingering(_)) => self.shut(upstream, Shut::Reset),
            Some(State::Stream(at)) => self.on_stream_deadline(upstream, *at),
            None => {}
        }
    }

    fn on_session_deadline(&mut self, upstream: UpstreamId) {
        let Self { config, upstreams, now, .. } = self;
        let Some(session) = upstreams.session_mut(upstream) else { return };
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= *now);
        if is_due(session.uplink.deadline(config)) {
            return self.end_session(upstream, Parting::of(SessionEnd::WriteTimedOut));
        }
        if is_due(session.idle_deadline(config)) {
            return self.end_session(upstream, Parting::of(SessionEnd::Idle));
        }
        let overdue = session.turn.overdue(config.tuning.seq_wait, *now);
        let expected = session.turn.expected();
        for op in overdue {
            let waited = self.now.saturating_since(op.arrived);
            if let Some(seq) = op.seq {
                self.tell(op.op, Fixed::timed_out(seq, expected, waited));
            }
        }
        self.touch(upstream);
    }
}
