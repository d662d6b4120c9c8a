//! The node machine: batches in, upstream sockets out.

mod action;
mod event;

pub use action::{NodeAction, NodeNotice, Response, SessionEnd, Shut};
pub use event::{Endpoint, NodeEvent, UpstreamEvent};

/// The node machine.
#[derive(Clone, Debug)]
pub struct Node {}
impl Node {
    /// A node.
    pub fn new(_config: crate::NodeConfig, _seed: [u8; 32], _now: crate::Instant) -> Self {
        todo!()
    }
    /// Hands in an event.
    pub fn handle(&mut self, _now: crate::Instant, _event: NodeEvent) -> Result<(), crate::Misuse> {
        todo!()
    }
    /// Takes an action.
    pub fn poll(&mut self) -> NodeAction {
        todo!()
    }
    /// Counters.
    pub fn stats(&self) -> &crate::NodeStats {
        todo!()
    }
    /// Bytes held.
    pub fn buffered_bytes(&self) -> usize {
        todo!()
    }
}
