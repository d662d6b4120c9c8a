//! Table of the flows at levels 0 and 1: what each wants sent, its credit, and its end.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use core::hash::{Hash, Hasher};

use crate::client::action::{ClientAction, EndReason};
use crate::client::context::Context;
use crate::client::relays::{Path, Relays};
use crate::client::sessions::batch::{Polling, SendQueue};
use crate::client::sessions::closes::Closes;
use crate::client::sessions::coalescing::Coalescing;
use crate::client::sessions::flow::Flow;
use crate::client::sessions::polls::Inputs;
use crate::client::sessions::session::Outcome;
use crate::id::FlowId;

/// All flows of levels 0 and 1.
#[derive(Clone, Debug, Default)]
pub(super) struct FlowTable {
    flows: BTreeMap<FlowId, Flow>,
    queues: BTreeMap<SendQueue, VecDeque<FlowId>>,
    /// Flows that wait for room in the uplink pool.
    blocked: BTreeSet<FlowId>,
    coalescing: Coalescing,
    closes: Closes,
}

impl Hash for FlowTable {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.flows, &self.blocked, &self.coalescing, &self.closes).hash(state);
        self.queues.iter().filter(|(_, queue)| !queue.is_empty()).for_each(|queue| queue.hash(state));
    }
}

impl FlowTable {
    pub(super) fn get(&self, id: FlowId) -> Option<&Flow> {
        self.flows.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: FlowId) -> Option<&mut Flow> {
        self.flows.get_mut(&id)
    }

    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = (FlowId, &Flow)> {
        self.flows.iter().map(|(id, flow)| (*id, flow))
    }

    pub(super) fn insert(&mut self, id: FlowId, flow: Flow) {
        self.flows.insert(id, flow);
    }

    /// Removes a flow that another engine carries on.
    pub(super) fn remove(&mut self, id: FlowId) -> Option<Flow> {
        self.blocked.remove(&id);
        self.flows.remove(&id)
    }

    /// After anything that may have changed a flow: queues what it wants, sets its timer, notes whether it is blocked.
    pub(super) fn refresh(&mut self, id: FlowId, inputs: Inputs, context: &mut Context) {
        let Some(flow) = self.flows.get_mut(&id) else { return };
        for queue in flow.refresh(inputs, context).into_iter().flatten() {
            if flow.enter(queue) {
                self.queues.entry(queue).or_default().push_back(id);
            }
        }
        if flow.is_blocked() {
            self.blocked.insert(id);
        }
        if let Some(bytes) = flow.wants_payload(context.config()) {
            self.coalescing.on_payload(bytes, inputs, context);
        }
    }

    /// After an event of a flow, which goes on or ends with it.
    pub(super) fn conclude(&mut self, id: FlowId, outcome: Outcome, relays: &Relays, context: &mut Context) {
        match outcome {
            Ok(()) => self.refresh(id, Inputs::new(relays, context.now()), context),
            Err(why) => self.end(id, why, context),
        }
    }

    /// A flow is over: returns its credit, and closes its session at the node if the node does not know.
    pub(super) fn end(&mut self, id: FlowId, why: EndReason, context: &mut Context) {
        let Some(mut flow) = self.remove(id) else { return };
        if let Some(sid) = flow.sid().filter(|_| why != EndReason::Finished) {
            self.closes.push(sid, context);
        }
        flow.close(context);
        if why == EndReason::Finished {
            context.push(ClientAction::Fin { flow: id });
        }
        context.ended(id, Some(flow.target()), why);
    }

    /// Gives credit to flows that got none while the pool had no room, in the order of their ids.
    pub(super) fn feed(&mut self, context: &mut Context) {
        while context.pool_has_room()
            && let Some(id) = self.blocked.pop_first()
        {
            if let Some(flow) = self.flows.get_mut(&id) {
                flow.regrant(context);
            }
        }
    }

    /// The entries of a queue, stale ones too.
    pub(super) fn queue(&self, queue: SendQueue) -> impl Iterator<Item = FlowId> {
        self.queues.get(&queue).into_iter().flatten().copied()
    }

    /// How many they are.
    pub(super) fn queue_len(&self, queue: SendQueue) -> usize {
        self.queues.get(&queue).map_or(0, VecDeque::len)
    }

    /// The next flow in a queue that `wants` it.
    pub(super) fn next(&mut self, queue: SendQueue, wants: impl Fn(&Flow) -> bool) -> Option<FlowId> {
        while let Some(id) = self.pop(queue) {
            if self.flows.get(&id).is_some_and(&wants) {
                return Some(id);
            }
        }
        None
    }

    /// The next flow that wants to poll, and the path that it needs.
    pub(super) fn next_poll(
        &mut self,
        polling: Polling,
        inputs: Inputs,
        context: &mut Context,
    ) -> Option<(FlowId, Path)> {
        while let Some(id) = self.pop(SendQueue::Poll(polling)) {
            let Some(flow) = self.flows.get(&id) else { continue };
            if flow.wants_poll(inputs, context.config()).is_some() {
                return Some((id, flow.path()));
            }
            // The inputs have changed since it was queued, and so has its deadline.
            self.refresh(id, inputs, context);
        }
        None
    }

    fn pop(&mut self, queue: SendQueue) -> Option<FlowId> {
        let id = self.queues.entry(queue).or_default().pop_front()?;
        if let Some(flow) = self.flows.get_mut(&id) {
            flow.leave(queue);
        }
        Some(id)
    }

    /// Puts a flow back whose turn it stays.
    pub(super) fn put_first(&mut self, queue: SendQueue, id: FlowId) {
        self.queues.entry(queue).or_default().push_front(id);
        self.enter(queue, id);
    }

    /// Puts a flow back whose turn was passed over.
    pub(super) fn put_last(&mut self, queue: SendQueue, id: FlowId) {
        self.queues.entry(queue).or_default().push_back(id);
        self.enter(queue, id);
    }

    fn enter(&mut self, queue: SendQueue, id: FlowId) {
        if let Some(flow) = self.flows.get_mut(&id) {
            flow.enter(queue);
        }
    }

    pub(super) const fn coalescing(&mut self) -> &mut Coalescing {
        &mut self.coalescing
    }

    /// The closes of sessions whose flows have ended.
    pub(super) const fn closes(&self) -> &Closes {
        &self.closes
    }

    pub(super) const fn closes_mut(&mut self) -> &mut Closes {
        &mut self.closes
    }

    /// Adds an entry to a queue without the knowledge of its flow.
    #[cfg(test)]
    pub(super) fn push_stale(&mut self, queue: SendQueue, id: FlowId) {
        self.queues.entry(queue).or_default().push_back(id);
    }
}
