//! Stream at the client, with the application's socket (protocol.md 3.2 rule 3).

use crate::client::action::EndReason;
use crate::client::event::LocalEvent;
use crate::client::sessions::session::Start;
use crate::config::ClientOptions;
use crate::connection::pending::Pending;
use crate::connection::stream::Stream;
use crate::connection::stream::recv::RecvHalf;
use crate::connection::stream::send::{SendHalf, SendState};
use crate::connection::stream::{Datagrams, Transport};
use crate::connection::{Filling, Side};
use crate::credit::{Credit, FLOOR, Lender};
use crate::error::Misuse;
use crate::id::FlowId;
use crate::target::{FlowKind, Target};
use crate::time::Instant;
use crate::wire::frame::{Frame, MAX_DATAGRAM};
use crate::wire::number::StreamNumber;
use crate::wire::packet::Grants;

/// The most bytes of datagrams that wait for a packet: four packets of sparse data.
const DATAGRAM_ROOM: usize = 4 * FLOOR;

/// The most that a frame without payload and without a target takes.
pub(super) const LEAST_ROOM: usize = 32;

/// A chunk is not cut shorter than this because a packet is nearly full.
pub(super) const LEAST_CUT: usize = 4 * 1024;

/// A stream at the client.
pub(super) type LocalStream = Stream<LocalSocket>;

/// What the client knows of an application's socket.
#[derive(Clone, Debug, Hash)]
pub(super) struct LocalSocket {
    flow: FlowId,
    target: Target,
    /// Whether the upstream is known to be open.
    open: bool,
    /// Downlink bytes that OPEN grants.
    window: u64,
    /// What may be read from it.
    credit: Credit,
    opened: Instant,
    last_active: Instant,
}

impl Side for LocalSocket {
    const FILLING: Filling = Filling {
        opens_first: true,
        least_room: LEAST_ROOM,
        least_cut: LEAST_CUT,
        tail: 0,
        max_frames: 4_096,
        repeats: false,
    };

    fn opening(&self, stream: StreamNumber, kind: FlowKind) -> Frame {
        Frame::Open { stream, kind, window: self.window, target: self.target.clone() }
    }

    fn credit_mut(&mut self) -> &mut Credit {
        &mut self.credit
    }
}

impl LocalSocket {
    /// The flow.
    pub(super) const fn flow(&self) -> FlowId {
        self.flow
    }

    /// Where the flow goes.
    pub(super) const fn target(&self) -> &Target {
        &self.target
    }

    /// It is active.
    pub(super) const fn touch(&mut self, now: Instant) {
        self.last_active = now;
    }

    /// The upstream is open. Returns whether that is new.
    pub(super) const fn set_open(&mut self) -> bool {
        !core::mem::replace(&mut self.open, true)
    }
}

impl LocalStream {
    /// A stream whose application has been promised no more than every flow may buffer. What it sent before, its credit
    /// counts already.
    pub(super) fn open(
        flow: FlowId,
        start: Start,
        grants: &Grants,
        config: &ClientOptions,
        now: Instant,
    ) -> Self {
        let Start { target, flow: kind, bytes, finished, mut credit } = start;
        let options = &config.tuning.streams;
        let (transport, window) = match kind {
            FlowKind::Tcp => {
                let window = options.downlink_window.min(grants.downlink_total.max(options.least_response));
                let (mut send, recv) = (SendHalf::new(grants.uplink_window), RecvHalf::new(window));
                // A new direction takes bytes, and its end.
                let _ = bytes.into_iter().try_for_each(|piece| send.write(piece));
                let _ = if finished { send.finish() } else { Ok(()) };
                (Transport::Tcp { send, recv }, window)
            }
            FlowKind::Udp => {
                let mut datagrams = Datagrams::default();
                for piece in bytes {
                    datagrams.sending.push(piece, config.tuning.udp_queue, DATAGRAM_ROOM);
                }
                (Transport::Udp(datagrams), 0)
            }
        };
        // Nothing is gained by reading more than the node has room for. It widens the first window soon.
        let granted = usize::try_from(grants.uplink_total).unwrap_or(usize::MAX);
        credit.widen(options.uplink_window.min(granted));
        let socket = LocalSocket { flow, target, open: false, window, credit, opened: now, last_active: now };
        Self::new(transport, Pending::Queued, socket, now)
    }

    /// Something happened on the application's socket. The engine handles `Reset`. Returns how many datagrams were dropped.
    pub(super) fn on_local(
        &mut self,
        event: LocalEvent,
        now: Instant,
        config: &ClientOptions,
    ) -> Result<u64, Misuse> {
        if let Some((datagrams, _)) = self.datagrams_mut() {
            let LocalEvent::Data(bytes) = event else { return Ok(0) };
            if bytes.len() > MAX_DATAGRAM {
                return Err(Misuse::DatagramTooLarge);
            }
            let dropped = datagrams.sending.push(bytes, config.tuning.udp_queue, DATAGRAM_ROOM);
            self.socket_mut().touch(now);
            return Ok(dropped);
        }
        match event {
            LocalEvent::Data(bytes) => {
                if self.send_half().is_none_or(|send| send.state() != SendState::Open) {
                    return Err(Misuse::AfterFin);
                }
                self.socket_mut().credit.arrive(bytes.len()).map_err(|_| Misuse::CreditExceeded)?;
                self.send_half_mut().map_or(Ok(()), |send| send.write(bytes))?;
            }
            LocalEvent::Fin => self.send_half_mut().map_or(Ok(()), SendHalf::finish)?,
            LocalEvent::Written(bytes) => self.recv_half_mut().map_or(Ok(()), |recv| recv.take(bytes))?,
            LocalEvent::Reset => return Ok(0),
        }
        self.socket_mut().touch(now);
        Ok(0)
    }

    /// New credit for the application, and whether it waits for more. Before a confirmed open, it has nothing to send.
    pub(super) fn grant(&mut self, pool: &mut impl Lender) -> (usize, bool) {
        let open = self.send_half().is_some_and(|send| send.state() == SendState::Open);
        let LocalSocket { open: told, credit, .. } = self.socket_mut();
        if open && (*told || credit.was_granted()) {
            (credit.grant(pool), credit.is_blocked())
        } else {
            (0, false)
        }
    }

    /// When it ends by itself, and why: UDP when it is idle, TCP when its OPEN is not acknowledged for twice the time after
    /// which the node drops the client.
    pub(super) fn deadline(&self, config: &ClientOptions) -> Option<(Instant, EndReason)> {
        let LocalSocket { last_active, opened, .. } = self.socket();
        let unheard = config.tuning.streams.idle.saturating_mul(2);
        match self.kind() {
            FlowKind::Udp => Some((last_active.saturating_add(config.udp_idle), EndReason::Idle)),
            FlowKind::Tcp if self.opening().is_clear() => None,
            FlowKind::Tcp => Some((opened.saturating_add(unheard), EndReason::NoRelay)),
        }
    }
}
