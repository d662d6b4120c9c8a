//! What must hold after every step, and at the end: docs/protocol.md section 4.
//!
//! What can be said of one action alone is asserted where the action is done: S1 and S2 where bytes arrive
//! ([`content`](super::content)), S4 and S5 beside the flow or request that has ended, S7 where time passes.

use seqlane::{EndReason, FlowKind};

use super::Pair;
use super::local::Local;
use super::setting::{client_bound, node_bound};

impl Pair {
    pub(super) fn check(&self) {
        self.check_flows();
        self.check_memory();
        self.check_deadlines();
    }

    fn check_flows(&self) {
        for (stream, local) in self.locals.iter().filter(|(_, local)| local.kind == FlowKind::Tcp) {
            let flow = stream.number();
            let upstreams = || self.upstreams.values().filter(|upstream| upstream.flow == flow);
            let most = upstreams().map(|upstream| upstream.sent.bytes).max().unwrap_or(0);
            assert!(local.received.bytes <= most, "S1: flow {flow} got more than was sent");
            if local.ended == Some(EndReason::Finished) {
                let whole = upstreams().any(|upstream| upstream.sent.bytes == local.received.bytes);
                assert!(whole, "S1: flow {flow} finished without its tail");
            }
            for upstream in upstreams() {
                assert!(upstream.received.bytes <= local.sent.bytes, "S2: flow {flow} sent less");
            }
            assert!(self.duplicated || upstreams().count() <= 1, "S3: flow {flow} was opened twice");
        }
    }

    fn check_memory(&self) {
        let kept = self.client.buffered_bytes();
        let bound = client_bound(self.locals.len());
        assert!(kept <= bound, "S6: the client keeps {kept} bytes, and may keep {bound}");
        let kept = self.node.buffered_bytes();
        // Flows that were reset or refused have no part in the bound; bytes that outlast their session have.
        let bound = node_bound(self.upstreams.values().filter(|upstream| !upstream.is_gone()).count());
        let reset = self.upstreams.values().filter(|u| u.is_gone() && !u.has_ended()).count();
        assert!(kept <= bound + node_bound(reset), "S6: the node keeps {kept} bytes, and may keep {bound}");
    }

    /// S7: who owes something has a deadline for it.
    fn check_deadlines(&self) {
        let stats = self.client.stats();
        let owes = stats.calls > stats.answered + stats.failed;
        if owes || self.locals.values().any(Local::waits) {
            assert!(self.client_wake.is_some(), "S7: the client waits without a deadline: {:?}", self.client);
        }
        if !self.held.is_empty() || self.upstreams.values().any(|upstream| !upstream.has_ended()) {
            assert!(self.node_wake.is_some(), "S7: the node waits without a deadline");
        }
    }

    /// Once every flow has ended and every exchange has come back.
    pub(super) fn check_settled(&self) {
        let stats = self.client.stats();
        assert_eq!(stats.calls, stats.answered + stats.failed, "S5: an exchange has no end, or two");
        assert_eq!(stats.opened, stats.ended, "S4: a flow has no end");
        assert_eq!(self.client.buffered_bytes(), 0, "S6: the client keeps something for nobody");
    }

    /// Once both machines were closed.
    pub(super) fn check_closed(&self) {
        let stats = self.node.stats();
        assert!(self.held.is_empty(), "S5: a request was never answered");
        assert_eq!(stats.requests, stats.responses, "S5: requests and answers");
        assert_eq!(stats.sessions_opened, stats.sessions_ended, "S4: a session has no end");
        assert_eq!(self.node.buffered_bytes(), 0, "S6: the node keeps something for nobody");
        for (id, upstream) in &self.upstreams {
            assert!(upstream.has_ended(), "S4: the session of upstream {id} has no end");
            assert!(upstream.is_gone(), "S4: upstream {id} was never shut");
        }
        assert_eq!(self.node_wake, None, "S7: the node owes nothing any more");
    }
}
