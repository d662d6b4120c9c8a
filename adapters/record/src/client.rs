//! Recording of a client.

use std::time::Duration;

use bytes::Bytes;
use seqlane::{
    Client, ClientAction, ClientEvent, ClientOptions, ConfigError, DecryptedPacket, ExchangeFailure,
    ExchangeId, FlowId, FlowKind, Instant, LocalEvent, MAX_HOST_LEN, Misuse, Target,
};

use crate::cursor::{Cursor, put};
use crate::error::Problem;
use crate::machine::{Machine, Payload, Secrets};
use crate::mask::Mask;

/// Numbers of the events in the file.
mod number {
    pub(crate) const OPEN_TCP: u64 = 0;
    pub(crate) const OPEN_UDP: u64 = 1;
    pub(crate) const DATA: u64 = 2;
    pub(crate) const FIN: u64 = 3;
    pub(crate) const RESET: u64 = 4;
    pub(crate) const WRITTEN: u64 = 5;
    pub(crate) const ANSWERING: u64 = 6;
    pub(crate) const REPLY: u64 = 7;
    pub(crate) const NOT_SENT: u64 = 8;
    pub(crate) const UNKNOWN: u64 = 9;
    pub(crate) const REFUSED: u64 = 10;
    pub(crate) const REFUSED_UNTIL: u64 = 11;
    pub(crate) const TOO_LARGE: u64 = 12;
    pub(crate) const GARBAGE: u64 = 13;
    pub(crate) const TIMEOUT: u64 = 14;
    pub(crate) const CLOSE: u64 = 15;
    pub(crate) const DECRYPTED: u64 = 16;
}

impl Machine for Client {
    const NAME: &'static str = "client";
    type Options = ClientOptions;
    type Event = ClientEvent;
    type Action = ClientAction;

    fn check(options: &ClientOptions) -> Result<(), ConfigError> {
        options.clone().validate().map(drop)
    }

    #[cfg(feature = "replay")]
    fn start(options: ClientOptions, names: [u8; 32], now: Instant) -> Result<Self, ConfigError> {
        Ok(Self::unsealed(options.validate()?, names, now))
    }

    fn opened(&self, event: ClientEvent) -> ClientEvent {
        match event {
            ClientEvent::Reply { exchange, body } => match Self::opened(self, exchange, &body) {
                Some(packet) => ClientEvent::Decrypted { exchange, packet: Box::new(packet) },
                None => ClientEvent::Reply { exchange, body },
            },
            event => event,
        }
    }

    fn handle(&mut self, now: Instant, event: ClientEvent) -> Result<(), Misuse> {
        Self::handle(self, now, event)
    }

    fn poll(&mut self) -> ClientAction {
        Self::poll(self)
    }

    fn secrets(options: &ClientOptions) -> Secrets {
        let keys = options.relays.iter().map(|relay| relay.key.clone()).collect();
        Secrets { keys, secret: options.secret.clone(), users: Vec::new() }
    }

    fn with_secrets(mut options: ClientOptions, secrets: Secrets) -> Option<ClientOptions> {
        let Secrets { keys, secret, users } = secrets;
        let fits = keys.len() == options.relays.len() && users.is_empty();
        for (relay, key) in options.relays.iter_mut().zip(keys) {
            relay.key = key;
        }
        options.secret = secret;
        fits.then_some(options)
    }

    fn event_weight(event: &ClientEvent) -> usize {
        match event {
            ClientEvent::Reply { body: bytes, .. }
            | ClientEvent::Local { event: LocalEvent::Data(bytes), .. } => bytes.len(),
            ClientEvent::Decrypted { packet, .. } => packet.len(),
            ClientEvent::Open { .. }
            | ClientEvent::Local { .. }
            | ClientEvent::Answering { .. }
            | ClientEvent::ExchangeFailed { .. }
            | ClientEvent::Timeout
            | ClientEvent::Close => 0,
        }
    }

    fn payload(action: &ClientAction) -> Option<Payload<'_>> {
        match action {
            ClientAction::Send { body, .. } => Some(Payload::Body(body)),
            ClientAction::Deliver { bytes, .. } => Some(Payload::Bytes(bytes)),
            ClientAction::Credit { .. }
            | ClientAction::Opened { .. }
            | ClientAction::Fin { .. }
            | ClientAction::Ended { .. }
            | ClientAction::Closed
            | ClientAction::Event(_)
            | ClientAction::Idle { .. } => None,
        }
    }

    fn write_event(event: &ClientEvent, mask: &mut Mask, out: &mut Vec<u8>) {
        match event {
            ClientEvent::Open { target, kind } => {
                let kind = match kind {
                    FlowKind::Tcp => number::OPEN_TCP,
                    FlowKind::Udp => number::OPEN_UDP,
                };
                put([kind, target.port().into()], out);
                out.extend_from_slice(target.host().as_bytes());
            }
            ClientEvent::Local { flow, event } => write_local(*flow, event, out),
            ClientEvent::Answering { exchange } => put([number::ANSWERING, exchange.number()], out),
            ClientEvent::Reply { exchange, body } => {
                put([number::REPLY, exchange.number()], out);
                mask.apply(body, out);
            }
            ClientEvent::Decrypted { exchange, packet } => {
                put([number::DECRYPTED, exchange.number()], out);
                packet.encode(out);
            }
            ClientEvent::ExchangeFailed { exchange, why } => write_failure(*exchange, *why, out),
            ClientEvent::Timeout => put([number::TIMEOUT], out),
            ClientEvent::Close => put([number::CLOSE], out),
        }
    }

    fn read_event(bytes: Bytes, _mask: &mut Mask) -> Result<ClientEvent, Problem> {
        let mut cursor = Cursor::new(bytes);
        let event = match cursor.varint("its kind")? {
            number::OPEN_TCP => open(&mut cursor, FlowKind::Tcp)?,
            number::OPEN_UDP => open(&mut cursor, FlowKind::Udp)?,
            kind @ number::DATA..=number::WRITTEN => {
                let flow = FlowId::new(cursor.varint("the flow")?);
                let event = match kind {
                    number::DATA => LocalEvent::Data(cursor.rest()),
                    number::FIN => LocalEvent::Fin,
                    number::RESET => LocalEvent::Reset,
                    _ => LocalEvent::Written(cursor.number("the bytes written")?),
                };
                ClientEvent::Local { flow, event }
            }
            number::ANSWERING => ClientEvent::Answering { exchange: exchange(&mut cursor)? },
            number::REPLY => {
                let exchange = exchange(&mut cursor)?;
                ClientEvent::Reply { exchange, body: cursor.rest() }
            }
            kind @ number::NOT_SENT..=number::GARBAGE => {
                let exchange = exchange(&mut cursor)?;
                ClientEvent::ExchangeFailed { exchange, why: failure(kind, &mut cursor)? }
            }
            number::DECRYPTED => {
                let exchange = exchange(&mut cursor)?;
                let packet = DecryptedPacket::decode(cursor.rest());
                let packet = Box::new(packet.ok_or(Problem::OutOfRange("the packet"))?);
                ClientEvent::Decrypted { exchange, packet }
            }
            number::TIMEOUT => ClientEvent::Timeout,
            number::CLOSE => ClientEvent::Close,
            other => return Err(Problem::Unknown("event", other)),
        };
        cursor.finish().map(|()| event)
    }
}

fn write_local(flow: FlowId, event: &LocalEvent, out: &mut Vec<u8>) {
    let flow = flow.number();
    match event {
        LocalEvent::Data(bytes) => {
            put([number::DATA, flow], out);
            out.extend_from_slice(bytes);
        }
        LocalEvent::Fin => put([number::FIN, flow], out),
        LocalEvent::Reset => put([number::RESET, flow], out),
        LocalEvent::Written(bytes) => {
            put([number::WRITTEN, flow, *bytes as u64], out);
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

fn exchange(cursor: &mut Cursor) -> Result<ExchangeId, Problem> {
    cursor.varint("the exchange").map(ExchangeId::new)
}

fn open(cursor: &mut Cursor, kind: FlowKind) -> Result<ClientEvent, Problem> {
    let port = cursor.number("the port")?;
    let host = cursor.text(MAX_HOST_LEN, "the host")?;
    let target = Target::new(&host, port).map_err(|_| Problem::OutOfRange("the target"))?;
    Ok(ClientEvent::Open { target, kind })
}

fn failure(kind: u64, cursor: &mut Cursor) -> Result<ExchangeFailure, Problem> {
    Ok(match kind {
        number::NOT_SENT => ExchangeFailure::NotSent,
        number::UNKNOWN => ExchangeFailure::Unknown,
        number::REFUSED => ExchangeFailure::Refused { retry_after: None },
        number::REFUSED_UNTIL => {
            let seconds = cursor.varint("the seconds to wait")?;
            let nanos = cursor.number("the nanoseconds to wait")?;
            if nanos >= 1_000_000_000 {
                return Err(Problem::OutOfRange("the nanoseconds to wait"));
            }
            ExchangeFailure::Refused { retry_after: Some(Duration::new(seconds, nanos)) }
        }
        number::TOO_LARGE => ExchangeFailure::TooLarge,
        number::GARBAGE => ExchangeFailure::Garbage,
        other => return Err(Problem::Unknown("failure", other)),
    })
}
