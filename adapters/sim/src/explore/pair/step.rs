//! Steps of the closed world: what can happen next, and its effect.

use std::fmt;

use seqlane::{
    ClientEvent, Endpoint, ExchangeFailure, ExchangeId, Instant, LocalEvent, NodeEvent, RequestId,
    UpstreamEvent, UpstreamId,
};

use crate::explore::model::{Broken, ensure};
use crate::explore::pair::call::PendingCall;
use crate::explore::pair::ends::{ScriptedApplication, SocketState};
use crate::explore::pair::{Pair, State};
use crate::pattern::{Direction, Pattern};

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// A request arrives at the node.
    Arrive(ExchangeId),
    /// An answer arrives at the client; which, when there are several.
    Return(ExchangeId, usize),
    /// A request that no client waits for arrives.
    Stray(usize),
    /// An upstream opens.
    Connect(UpstreamId),
    /// An application sends a byte.
    Write(usize),
    /// An application has sent everything.
    Finish(usize),
    /// An upstream sends a byte.
    Speak(UpstreamId),
    /// An upstream has sent everything.
    FinishUpstream(UpstreamId),
    /// An exchange of which nothing is left fails.
    Fail(ExchangeId),
    /// Time goes on to the next deadline of the client, the node or the driver.
    Advance,
    /// A request could not be sent.
    NotSent(ExchangeId),
    /// A request is lost on its way.
    LoseRequest(ExchangeId),
    /// The connection that a request is held on breaks: the node hears that its caller is gone.
    Hang(ExchangeId),
    /// An answer is lost on its way.
    LoseAnswer(ExchangeId, usize),
    /// A request on its way becomes two.
    Double(ExchangeId),
    /// An exchange is given up, while something of it is still on its way.
    GiveUp(ExchangeId),
    /// The node restarts.
    Restart,
    /// An application resets its flow.
    Reset(usize),
    /// An upstream resets.
    ResetUpstream(UpstreamId),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Arrive(call) => write!(f, "request {call} arrives at the node"),
            Self::Return(call, _) => write!(f, "the answer to {call} arrives at the client"),
            Self::Stray(_) => f.write_str("a late copy of a request arrives at the node"),
            Self::Connect(up) => write!(f, "upstream {up} opens"),
            Self::Write(flow) => write!(f, "application {flow} sends a byte"),
            Self::Finish(flow) => write!(f, "application {flow} has sent everything"),
            Self::Speak(up) => write!(f, "upstream {up} sends a byte"),
            Self::FinishUpstream(up) => write!(f, "upstream {up} has sent everything"),
            Self::Fail(call) => write!(f, "the client hears that exchange {call} failed"),
            Self::Advance => f.write_str("time goes on to the next deadline"),
            Self::NotSent(call) => write!(f, "request {call} cannot be sent"),
            Self::LoseRequest(call) => write!(f, "request {call} is lost"),
            Self::Hang(call) => write!(f, "the connection of request {call} breaks while the node holds it"),
            Self::LoseAnswer(call, _) => write!(f, "the answer to {call} is lost"),
            Self::Double(call) => write!(f, "request {call} becomes two"),
            Self::GiveUp(call) => write!(f, "exchange {call} is given up, although it is still on its way"),
            Self::Restart => f.write_str("the node restarts"),
            Self::Reset(flow) => write!(f, "application {flow} resets"),
            Self::ResetUpstream(up) => write!(f, "upstream {up} resets"),
        }
    }
}

/// Whose deadline comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Client,
    Node,
    Driver(ExchangeId),
}

impl State {
    fn next_deadline(&self) -> Option<(Instant, Due)> {
        let client = self.client_wake.map(|wake| (wake.at, Due::Client));
        let node = self.node_wake.map(|wake| (wake.at, Due::Node));
        let driver = self.calls.iter().map(|(id, call)| (call.deadline, Due::Driver(*id)));
        client.into_iter().chain(node).chain(driver).min()
    }

    fn is_moving(&self) -> bool {
        self.calls.values().any(PendingCall::is_moving)
    }
}

impl Pair {
    /// Everything that can happen in `state`.
    pub(super) fn offer(&self, state: &State) -> Vec<Step> {
        let mut steps = Vec::with_capacity(16);
        self.offer_network(state, &mut steps);
        self.offer_ends(state, &mut steps);
        let waits = !self.is_busy(state) || state.left.slow > 0;
        if waits && state.next_deadline().is_some() {
            steps.push(Step::Advance);
        }
        if state.left.crash > 0 {
            steps.push(Step::Restart);
        }
        steps
    }

    /// Whether time is not to go on: something is between the machines, or, at level 2, an end has something to do.
    fn is_busy(&self, state: &State) -> bool {
        let local = |(flow, local): (usize, &ScriptedApplication)| {
            local.ended.is_none() && self.next_local(flow, local).is_some()
        };
        let upstream = |(id, upstream): (&UpstreamId, &super::ScriptedUpstream)| {
            self.next_upstream(*id, upstream).is_some()
        };
        let ends = || state.locals.iter().enumerate().any(local) || state.upstreams.iter().any(upstream);
        state.is_moving() || self.scope.is_level_2() && ends()
    }

    fn offer_network(&self, state: &State, steps: &mut Vec<Step>) {
        let left = state.left;
        for (id, call) in &state.calls {
            let id = *id;
            if call.is_lost() {
                steps.push(Step::Fail(id));
                continue;
            }
            if call.coming > 0 {
                steps.push(Step::Arrive(id));
                steps.extend((left.drop > 0).then_some(Step::LoseRequest(id)));
                steps.extend((left.dup > 0).then_some(Step::Double(id)));
                steps.extend((left.unsent > 0 && call.is_untouched()).then_some(Step::NotSent(id)));
            }
            for index in distinct(call.answers.iter().map(|answer| state.answer(call, answer))) {
                steps.push(Step::Return(id, index));
                steps.extend((left.drop > 0).then_some(Step::LoseAnswer(id, index)));
            }
            steps.extend((left.drop > 0 && call.held > 0).then_some(Step::Hang(id)));
            steps.extend((left.late > 0).then_some(Step::GiveUp(id)));
        }
        let strays = distinct(state.strays.iter().map(|stray| state.stray(stray)));
        steps.extend(strays.into_iter().map(Step::Stray));
    }

    fn offer_ends(&self, state: &State, steps: &mut Vec<Step>) {
        let may_reset = state.left.reset > 0;
        for (flow, local) in state.locals.iter().enumerate().filter(|(_, local)| local.ended.is_none()) {
            steps.extend(self.next_local(flow, local));
            steps.extend(may_reset.then_some(Step::Reset(flow)));
        }
        for (id, upstream) in &state.upstreams {
            steps.extend(self.next_upstream(*id, upstream));
            steps.extend(
                (may_reset && upstream.state == SocketState::Open).then_some(Step::ResetUpstream(*id)),
            );
        }
    }

    fn next_local(&self, flow: usize, local: &ScriptedApplication) -> Option<Step> {
        if local.sent < self.scope.up.into() {
            (local.credit > 0).then_some(Step::Write(flow))
        } else {
            (!local.finished).then_some(Step::Finish(flow))
        }
    }

    fn next_upstream(&self, id: UpstreamId, upstream: &super::ScriptedUpstream) -> Option<Step> {
        match upstream.state {
            SocketState::Opening => Some(Step::Connect(id)),
            SocketState::Open if upstream.sent < self.scope.down.into() => {
                (upstream.credit > 0).then_some(Step::Speak(id))
            }
            SocketState::Open => (!upstream.finished).then_some(Step::FinishUpstream(id)),
            SocketState::Gone => None,
        }
    }

    /// The next step in fair turns: calls on their way arrive, oldest first; then both ends continue, upstreams first;
    /// then time advances.
    pub(super) fn next_fair(&self, state: &State) -> Option<Step> {
        let steps = self.offer(state);
        let waits = |step: &&Step| matches!(step, Step::Write(_) | Step::Finish(_) | Step::Advance);
        steps.iter().find(|step| !waits(step)).or(steps.first()).copied()
    }

    /// Lets `step` happen.
    pub(super) fn play(&self, state: &mut State, step: Step) -> Result<(), Broken> {
        match step {
            Step::Arrive(id) => self.arrive(state, id)?,
            Step::Return(id, index) => self.give_back(state, id, index)?,
            Step::Stray(index) => {
                let stray = state.strays.swap_remove(index);
                self.request(state, stray.body, None)?;
            }
            Step::Connect(id) => self.connect(state, id)?,
            Step::Write(flow) => self.write(state, flow)?,
            Step::Finish(flow) => {
                state.locals[flow].finished = true;
                return self.local(state, flow, LocalEvent::Fin);
            }
            Step::Speak(id) => self.speak(state, id)?,
            Step::FinishUpstream(id) => self.finish_upstream(state, id)?,
            Step::Fail(id) => self.fail(state, id)?,
            Step::Advance => self.advance(state)?,
            Step::Restart => self.restart(state),
            Step::Reset(flow) => {
                state.left.reset -= 1;
                return self.local(state, flow, LocalEvent::Reset);
            }
            Step::ResetUpstream(id) => self.reset_upstream(state, id)?,
            Step::NotSent(id) => {
                state.left.unsent -= 1;
                state.calls.remove(&id);
                let event = ClientEvent::ExchangeFailed { exchange: id, why: ExchangeFailure::NotSent };
                self.tell_client(state, event)?;
            }
            Step::LoseRequest(id) => {
                state.left.drop -= 1;
                state.call(id).coming -= 1;
            }
            Step::LoseAnswer(id, index) => {
                state.left.drop -= 1;
                state.call(id).answers.swap_remove(index);
            }
            Step::Double(id) => {
                state.left.dup -= 1;
                state.call(id).coming += 1;
            }
            Step::Hang(id) => {
                state.left.drop -= 1;
                self.hang(state, id)?;
            }
            Step::GiveUp(id) => {
                state.left.late -= 1;
                self.fail(state, id)?;
            }
        }
        self.drain(state)
    }

    fn arrive(&self, state: &mut State, id: ExchangeId) -> Result<(), Broken> {
        let call = state.call(id);
        call.coming -= 1;
        call.held += 1;
        call.fresh = false;
        let body = call.request.body.clone();
        self.request(state, body, Some(id))
    }

    fn request(&self, state: &mut State, body: bytes::Bytes, from: Option<ExchangeId>) -> Result<(), Broken> {
        let request = RequestId::new(state.next_request);
        state.next_request += 1;
        state.held.insert(request, from);
        let event = NodeEvent::Request { request, endpoint: Endpoint::Batch, body };
        self.tell_node(state, event)
    }

    fn give_back(&self, state: &mut State, id: ExchangeId, index: usize) -> Result<(), Broken> {
        let body = state.call(id).answers[index].body.clone();
        self.end_call(state, id);
        self.tell_client(state, ClientEvent::Reply { exchange: id, body })
    }

    fn fail(&self, state: &mut State, id: ExchangeId) -> Result<(), Broken> {
        self.end_call(state, id);
        let event = ClientEvent::ExchangeFailed { exchange: id, why: ExchangeFailure::Unknown };
        self.tell_client(state, event)
    }

    /// The client waits for an exchange no longer; copies of its request may still be on their way.
    fn end_call(&self, state: &mut State, id: ExchangeId) {
        if let Some(call) = state.calls.remove(&id) {
            state.strays.extend((0..call.coming).map(|_| call.request.clone()));
        }
        state.held.values_mut().filter(|waits| **waits == Some(id)).for_each(|waits| *waits = None);
    }

    fn hang(&self, state: &mut State, id: ExchangeId) -> Result<(), Broken> {
        let Some((request, _)) = state.held.iter().find(|(_, waits)| **waits == Some(id)) else {
            return Ok(());
        };
        let request = *request;
        state.held.remove(&request);
        state.call(id).held -= 1;
        let event = NodeEvent::RequestGone { request };
        self.tell_node(state, event)
    }

    fn connect(&self, state: &mut State, id: UpstreamId) -> Result<(), Broken> {
        if let Some(upstream) = state.upstreams.get_mut(&id) {
            upstream.state = SocketState::Open;
        }
        self.upstream(state, id, UpstreamEvent::Opened)
    }

    fn write(&self, state: &mut State, flow: usize) -> Result<(), Broken> {
        let local = &mut state.locals[flow];
        let byte = Pattern::new(flow as u64, Direction::Up).slice(local.sent, 1);
        local.sent += 1;
        local.credit -= 1;
        let id = local.id;
        self.tell_client(state, ClientEvent::Local { flow: id, event: LocalEvent::Data(byte) })
    }

    fn speak(&self, state: &mut State, id: UpstreamId) -> Result<(), Broken> {
        let Some(upstream) = state.upstreams.get_mut(&id) else { return Ok(()) };
        let byte = Pattern::new(upstream.flow as u64, Direction::Down).slice(upstream.sent, 1);
        upstream.sent += 1;
        upstream.credit -= 1;
        if let Some(local) = state.locals.get_mut(upstream.flow) {
            local.upstream_sent = local.upstream_sent.max(upstream.sent);
        }
        self.upstream(state, id, UpstreamEvent::Data(byte))
    }

    fn finish_upstream(&self, state: &mut State, id: UpstreamId) -> Result<(), Broken> {
        let Some(upstream) = state.upstreams.get_mut(&id) else { return Ok(()) };
        upstream.finished = true;
        if let Some(local) = state.locals.get_mut(upstream.flow) {
            local.upstream_finished = true;
        }
        self.upstream(state, id, UpstreamEvent::Fin)
    }

    fn reset_upstream(&self, state: &mut State, id: UpstreamId) -> Result<(), Broken> {
        state.left.reset -= 1;
        if let Some(upstream) = state.upstreams.get_mut(&id) {
            upstream.state = SocketState::Gone;
        }
        let told = self.upstream(state, id, UpstreamEvent::Reset);
        state.upstreams.retain(|_, upstream| !upstream.is_over());
        told
    }

    /// The node dies with everything that it held, and another one stands in its place.
    fn restart(&self, state: &mut State) {
        state.left.crash -= 1;
        state.lives += 1;
        state.node = self.node(state.lives, state.now);
        state.node_wake = None;
        state.held.clear();
        state.upstreams.clear();
        state.calls.values_mut().for_each(|call| call.held = 0);
        for local in &mut state.locals {
            local.orphaned = true;
            // A stream never gets another upstream. Answers on their way may still bring what this one sent, and how much
            // that might have been is nothing to the machines.
            if self.scope.is_level_2() {
                local.upstream_sent = self.scope.down.into();
                local.upstream_finished = false;
            }
        }
    }

    /// Jumps to the next deadline, and tells whose it is.
    fn advance(&self, state: &mut State) -> Result<(), Broken> {
        if self.is_busy(state) {
            state.left.slow = state.left.slow.saturating_sub(1);
        }
        let Some((at, due)) = state.next_deadline() else { return Ok(()) };
        state.now = state.now.max(at);
        match due {
            Due::Client => self.tell_client(state, ClientEvent::Timeout)?,
            Due::Node => self.tell_node(state, NodeEvent::Timeout)?,
            Due::Driver(id) => self.fail(state, id)?,
        }
        self.drain(state)?;
        let wake = match due {
            Due::Client => state.client_wake,
            Due::Node => state.node_wake,
            Due::Driver(_) => None,
        };
        let due = wake.filter(|wake| wake.at <= state.now).map(|wake| wake.timer);
        ensure!(due.is_none(), S9, "after a timeout, {due:?} is due at once again");
        Ok(())
    }
}

impl State {
    fn call(&mut self, id: ExchangeId) -> &mut PendingCall {
        self.calls.get_mut(&id).expect("a step names exchanges of its own state")
    }
}

/// The places of things without an order: of those with the same identity only one, and by identity, so that
/// equal states offer the same in the same order.
fn distinct(identities: impl Iterator<Item = u128>) -> Vec<usize> {
    let mut places: Vec<(u128, usize)> = identities.zip(0..).collect();
    places.sort_unstable();
    places.dedup_by_key(|(identity, _)| *identity);
    places.into_iter().map(|(_, place)| place).collect()
}
