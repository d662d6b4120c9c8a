//! One stream at the client, with the application's socket.

use bytes::Bytes;

use crate::client::event::LocalEvent;
use crate::config::ClientOptions;
use crate::connection::pending::Pending;
use crate::connection::stream::flow::{Datagrams, Flow};
use crate::connection::stream::recv::RecvHalf;
use crate::connection::stream::send::{SendHalf, SendState};
use crate::connection::stream::traffic::Traffic;
use crate::credit::{Credit, FLOOR};
use crate::error::Misuse;
use crate::id::FlowId;
use crate::target::{FlowKind, Target};
use crate::time::Instant;
use crate::wire::frame::MAX_DATAGRAM;
use crate::wire::packet::Grants;

/// Bytes of datagrams that wait for a packet, beside their number: what four packets of sparse data take.
const DATAGRAM_ROOM: usize = 4 * FLOOR;

/// What the node is known to know of a stream.
///
/// ```text
///            a carrier of its OPEN arrived            OPENED, DATA
///  Unconfirmed ────────────────────────────────▶ Heard ──────────────▶ Open
///     └────────────────── OPENED, DATA ───────────────────────────▶ ┘
/// ```
/// While it is unconfirmed, every packet with a frame of the stream has its OPEN before it (protocol.md 3.2 rule 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Phase {
    Unconfirmed,
    Heard,
    Open,
}

/// One stream.
#[derive(Clone, Debug)]
pub(super) struct Stream {
    pub(super) id: FlowId,
    pub(super) target: Target,
    pub(super) phase: Phase,
    /// OPEN.
    pub(super) open: Pending,
    pub(super) traffic: Traffic,
    /// What may be read from the application.
    pub(super) credit: Credit,
    /// Downlink bytes that OPEN grants.
    pub(super) window: u64,
    pub(super) opened: Instant,
    pub(super) last_active: Instant,
}

impl Stream {
    /// A stream whose application has been promised no more than every flow may keep.
    pub(super) fn new(
        id: FlowId,
        target: Target,
        kind: FlowKind,
        mut credit: Credit,
        grants: &Grants,
        config: &ClientOptions,
        now: Instant,
    ) -> Self {
        let window = config
            .tuning
            .streams
            .downlink_window
            .min(grants.downlink_total.max(config.tuning.streams.least_response));
        let (flow, window) = match kind {
            FlowKind::Tcp => {
                (Flow::Tcp { send: SendHalf::new(grants.uplink_window), recv: RecvHalf::new(window) }, window)
            }
            FlowKind::Udp => (Flow::Udp(Datagrams::default()), 0),
        };
        // Nothing is gained by reading more than the node has room for.
        let granted = usize::try_from(grants.uplink_window.min(grants.uplink_total)).unwrap_or(usize::MAX);
        credit.widen(config.tuning.streams.uplink_window.min(granted));
        Self {
            id,
            target,
            phase: Phase::Unconfirmed,
            open: Pending::Queued,
            traffic: Traffic::new(flow, now),
            credit,
            window,
            opened: now,
            last_active: now,
        }
    }

    /// Something happened on the application's socket. `Reset` is the machine's to handle. Says how many datagrams
    /// were dropped for it.
    pub(super) fn on_local(
        &mut self,
        event: LocalEvent,
        now: Instant,
        config: &ClientOptions,
    ) -> Result<u64, Misuse> {
        match (&mut self.traffic.flow, event) {
            (Flow::Tcp { send, .. }, LocalEvent::Data(bytes)) => {
                if send.state() != SendState::Open {
                    return Err(Misuse::AfterFin);
                }
                self.credit.arrive(bytes.len()).map_err(|_| Misuse::CreditExceeded)?;
                send.write(bytes)?;
            }
            (Flow::Tcp { send, .. }, LocalEvent::Fin) => send.finish()?,
            (Flow::Tcp { recv, .. }, LocalEvent::Written(bytes)) => recv.take(bytes)?,
            (Flow::Udp(_), LocalEvent::Data(bytes)) if bytes.len() > MAX_DATAGRAM => {
                return Err(Misuse::DatagramTooLarge);
            }
            (Flow::Udp(datagrams), LocalEvent::Data(bytes)) => {
                self.last_active = now;
                return Ok(datagrams.sending.push(bytes, config.tuning.udp_queue, DATAGRAM_ROOM));
            }
            (Flow::Udp(_), LocalEvent::Fin | LocalEvent::Written(_)) | (_, LocalEvent::Reset) => {
                return Ok(0);
            }
        }
        self.last_active = now;
        Ok(0)
    }

    /// What the application sent before the stream began; its credit counts that already.
    pub(super) fn begin_with(&mut self, bytes: Bytes, config: &ClientOptions) {
        match &mut self.traffic.flow {
            Flow::Tcp { send, .. } => {
                let _ = send.write(bytes); // a new direction takes bytes
            }
            Flow::Udp(datagrams) => {
                drop(datagrams.sending.push(bytes, config.tuning.udp_queue, DATAGRAM_ROOM))
            }
        }
    }

    /// When it ends by itself: UDP when it is idle, TCP when no relay has brought its OPEN to the node for longer than
    /// the node would remember the client.
    pub(super) fn deadline(&self, config: &ClientOptions) -> Option<Instant> {
        match (self.traffic.flow.kind(), self.phase) {
            (FlowKind::Udp, _) => Some(self.last_active.saturating_add(config.udp_idle)),
            (FlowKind::Tcp, Phase::Unconfirmed) => {
                Some(self.opened.saturating_add(config.tuning.streams.idle.saturating_mul(2)))
            }
            (FlowKind::Tcp, Phase::Heard | Phase::Open) => None,
        }
    }
}
