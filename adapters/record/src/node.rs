//! Recording of a node.

use bytes::Bytes;
use seqlane::{
    ConfigError, ConnectFailure, Endpoint, Instant, Misuse, Node, NodeAction, NodeEvent, NodeNotice,
    NodeOptions, RequestId, UpstreamEvent, UpstreamId, UserOptions,
};

use crate::cursor::{Cursor, put};
use crate::error::Problem;
use crate::machine::{Machine, Payload, Secrets};
use crate::mask::Mask;
use crate::open_packet;
use crate::packets::{self, random_part};

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
    pub(crate) const DRAIN: u64 = 14;
    pub(crate) const USERS: u64 = 15;
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
    type Options = NodeOptions;
    type Event = NodeEvent;
    type Action = NodeAction;

    fn check(options: &NodeOptions) -> Result<(), ConfigError> {
        options.clone().validate().map(drop)
    }

    #[cfg(feature = "replay")]
    fn start(options: NodeOptions, names: [u8; 32], now: Instant) -> Result<Self, ConfigError> {
        Ok(Self::unsealed(options.validate()?, names, now))
    }

    fn opened(&self, event: NodeEvent) -> NodeEvent {
        match event {
            NodeEvent::Request { request, endpoint, body } => {
                let mut opened = body.to_vec();
                packets::change_each(&mut opened, |packet| open_packet::open(self, packet));
                NodeEvent::Request { request, endpoint, body: opened.into() }
            }
            event => event,
        }
    }

    fn handle(&mut self, now: Instant, event: NodeEvent) -> Result<(), Misuse> {
        Self::handle(self, now, event)
    }

    fn poll(&mut self) -> NodeAction {
        Self::poll(self)
    }

    fn secrets(options: &NodeOptions) -> Secrets {
        Secrets {
            keys: vec![options.key.clone()],
            secret: options.secret.clone(),
            users: options.users.clone(),
        }
    }

    fn with_secrets(mut options: NodeOptions, secrets: Secrets) -> Option<NodeOptions> {
        [options.key] = secrets.keys.try_into().ok()?;
        options.secret = secrets.secret;
        options.users = secrets.users;
        Some(options)
    }

    fn without_ids(action: &NodeAction) -> NodeAction {
        let NodeAction::Event(notice) = action else { return action.clone() };
        NodeAction::Event(match notice.clone() {
            NodeNotice::ClientJoined { client, user } => {
                NodeNotice::ClientJoined { client: random_part(client), user }
            }
            NodeNotice::ClientEnded { client, why } => {
                NodeNotice::ClientEnded { client: random_part(client), why }
            }
            notice => notice,
        })
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

    fn write_event(event: &NodeEvent, mask: &mut Mask, out: &mut Vec<u8>) {
        match event {
            NodeEvent::Request { request, endpoint, body } => {
                let endpoint = match endpoint {
                    Endpoint::Batch => number::BATCH,
                    Endpoint::Single => number::SINGLE,
                    Endpoint::Streams { key } if mask.knows(key) => number::STREAMS,
                    Endpoint::Streams { .. } => number::STREAMS_FOREIGN,
                };
                put([endpoint, request.number()], out);
                mask.apply(body, out);
            }
            NodeEvent::RequestGone { request } => put([number::GONE, request.number()], out),
            NodeEvent::Upstream { upstream, event } => write_upstream(*upstream, event, out),
            NodeEvent::Timeout => put([number::TIMEOUT], out),
            NodeEvent::Close => put([number::CLOSE], out),
            NodeEvent::Drain => put([number::DRAIN], out),
            NodeEvent::Users(users) => write_users(users, mask, out),
        }
    }

    fn read_event(bytes: Bytes, mask: &mut Mask) -> Result<NodeEvent, Problem> {
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
                NodeEvent::Request { request, endpoint, body: mask.seal(cursor.rest()) }
            }
            number::GONE => NodeEvent::RequestGone { request: RequestId::new(cursor.varint("the request")?) },
            kind @ number::OPENED..=number::WRITTEN => {
                let upstream = UpstreamId::new(cursor.varint("the upstream")?);
                NodeEvent::Upstream { upstream, event: upstream_event(kind, &mut cursor)? }
            }
            number::TIMEOUT => NodeEvent::Timeout,
            number::CLOSE => NodeEvent::Close,
            number::DRAIN => NodeEvent::Drain,
            number::USERS => NodeEvent::Users(read_users(&mut cursor, mask)?),
            other => return Err(Problem::Unknown("event", other)),
        };
        cursor.finish().map(|()| event)
    }
}

/// The most users of an event, and the longest name of one.
const MAX_USERS: usize = 1 << 20;
const MAX_NAME: usize = 1024;

fn write_users(users: &[UserOptions], mask: &mut Mask, out: &mut Vec<u8>) {
    put([number::USERS, users.len() as u64], out);
    let bound = |most: Option<u64>| most.map_or(0, |most| most.saturating_add(1));
    for user in users {
        let (secret, name) = (mask.number(&user.secret), user.name.as_bytes());
        let clients = user.max_clients.map(|most| most as u64);
        put([secret as u64, bound(user.max_streams.map(u64::from)), bound(clients), name.len() as u64], out);
        out.extend_from_slice(name);
    }
}

fn read_users(cursor: &mut Cursor, mask: &mut Mask) -> Result<Vec<UserOptions>, Problem> {
    let count: usize = cursor.number("the number of users")?;
    if count > MAX_USERS {
        return Err(Problem::OutOfRange("the number of users"));
    }
    let mut users = Vec::new();
    for _ in 0..count {
        let secret = cursor.number("the secret of a user")?;
        let secret = mask.stand_in(secret).ok_or(Problem::OutOfRange("the secret of a user"))?;
        let streams: u64 = cursor.varint("the streams of a user")?;
        let clients: u64 = cursor.varint("the clients of a user")?;
        let name = cursor.short_text(MAX_NAME, "the name of a user")?;
        let mut user = UserOptions::new(name, secret);
        user.max_streams = streams.checked_sub(1).map(|most| u32::try_from(most).unwrap_or(u32::MAX));
        user.max_clients = clients.checked_sub(1).map(|most| usize::try_from(most).unwrap_or(usize::MAX));
        users.push(user);
    }
    Ok(users)
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
