//! A node in a recording.

use alloc::vec::Vec;

use bytes::Bytes;

use super::client::{finished, put};
use super::entry::Told;
use super::error::Problem;
use super::machine::Machine;
use super::mask::Mask;
use crate::config::{ConfigError, NodeOptions};
use crate::error::{ConnectFailure, Misuse};
use crate::id::{RequestId, UpstreamId};
use crate::node::{Endpoint, Node, NodeAction, NodeEvent, UpstreamEvent};
use crate::time::Instant;
use crate::wire::direction::Direction;
use crate::wire::{Cursor, PacketError};

/// The numbers of the events.
mod number {
    pub(super) const BATCH: u64 = 0;
    pub(super) const SINGLE: u64 = 1;
    pub(super) const STREAMS: u64 = 2;
    pub(super) const STREAMS_FOREIGN: u64 = 3;
    pub(super) const GONE: u64 = 4;
    pub(super) const OPENED: u64 = 5;
    pub(super) const FAILED: u64 = 6;
    pub(super) const DATA: u64 = 7;
    pub(super) const DATAGRAM: u64 = 8;
    pub(super) const FIN: u64 = 9;
    pub(super) const RESET: u64 = 10;
    pub(super) const WRITTEN: u64 = 11;
    pub(super) const TIMEOUT: u64 = 12;
    pub(super) const CLOSE: u64 = 13;
}

impl Machine for Node {
    const NAME: &'static str = "node";
    type Options = NodeOptions;
    type Event = NodeEvent;
    type Action = NodeAction;

    fn start(options: NodeOptions, seed: [u8; 32], now: Instant) -> Result<Self, ConfigError> {
        Ok(Self::new(options.validate()?, seed, now))
    }

    fn handle(&mut self, now: Instant, event: NodeEvent) -> Result<(), Misuse> {
        Self::handle(self, now, event)
    }

    fn poll(&mut self) -> NodeAction {
        Self::poll(self)
    }

    fn mask(options: &NodeOptions) -> Mask {
        Mask::of_node(options)
    }

    fn tell(action: &NodeAction, mask: &Mask) -> Told {
        match action {
            NodeAction::Respond { response, .. } => {
                let mut covered = Vec::with_capacity(response.body.len());
                mask.cover(Direction::Down, &response.body.clone().into_bytes(), &mut covered);
                Told::new(action, Some(&covered))
            }
            NodeAction::WriteUpstream { bytes, .. } => Told::new(action, Some(bytes)),
            NodeAction::OpenUpstream { .. }
            | NodeAction::Credit { .. }
            | NodeAction::FinishUpstream { .. }
            | NodeAction::ShutUpstream { .. }
            | NodeAction::Event(_)
            | NodeAction::Idle { .. } => Told::new(action, None),
        }
    }

    fn event_weight(event: &NodeEvent) -> usize {
        match event {
            NodeEvent::Request { body: bytes, .. }
            | NodeEvent::Upstream {
                event: UpstreamEvent::Data(bytes) | UpstreamEvent::Datagram(bytes),
                ..
            } => bytes.len(),
            NodeEvent::RequestGone { .. }
            | NodeEvent::Upstream { .. }
            | NodeEvent::Timeout
            | NodeEvent::Close => 0,
        }
    }

    fn action_weight(action: &NodeAction) -> usize {
        match action {
            NodeAction::Respond { response, .. } => response.body.len(),
            NodeAction::WriteUpstream { bytes, .. } => bytes.len(),
            NodeAction::OpenUpstream { .. }
            | NodeAction::Credit { .. }
            | NodeAction::FinishUpstream { .. }
            | NodeAction::ShutUpstream { .. }
            | NodeAction::Event(_)
            | NodeAction::Idle { .. } => 0,
        }
    }

    fn write_event(event: &NodeEvent, mask: &Mask, out: &mut Vec<u8>) {
        match event {
            NodeEvent::Request { request, endpoint, body } => {
                let endpoint = match endpoint {
                    Endpoint::Batch => number::BATCH,
                    Endpoint::Single => number::SINGLE,
                    Endpoint::Streams { key } if mask.knows(key) => number::STREAMS,
                    Endpoint::Streams { .. } => number::STREAMS_FOREIGN,
                };
                put([endpoint, request.number()], out);
                mask.cover(Direction::Up, body, out);
            }
            NodeEvent::RequestGone { request } => put([number::GONE, request.number()], out),
            NodeEvent::Upstream { upstream, event } => write_upstream(*upstream, event, out),
            NodeEvent::Timeout => put([number::TIMEOUT], out),
            NodeEvent::Close => put([number::CLOSE], out),
        }
    }

    fn read_event(bytes: Bytes, mask: &Mask) -> Result<NodeEvent, Problem> {
        let mut cursor = Cursor::new(&bytes, 0);
        let event = match cursor.varint("its number")? {
            kind @ number::BATCH..=number::STREAMS_FOREIGN => {
                let endpoint = match kind {
                    number::BATCH => Endpoint::Batch,
                    number::SINGLE => Endpoint::Single,
                    number::STREAMS => Endpoint::Streams { key: mask.own_key() },
                    _ => Endpoint::Streams { key: Mask::foreign_key() },
                };
                let request = RequestId::new(cursor.varint("the request")?);
                NodeEvent::Request { request, endpoint, body: cursor.rest(usize::MAX, "the body")? }
            }
            number::GONE => NodeEvent::RequestGone { request: RequestId::new(cursor.varint("the request")?) },
            kind @ number::OPENED..=number::WRITTEN => {
                let upstream = UpstreamId::new(cursor.varint("the upstream")?);
                NodeEvent::Upstream { upstream, event: upstream_event(kind, &mut cursor)? }
            }
            number::TIMEOUT => NodeEvent::Timeout,
            number::CLOSE => NodeEvent::Close,
            other => return Err(Problem::Unknown("an event of", other)),
        };
        finished(&cursor).map(|()| event)
    }
}

fn write_upstream(upstream: UpstreamId, event: &UpstreamEvent, out: &mut Vec<u8>) {
    let upstream = upstream.number();
    match event {
        UpstreamEvent::Opened => put([number::OPENED, upstream], out),
        UpstreamEvent::Failed(failure) => put([number::FAILED, upstream, failure_number(*failure)], out),
        UpstreamEvent::Data(bytes) => {
            put([number::DATA, upstream], out);
            out.extend_from_slice(bytes);
        }
        UpstreamEvent::Datagram(bytes) => {
            put([number::DATAGRAM, upstream], out);
            out.extend_from_slice(bytes);
        }
        UpstreamEvent::Fin => put([number::FIN, upstream], out),
        UpstreamEvent::Reset => put([number::RESET, upstream], out),
        UpstreamEvent::Written(bytes) => {
            put([number::WRITTEN, upstream, u64::try_from(*bytes).unwrap_or(u64::MAX)], out);
        }
    }
}

fn upstream_event(kind: u64, cursor: &mut Cursor<'_>) -> Result<UpstreamEvent, Problem> {
    Ok(match kind {
        number::OPENED => UpstreamEvent::Opened,
        number::FAILED => {
            let number = cursor.varint("the failure")?;
            let failure = ConnectFailure::ALL.into_iter().find(|failure| failure_number(*failure) == number);
            UpstreamEvent::Failed(failure.ok_or(PacketError::OutOfRange("the failure"))?)
        }
        number::DATA => UpstreamEvent::Data(cursor.rest(usize::MAX, "the bytes")?),
        number::DATAGRAM => UpstreamEvent::Datagram(cursor.rest(usize::MAX, "the bytes")?),
        number::FIN => UpstreamEvent::Fin,
        number::RESET => UpstreamEvent::Reset,
        number::WRITTEN => UpstreamEvent::Written(cursor.number("the bytes written")?),
        other => return Err(Problem::Unknown("an event of", other)),
    })
}

const fn failure_number(failure: ConnectFailure) -> u64 {
    match failure {
        ConnectFailure::Refused => 0,
        ConnectFailure::HostUnreachable => 1,
        ConnectFailure::NoSuchName => 2,
        ConnectFailure::NetworkUnreachable => 3,
        ConnectFailure::TimedOut => 4,
        ConnectFailure::NotAllowed => 5,
        ConnectFailure::Other => 6,
    }
}
