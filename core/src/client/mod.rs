//! The client machine: flows in, batches out.

mod action;
mod event;

pub use action::{ClientAction, ClientNotice, EndReason};
pub use event::{ClientEvent, ExchangeFailure, LocalEvent};

/// The client machine.
#[derive(Clone, Debug)]
pub struct Client {}
impl Client {
    /// A client.
    pub fn new(_config: crate::ClientConfig, _seed: [u8; 32], _now: crate::Instant) -> Self {
        todo!()
    }
    /// Opens a flow.
    pub fn open(
        &mut self,
        _now: crate::Instant,
        _target: crate::Target,
        _kind: crate::FlowKind,
    ) -> Result<crate::StreamId, crate::Misuse> {
        todo!()
    }
    /// Hands in an event.
    pub fn handle(&mut self, _now: crate::Instant, _event: ClientEvent) -> Result<(), crate::Misuse> {
        todo!()
    }
    /// Takes an action.
    pub fn poll(&mut self) -> ClientAction {
        todo!()
    }
    /// Counters.
    pub fn stats(&self) -> &crate::ClientStats {
        todo!()
    }
    /// Bytes held.
    pub fn buffered_bytes(&self) -> usize {
        todo!()
    }
}
