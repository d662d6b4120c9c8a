//! One stream of a client, with its upstream.

use crate::config::NodeOptions;
use crate::connection::pending::Pending;
use crate::connection::stream::flow::{Datagrams, Flow};
use crate::connection::stream::recv::RecvHalf;
use crate::connection::stream::send::SendHalf;
use crate::connection::stream::traffic::Traffic;
use crate::credit::FLOOR;
use crate::error::Misuse;
use crate::id::UpstreamId;
use crate::node::event::UpstreamEvent;
use crate::node::socket::{Socket, check_connecting};
use crate::target::{FlowKind, Target};
use crate::time::Instant;
use crate::timer::{TimerKind, TimerSlot};

/// One stream.
#[derive(Clone, Debug)]
pub(in crate::node) struct Stream {
    pub(super) socket: Socket,
    pub(super) link: Link,
    pub(super) traffic: Traffic,
    /// OPENED.
    pub(super) opened: Pending,
    pub(super) timer: TimerSlot,
}

/// Where a stream's upstream is.
///
/// ```text
///  OPEN ─▶ Connecting ──Opened──▶ Open ──finished, RESET──▶ (gone)
///              └──── Failed, deadline, RESET ─────────────────┘
/// ```
#[derive(Clone, Debug)]
pub(super) enum Link {
    /// The driver tries to open it. What the client sends waits.
    Connecting { target: Target, deadline: Instant },
    /// It is open.
    Open,
}

impl Stream {
    pub(super) fn new(
        upstream: UpstreamId,
        target: Target,
        kind: FlowKind,
        window: u64,
        config: &NodeOptions,
        now: Instant,
    ) -> Self {
        let deadline = now.saturating_add(config.connect_deadline);
        let flow = match kind {
            FlowKind::Tcp => Flow::Tcp {
                send: SendHalf::new(window),
                recv: RecvHalf::new(config.tuning.streams.uplink_window),
            },
            FlowKind::Udp => Flow::Udp(Datagrams::default()),
        };
        let window_kept = match kind {
            // Nothing is gained by keeping more than the client has room for.
            FlowKind::Tcp => usize::try_from(window).unwrap_or(usize::MAX).max(FLOOR),
            FlowKind::Udp => config.session_buffer,
        };
        Self {
            socket: Socket::new(upstream, kind, window_kept, now),
            link: Link::Connecting { target, deadline },
            traffic: Traffic::new(flow, now),
            opened: Pending::Clear,
            timer: TimerSlot::default(),
        }
    }

    pub(super) const fn is_open(&self) -> bool {
        matches!(self.link, Link::Open)
    }

    /// Whether the contract allows an event of its upstream now.
    pub(in crate::node) fn check(&self, event: &UpstreamEvent) -> Result<(), Misuse> {
        if self.is_open() { self.socket.check(event) } else { check_connecting(event) }
    }

    /// When it needs attention by itself, and why.
    pub(in crate::node) fn deadline(&self, config: &NodeOptions) -> Option<(Instant, TimerKind)> {
        if let Link::Connecting { deadline, .. } = &self.link {
            return Some((*deadline, TimerKind::Connect));
        }
        let write = self.socket.write_deadline(config).map(|at| (at, TimerKind::Write));
        let idle = self.idle_deadline(config).map(|at| (at, TimerKind::IdleFlow));
        [write, idle].into_iter().flatten().min()
    }

    /// When nothing has happened for too long. A TCP stream lives as long as its client.
    pub(super) fn idle_deadline(&self, config: &NodeOptions) -> Option<Instant> {
        (self.socket.kind() == FlowKind::Udp).then(|| self.socket.idle_deadline(config))
    }
}
