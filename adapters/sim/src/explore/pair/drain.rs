//! Actions of both machines, taken until both are idle, and carried out at once.

use std::hash::Hash;

use bytes::Bytes;
use seqlane::wire::reset::ResetCode;
use seqlane::wire::{self, Limits, Op};
use seqlane::{
    ClientAction, ClientEvent, ConnectFailure, EndReason, ExchangeId, Instant, LocalEvent, NodeAction,
    NodeEvent, NodeNotice, RequestId, UpstreamEvent, UpstreamId,
};

use crate::explore::model::{Broken, ensure};
use crate::explore::pair::call::{PendingAnswer, PendingCall, Request};
use crate::explore::pair::ends::{ScriptedApplication, ScriptedUpstream, SocketState};
use crate::explore::pair::{Pair, State};
use crate::property::Property;

/// More actions than this for one event are a loop without time.
const MOST_ACTIONS: usize = 500;

/// More than this neither machine may hold: a scope has a few bytes.
const MOST_HELD: usize = 4096;

impl Pair {
    /// Takes what both machines want done, and does it, until neither wants anything.
    pub(super) fn drain(&self, state: &mut State) -> Result<(), Broken> {
        let mut actions = 0;
        loop {
            let before = actions;
            while self.drain_client(state)? {
                actions += 1;
            }
            while self.drain_node(state)? {
                actions += 1;
            }
            if actions == before {
                break;
            }
            ensure!(actions <= MOST_ACTIONS, S9, "the machines never come to rest at this instant");
        }
        self.check_idle(state)
    }

    /// S8, R1, D5: after a drain.
    fn check_idle(&self, state: &mut State) -> Result<(), Broken> {
        let idle = matches!(state.client.poll(), ClientAction::Idle { wake } if wake == state.client_wake)
            && matches!(state.node.poll(), NodeAction::Idle { wake } if wake == state.node_wake);
        ensure!(idle, S8, "an idle machine wants something after all");
        let held = state.client.buffered_bytes().max(state.node.buffered_bytes());
        ensure!(held <= MOST_HELD, R1, "a machine holds {held} B");
        Ok(())
    }

    fn drain_client(&self, state: &mut State) -> Result<bool, Broken> {
        let action = state.client.poll();
        match action {
            ClientAction::Idle { wake } => {
                state.client_wake = wake;
                return Ok(false);
            }
            ClientAction::Send { exchange, body, deadline, .. } => {
                self.on_send(state, exchange, body.into_bytes(), deadline)?;
            }
            ClientAction::Deliver { flow: id, bytes } => {
                (1_u8, bytes.as_ref()).hash(&mut state.output);
                state.local(id).map_or(Ok(()), |local| local.take(&bytes))?;
                let event = LocalEvent::Written(bytes.len());
                self.tell_client(state, ClientEvent::Local { flow: id, event })?;
            }
            ClientAction::Credit { flow: id, bytes } => {
                (2_u8, bytes).hash(&mut state.output);
                if let Some(local) = state.local(id) {
                    local.credit += bytes;
                }
            }
            ClientAction::Opened { .. } => 3_u8.hash(&mut state.output),
            ClientAction::Fin { flow: id } => {
                4_u8.hash(&mut state.output);
                if let Some(local) = state.local(id) {
                    local.fin = true;
                }
            }
            ClientAction::Ended { flow: id, why } => {
                (5_u8, why.to_string()).hash(&mut state.output);
                if let Some(local) = state.local(id) {
                    local.end(why, self.scope.down.into())?;
                    self.check_calm(local, why)?;
                }
            }
            ClientAction::Closed | ClientAction::Event(_) => {}
        }
        Ok(true)
    }

    /// D5: where nothing goes wrong, no flow is lost, unless its upstream does not open in time, or is silent
    /// for too long after a half-close.
    fn check_calm(&self, local: &ScriptedApplication, why: EndReason) -> Result<(), Broken> {
        let excused = match why {
            EndReason::Finished | EndReason::Local => true,
            EndReason::Reset(ResetCode::Connect(failure)) => failure == ConnectFailure::TimedOut,
            EndReason::HalfCloseQuiet => !local.upstream_finished,
            EndReason::ConnectFailed(failure) => failure == ConnectFailure::TimedOut,
            _ => false,
        };
        let holds = excused || !self.scope.is_calm();
        ensure!(holds, D5, "nothing went wrong, and flow {} is over: {why}", local.flow);
        Ok(())
    }

    fn on_send(
        &self,
        state: &mut State,
        exchange: ExchangeId,
        body: Bytes,
        deadline: Instant,
    ) -> Result<(), Broken> {
        let limits = Limits { max_body: 1 << 20, max_ops: self.scope.batch.into() };
        let request = wire::decode_request(&body, limits)
            .map_err(|error| Broken::new(Property::S10, format!("the client sends a bad batch: {error}")))?;
        let ops: Result<Vec<Op>, _> = request.decode_ops().into_iter().collect();
        let ops =
            ops.map_err(|error| Broken::new(Property::S10, format!("the client sends no op: {error:?}")))?;
        ensure!(!ops.is_empty(), S10, "the client sends a batch without ops");
        for op in &ops {
            let packet = matches!(op, Op::Streams { .. });
            let payload = op.payload().filter(|_| !packet);
            (6_u8, op.name(), payload.map(|payload| payload.as_ref())).hash(&mut state.output);
        }
        let call = PendingCall::new(Request::new(body, ops), deadline);
        ensure!(state.calls.insert(exchange, call).is_none(), S13, "an exchange is sent twice");
        Ok(())
    }

    fn drain_node(&self, state: &mut State) -> Result<bool, Broken> {
        match state.node.poll() {
            NodeAction::Idle { wake } => {
                state.node_wake = wake;
                return Ok(false);
            }
            NodeAction::Respond { request, response } => {
                self.on_respond(state, request, response.body.into_bytes())?;
            }
            NodeAction::OpenUpstream { upstream, target, .. } => {
                self.on_open(state, upstream, target.host())?
            }
            NodeAction::WriteUpstream { upstream, bytes } => {
                (8_u8, bytes.as_ref()).hash(&mut state.output);
                let up = upstream_of(state, upstream)?;
                let sent = state.locals.get(up).map_or(0, |local| local.sent);
                if let Some(upstream) = state.upstreams.get_mut(&upstream) {
                    upstream.take(&bytes, sent)?;
                }
                self.upstream(state, upstream, UpstreamEvent::Written(bytes.len()))?;
            }
            NodeAction::Credit { upstream, bytes } => {
                (9_u8, bytes).hash(&mut state.output);
                if let Some(upstream) = state.upstreams.get_mut(&upstream) {
                    upstream.credit += bytes;
                }
            }
            NodeAction::FinishUpstream { upstream } => self.on_finish(state, upstream)?,
            NodeAction::ShutUpstream { upstream, how } => {
                (10_u8, how).hash(&mut state.output);
                let shut =
                    state.upstreams.get_mut(&upstream).filter(|upstream| upstream.state != SocketState::Gone);
                let shut = shut.ok_or_else(|| Broken::new(Property::S4, "an upstream is shut twice"))?;
                shut.ended |= shut.state == SocketState::Opening;
                shut.state = SocketState::Gone;
                state.upstreams.retain(|_, upstream| !upstream.is_over());
            }
            NodeAction::Event(NodeNotice::SessionEnded { upstream, why }) => {
                (11_u8, why).hash(&mut state.output);
                let ended = state.upstreams.get_mut(&upstream).filter(|upstream| !upstream.ended);
                ended.ok_or_else(|| Broken::new(Property::S4, "a session ends twice"))?.ended = true;
                state.upstreams.retain(|_, upstream| !upstream.is_over());
            }
            NodeAction::Event(_) => {}
        }
        Ok(true)
    }

    /// Something happens to an upstream.
    pub(super) fn upstream(
        &self,
        state: &mut State,
        upstream: UpstreamId,
        event: UpstreamEvent,
    ) -> Result<(), Broken> {
        self.tell_node(state, NodeEvent::Upstream { upstream, event })
    }

    /// S1, S4: an upstream gets its end after everything that its flow has sent.
    fn on_finish(&self, state: &mut State, upstream: UpstreamId) -> Result<(), Broken> {
        15_u8.hash(&mut state.output);
        ensure!(self.scope.is_level_2(), S4, "an upstream is half-closed at a level that has no half-close");
        let flow = upstream_of(state, upstream)?;
        let whole = state.locals.get(flow).is_some_and(|local| {
            local.finished && state.upstreams.get(&upstream).is_some_and(|up| up.received == local.sent)
        });
        ensure!(whole, S1, "the uplink of flow {flow} is cut short");
        Ok(())
    }

    /// S2: an open makes one upstream, unless the network doubled it; at level 2 even then.
    fn on_open(&self, state: &mut State, upstream: UpstreamId, host: &str) -> Result<(), Broken> {
        12_u8.hash(&mut state.output);
        let flow: usize = host.trim_start_matches("flow").parse().unwrap_or(usize::MAX);
        let Some(local) = state.locals.get_mut(flow) else {
            return Err(Broken::new(Property::S2, format!("an upstream for {host}, which no flow opened")));
        };
        local.opens += 1;
        let doubled = if self.scope.is_level_2() { 0 } else { self.scope.dup };
        ensure!(local.opens <= 1 + u32::from(doubled), S2, "flow {flow} has {} upstreams", local.opens);
        state.upstreams.insert(upstream, ScriptedUpstream::new(flow));
        Ok(())
    }

    fn on_respond(&self, state: &mut State, request: RequestId, body: Bytes) -> Result<(), Broken> {
        let waits = state.held.remove(&request);
        let waits = waits.ok_or_else(|| Broken::new(Property::S13, "a request is answered twice"))?;
        let Some(call) = waits.and_then(|exchange| state.calls.get_mut(&exchange)) else {
            13_u8.hash(&mut state.output);
            return Ok(());
        };
        let ops = call.request.ops.len();
        let replies = wire::decode_answer(&body, ops, Limits { max_body: 1 << 20, max_ops: ops }).ok();
        for reply in replies.iter().flatten() {
            let data = if self.scope.is_level_2() { &[][..] } else { reply.data.as_ref() };
            (14_u8, data, reply.eof, reply.error.is_some()).hash(&mut state.output);
        }
        call.held = call.held.saturating_sub(1);
        call.answers.push(PendingAnswer::new(body, replies, &call.request));
        Ok(())
    }
}

/// The flow of an upstream that the node writes to.
fn upstream_of(state: &State, upstream: UpstreamId) -> Result<usize, Broken> {
    let up = state.upstreams.get(&upstream);
    up.map(|up| up.flow).ok_or_else(|| Broken::new(Property::S4, "bytes for an upstream that is gone"))
}
