//! Stream at the node, with its upstream (protocol.md 3.2 rules 1 and 11).

use crate::config::NodeOptions;
use crate::connection::pending::Pending;
use crate::connection::stream::Stream;
use crate::connection::stream::recv::RecvHalf;
use crate::connection::stream::send::SendHalf;
use crate::connection::stream::{Datagrams, Transport};
use crate::connection::{Filling, Side};
use crate::credit::{Credit, FLOOR};
use crate::node::socket::Socket;
use crate::target::FlowKind;
use crate::time::Instant;
use crate::wire::frame::Frame;
use crate::wire::number::StreamNumber;
use crate::wire::varint;

/// The most that a frame without payload takes: type, length, two integers.
pub(super) const FRAME: usize = 1 + 1 + 2 * varint::MAX_LEN;

impl Side for Socket {
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
        self.credit()
    }
}

/// Downlink bytes that are kept of a stream whose client has room for `window`: nothing is gained by more.
pub(super) fn buffers(kind: FlowKind, window: u64, config: &NodeOptions) -> usize {
    match kind {
        FlowKind::Tcp => usize::try_from(window).unwrap_or(usize::MAX).max(FLOOR),
        FlowKind::Udp => config.session_buffer,
    }
}

impl Stream<Socket> {
    /// A stream whose upstream is being opened.
    pub(super) fn open(socket: Socket, window: u64, config: &NodeOptions, now: Instant) -> Self {
        let transport = match socket.kind() {
            FlowKind::Tcp => Transport::Tcp {
                send: SendHalf::new(window),
                recv: RecvHalf::new(config.tuning.streams.uplink_window),
            },
            FlowKind::Udp => Transport::Udp(Datagrams::default()),
        };
        Self::new(transport, Pending::Clear, socket, now)
    }

    /// Whether its upstream may be idle for too long. A TCP stream lives as long as its client.
    pub(super) fn may_idle(&self) -> bool {
        self.kind() == FlowKind::Udp
    }
}
