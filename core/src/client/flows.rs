//! Table of local flows: which engine carries each.

use alloc::collections::BTreeMap;

use crate::client::context::TimerOwner;
use crate::error::Misuse;
use crate::id::{Counter, FlowId};

/// All flows that have not ended.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct Flows {
    ids: Counter,
    carriers: BTreeMap<FlowId, Carrier>,
}

/// The engine that carries a flow. A flow begins with sessions, and goes over to streams when its open is due and there
/// is a connection of level 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Carrier {
    Sessions,
    Streams,
}

impl Flows {
    /// Checks that a flow with this id was opened, ended or not.
    pub(super) const fn check(&self, id: FlowId) -> Result<(), Misuse> {
        if id.number() < self.ids.issued() { Ok(()) } else { Err(Misuse::UnknownFlow(id)) }
    }

    /// The id of a new flow.
    pub(super) fn next_id(&mut self) -> FlowId {
        FlowId::new(self.ids.next())
    }

    pub(super) fn len(&self) -> usize {
        self.carriers.len()
    }

    /// The flow that was opened first.
    pub(super) fn first(&self) -> Option<FlowId> {
        self.carriers.keys().next().copied()
    }

    /// The engine that carries a flow; none for a flow that has ended.
    pub(super) fn carrier(&self, id: FlowId) -> Option<Carrier> {
        self.carriers.get(&id).copied()
    }

    /// Whether a deadline belongs to level 2.
    pub(super) fn belongs_to_streams(&self, owner: TimerOwner) -> bool {
        if let TimerOwner::Flow(id) = owner {
            self.carrier(id) == Some(Carrier::Streams)
        } else {
            owner == TimerOwner::Streams
        }
    }

    /// Sets the engine that carries a flow.
    pub(super) fn set(&mut self, id: FlowId, carrier: Carrier) {
        self.carriers.insert(id, carrier);
    }

    /// A flow has ended.
    pub(super) fn remove(&mut self, id: FlowId) {
        self.carriers.remove(&id);
    }
}
