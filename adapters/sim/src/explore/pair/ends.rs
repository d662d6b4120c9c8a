//! The two ends of a flow, which play fixed scripts.

use bytes::Bytes;
use seqlane::{EndReason, FlowId};

use crate::explore::model::{Broken, ensure};
use crate::pattern::{Direction, Pattern};
use crate::property::Property;

/// The application's end of a flow.
#[derive(Clone, Debug)]
pub(super) struct ScriptedApplication {
    pub(super) id: FlowId,
    /// Its place among the flows.
    pub(super) flow: usize,
    /// Bytes that it may still send, by credit.
    pub(super) credit: usize,
    pub(super) sent: u64,
    pub(super) finished: bool,
    pub(super) received: u64,
    /// The most that any of its upstreams has sent.
    pub(super) upstream_sent: u64,
    /// Whether any of its upstreams has sent everything.
    pub(super) upstream_finished: bool,
    /// Upstreams that were opened for it.
    pub(super) opens: u32,
    /// The node has lost its session in a restart. To the client, a session that is gone has ended (protocol.md
    /// 2.2): nothing on the wire tells this end from an orderly one.
    pub(super) orphaned: bool,
    pub(super) fin: bool,
    pub(super) ended: Option<EndReason>,
}

impl ScriptedApplication {
    pub(super) const fn new(id: FlowId, flow: usize) -> Self {
        Self {
            id,
            flow,
            credit: 0,
            sent: 0,
            finished: false,
            received: 0,
            upstream_sent: 0,
            upstream_finished: false,
            opens: 0,
            orphaned: false,
            fin: false,
            ended: None,
        }
    }

    /// S1, S4: `bytes` are delivered.
    pub(super) fn take(&mut self, bytes: &Bytes) -> Result<(), Broken> {
        let flow = self.flow;
        ensure!(self.ended.is_none() && !self.fin, S4, "flow {flow} gets bytes after its end");
        Pattern::new(flow as u64, Direction::Down)
            .verify(self.received, bytes)
            .map_err(|mismatch| Broken::new(Property::S1, format!("downlink of flow {flow}: {mismatch}")))?;
        self.received += bytes.len() as u64;
        ensure!(self.received <= self.upstream_sent, S1, "flow {flow} gets more than its upstream sent");
        Ok(())
    }

    /// S1, S4: the flow is over; its upstream has `down` bytes to send.
    pub(super) fn end(&mut self, why: EndReason, down: u64) -> Result<(), Broken> {
        let Self { flow, received, .. } = *self;
        ensure!(self.ended.is_none(), S4, "flow {flow} ends twice");
        let whole = self.upstream_finished && received == down;
        let holds = why != EndReason::Finished || whole || self.orphaned;
        ensure!(holds, S1, "flow {flow} looks finished after {received} bytes, and is not");
        self.ended = Some(why);
        Ok(())
    }
}

/// The far end of a flow.
#[derive(Clone, Debug)]
pub(super) struct ScriptedUpstream {
    pub(super) flow: usize,
    pub(super) state: SocketState,
    pub(super) credit: usize,
    pub(super) sent: u64,
    pub(super) finished: bool,
    pub(super) received: u64,
    /// Whether its session has ended, or there never was one.
    pub(super) ended: bool,
}

/// ```text
///   Opening ── Opened ──▶ Open ── reset, or shut by the node ──▶ Gone
///      └─────────────── shut by the node ───────────────────────▶ Gone
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum SocketState {
    Opening,
    Open,
    Gone,
}

impl ScriptedUpstream {
    pub(super) const fn new(flow: usize) -> Self {
        Self {
            flow,
            state: SocketState::Opening,
            credit: 0,
            sent: 0,
            finished: false,
            received: 0,
            ended: false,
        }
    }

    /// S1, S2: `bytes` are written to it, of which its flow has sent `sent`.
    pub(super) fn take(&mut self, bytes: &Bytes, sent: u64) -> Result<(), Broken> {
        let flow = self.flow;
        ensure!(self.state == SocketState::Open, S4, "bytes for an upstream of flow {flow} that is gone");
        let pattern = Pattern::new(flow as u64, Direction::Up);
        pattern.verify(self.received, bytes).map_err(|mismatch| {
            let again = mismatch.belongs.is_some_and(|place| place < mismatch.offset);
            let property = if again { Property::S2 } else { Property::S1 };
            Broken::new(property, format!("uplink of flow {flow}: {mismatch}"))
        })?;
        self.received += bytes.len() as u64;
        ensure!(self.received <= sent, S1, "the upstream of flow {flow} gets more than was sent");
        Ok(())
    }

    /// Whether nothing more can be said of it.
    pub(super) fn is_over(&self) -> bool {
        self.state == SocketState::Gone && self.ended
    }
}
