//! Packets out of the answers that bring them: what takes time with every byte of an answer, and needs nothing of the
//! machine.

use alloc::boxed::Box;
use core::fmt;

use bytes::Bytes;

use crate::client::action::BodyForm;
use crate::client::event::{ClientEvent, ExchangeFailure};
use crate::id::ExchangeId;
use crate::wire::frame::Frames;
use crate::wire::packet::{self, ResponseHeader};
use crate::wire::seal::Seal;
#[cfg(feature = "record")]
use crate::wire::seal::{Nonce, Unsealed};
use crate::wire::{self, Limits};
#[cfg(feature = "record")]
use crate::wire::{Body, Sealing, Wrapping};

/// Opens the answers to calls that carry a packet, on any thread, and makes the events of them. From
/// [`Client::decryptor`](crate::Client::decryptor).
///
/// A driver need not use it: the client opens what it is given as [`Reply`](ClientEvent::Reply), and does the same
/// then. That of a packet of 16 MiB takes some ten milliseconds, in which it does nothing else.
#[derive(Clone)]
pub struct Decryptor {
    seal: Seal,
    max_body: usize,
}

/// A response packet that was opened, and that reads well.
#[derive(Clone, PartialEq, Eq)]
pub struct DecryptedPacket {
    form: BodyForm,
    pub(in crate::client) header: ResponseHeader,
    pub(in crate::client) frames: Frames,
    /// Bytes of the packet, sealed.
    pub(crate) len: usize,
}

impl Decryptor {
    pub(in crate::client) fn new(seal: &Seal, max_body: usize) -> Self {
        Self { seal: seal.clone(), max_body }
    }

    /// What the answer to a call is to the client, when the call carried a packet in this form.
    pub fn event(&self, exchange: ExchangeId, form: BodyForm, body: Bytes) -> ClientEvent {
        let sealed = match form {
            BodyForm::Packet => body,
            BodyForm::Json => match self.unwrapped(&body) {
                Some(sealed) => sealed,
                // What has no packet is for the client to judge.
                None => return ClientEvent::Reply { exchange, body },
            },
        };
        match self.open(form, sealed) {
            Some(packet) => ClientEvent::Decrypted { exchange, packet: Box::new(packet) },
            None => ClientEvent::ExchangeFailed { exchange, why: ExchangeFailure::Garbage },
        }
    }

    /// The packet in an answer that has one.
    fn unwrapped(&self, body: &[u8]) -> Option<Bytes> {
        let limits = Limits { max_body: self.max_body, max_ops: 1 };
        let reply = wire::decode_answer(body, 1, limits).ok()?.pop()?;
        (reply.error.is_none() && !reply.damaged && !reply.data.is_empty()).then_some(reply.data)
    }

    /// The packet under its seal, if it opens and reads well.
    pub(in crate::client) fn open(&self, form: BodyForm, sealed: Bytes) -> Option<DecryptedPacket> {
        let len = sealed.len();
        let plain = self.seal.open(sealed).ok()?;
        let (header, frames) = packet::decode_response(plain).ok()?;
        Some(DecryptedPacket { form, header, frames, len })
    }
}

#[cfg(feature = "record")]
impl DecryptedPacket {
    /// A body that opens to the same.
    pub(crate) fn sealed_again(&self, seal: &Seal, nonce: Nonce) -> Body {
        let wrapping = match self.form {
            BodyForm::Packet => Wrapping::Raw,
            BodyForm::Json => Wrapping::Answer,
        };
        Sealing::new(Unsealed::of(self.frames.packet()), seal, nonce).into_body(wrapping)
    }
}

impl fmt::Debug for Decryptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decryptor").field("max_body", &self.max_body).finish_non_exhaustive()
    }
}

impl fmt::Debug for DecryptedPacket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DecryptedPacket({} bytes)", self.len)
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;
    use core::time::Duration;

    use super::*;
    use crate::client::{Client, ClientAction};
    use crate::config::{ClientOptions, RelayOptions};
    use crate::level::Level;
    use crate::secret::Secret;
    use crate::time::Instant;
    use crate::wire::ReplyParts;
    use crate::wire::direction::Direction;
    use crate::wire::number::{AnswerNumber, ExchangeNumber};
    use crate::wire::packet::{ClientId, Epoch, Flags, PacketWriter};
    use crate::wire::seal::Nonce;

    const NOW: Instant = Instant::ZERO;

    /// A client that has said hello, and the exchange of that.
    fn greeting() -> (Client, ExchangeId) {
        let mut options = ClientOptions::new(alloc::vec![RelayOptions::new(Secret::new("k"))]);
        options.max_level = Level::Streams;
        let mut client = Client::new(options.validate().unwrap(), [1; 32], NOW);
        loop {
            if let ClientAction::Send { exchange, body, .. } = client.poll() {
                assert!(body.is_packet());
                return (client, exchange);
            }
        }
    }

    /// A packet that is for nobody.
    fn packet(secret: &str) -> Bytes {
        let header = ResponseHeader {
            client: ClientId([7; 16]),
            epoch: Epoch([9; 16]),
            exchange: ExchangeNumber::ZERO,
            answer: AnswerNumber::ZERO,
            seen: ExchangeNumber::ZERO,
            statuses: Vec::new(),
            held: Duration::ZERO,
            flags: Flags { unknown: false, draining: false, blocked: false },
            grants: None,
        };
        let seal = Seal::new(&Secret::new(secret), Direction::Down);
        PacketWriter::response(&header, 0).finish().seal(&seal, Nonce::new([1; 24]))
    }

    fn json(data: &[Bytes]) -> Bytes {
        wire::encode_answer(&[ReplyParts { data, ..ReplyParts::default() }])
    }

    #[test]
    fn a_packet_opens_in_either_form() {
        let (client, exchange) = greeting();
        let decryptor = client.decryptor().unwrap();
        let bodies = [(BodyForm::Packet, packet("k")), (BodyForm::Json, json(&[packet("k")]))];
        for (form, body) in bodies {
            let event = decryptor.event(exchange, form, body);
            assert!(matches!(event, ClientEvent::Decrypted { .. }), "{event:?}");
        }
    }

    #[test]
    fn what_does_not_open_is_garbage_and_what_has_no_packet_is_left_to_the_client() {
        let (client, exchange) = greeting();
        let decryptor = client.decryptor().unwrap();
        let garbage = ClientEvent::ExchangeFailed { exchange, why: ExchangeFailure::Garbage };
        assert_eq!(decryptor.event(exchange, BodyForm::Packet, packet("other")), garbage);
        assert_eq!(decryptor.event(exchange, BodyForm::Json, json(&[packet("other")])), garbage);
        for body in ["<html>", r#"{"e":"unauthorized"}"#, r#"{"r":[{"e":"bad packet"}]}"#, r#"{"r":[{}]}"#] {
            let reply = ClientEvent::Reply { exchange, body: body.into() };
            assert_eq!(decryptor.event(exchange, BodyForm::Json, body.into()), reply);
        }
    }

    #[test]
    fn a_packet_that_is_for_somebody_else_is_garbage_to_the_client() {
        let (mut client, exchange) = greeting();
        let event = client.decryptor().unwrap().event(exchange, BodyForm::Packet, packet("k"));
        client.handle(NOW, event).unwrap();
        assert_eq!((client.stats().answered, client.stats().failed), (0, 1));
    }

    #[test]
    fn a_client_without_level_2_opens_nothing() {
        let mut options = ClientOptions::new(alloc::vec![RelayOptions::new(Secret::new("k"))]);
        options.max_level = Level::Sequenced;
        assert!(Client::new(options.validate().unwrap(), [1; 32], NOW).decryptor().is_none());
    }

    #[test]
    fn a_debug_print_shows_no_payload() {
        let (client, exchange) = greeting();
        let len = packet("k").len();
        let event = client.decryptor().unwrap().event(exchange, BodyForm::Packet, packet("k"));
        let text = alloc::format!("{event:?}");
        assert_eq!(
            text,
            alloc::format!("Decrypted {{ exchange: {exchange:?}, packet: DecryptedPacket({len} bytes) }}")
        );
    }
}
