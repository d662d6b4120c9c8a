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
        unwrapped(body, self.max_body)
    }

    /// What an answer is under its wrapping and its seal.
    pub(in crate::client) fn read(&self, body: &Bytes) -> Option<DecryptedPacket> {
        let sealed = match self.form {
            BodyForm::Packet => Some(body.clone()),
            BodyForm::Json => self.unwrapped(body),
        };
        self.decrypt(sealed?)
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

/// The packet in an answer in JSON that has one.
pub(super) fn unwrapped(body: &[u8], max_body: usize) -> Option<Bytes> {
    let limits = Limits { max_body, max_ops: 1 };
    let reply = wire::decode_answer(body, 1, limits).ok()?.pop()?;
    (reply.error.is_none() && !reply.damaged && !reply.data.is_empty()).then_some(reply.data)
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
    use crate::wire::ReplyParts;
    use crate::wire::direction::Direction;
    use crate::wire::handshake::{ConnectionKeys, NodeId, NoticeKind, SecretKeys};
    use crate::wire::number::{AnswerNumber, ExchangeNumber};
    use crate::wire::packet::{ClientId, Flags, ResponseHeader, Unsealed};
    use crate::wire::seal::Nonce;

    const CALL: ExchangeId = ExchangeId::new(7);
    const REQUEST: Nonce = Nonce::new([9; 24]);

    fn keys(client: u8) -> ConnectionKeys {
        ConnectionKeys::of_test(ClientId([client; 16]), [1; 32], [2; 32])
    }

    fn secret_keys() -> SecretKeys {
        SecretKeys::new(&crate::secret::Secret::new("a secret of both ends"))
    }

    fn decryptor(form: BodyForm) -> Decryptor {
        let opener =
            Opener { down: Seal::new(&keys(1), Direction::Down), notice: secret_keys().notice().clone() };
        let request = Seal::new(&keys(1), Direction::Up).head(REQUEST);
        Decryptor::new(Arc::new(opener), request, form, 1 << 20)
    }

    /// A response over the connection of this client.
    fn packet(client: u8) -> Bytes {
        let header = ResponseHeader {
            exchange: ExchangeNumber::ZERO,
            answer: AnswerNumber::ZERO,
            seen: ExchangeNumber::ZERO,
            statuses: Vec::new(),
            held: Duration::ZERO,
            flags: Flags::default(),
        };
        let seal = Seal::new(&keys(client), Direction::Down);
        Unsealed::response(&header, 0).seal(&seal, Nonce::new([1; 24]))
    }

    /// The answer of a node that does not know the connection, to a request with this nonce.
    fn unknown(request: Nonce) -> Bytes {
        let notice = Notice {
            kind: NoticeKind::Unknown,
            node: NodeId([3; 16]),
            wait: Duration::ZERO,
            token: None,
            text: "".into(),
        };
        let head = Seal::new(&keys(1), Direction::Up).head(request);
        notice.seal(secret_keys().notice(), &head, Nonce::new([4; 24])).unwrap()
    }

    fn json(data: &[Bytes]) -> Bytes {
        wire::encode_answer(&[ReplyParts { data, ..ReplyParts::default() }])
    }

    #[test]
    fn a_packet_and_a_notice_open_in_either_form() {
        for packet in [packet(1), unknown(REQUEST)] {
            let bodies = [(BodyForm::Packet, packet.clone()), (BodyForm::Json, json(&[packet]))];
            for (form, body) in bodies {
                let event = decryptor(form).event(CALL, body);
                assert!(matches!(event, ClientEvent::Decrypted { .. }), "{event:?}");
            }
        }
    }

    #[test]
    fn what_does_not_open_is_garbage_and_what_has_no_packet_is_left_to_the_client() {
        let garbage = ClientEvent::ExchangeFailed { exchange: CALL, why: ExchangeFailure::Garbage };
        for foreign in [packet(2), unknown(Nonce::new([8; 24]))] {
            assert_eq!(decryptor(BodyForm::Packet).event(CALL, foreign.clone()), garbage);
            assert_eq!(decryptor(BodyForm::Json).event(CALL, json(&[foreign])), garbage);
        }
        for body in ["<html>", r#"{"e":"unauthorized"}"#, r#"{"r":[{"e":"bad packet"}]}"#, r#"{"r":[{}]}"#] {
            let reply = ClientEvent::Reply { exchange: CALL, body: body.into() };
            assert_eq!(decryptor(BodyForm::Json).event(CALL, body.into()), reply);
        }
    }

    #[test]
    fn a_debug_print_shows_neither_payload_nor_key() {
        let event = decryptor(BodyForm::Packet).event(CALL, packet(1));
        let text = alloc::format!("{event:?}");
        assert_eq!(text, "Decrypted { exchange: ExchangeId(7), packet: DecryptedPacket(128 bytes) }");
        assert_eq!(alloc::format!("{:?}", decryptor(BodyForm::Json)), "Decryptor { form: Json, .. }");
    }

    /// For tests, which compare whole actions: what opens the answers of one request is one thing.
    impl PartialEq for Decryptor {
        fn eq(&self, other: &Self) -> bool {
            (self.request, self.form) == (other.request, other.form)
        }
    }

    impl Eq for Decryptor {}
}
