//! Table of the flows at levels 0 and 1: what each wants sent, its credit, and its end.

use alloc::collections::{BTreeMap, BTreeSet};

use crate::client::action::{ClientAction, EndReason};
use crate::client::context::{Context, TimerOwner};
use crate::client::relays::Path;
use crate::client::sessions::closes::Closes;
use crate::client::sessions::flow::Flow;
use crate::client::sessions::polls::Inputs;
use crate::client::sessions::ready::{Coalescing, Polling, Ready, SendQueue};
use crate::config::ClientOptions;
use crate::id::FlowId;
use crate::timer::{TimerKind, TimerSlot};

/// All flows of levels 0 and 1.
#[derive(Clone, Debug, Default)]
pub(super) struct FlowTable {
    flows: BTreeMap<FlowId, Flow>,
    ready: Ready,
    /// Flows that wait for room in the uplink pool.
    blocked: BTreeSet<FlowId>,
    coalescing: Coalescing,
    coalesce_timer: TimerSlot,
    /// Calls under way that carry payload.
    payload_calls: usize,
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
        let wants = flow.refresh(inputs, context);
        let queues = [
            wants.connect.then_some(SendQueue::Connect),
            wants.payload.map(|_| SendQueue::Payload),
            wants.poll.map(SendQueue::Poll),
        ];
        for queue in queues.into_iter().flatten() {
            if flow.enter(queue) {
                self.ready.push(queue, id);
            }
        }
        if flow.is_blocked() {
            self.blocked.insert(id);
        }
        if let Some(bytes) = wants.payload {
            let at_once = self.payload_calls == 0 || bytes >= context.config().tuning.max_op_payload;
            let window = inputs.coalescing_window(context.config());
            self.coalescing.on_payload(at_once, inputs.now.saturating_add(window));
            self.rearm(context);
        }
    }

    /// A flow is over: returns its credit, and closes its session at the node if the node does not know.
    pub(super) fn end(&mut self, id: FlowId, why: EndReason, closes: &mut Closes, context: &mut Context) {
        let Some(mut flow) = self.remove(id) else { return };
        if let Some(sid) = flow.sid().filter(|_| why != EndReason::Finished) {
            closes.push(sid, context);
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
    pub(super) fn queue(&self, queue: SendQueue) -> impl ExactSizeIterator<Item = FlowId> {
        self.ready.iter(queue)
    }

    /// The next flow that wants to open.
    pub(super) fn next_connect(&mut self) -> Option<FlowId> {
        while let Some(id) = self.pop(SendQueue::Connect) {
            if self.flows.get(&id).is_some_and(Flow::wants_connect) {
                return Some(id);
            }
        }
        None
    }

    /// The next flow that wants to send payload, and how many bytes.
    pub(super) fn next_payload(&mut self, config: &ClientOptions) -> Option<(FlowId, usize)> {
        while let Some(id) = self.pop(SendQueue::Payload) {
            if let Some(wanted) = self.flows.get(&id).and_then(|flow| flow.wants_payload(config)) {
                return Some((id, wanted));
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
        let id = self.ready.pop(queue)?;
        if let Some(flow) = self.flows.get_mut(&id) {
            flow.leave(queue);
        }
        Some(id)
    }

    /// Puts a flow back whose turn it stays.
    pub(super) fn put_first(&mut self, queue: SendQueue, id: FlowId) {
        self.ready.push_front(queue, id);
        self.enter(queue, id);
    }

    /// Puts a flow back whose turn was passed over.
    pub(super) fn put_last(&mut self, queue: SendQueue, id: FlowId) {
        self.ready.push_back(queue, id);
        self.enter(queue, id);
    }

    fn enter(&mut self, queue: SendQueue, id: FlowId) {
        if let Some(flow) = self.flows.get_mut(&id) {
            flow.enter(queue);
        }
    }

    /// Whether payload that waits may be sent now.
    pub(super) const fn may_send_payload(&self) -> bool {
        self.coalescing.is_over()
    }

    /// No payload could be sent. If none waits, the next one waits for others again.
    pub(super) fn on_no_payload(&mut self, context: &mut Context) {
        if self.ready.iter(SendQueue::Payload).len() == 0 {
            self.coalescing = Coalescing::Nothing;
            self.rearm(context);
        }
    }

    /// A call with payload goes out.
    pub(super) const fn on_payload_call(&mut self) {
        self.payload_calls = self.payload_calls.saturating_add(1);
    }

    /// A call with payload has ended.
    pub(super) fn on_payload_call_ended(&mut self, context: &mut Context) {
        self.payload_calls = self.payload_calls.saturating_sub(1);
        self.flush(context);
    }

    /// Payload that waits for others goes.
    pub(super) fn flush(&mut self, context: &mut Context) {
        self.coalescing.flush();
        self.rearm(context);
    }

    fn rearm(&mut self, context: &mut Context) {
        let deadline = self.coalescing.deadline().map(|at| (at, TimerKind::Coalesce));
        context.set_timer(&mut self.coalesce_timer, TimerOwner::Coalesce, deadline);
    }

    /// The table's part of a state's fingerprint; `rank` numbers the flows.
    #[cfg(feature = "model")]
    pub(super) fn fingerprint(
        &self,
        rank: impl Fn(FlowId) -> Option<usize>,
        context: &Context,
        print: &mut crate::fingerprint::Fingerprint<'_>,
    ) {
        print.value(self.payload_calls);
        print.each(self.flows.iter(), |print, (id, flow)| {
            print.value(rank(*id));
            flow.fingerprint(context.config(), print);
        });
        self.ready.fingerprint(&rank, print);
        self.coalescing.fingerprint(print);
        print.each(self.blocked.iter(), |print, id| print.value(rank(*id)));
    }

    /// Adds an entry to a queue without the knowledge of its flow.
    #[cfg(test)]
    pub(super) fn push_stale(&mut self, queue: SendQueue, id: FlowId) {
        self.ready.push_back(queue, id);
    }
}
