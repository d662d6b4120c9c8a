//! A client in a recording.

use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use super::entry::Told;
use super::error::Problem;
use super::machine::Machine;
use super::mask::Mask;
use crate::client::{Client, ClientAction, ClientEvent, ExchangeFailure, LocalEvent};
use crate::config::{ClientOptions, ConfigError};
use crate::error::Misuse;
use crate::id::{ExchangeId, FlowId};
use crate::target::{FlowKind, MAX_HOST_LEN, Target};
use crate::time::Instant;
use crate::wire::direction::Direction;
use crate::wire::{Cursor, PacketError, varint};

/// The numbers of the events.
mod number {
    pub(super) const OPEN_TCP: u64 = 0;
    pub(super) const OPEN_UDP: u64 = 1;
    pub(super) const DATA: u64 = 2;
    pub(super) const FIN: u64 = 3;
    pub(super) const RESET: u64 = 4;
    pub(super) const WRITTEN: u64 = 5;
    pub(super) const ANSWERING: u64 = 6;
    pub(super) const REPLY: u64 = 7;
    pub(super) const NOT_SENT: u64 = 8;
    pub(super) const UNKNOWN: u64 = 9;
    pub(super) const REFUSED: u64 = 10;
    pub(super) const REFUSED_UNTIL: u64 = 11;
    pub(super) const TOO_LARGE: u64 = 12;
    pub(super) const GARBAGE: u64 = 13;
    pub(super) const TIMEOUT: u64 = 14;
    pub(super) const CLOSE: u64 = 15;
}

impl Machine for Client {
    const NAME: &'static str = "client";
    type Options = ClientOptions;
    type Event = ClientEvent;
    type Action = ClientAction;

    fn start(options: ClientOptions, seed: [u8; 32], now: Instant) -> Result<Self, ConfigError> {
        Ok(Self::new(options.validate()?, seed, now))
    }

    fn handle(&mut self, now: Instant, event: ClientEvent) -> Result<(), Misuse> {
        Self::handle(self, now, event)
    }

    fn poll(&mut self) -> ClientAction {
        Self::poll(self)
    }

    fn mask(options: &ClientOptions) -> Mask {
        Mask::of_client(options)
    }

    fn tell(action: &ClientAction, mask: &Mask) -> Told {
        match action {
            ClientAction::Send { body, .. } => {
                let mut covered = Vec::with_capacity(body.len());
                mask.cover(Direction::Up, &body.clone().into_bytes(), &mut covered);
                Told::new(action, Some(&covered))
            }
            ClientAction::Deliver { bytes, .. } => Told::new(action, Some(bytes)),
            ClientAction::Credit { .. }
            | ClientAction::Opened { .. }
            | ClientAction::Fin { .. }
            | ClientAction::Ended { .. }
            | ClientAction::Event(_)
            | ClientAction::Idle { .. } => Told::new(action, None),
        }
    }

    fn event_weight(event: &ClientEvent) -> usize {
        match event {
            ClientEvent::Reply { body: bytes, .. }
            | ClientEvent::Local { event: LocalEvent::Data(bytes), .. } => bytes.len(),
            ClientEvent::Decrypted { packet, .. } => packet.len,
            ClientEvent::Open { .. }
            | ClientEvent::Local { .. }
            | ClientEvent::Answering { .. }
            | ClientEvent::ExchangeFailed { .. }
            | ClientEvent::Timeout
            | ClientEvent::Close => 0,
        }
    }

    fn action_weight(action: &ClientAction) -> usize {
        match action {
            ClientAction::Send { body, .. } => body.len(),
            ClientAction::Deliver { bytes, .. } => bytes.len(),
            ClientAction::Credit { .. }
            | ClientAction::Opened { .. }
            | ClientAction::Fin { .. }
            | ClientAction::Ended { .. }
            | ClientAction::Event(_)
            | ClientAction::Idle { .. } => 0,
        }
    }

    fn write_event(event: &ClientEvent, mask: &Mask, out: &mut Vec<u8>) {
        match event {
            ClientEvent::Open { target, kind } => {
                let kind = match kind {
                    FlowKind::Tcp => number::OPEN_TCP,
                    FlowKind::Udp => number::OPEN_UDP,
                };
                put([kind, target.port().into()], out);
                out.extend_from_slice(target.host().as_bytes());
            }
            ClientEvent::Local { flow: stream, event } => write_local(*stream, event, out),
            ClientEvent::Answering { exchange } => put([number::ANSWERING, exchange.number()], out),
            ClientEvent::Reply { exchange, body } => {
                put([number::REPLY, exchange.number()], out);
                mask.cover(Direction::Down, body, out);
            }
            // Replayed, it is opened by the machine.
            ClientEvent::Decrypted { exchange, packet } => {
                put([number::REPLY, exchange.number()], out);
                out.extend_from_slice(&mask.seal(packet));
            }
            ClientEvent::ExchangeFailed { exchange, why } => write_failure(*exchange, *why, out),
            ClientEvent::Timeout => put([number::TIMEOUT], out),
            ClientEvent::Close => put([number::CLOSE], out),
        }
    }

    fn read_event(bytes: Bytes, _mask: &Mask) -> Result<ClientEvent, Problem> {
        let mut cursor = Cursor::new(&bytes, 0);
        let event = match cursor.varint("its number")? {
            number::OPEN_TCP => open(&mut cursor, FlowKind::Tcp)?,
            number::OPEN_UDP => open(&mut cursor, FlowKind::Udp)?,
            kind @ number::DATA..=number::WRITTEN => {
                let stream = FlowId::new(cursor.varint("the stream")?);
                let event = match kind {
                    number::DATA => LocalEvent::Data(cursor.rest(usize::MAX, "the bytes")?),
                    number::FIN => LocalEvent::Fin,
                    number::RESET => LocalEvent::Reset,
                    _ => LocalEvent::Written(cursor.number("the bytes written")?),
                };
                ClientEvent::Local { flow: stream, event }
            }
            number::ANSWERING => ClientEvent::Answering { exchange: exchange(&mut cursor)? },
            number::REPLY => {
                let exchange = exchange(&mut cursor)?;
                ClientEvent::Reply { exchange, body: cursor.rest(usize::MAX, "the body")? }
            }
            kind @ number::NOT_SENT..=number::GARBAGE => {
                let exchange = exchange(&mut cursor)?;
                ClientEvent::ExchangeFailed { exchange, why: failure(kind, &mut cursor)? }
            }
            number::TIMEOUT => ClientEvent::Timeout,
            number::CLOSE => ClientEvent::Close,
            other => return Err(Problem::Unknown("an event of", other)),
        };
        finished(&cursor).map(|()| event)
    }
}

/// Appends numbers.
pub(super) fn put<const N: usize>(numbers: [u64; N], out: &mut Vec<u8>) {
    for number in numbers {
        varint::encode(number, out);
    }
}

/// An event has no more than its fields.
pub(super) fn finished(cursor: &Cursor<'_>) -> Result<(), Problem> {
    if cursor.is_empty() { Ok(()) } else { Err(PacketError::OutOfRange("the length").into()) }
}

fn write_local(stream: FlowId, event: &LocalEvent, out: &mut Vec<u8>) {
    let stream = stream.number();
    match event {
        LocalEvent::Data(bytes) => {
            put([number::DATA, stream], out);
            out.extend_from_slice(bytes);
        }
        LocalEvent::Fin => put([number::FIN, stream], out),
        LocalEvent::Reset => put([number::RESET, stream], out),
        LocalEvent::Written(bytes) => {
            put([number::WRITTEN, stream, u64::try_from(*bytes).unwrap_or(u64::MAX)], out);
        }
    }
}

fn write_failure(exchange: ExchangeId, why: ExchangeFailure, out: &mut Vec<u8>) {
    let exchange = exchange.number();
    match why {
        ExchangeFailure::NotSent => put([number::NOT_SENT, exchange], out),
        ExchangeFailure::Unknown => put([number::UNKNOWN, exchange], out),
        ExchangeFailure::Refused { retry_after: None } => put([number::REFUSED, exchange], out),
        ExchangeFailure::Refused { retry_after: Some(wait) } => {
            put([number::REFUSED_UNTIL, exchange, wait.as_secs(), wait.subsec_nanos().into()], out);
        }
        ExchangeFailure::TooLarge => put([number::TOO_LARGE, exchange], out),
        ExchangeFailure::Garbage => put([number::GARBAGE, exchange], out),
    }
}

fn exchange(cursor: &mut Cursor<'_>) -> Result<ExchangeId, PacketError> {
    cursor.varint("the exchange").map(ExchangeId::new)
}

fn open(cursor: &mut Cursor<'_>, kind: FlowKind) -> Result<ClientEvent, Problem> {
    let port = cursor.number("the port")?;
    let host = cursor.rest(MAX_HOST_LEN, "the host")?;
    let host = core::str::from_utf8(&host).map_err(|_| PacketError::OutOfRange("the host"))?;
    let target = Target::new(host, port).map_err(|_| PacketError::OutOfRange("the target"))?;
    Ok(ClientEvent::Open { target, kind })
}

fn failure(kind: u64, cursor: &mut Cursor<'_>) -> Result<ExchangeFailure, Problem> {
    Ok(match kind {
        number::NOT_SENT => ExchangeFailure::NotSent,
        number::UNKNOWN => ExchangeFailure::Unknown,
        number::REFUSED => ExchangeFailure::Refused { retry_after: None },
        number::REFUSED_UNTIL => {
            let seconds = cursor.varint("the seconds to wait")?;
            let nanos = cursor.number("the nanoseconds to wait")?;
            if nanos >= 1_000_000_000 {
                return Err(PacketError::OutOfRange("the nanoseconds to wait").into());
            }
            ExchangeFailure::Refused { retry_after: Some(Duration::new(seconds, nanos)) }
        }
        number::TOO_LARGE => ExchangeFailure::TooLarge,
        number::GARBAGE => ExchangeFailure::Garbage,
        other => return Err(Problem::Unknown("a failure of", other)),
    })
}
