//! The real client and the real node in a closed world.

mod call;
mod drain;
mod ends;
mod identity;
mod step;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use seqlane::{
    Client, ClientConfig, ClientEvent, ClientOptions, ClientStreamOptions, ClientTuning, ExchangeId, FlowId,
    FlowKind, Form, Instant, Level, LocalEvent, Node, NodeConfig, NodeEvent, NodeOptions, RelayOptions,
    RequestId, Secret, Target, UpstreamId, Wake,
};

use crate::explore::model::{Broken, Model};
use crate::explore::scope::Scope;
use crate::hash::RunHash;
use crate::property::Property;
use crate::scenario::setup::KEY;

use call::{PendingCall, Request};
use ends::{ScriptedApplication, ScriptedUpstream};
pub use step::Step;

/// The closed world of a scope.
#[derive(Clone, Debug)]
pub struct Pair {
    scope: Scope,
    client: ClientConfig,
    node: NodeConfig,
}

/// The two machines, and everything that is between and around them.
#[derive(Clone, Debug)]
pub struct State {
    client: Client,
    node: Node,
    now: Instant,
    client_wake: Option<Wake>,
    node_wake: Option<Wake>,
    /// Exchanges that the client waits for.
    calls: BTreeMap<ExchangeId, PendingCall>,
    /// Copies of requests that no client waits for.
    strays: Vec<Request>,
    /// Requests at the node, and who waits for the answer.
    held: BTreeMap<RequestId, Option<ExchangeId>>,
    next_request: u64,
    locals: Vec<ScriptedApplication>,
    upstreams: BTreeMap<UpstreamId, ScriptedUpstream>,
    /// How often each fault may still happen.
    left: Scope,
    /// How many nodes there were: each has ids of its own.
    lives: u8,
    /// What the machines did in the last step: no part of the identity.
    output: RunHash,
}

/// How long a session may be idle at the node. The default of 300 s is 20 holds long, and each of them is a
/// state of its own for an unused session.
const TCP_IDLE: Duration = Duration::from_secs(40);

/// The port of every target: one on which the client speaks first.
const PORT: u16 = 443;

impl Pair {
    /// The closed world of this scope.
    pub fn new(scope: Scope) -> Self {
        let level = Level::from_number(scope.level).unwrap_or_default();
        let streams = ClientStreamOptions::default().max_depth(scope.lanes.max(2).into());
        let mut relay = RelayOptions::new(Secret::new(KEY)).form(Form::Node);
        if scope.is_level_2() {
            // Sparse payload goes beyond the depth, but never beyond what the relay takes.
            relay.max_concurrent = scope.lanes.into();
        }
        let client = ClientOptions::new(vec![relay]).max_level(level).max_depth(scope.lanes.into()).tuning(
            ClientTuning::new()
                .max_batch_ops(scope.batch.into())
                .max_op_payload(scope.op.into())
                .streams(streams),
        );
        let node = NodeOptions::new(Secret::new(KEY)).max_level(level).tcp_idle(TCP_IDLE);
        Self {
            scope,
            client: client.validate().expect("a scope within its bounds makes a valid client"),
            node: node.validate().expect("the defaults are valid"),
        }
    }

    fn node(&self, life: u8, now: Instant) -> Node {
        Node::unsealed(self.node.clone(), [life; 32], now)
    }

    fn empty(&self) -> State {
        let now = Instant::from_micros(1_000_000);
        State {
            client: Client::unsealed(self.client.clone(), [0xc1; 32], now),
            node: self.node(1, now),
            now,
            client_wake: None,
            node_wake: None,
            calls: BTreeMap::new(),
            strays: Vec::new(),
            held: BTreeMap::new(),
            next_request: 0,
            locals: Vec::new(),
            upstreams: BTreeMap::new(),
            left: Scope::default(),
            lives: 1,
            output: RunHash::default(),
        }
    }

    fn open(&self, state: &mut State) -> Result<(), Broken> {
        let flow = state.locals.len();
        let target = Target::new(&format!("flow{flow}"), PORT).expect("a short name and a port");
        let opened = state.client.open(state.now, target, FlowKind::Tcp);
        let stream = opened.map_err(|misuse| Broken::new(Property::S11, misuse.to_string()))?;
        state.locals.push(ScriptedApplication::new(stream, flow));
        self.drain(state)
    }

    /// Lets a flow come and go, so that the client knows its relay, and forgets the flow.
    fn warm_up(&self, state: &mut State) -> Result<(), Broken> {
        self.open(state)?;
        while state.upstreams.values().all(|upstream| upstream.state != ends::SocketState::Open)
            || state.calls.values().any(PendingCall::is_moving)
        {
            let step =
                self.fair(state).ok_or_else(|| Broken::new(Property::L1, "the first flow never opens"))?;
            self.take(state, step)?;
        }
        self.local(state, 0, LocalEvent::Reset)?;
        while !self.is_done(state) {
            let step =
                self.fair(state).ok_or_else(|| Broken::new(Property::L3, "the first flow never closes"))?;
            self.take(state, step)?;
        }
        state.locals.clear();
        Ok(())
    }

    fn local(&self, state: &mut State, flow: usize, event: LocalEvent) -> Result<(), Broken> {
        let id = state.locals[flow].id;
        self.tell_client(state, ClientEvent::Local { flow: id, event })?;
        self.drain(state)
    }

    fn tell_client(&self, state: &mut State, event: ClientEvent) -> Result<(), Broken> {
        state.client.handle(state.now, event).map_err(|misuse| Broken::new(Property::S11, misuse.to_string()))
    }

    fn tell_node(&self, state: &mut State, event: NodeEvent) -> Result<(), Broken> {
        state.node.handle(state.now, event).map_err(|misuse| Broken::new(Property::S11, misuse.to_string()))
    }
}

impl State {
    /// Whether every flow came to its orderly end.
    pub fn all_finished(&self) -> bool {
        self.locals.iter().all(|local| local.fin)
    }

    fn local(&mut self, id: FlowId) -> Option<&mut ScriptedApplication> {
        self.locals.iter_mut().find(|local| local.id == id)
    }

    /// A hash of what the machines did in the last step, with ids left out.
    pub const fn output(&self) -> u64 {
        self.output.value()
    }
}

impl Model for Pair {
    type State = State;
    type Step = Step;

    fn root(&self) -> Result<State, Broken> {
        let mut state = self.empty();
        self.drain(&mut state)?;
        if self.scope.warm > 0 {
            self.warm_up(&mut state)?;
        }
        for _ in 0..self.scope.flows {
            self.open(&mut state)?;
        }
        state.left = self.scope;
        Ok(state)
    }

    fn steps(&self, state: &State) -> Vec<Step> {
        self.offer(state)
    }

    fn take(&self, state: &mut State, step: Step) -> Result<(), Broken> {
        state.output = RunHash::default();
        self.play(state, step)
    }

    fn print(&self, state: &State) -> u128 {
        state.identity()
    }

    fn is_done(&self, state: &State) -> bool {
        let ended = state.locals.iter().all(|local| local.ended.is_some());
        ended
            && state.calls.is_empty()
            && state.strays.is_empty()
            && state.held.is_empty()
            && state.upstreams.is_empty()
            && state.client.known_sessions().next().is_none()
            && state.client.buffered_bytes() == 0
            && state.node.buffered_bytes() == 0
    }

    fn heal(&self, state: &mut State) {
        state.left = Scope::default();
    }

    fn fair(&self, state: &State) -> Option<Step> {
        self.next_fair(state)
    }
}
