//! Decryption of response packets outside the client (protocol.md 3.1).

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::fmt;
use core::hash::{Hash, Hasher};

use bytes::Bytes;

use crate::client::event::{ClientEvent, ExchangeFailure};
use crate::client::streams::decrypted::{Content, DecryptedPacket};
use crate::id::ExchangeId;
use crate::wire::handshake::{NOTICE, Notice, NoticeKey};
use crate::wire::packet;
use crate::wire::seal::{Head, Seal};
use crate::wire::{self, BodyForm, Limits};

/// Decrypts the answer to one call that carries a packet, on any thread, and makes its event. From
/// [`ClientAction::Send`](crate::ClientAction::Send).
///
/// Its use is optional: the client does the same with what it is given as [`Reply`](ClientEvent::Reply). A packet of
/// 16 MiB takes some ten milliseconds, in which the client does nothing else.
#[derive(Clone)]
pub struct Decryptor {
    opener: Arc<Opener>,
    /// What the request began with.
    request: Head,
    form: BodyForm,
    max_body: usize,
}

/// What opens the answers of a connection.
pub(in crate::client) struct Opener {
    pub(in crate::client) down: Seal,
    pub(in crate::client) notice: NoticeKey,
}

impl Decryptor {
    pub(in crate::client) const fn new(
        opener: Arc<Opener>,
        request: Head,
        form: BodyForm,
        max_body: usize,
    ) -> Self {
        Self { opener, request, form, max_body }
    }

    /// What the answer to its call is to the client.
    pub fn event(&self, exchange: ExchangeId, body: Bytes) -> ClientEvent {
        let sealed = match self.form {
            BodyForm::Packet => body,
            BodyForm::Json => match self.unwrapped(&body) {
                Some(sealed) => sealed,
                // What has no packet is for the client to judge.
                None => return ClientEvent::Reply { exchange, body },
            },
        };
        match self.decrypt(sealed) {
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

    /// The packet or the notice under its seal, if it decrypts and parses.
    pub(in crate::client) fn decrypt(&self, sealed: Bytes) -> Option<DecryptedPacket> {
        let len = sealed.len();
        let content = if sealed.first() == Some(&NOTICE) {
            Content::Notice(Notice::open(&self.opener.notice, &self.request, &sealed).ok()?)
        } else {
            let (header, frames) = packet::decode_response(self.opener.down.open(sealed).ok()?).ok()?;
            Content::Response(header, frames)
        };
        Some(DecryptedPacket { form: self.form, content, len })
    }
}

/// What it opens follows from its call.
impl Hash for Decryptor {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

impl fmt::Debug for Decryptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decryptor").field("form", &self.form).finish_non_exhaustive()
    }
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Opener(..)")
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
    use crate::wire::packet::{ClientId, Epoch, Flags, ResponseHeader, Unsealed};
    use crate::wire::seal::Nonce;

    const NOW: Instant = Instant::ZERO;

    /// A client that has said hello, and the exchange of that.
    fn hello() -> (Client, ExchangeId) {
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
        Unsealed::response(&header, 0).seal(&seal, Nonce::new([1; 24]))
    }

    fn json(data: &[Bytes]) -> Bytes {
        wire::encode_answer(&[ReplyParts { data, ..ReplyParts::default() }])
    }

    #[test]
    fn a_packet_opens_in_either_form() {
        let (client, exchange) = hello();
        let decryptor = client.decryptor().unwrap();
        let bodies = [(BodyForm::Packet, packet("k")), (BodyForm::Json, json(&[packet("k")]))];
        for (form, body) in bodies {
            let event = decryptor.event(exchange, form, body);
            assert!(matches!(event, ClientEvent::Decrypted { .. }), "{event:?}");
        }
    }

    #[test]
    fn what_does_not_open_is_garbage_and_what_has_no_packet_is_left_to_the_client() {
        let (client, exchange) = hello();
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
        let (mut client, exchange) = hello();
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
        let (client, exchange) = hello();
        let len = packet("k").len();
        let event = client.decryptor().unwrap().event(exchange, BodyForm::Packet, packet("k"));
        let text = alloc::format!("{event:?}");
        assert_eq!(
            text,
            alloc::format!("Decrypted {{ exchange: {exchange:?}, packet: DecryptedPacket({len} bytes) }}")
        );
    }
}
