//! Answers to packets and hellos, as their client reads them.

use bytes::Bytes;
use seqlane::BodyForm;
use seqlane::wire::direction::Direction;
use seqlane::wire::handshake::{AnswerPayload, ConnectionKeys, HELLO, NOTICE, Notice};
use seqlane::wire::packet;
use seqlane::wire::seal::{PACKET, Seal};
use seqlane::wire::{self, Limits};

use crate::hello::{KEYS, reread};
use crate::oracle::Oracle;
use crate::oracle::records::{HELLO_SENT, OpKind, SentCall, SentOp, SentPacket, sent_packet};

/// What answers a packet or a hello.
pub(super) enum PacketAnswer {
    /// The node lets the client in, and the connection has these keys.
    LetIn(AnswerPayload, Box<ConnectionKeys>),
    /// The response to a packet.
    Response,
    /// A notice in its place.
    Notice,
}

impl Oracle {
    /// What an answer is to the client that sent the packet; none if it does not open, or answers another one.
    pub(super) fn read_answer(&self, sent: &SentPacket, answer: Bytes) -> Option<PacketAnswer> {
        let record = self.packets.connections.get(&sent.client)?;
        if answer.first() == Some(&NOTICE) {
            let notice = Notice::open(KEYS.notice(), &sent.head, &answer);
            return notice.ok().map(|_| PacketAnswer::Notice);
        }
        let Some(exchange) = sent.exchange else {
            let (payload, keys) = reread(&record.hello)?.read(&answer).ok()?;
            return Some(PacketAnswer::LetIn(payload, Box::new(keys)));
        };
        let down = Seal::new(record.keys.as_ref()?, Direction::Down);
        let (header, _) = packet::decode_response(down.open(answer).ok()?).ok()?;
        (header.exchange == exchange).then_some(PacketAnswer::Response)
    }

    fn waits_for_answer(&self, hello: &SentPacket) -> bool {
        let record = self.packets.connections.get(&hello.client);
        record.is_some_and(|record| {
            let age = self.client_now(record.client).saturating_since(record.first.1);
            !record.answered && age < HELLO_SENT
        })
    }

    /// Whether a body answers a request: each of its ops, or the packet that it was.
    pub(super) fn answers(&self, sent: &SentCall, body: &Bytes) -> bool {
        let limits = Limits { max_body: 1 << 30, max_ops: sent.request.len() };
        let replies = || wire::decode_answer(body, sent.request.len(), limits);
        let [SentOp { kind: OpKind::Packet(_), .. }] = *sent.request else { return replies().is_ok() };
        let Some(packet) = sent_packet(&sent.request) else { return false };
        // Its client cannot read a second answer to a hello.
        let waits = packet.exchange.is_some() || self.waits_for_answer(packet);
        let fits = |answer: Bytes| waits && self.read_answer(packet, answer).is_some();
        match (sent.form, replies().ok().and_then(|replies| replies.into_iter().next())) {
            (BodyForm::Packet, _) => fits(body.clone()),
            (BodyForm::Json, None) => false,
            // That there is no level 2 is an answer.
            (BodyForm::Json, Some(reply)) if reply.error.is_some() => reply.is_unsupported("streams"),
            (BodyForm::Json, Some(reply)) => fits(reply.data),
        }
    }
}

/// Whether a body brings a packet, and no error, page, hello or notice.
pub(super) fn looks_like_packet(body: &Bytes) -> bool {
    // The first byte of a packet is 4, and the next four bits of its id are in the second digit.
    let digit = body.strip_prefix(br#"{"r":[{"d":"B"#).and_then(|rest| rest.first());
    digit.is_some_and(|digit| (b'A'..=b'P').contains(digit)) || body.first() == Some(&PACKET)
}

/// The packet, or the answer or notice to a hello, in the body of an answer.
pub(super) fn packet_in(form: BodyForm, body: &Bytes) -> Option<Bytes> {
    match form {
        BodyForm::Packet => Some(body.clone()),
        BodyForm::Json => {
            let limits = Limits { max_body: 1 << 30, max_ops: 1 };
            let replies = wire::decode_answer(body, 1, limits).ok()?;
            replies.into_iter().next().filter(|reply| reply.error.is_none()).map(|reply| reply.data)
        }
    }
}

/// Whether it is a hello.
pub(super) fn is_hello(packet: &Bytes) -> bool {
    packet.first() == Some(&HELLO)
}
