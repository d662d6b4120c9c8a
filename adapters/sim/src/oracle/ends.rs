//! Bytes and ends of flows at both sockets (S1, S2, S4, L3, D5).

use bytes::Bytes;
use seqlane::wire::Reply;
use seqlane::wire::reset::ResetCode;
use seqlane::{EndReason, SessionEnd, Shut};

use crate::ends::{Ends, datagram_number};
use crate::oracle::{Oracle, UpstreamRecord};
use crate::pattern::{Direction, Pattern};
use crate::script::Side;
use crate::{CoveragePoint, Property};

impl Oracle {
    /// A client delivers bytes, or a datagram, to an application.
    pub(crate) fn on_delivered(&mut self, ends: &Ends, flow: usize, bytes: &Bytes) {
        self.flows[flow].downlink = self.now;
        if !ends.flows[flow].is_udp() {
            return self.check_downlink(ends, flow, bytes);
        }
        match datagram_number(flow, Direction::Down, bytes) {
            None => require!(self, false, S1, "flow {flow} gets a datagram which its upstream never sent"),
            // A doubled request makes an upstream that echoes it twice.
            Some(number) => {
                let holds = self.flows[flow].datagrams.insert(number) || self.may_be_doubled(flow);
                require!(self, holds, S1, "flow {flow} gets a datagram for the second time");
            }
        }
    }

    /// S1 downwards: an application gets what its upstream sent, from the first byte on.
    fn check_downlink(&mut self, ends: &Ends, flow: usize, bytes: &Bytes) {
        let received = ends.flows[flow].app.received;
        if let Err(mismatch) = Pattern::new(flow as u64, Direction::Down).verify(received, bytes) {
            return violated!(self, S1, "downlink of flow {flow}: {mismatch}");
        }
        let sent = ends.upstreams_of(flow).map(|upstream| upstream.sent).max().unwrap_or(0);
        let whole = received + bytes.len() as u64 <= sent;
        require!(self, whole, S1, "flow {flow} gets more than its upstream sent");
    }

    /// S1 and S2 upwards: a node writes bytes, or a datagram, to an upstream.
    pub(crate) fn on_written(&mut self, ends: &Ends, upstream: usize, bytes: &Bytes) {
        let (flow, received) = (ends.upstreams[upstream].flow, ends.upstreams[upstream].received);
        if ends.flows[flow].is_udp() {
            return self.check_datagram(flow, upstream, datagram_number(flow, Direction::Up, bytes));
        }
        if let Err(mismatch) = Pattern::new(flow as u64, Direction::Up).verify(received, bytes) {
            let again = mismatch.belongs.is_some_and(|place| place < mismatch.offset);
            let property = if again { Property::S2 } else { Property::S1 };
            return self.violated(property, format!("uplink of flow {flow}: {mismatch}"));
        }
        let whole = received + bytes.len() as u64 <= ends.flows[flow].app.sent;
        require!(self, whole, S1, "the upstream of flow {flow} gets more than was sent");
    }

    fn check_datagram(&mut self, flow: usize, upstream: usize, number: Option<u64>) {
        let Some(number) = number else {
            return violated!(self, S1, "upstream of flow {flow} gets a foreign datagram");
        };
        let holds = self.upstreams[upstream].datagrams.insert(number) || self.may_be_doubled(flow);
        require!(self, holds, S2, "upstream of flow {flow} gets datagram {number} twice");
    }

    /// S2: an open makes one upstream connection, unless the network doubled its request; at level 2 even then.
    pub(crate) fn on_upstream_opened(&mut self, ends: &Ends, flow: usize) {
        self.upstreams.push(UpstreamRecord::default());
        let (state, opened) = (&ends.flows[flow], ends.flows[flow].upstreams.len());
        require!(self, opened <= 1 || self.may_be_doubled(flow), S2, "flow {flow} has {opened} upstreams");
        let wanted = state.id.is_some() || state.is_foreign;
        require!(self, wanted, S2, "flow {flow} has an upstream, and was not opened");
    }

    /// S1, S4: a node has written everything that will ever come (level 2).
    pub(crate) fn on_uplink_finished(&mut self, ends: &Ends, upstream: usize) {
        let flow = ends.upstreams[upstream].flow;
        let (received, sent) = (ends.upstreams[upstream].received, ends.flows[flow].app.sent);
        let again = std::mem::replace(&mut self.upstreams[upstream].half_closed, true);
        let whole = received == sent && ends.flows[flow].app.done;
        require!(self, self.is_stream(flow), S4, "the upstream of flow {flow} is half-closed below level 2");
        require!(self, !again, S4, "the upstream of flow {flow} is half-closed twice");
        require!(
            self,
            whole,
            S1,
            "the upstream of flow {flow} is half-closed after {received} B of {sent} B"
        );
    }

    /// S1: a node ends an upstream.
    pub(crate) fn on_upstream_shut(&mut self, ends: &Ends, upstream: usize, how: Shut) {
        if how == Shut::Close {
            let (flow, left) = (ends.upstreams[upstream].flow, ends.upstreams[upstream].unread);
            require!(self, left == 0, S1, "the upstream of flow {flow} is closed before its last {left} B");
            if self.upstreams[upstream].session_over.is_some_and(|over| over < self.now) {
                self.coverage.set(CoveragePoint::Lingered);
            }
        }
    }

    /// S4: a node ends a session.
    pub(crate) fn on_session_ended(&mut self, ends: &Ends, node: usize, upstream: usize, why: SessionEnd) {
        let flow = ends.upstreams[upstream].flow;
        let before = self.upstreams[upstream].session_over.replace(self.now);
        require!(self, before.is_none(), S4, "the session of flow {flow} ends twice at node{node}");
        self.flows[flow].excused |=
            matches!(why, SessionEnd::Idle | SessionEnd::WriteTimedOut | SessionEnd::Reset);
        self.coverage.set(match why {
            SessionEnd::Finished => CoveragePoint::SessionFinished,
            SessionEnd::Closed => CoveragePoint::SessionClosed,
            SessionEnd::Idle => CoveragePoint::SessionIdle,
            SessionEnd::WriteTimedOut => CoveragePoint::SessionWriteTimeout,
            SessionEnd::Reset => CoveragePoint::SessionReset,
            SessionEnd::Abandoned => CoveragePoint::SessionAbandoned,
            SessionEnd::ClientLost => CoveragePoint::ClientForgotten,
            _ => return,
        });
    }

    /// A client says that a flow has ended, or ends it again.
    pub(crate) fn on_flow_ended(&mut self, ends: &Ends, flow: usize, why: EndReason) {
        self.check_end(ends, flow, why);
        self.coverage.set(match why {
            EndReason::Local => CoveragePoint::FlowReset,
            EndReason::HalfCloseQuiet => CoveragePoint::FlowQuiet,
            EndReason::Idle => CoveragePoint::FlowIdle,
            EndReason::ConnectFailed(_) => CoveragePoint::ConnectFailed,
            EndReason::NodeError | EndReason::SequenceBroken => CoveragePoint::FlowNodeError,
            EndReason::ExchangeLost(_) => CoveragePoint::FlowLost,
            EndReason::ReplyOverdue => CoveragePoint::FlowOverdue,
            EndReason::NoRelay => CoveragePoint::FlowNoRelay,
            EndReason::LevelTooLow => CoveragePoint::FlowLevelTooLow,
            EndReason::Reset(ResetCode::Gone) => CoveragePoint::StreamGone,
            EndReason::Reset(_) => CoveragePoint::StreamReset,
            EndReason::NodeSilent => CoveragePoint::NodeSilent,
            _ => return,
        });
    }

    /// S1: an orderly end has delivered everything. D5, L5, L6, L8: a flow is lost only for a reason.
    fn check_end(&mut self, ends: &Ends, flow: usize, why: EndReason) {
        let state = &ends.flows[flow];
        if state.app.ended.is_some() {
            return violated!(self, S4, "flow {flow} ends twice");
        }
        if why == EndReason::Finished
            && !state.is_udp()
            && (!self.flows[flow].orphaned || self.is_stream(flow))
        {
            let received = state.app.received;
            let whole = ends.upstreams_of(flow).any(|up| up.sent_all(&state.script) && up.sent == received);
            require!(self, whole, S1, "flow {flow} looks finished after {received} B, and is not");
        }
        if self.setup.is_calm() && !self.is_expected_end(ends, flow, why) {
            return violated!(self, D5, "nothing went wrong, and flow {flow} is over: {why}");
        }
        if self.is_stream(flow) {
            return self.check_stream_end(ends, flow, why);
        }
        self.check_renewal(flow, ends.flows[flow].client, why);
        self.check_attribution(ends, flow, why);
    }

    /// Whether a flow may end like this when nothing goes wrong.
    fn is_expected_end(&self, ends: &Ends, flow: usize, why: EndReason) -> bool {
        let script = &ends.flows[flow].script;
        match why {
            EndReason::Finished => true,
            EndReason::Local => script.is_ended_locally(),
            EndReason::NodeError | EndReason::Reset(ResetCode::Aborted)
                if script.is_reset_by(Side::Upstream) =>
            {
                true
            }
            EndReason::LevelTooLow => self.is_level_2_missing(),
            _ => self.bounds_refuse(),
        }
    }

    /// S4: a foreign client's `[data, close]` writes and drains before it closes; its `[close, data]` closes, and writes
    /// nothing (protocol.md 2.4 rule 6).
    pub(crate) fn on_foreign_pair(
        &mut self,
        ends: &Ends,
        (flow, closes_first, payload): (usize, bool, u64),
        [first, second]: [&Reply; 2],
    ) {
        // A node that restarted between the open and the pair does not know the session: there is no order to keep.
        if self.flows[flow].restarted {
            return;
        }
        let written: u64 = ends.upstreams_of(flow).map(|upstream| upstream.received).sum();
        let (close, data) = if closes_first { (first, second) } else { (second, first) };
        let drained = data.data.len() as u64 >= ends.flows[flow].script.total_down();
        let wrong = if !close.eof {
            Some("a close is not the end of its session")
        } else if closes_first && (written > 0 || !data.eof) {
            Some("[close, data] does not close first")
        } else if !closes_first && data.error.is_none() && written < payload {
            Some("[data, close] closes before it writes")
        } else if !closes_first && data.eof && !drained {
            Some("[data, close] closes before it drains")
        } else {
            None
        };
        if let Some(what) = wrong {
            return violated!(self, S4, "{what} (a foreign client, flow {flow})");
        }
        self.check_downlink(ends, flow, &data.data);
        let closed =
            if closes_first { CoveragePoint::CloseBeforeData } else { CoveragePoint::CloseAfterData };
        self.coverage.set(closed);
    }
}
