//! Stream at the node, with its upstream (protocol.md 3.2 rules 1 and 11).

use crate::config::NodeOptions;
use crate::connection::pending::Pending;
use crate::connection::stream::Stream;
use crate::connection::stream::recv::RecvHalf;
use crate::connection::stream::send::SendHalf;
use crate::connection::stream::transport::{Datagrams, Transport};
use crate::connection::{Filling, Side};
use crate::credit::{Credit, FLOOR};
use crate::error::Misuse;
use crate::id::UpstreamId;
use crate::node::event::UpstreamEvent;
#[cfg(feature = "model")]
use crate::node::fingerprint::Ranks;
use crate::node::socket::{Socket, check_connecting};
use crate::target::{FlowKind, Target};
use crate::time::Instant;
use crate::timer::{TimerKind, TimerSlot};
use crate::wire::frame::Frame;
use crate::wire::number::StreamNumber;
use crate::wire::varint;

/// The most that a frame without payload takes: type, length, two integers.
pub(super) const FRAME: usize = 1 + 1 + 2 * varint::MAX_LEN;

/// A stream at the node.
pub(in crate::node) type UpstreamStream = Stream<UpstreamSocket>;

/// What the node knows of the upstream of a stream.
#[derive(Clone, Debug)]
pub(in crate::node) struct UpstreamSocket {
    link: Link,
    socket: Socket,
    timer: TimerSlot,
}

impl Side for UpstreamSocket {
    /// The same frames fit again, whatever the numbers in ACK and WINDOW are by then: another copy of the request has the
    /// same answer (protocol.md 3.2 rule 2). BACKLOG comes last, and always fits.
    const FILLING: Filling = Filling {
        opens_first: false,
        least_room: FRAME,
        least_cut: 1024,
        tail: FRAME,
        max_frames: 16 * 1024,
        repeats: true,
    };

    fn opening(&self, stream: StreamNumber, _: FlowKind) -> Frame {
        Frame::Opened { stream }
    }

    fn credit_mut(&mut self) -> &mut Credit {
        self.socket.credit()
    }
}

/// State of a stream's upstream.
///
/// ```text
///  OPEN ─▶ Connecting ──Opened──▶ Open ──finished, RESET──▶ (gone)
///              └──── Failed, deadline, RESET ─────────────────┘
/// ```
#[derive(Clone, Debug)]
enum Link {
    /// The driver is opening it. What the client sends waits.
    Connecting { target: Target, deadline: Instant },
    /// It is open.
    Open,
}

impl UpstreamStream {
    /// A stream whose upstream is being opened.
    pub(super) fn open(
        upstream: UpstreamId,
        target: Target,
        kind: FlowKind,
        window: u64,
        config: &NodeOptions,
        now: Instant,
    ) -> Self {
        let deadline = now.saturating_add(config.connect_deadline);
        let transport = match kind {
            FlowKind::Tcp => Transport::Tcp {
                send: SendHalf::new(window),
                recv: RecvHalf::new(config.tuning.streams.uplink_window),
            },
            FlowKind::Udp => Transport::Udp(Datagrams::default()),
        };
        let buffers = match kind {
            // Nothing is gained by buffering more than the client has room for.
            FlowKind::Tcp => usize::try_from(window).unwrap_or(usize::MAX).max(FLOOR),
            FlowKind::Udp => config.session_buffer,
        };
        let socket = UpstreamSocket {
            link: Link::Connecting { target, deadline },
            socket: Socket::new(upstream, kind, buffers, now),
            timer: TimerSlot::default(),
        };
        Self::new(transport, Pending::Clear, socket, now)
    }

    /// The upstream.
    pub(super) const fn upstream_id(&self) -> UpstreamId {
        self.socket().socket.upstream()
    }

    /// The socket of the upstream.
    pub(super) const fn upstream(&self) -> &Socket {
        &self.socket().socket
    }

    /// The socket of the upstream, to be changed.
    pub(super) const fn upstream_mut(&mut self) -> &mut Socket {
        &mut self.socket_mut().socket
    }

    /// The timer of the upstream.
    pub(super) const fn timer_mut(&mut self) -> &mut TimerSlot {
        &mut self.socket_mut().timer
    }

    /// Whether the upstream is open.
    pub(super) const fn is_open(&self) -> bool {
        matches!(self.socket().link, Link::Open)
    }

    /// The target that the driver tries to open.
    pub(super) const fn connecting(&self) -> Option<&Target> {
        match &self.socket().link {
            Link::Connecting { target, .. } => Some(target),
            Link::Open => None,
        }
    }

    /// The upstream is open. Gives its target, once.
    pub(super) fn set_open(&mut self) -> Option<Target> {
        match core::mem::replace(&mut self.socket_mut().link, Link::Open) {
            Link::Connecting { target, .. } => Some(target),
            Link::Open => None,
        }
    }

    /// Whether the contract allows an event of its upstream now.
    pub(in crate::node) fn check(&self, event: &UpstreamEvent) -> Result<(), Misuse> {
        if self.is_open() { self.upstream().check(event) } else { check_connecting(event) }
    }

    /// Its next deadline.
    pub(in crate::node) fn deadline(&self, config: &NodeOptions) -> Option<(Instant, TimerKind)> {
        if let Link::Connecting { deadline, .. } = &self.socket().link {
            return Some((*deadline, TimerKind::Connect));
        }
        let write = self.upstream().write_deadline(config).map(|at| (at, TimerKind::Write));
        let idle = self.idle_deadline(config).map(|at| (at, TimerKind::IdleFlow));
        [write, idle].into_iter().flatten().min()
    }

    /// When it has been idle for too long. A TCP stream lives as long as its client.
    pub(super) fn idle_deadline(&self, config: &NodeOptions) -> Option<Instant> {
        (self.kind() == FlowKind::Udp).then(|| self.upstream().idle_deadline(config))
    }
}

#[cfg(feature = "model")]
impl UpstreamSocket {
    /// The upstream's part of a state's fingerprint.
    pub(super) fn fingerprint(&self, ranks: &Ranks<'_>, print: &mut crate::fingerprint::Fingerprint<'_>) {
        ranks.upstream(self.socket.upstream(), print);
        match &self.link {
            Link::Connecting { target, deadline } => {
                print.value((0_u8, target));
                print.deadline(*deadline);
            }
            Link::Open => print.value(1_u8),
        }
        print.value(&self.socket);
        print.time(self.socket.idle_deadline(ranks.config()));
    }
}
