//! Exchanges in flight: requests on their way, requests that the node holds, answers on their way.

use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use seqlane::wire::direction::Direction;
use seqlane::wire::frame::Frames;
use seqlane::wire::handshake::{self, HELLO, NOTICE, Notice, NoticeKind};
use seqlane::wire::number::AnswerNumber;
use seqlane::wire::packet::{self, ClientId, Grants, ResponseHeader};
use seqlane::wire::seal::{self, HEAD_LEN, Seal};
use seqlane::wire::{Op, Reply, Sid};
use seqlane::{Client, Instant, Node, Seq};

use crate::hash::Hash128;
use crate::hello::{KEYS, reread};

/// A request's body and the ops in it.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) body: Bytes,
    pub(super) ops: Arc<[Op]>,
    /// The packet or the hello that its first op carries.
    packet: Option<Sealed>,
}

/// A packet or a hello.
#[derive(Clone, Debug)]
struct Sealed {
    client: ClientId,
    /// Which handshake made the seal of a packet; a hello has none.
    session: Option<u64>,
    /// A hello, or what a packet begins with: a notice answers this.
    head: Bytes,
    /// What lies under the seal: the nonce is nothing that anybody reads.
    plain: Bytes,
}

impl Sealed {
    fn new(packet: &Bytes, way: Direction) -> Option<Self> {
        if packet.first() == Some(&HELLO) {
            let client = handshake::client_of(packet)?;
            return Some(Self { client, session: None, head: packet.clone(), plain: Bytes::new() });
        }
        let client = seal::client_of(packet)?;
        let plain = Seal::null(client, way).open(packet.clone()).ok()?;
        let head = packet.slice(..HEAD_LEN);
        Some(Self { client, session: seal::session_of(packet, way), head, plain })
    }
}

impl Opened {
    /// What answers this packet or hello.
    fn new(answer: &Bytes, request: &Sealed) -> Option<Self> {
        if answer.first() == Some(&NOTICE) {
            let notice = Notice::open(KEYS.notice(), request.head.first_chunk()?, answer).ok()?;
            return Some(Self::Notice(notice.kind, notice.wait, notice.token.is_some()));
        }
        if request.head.first() == Some(&HELLO) {
            let (payload, keys) = reread(&request.head)?.read(answer).ok()?;
            let session = Seal::new(&keys, Direction::Down).session();
            return Some(Self::LetIn(request.client, session, payload.grants));
        }
        let sealed = Sealed::new(answer, Direction::Down)?;
        let (header, frames) = packet::decode_response(sealed.plain.clone()).ok()?;
        Some(Self::Response(sealed, header, frames))
    }
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
    /// What its first reply carries.
    packet: Option<Opened>,
}

/// What answers a packet or a hello. Of a notice nobody reads the nonce, and of an answer not the key.
#[derive(Clone, Debug)]
enum Opened {
    Response(Sealed, ResponseHeader, Frames),
    LetIn(ClientId, Option<u64>, Grants),
    Notice(NoticeKind, Duration, bool),
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

/// Which connection an id is to both machines, and whether it is that of the same handshake.
pub(super) fn hash_connection(
    (client, node): (&Client, &Node),
    (id, session): (ClientId, Option<u64>),
    hasher: &mut Hash128,
) {
    let place = |known: Vec<(ClientId, Option<u64>)>| {
        let place = known.iter().position(|(other, _)| *other == id)?;
        Some((place, known[place].1 == session))
    };
    let known = (place(client.known_connections().collect()), place(node.known_connections().collect()));
    known.hash(hasher);
    if known == (None, None) {
        // Several that neither knows are told apart.
        (id.0, session).hash(hasher);
    }
}

impl Request {
    pub(super) fn new(body: Bytes, ops: Vec<Op>) -> Self {
        let packet = ops.first().and_then(|op| match op {
            Op::Streams { packet } => Sealed::new(packet, Direction::Up),
            _ => None,
        });
        Self { body, ops: ops.into(), packet }
    }

    /// What the node will make of it.
    pub(super) fn hash(&self, (client, node): (&Client, &Node), hasher: &mut Hash128) {
        hasher.write_usize(self.ops.len());
        for op in &*self.ops {
            op.name().hash(hasher);
            if matches!(op, Op::Streams { .. }) {
                if let Some(packet) = &self.packet {
                    hash_connection((client, node), (packet.client, packet.session), hasher);
                    packet.plain.hash(hasher);
                }
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
        let answer = replies.iter().flatten().next().map(|reply| &reply.data);
        let packet =
            request.packet.as_ref().zip(answer).and_then(|(packet, answer)| Opened::new(answer, packet));
        Self { body, replies: replies.map(Arc::from), packet }
    }

    /// The connection and the number of the packet that it carries.
    pub(super) fn number(&self) -> Option<(ClientId, AnswerNumber)> {
        match &self.packet {
            Some(Opened::Response(sealed, header, _)) => Some((sealed.client, header.answer)),
            Some(Opened::LetIn(..) | Opened::Notice(..)) | None => None,
        }
    }

    /// What the client will make of it, as the answer to `request`. Of its packet's number only the `rank` matters.
    pub(super) fn hash(
        &self,
        request: &Request,
        rank: Option<usize>,
        (client, node): (&Client, &Node),
        hasher: &mut Hash128,
    ) {
        let Some(replies) = &self.replies else { return self.body.hash(hasher) };
        match &self.packet {
            Some(Opened::Response(sealed, header, frames)) => {
                hash_connection((client, node), (sealed.client, sealed.session), hasher);
                rank.hash(hasher);
                header.hash(hasher);
                frames.clone().for_each(|frame| frame.hash(hasher));
            }
            Some(Opened::LetIn(id, session, grants)) => {
                hash_connection((client, node), (*id, *session), hasher);
                grants.hash(hasher);
            }
            Some(Opened::Notice(kind, wait, invites)) => (kind, wait, invites).hash(hasher),
            None => {}
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
