//! The two ends of every flow: sockets of applications and of upstreams.
//!
//! The world plays them, and the oracle looks at them.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use seqlane::{EndReason, FlowId, FlowKind, UpstreamId};

use crate::pattern::{Direction, Pattern};
use crate::scenario::{FlowSetup, Setup};
use crate::script::{Kind, Script};
use crate::time::Time;

/// All flows of a run, and all upstreams that nodes opened for them.
#[derive(Clone, Debug)]
pub(crate) struct Ends {
    /// Those of clients, then those of foreign clients.
    pub(crate) flows: Vec<Flow>,
    pub(crate) upstreams: Vec<Upstream>,
}

/// A flow, from its application to its upstreams.
#[derive(Clone, Debug)]
pub(crate) struct Flow {
    pub(crate) client: usize,
    pub(crate) script: Script,
    /// Its id at its client, once it is open there.
    pub(crate) id: Option<FlowId>,
    pub(crate) app: Application,
    /// Upstreams that were opened for it: one, unless an open was doubled.
    pub(crate) upstreams: Vec<usize>,
    /// When a byte of it last moved at either end.
    pub(crate) moved: Time,
    /// Whether its client has said that it is a stream of level 2.
    pub(crate) is_stream: bool,
    /// Whether it belongs to a foreign client.
    pub(crate) is_foreign: bool,
    /// The flow whose target it has: itself, or an earlier one.
    pub(crate) target: usize,
    /// When its application had sent everything.
    pub(crate) finished: Time,
    /// How and when it ended.
    pub(crate) over: Option<(EndReason, Time)>,
}

/// The application's socket.
#[derive(Clone, Debug, Default)]
pub(crate) struct Application {
    pub(crate) credit: usize,
    pub(crate) opened: bool,
    pub(crate) fin: bool,
    pub(crate) ended: Option<EndReason>,
    pub(crate) turns: u32,
    pub(crate) thinking: bool,
    pub(crate) sent: u64,
    pub(crate) received: u64,
    pub(crate) unread: usize,
    pub(crate) reading: bool,
    /// It sends nothing any more.
    pub(crate) done: bool,
}

/// A connection of a node to the far end of a flow.
#[derive(Clone, Debug)]
pub(crate) struct Upstream {
    pub(crate) node: usize,
    pub(crate) id: UpstreamId,
    pub(crate) flow: usize,
    pub(crate) state: UpstreamState,
    pub(crate) credit: usize,
    pub(crate) sent: u64,
    /// Bytes that it has decided to send.
    pub(crate) promised: u64,
    /// Bytes that it is to send by now.
    pub(crate) due: u64,
    pub(crate) received: u64,
    pub(crate) unread: usize,
    pub(crate) reading: bool,
    /// It has sent everything.
    pub(crate) finished: bool,
    /// How long it takes to answer.
    pub(crate) answers_after: Duration,
}

/// ```text
///   Opening ── connected ──▶ Open ── shut by the node, or lost with it ──▶ Gone
///      │                      └───── reset by itself ──▶ Broken
///      ├── failed ──▶ Broken
///      └── shut by the node ──▶ Gone
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UpstreamState {
    Opening,
    Open,
    /// It ended by itself during this event of the run; the node may not have been told before that event ends.
    Broken {
        event: u64,
    },
    Gone,
}

impl Ends {
    /// The flows of a run before it begins.
    pub(crate) fn new(setup: &Setup) -> Self {
        let foreign =
            (setup.flows.len()..).zip(&setup.foreign_clients).map(|(index, _)| Flow::foreign(index));
        let flows = setup.flows.iter().enumerate().map(Flow::new).chain(foreign).collect();
        Self { flows, upstreams: Vec::new() }
    }

    /// The upstreams of a flow.
    pub(crate) fn upstreams_of(&self, flow: usize) -> impl Iterator<Item = &Upstream> {
        self.flows[flow].upstreams.iter().map(|upstream| &self.upstreams[*upstream])
    }

    /// The most bytes that any upstream of a flow has received.
    pub(crate) fn received_upstream(&self, flow: usize) -> u64 {
        self.upstreams_of(flow).map(|upstream| upstream.received).max().unwrap_or(0)
    }

    /// The flow that opens a target of this name: see [`Flow::host`].
    pub(crate) fn flow_named(&self, host: &str) -> Option<usize> {
        let target = host.get(1..)?.parse::<usize>().ok().filter(|n| *n < self.flows.len())?;
        match host.get(..1)? {
            "f" => Some(target),
            "F" => (target + 1..self.flows.len()).find(|flow| self.flows[*flow].target == target),
            _ => None,
        }
    }
}

impl Flow {
    fn new((index, setup): (usize, &FlowSetup)) -> Self {
        Self {
            client: setup.client,
            script: setup.script.clone(),
            id: None,
            app: Application::default(),
            upstreams: Vec::new(),
            moved: Time::ZERO,
            is_stream: false,
            is_foreign: false,
            target: setup.again.unwrap_or(index),
            finished: Time::ZERO,
            over: None,
        }
    }

    /// A flow of a foreign client. No client has it, so for clients it is over.
    fn foreign(index: usize) -> Self {
        let script = Script::new(Kind::Echo, 100);
        let setup = FlowSetup { client: usize::MAX, at: Duration::ZERO, script, again: None, spoiled: false };
        let app = Application { ended: Some(EndReason::Local), ..Application::default() };
        Self { app, is_foreign: true, ..Self::new((index, &setup)) }
    }

    /// The host that flow `index` opens. A flow with the target of another writes the same name in another way, so
    /// that an open tells whose it is.
    pub(crate) fn host(&self, index: usize) -> String {
        let first = if self.target == index { 'f' } else { 'F' };
        format!("{first}{}", self.target)
    }

    pub(crate) const fn is_udp(&self) -> bool {
        matches!(self.script.transport(), FlowKind::Udp)
    }

    /// Whether its client has it.
    pub(crate) const fn is_alive(&self) -> bool {
        self.id.is_some() && self.app.ended.is_none()
    }
}

impl Upstream {
    /// Whether it has sent everything.
    pub(crate) const fn sent_all(&self, script: &Script) -> bool {
        self.finished && self.sent == script.total_down()
    }
}

impl UpstreamState {
    pub(crate) const fn is_over(self) -> bool {
        matches!(self, Self::Broken { .. } | Self::Gone)
    }
}

/// A datagram that carries its number, and that only this flow has.
pub(crate) fn datagram(flow: usize, direction: Direction, number: u64, len: u64) -> Bytes {
    let len = len.max(8) as usize;
    let mut bytes = BytesMut::with_capacity(len);
    bytes.extend_from_slice(&number.to_be_bytes());
    bytes.extend_from_slice(&Pattern::new(flow as u64, direction).slice(number * len as u64, len - 8));
    bytes.freeze()
}

/// The number of a datagram that is whole and belongs to this flow.
pub(crate) fn datagram_number(flow: usize, direction: Direction, bytes: &Bytes) -> Option<u64> {
    let number = u64::from_be_bytes(bytes.get(..8)?.try_into().ok()?);
    let expected = Pattern::new(flow as u64, direction);
    let offset = number.checked_mul(bytes.len() as u64)?;
    expected.verify(offset, &bytes[8..]).is_ok().then_some(number)
}
