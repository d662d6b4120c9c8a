//! Recording of a node.

use bytes::Bytes;
use seqlane::wire::direction::Direction;
use seqlane::{
    ConfigError, ConnectFailure, Endpoint, Instant, Misuse, Node, NodeAction, NodeEvent, NodeOptions,
    RequestId, UpstreamEvent, UpstreamId,
};

use crate::cursor::{Cursor, put};
use crate::error::Problem;
use crate::machine::{Machine, Payload, Secrets};
use crate::mask::Mask;

/// Numbers of the events in the file.
mod number {
    pub(crate) const BATCH: u64 = 0;
    pub(crate) const SINGLE: u64 = 1;
    pub(crate) const STREAMS: u64 = 2;
    pub(crate) const STREAMS_FOREIGN: u64 = 3;
    pub(crate) const GONE: u64 = 4;
    pub(crate) const OPENED: u64 = 5;
    pub(crate) const FAILED: u64 = 6;
    pub(crate) const DATA: u64 = 7;
    pub(crate) const DATAGRAM: u64 = 8;
    pub(crate) const FIN: u64 = 9;
    pub(crate) const RESET: u64 = 10;
    pub(crate) const WRITTEN: u64 = 11;
    pub(crate) const TIMEOUT: u64 = 12;
    pub(crate) const CLOSE: u64 = 13;
}

/// Failures by their numbers in the file.
pub(crate) const FAILURES: [ConnectFailure; 7] = [
    ConnectFailure::Refused,
    ConnectFailure::HostUnreachable,
    ConnectFailure::NoSuchName,
    ConnectFailure::NetworkUnreachable,
    ConnectFailure::TimedOut,
    ConnectFailure::NotAllowed,
    ConnectFailure::Other,
];

impl Machine for Node {
    const NAME: &'static str = "node";
    const SENDS: Direction = Direction::Down;
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

    fn secrets(options: &NodeOptions) -> Secrets {
        Secrets { keys: vec![options.key.clone()], secret: options.secret.clone() }
    }

    fn with_secrets(mut options: NodeOptions, secrets: Secrets) -> Option<NodeOptions> {
        [options.key] = secrets.keys.try_into().ok()?;
        options.secret = secrets.secret;
        Some(options)
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
            | NodeEvent::Drain
            | NodeEvent::Users(_)
            | NodeEvent::Close => 0,
        }
    }

    fn payload(action: &NodeAction) -> Option<Payload<'_>> {
        match action {
            NodeAction::Respond { response, .. } => Some(Payload::Body(&response.body)),
            NodeAction::WriteUpstream { bytes, .. } => Some(Payload::Bytes(bytes)),
            NodeAction::OpenUpstream { .. }
            | NodeAction::Credit { .. }
            | NodeAction::FinishUpstream { .. }
            | NodeAction::ShutUpstream { .. }
            | NodeAction::Event(_)
            | NodeAction::Idle { .. } => None,
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
                mask.apply(Direction::Up, body, out);
            }
            NodeEvent::RequestGone { request } => put([number::GONE, request.number()], out),
            NodeEvent::Upstream { upstream, event } => write_upstream(*upstream, event, out),
            NodeEvent::Timeout => put([number::TIMEOUT], out),
            NodeEvent::Close => put([number::CLOSE], out),
            NodeEvent::Drain | NodeEvent::Users(_) => put([number::TIMEOUT], out),
        }
    }

    fn read_event(bytes: Bytes, mask: &Mask) -> Result<NodeEvent, Problem> {
        let mut cursor = Cursor::new(bytes);
        let event = match cursor.varint("its kind")? {
            kind @ number::BATCH..=number::STREAMS_FOREIGN => {
                let endpoint = match kind {
                    number::BATCH => Endpoint::Batch,
                    number::SINGLE => Endpoint::Single,
                    number::STREAMS => Endpoint::Streams { key: mask.own_key() },
                    _ => Endpoint::Streams { key: Mask::foreign_key() },
                };
                let request = RequestId::new(cursor.varint("the request")?);
                NodeEvent::Request { request, endpoint, body: cursor.rest() }
            }
            number::GONE => NodeEvent::RequestGone { request: RequestId::new(cursor.varint("the request")?) },
            kind @ number::OPENED..=number::WRITTEN => {
                let upstream = UpstreamId::new(cursor.varint("the upstream")?);
                NodeEvent::Upstream { upstream, event: upstream_event(kind, &mut cursor)? }
            }
            number::TIMEOUT => NodeEvent::Timeout,
            number::CLOSE => NodeEvent::Close,
            other => return Err(Problem::Unknown("event", other)),
        };
        cursor.finish().map(|()| event)
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
            put([number::WRITTEN, upstream, *bytes as u64], out);
        }
    }
}

fn upstream_event(kind: u64, cursor: &mut Cursor) -> Result<UpstreamEvent, Problem> {
    Ok(match kind {
        number::OPENED => UpstreamEvent::Opened,
        number::FAILED => {
            let failure = FAILURES.get(cursor.number::<usize>("the failure")?);
            UpstreamEvent::Failed(*failure.ok_or(Problem::OutOfRange("the failure"))?)
        }
        number::DATA => UpstreamEvent::Data(cursor.rest()),
        number::DATAGRAM => UpstreamEvent::Datagram(cursor.rest()),
        number::FIN => UpstreamEvent::Fin,
        number::RESET => UpstreamEvent::Reset,
        number::WRITTEN => UpstreamEvent::Written(cursor.number("the bytes written")?),
        other => return Err(Problem::Unknown("event", other)),
    })
}

/// The number of a failure in the file; one that is newer than this crate is written as `Other`.
fn failure_number(failure: ConnectFailure) -> u64 {
    let place = FAILURES.iter().position(|known| *known == failure);
    place.unwrap_or(FAILURES.len() - 1) as u64
}
