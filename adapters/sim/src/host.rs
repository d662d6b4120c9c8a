//! Client hosts: the bare machine, or an embedder's own host around it.

use seqlane::{
    Client, ClientAction, ClientEvent, ClientStats, FlowId, FlowKind, Instant, Misuse, OpenError, Target,
};

/// What the world drives in place of a bare [`Client`].
///
/// Implement it for your own host code (a cache in front, a limit of your own, another queue), and every fault
/// and every property of the simulator works on it.
pub trait ClientHost: Clone {
    /// Opens a flow, as [`Client::open`].
    ///
    /// # Errors
    /// [`OpenError`], as the client has it.
    fn open(&mut self, now: Instant, target: Target, kind: FlowKind) -> Result<FlowId, OpenError>;

    /// Takes in what happened, as [`Client::handle`].
    ///
    /// # Errors
    /// [`Misuse`], as the client has it.
    fn handle(&mut self, now: Instant, event: ClientEvent) -> Result<(), Misuse>;

    /// Takes the next thing to do, as [`Client::poll`].
    fn poll(&mut self) -> ClientAction;

    /// The client inside.
    fn client(&self) -> &Client;

    /// Its counters.
    fn stats(&self) -> &ClientStats {
        self.client().stats()
    }
}

impl ClientHost for Client {
    fn open(&mut self, now: Instant, target: Target, kind: FlowKind) -> Result<FlowId, OpenError> {
        self.open(now, target, kind)
    }

    fn handle(&mut self, now: Instant, event: ClientEvent) -> Result<(), Misuse> {
        self.handle(now, event)
    }

    fn poll(&mut self) -> ClientAction {
        self.poll()
    }

    fn client(&self) -> &Client {
        self
    }
}
