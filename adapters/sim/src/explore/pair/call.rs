//! Exchanges in flight: requests on their way, requests that the node holds, answers on their way.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use bytes::Bytes;
use seqlane::wire::direction::Direction;
use seqlane::wire::frame::Frames;
use seqlane::wire::number::AnswerNumber;
use seqlane::wire::packet::{self, ResponseHeader};
use seqlane::wire::seal::Seal;
use seqlane::wire::{Op, Reply, Sid};
use seqlane::{Instant, Node, Seq};

use crate::hash::Hash128;

/// A request's body and the ops in it.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) body: Bytes,
    pub(super) ops: Arc<[Op]>,
    /// The packet that its first op carries, opened: its nonce is nothing that anybody reads.
    packet: Option<Bytes>,
}

/// An exchange that the client waits for.
#[derive(Clone, Debug)]
pub(super) struct PendingCall {
    pub(super) request: Request,
    /// When the driver gives it up.
    pub(super) deadline: Instant,
    /// Whether the node has had no copy of it.
    pub(super) fresh: bool,
    /// Copies of the request on their way.
    pub(super) coming: u8,
    /// Copies that the node holds.
    pub(super) held: u8,
    /// Answers on their way: any of them ends the exchange.
    pub(super) answers: Vec<PendingAnswer>,
}

/// An answer's body and the replies in it; none when it is no answer.
#[derive(Clone, Debug)]
pub(super) struct PendingAnswer {
    pub(super) body: Bytes,
    replies: Option<Arc<[Reply]>>,
    /// The packet that its first reply carries, opened.
    packet: Option<(ResponseHeader, Frames)>,
}

impl PendingCall {
    pub(super) const fn new(request: Request, deadline: Instant) -> Self {
        Self { request, deadline, fresh: true, coming: 1, held: 0, answers: Vec::new() }
    }

    /// Whether nothing of it is left anywhere: it can only be given up.
    pub(super) fn is_lost(&self) -> bool {
        self.coming == 0 && self.held == 0 && self.answers.is_empty()
    }

    /// Whether its one copy is still on its way, so that the node cannot have had it.
    pub(super) fn is_untouched(&self) -> bool {
        self.fresh && self.coming == 1
    }

    /// Whether something of it is between the machines.
    pub(super) fn is_moving(&self) -> bool {
        self.coming > 0 || !self.answers.is_empty()
    }
}

/// Where a session is for the node, and how far `seq` is from what it expects there.
pub(super) fn hash_place(node: &Node, sid: &Sid, seq: Option<Seq>, hasher: &mut Hash128) {
    hash_session(node, sid, hasher, |expected| seq.map(|seq| seq.number().wrapping_sub(expected.number())));
}

/// Where an op's session is for the node, and how far ahead its number is there. One that has passed has
/// passed, however long ago.
fn hash_op_place(node: &Node, sid: &Sid, seq: Option<Seq>, hasher: &mut Hash128) {
    hash_session(node, sid, hasher, |expected| {
        seq.map(|seq| if seq < expected { u64::MAX } else { seq.ahead_of(expected) })
    });
}

fn hash_session(node: &Node, sid: &Sid, hasher: &mut Hash128, ahead: impl Fn(Seq) -> Option<u64>) {
    let known = node.known_sessions().enumerate().find(|(_, (known, _))| known == sid);
    known.map(|(place, (_, expected))| (place, ahead(expected))).hash(hasher);
}

impl Request {
    pub(super) fn new(body: Bytes, ops: Vec<Op>) -> Self {
        let packet = ops.first().and_then(|op| match op {
            Op::Streams { packet } => Seal::null(Direction::Up).open(packet.clone()).ok(),
            _ => None,
        });
        Self { body, ops: ops.into(), packet }
    }

    /// What the node will make of it.
    pub(super) fn hash(&self, node: &Node, hasher: &mut Hash128) {
        hasher.write_usize(self.ops.len());
        for op in &*self.ops {
            op.name().hash(hasher);
            if matches!(op, Op::Streams { .. }) {
                self.packet.hash(hasher);
                continue;
            }
            op.payload().map(|payload| payload.as_ref()).hash(hasher);
            match op {
                Op::Connect { target } | Op::ConnectData { target, .. } | Op::UdpOpen { target, .. } => {
                    target.hash(hasher);
                }
                Op::Data { sid, seq, .. } => {
                    seq.is_some().hash(hasher);
                    hash_op_place(node, sid, *seq, hasher);
                }
                Op::UdpData { sid, .. } | Op::Close { sid } => hash_op_place(node, sid, None, hasher),
                Op::Streams { .. } => {}
            }
        }
    }

    fn seq_of(&self, place: usize) -> Option<Seq> {
        match self.ops.get(place) {
            Some(Op::Data { seq, .. }) => *seq,
            _ => None,
        }
    }
}

impl PendingAnswer {
    /// The answer to `request`.
    pub(super) fn new(body: Bytes, replies: Option<Vec<Reply>>, request: &Request) -> Self {
        let carries = request.packet.is_some();
        let sealed = replies.iter().flatten().next().filter(|_| carries).map(|reply| reply.data.clone());
        let packet = sealed.and_then(|sealed| Seal::null(Direction::Down).open(sealed).ok());
        let packet = packet.and_then(|plain| packet::decode_response(plain).ok());
        Self { body, replies: replies.map(Arc::from), packet }
    }

    /// The number of the packet that it carries.
    pub(super) fn number(&self) -> Option<AnswerNumber> {
        self.packet.as_ref().map(|(header, _)| header.answer)
    }

    /// What the client will make of it, as the answer to `request`. Of its packet's number only the `rank` matters.
    pub(super) fn hash(&self, request: &Request, rank: Option<usize>, node: &Node, hasher: &mut Hash128) {
        let Some(replies) = &self.replies else { return self.body.hash(hasher) };
        if let Some((header, frames)) = &self.packet {
            rank.hash(hasher);
            header.hash(hasher);
            frames.clone().for_each(|frame| frame.hash(hasher));
        }
        hasher.write_usize(replies.len());
        for (place, reply) in replies.iter().enumerate() {
            if self.packet.is_none() {
                reply.data.as_ref().hash(hasher);
            }
            (reply.packets.len(), reply.eof, reply.code.is_some(), reply.caps, reply.damaged).hash(hasher);
            // An op's number comes back; it counts by how far the two are apart.
            let own = request.seq_of(place);
            let apart = reply.seq.zip(own).map(|(seq, own)| seq.number().wrapping_sub(own.number()));
            (reply.seq.is_some(), apart).hash(hasher);
            if let Some(sid) = &reply.sid {
                hash_place(node, sid, None, hasher);
            }
            reply.error.is_some().hash(hasher);
            // Some texts contain absolute numbers, which no machine reads.
            let text = reply.error.iter().flat_map(|text| text.bytes()).filter(|byte| !byte.is_ascii_digit());
            text.for_each(|byte| hasher.write_u8(byte));
        }
    }
}
