//! Properties of a node at level 2 that hold whatever its clients do.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use seqlane::wire::direction::Direction;
use seqlane::wire::frame::Frame;
use seqlane::wire::handshake::{ClientHello, ConnectionKeys, NOTICE, NodeId, Notice, NoticeKind};
use seqlane::wire::number::{AnswerNumber, StreamNumber};
use seqlane::wire::packet::{self, ClientId, RequestHeader, ResponseRoom};
use seqlane::wire::seal::{Head, Seal};
use seqlane::{FlowKind, NodeAction, NodeNotice, Target, UpstreamId};

use crate::fuzz::node_bench::CYCLE;
use crate::fuzz::peer::{Asked, HOST, Learned, host};
use crate::hello::KEYS;

/// A connection: its id, and what tells its handshake from others under the same.
type Connection = (ClientId, Option<u64>);

/// What clients asked and what the node did.
#[derive(Default)]
pub(super) struct NodeOracle {
    /// A packet was changed before it was sealed: what streams carry up may be anything from then on.
    pub(super) tampered: bool,
    /// The streams that clients have opened, by what their targets say.
    opened: BTreeMap<String, BTreeSet<u16>>,
    /// Chunks that upstreams were given.
    given: BTreeMap<UpstreamId, u64>,
    ended: BTreeSet<UpstreamId>,
    answers: BTreeSet<(Connection, AnswerNumber)>,
    /// Chunks that came down.
    chunks: BTreeMap<(Connection, StreamNumber), BTreeMap<u64, (Bytes, bool)>>,
    /// The name of the node.
    node: Option<NodeId>,
}

impl NodeOracle {
    /// The node wants something done.
    pub(super) fn look(&mut self, action: &NodeAction) {
        match action {
            NodeAction::OpenUpstream { upstream, target, kind, .. } if target.host().starts_with(HOST) => {
                self.on_open(*upstream, target, *kind);
            }
            NodeAction::WriteUpstream { upstream, bytes } => self.on_write(*upstream, bytes),
            NodeAction::Event(NodeNotice::SessionEnded { upstream, .. }) => {
                assert!(self.ended.insert(*upstream), "{upstream} has one end");
            }
            // Its hello may make another connection.
            NodeAction::Event(NodeNotice::ClientEnded { client, .. }) => {
                self.opened.remove(&host(*client));
            }
            _ => {}
        }
    }

    fn on_open(&mut self, upstream: UpstreamId, target: &Target, kind: FlowKind) {
        if kind == FlowKind::Tcp {
            self.given.insert(upstream, 0);
        }
        let once = self.opened.entry(target.host().to_owned()).or_default().insert(target.port());
        assert!(once || self.tampered, "a stream is opened once: {target}");
    }

    /// Every chunk says which it is; each comes once, in order.
    fn on_write(&mut self, upstream: UpstreamId, bytes: &Bytes) {
        let Some(given) = self.given.get_mut(&upstream).filter(|_| !self.tampered) else { return };
        let expected = (*given % CYCLE as u64) as u8;
        assert!(bytes.iter().all(|byte| *byte == expected), "{upstream} gets chunk {given} next");
        *given += 1;
    }

    /// The answer to a packet or a hello that asked this; what there is to learn from it.
    pub(super) fn answered(&mut self, asked: &Asked, answer: &Bytes) -> Learned {
        match asked {
            Asked::Hello(hello) => self.on_hello_answered(hello, answer),
            Asked::Exchange(keys, head, header) => self.on_exchange_answered((keys, head), header, answer),
        }
    }

    fn on_hello_answered(&mut self, hello: &ClientHello, answer: &Bytes) -> Learned {
        if answer.first() == Some(&NOTICE) {
            let packet = hello.packet();
            let notice = self.notice(packet.first_chunk().expect("a hello has a head"), answer);
            assert_ne!(notice.kind, NoticeKind::Unknown, "a hello is never unknown");
            return Learned::Refused(notice.token);
        }
        let (payload, keys) = hello.read(answer).expect("an answer opens");
        self.on_node(payload.node);
        Learned::LetIn(Box::new(keys))
    }

    fn on_exchange_answered(
        &mut self,
        (keys, head): (&ConnectionKeys, &Head),
        asked: &RequestHeader,
        answer: &Bytes,
    ) -> Learned {
        if answer.first() == Some(&NOTICE) {
            assert_eq!(self.notice(head, answer).kind, NoticeKind::Unknown, "the one notice to a packet");
            return Learned::Over;
        }
        let (len, down) = (answer.len() as u64, Seal::new(keys, Direction::Down));
        let plain = down.open(answer.clone()).expect("an answer opens");
        let (header, frames) = packet::decode_response(plain).expect("an answer can be read");
        assert_eq!(header.exchange, asked.exchange);
        if let Some(Frame::End { .. }) = frames.clone().next() {
            return Learned::Over;
        }
        match asked.max_response {
            ResponseRoom::HeaderOnly => {
                assert_eq!(frames.clone().next(), None, "an answer that is a header alone");
            }
            ResponseRoom::Bytes(room) => assert!(len <= room, "{len} B in a room of {room} B"),
        }
        let connection = (keys.client(), down.session());
        let fresh = self.answers.insert((connection, header.answer));
        assert!(fresh, "an answer has a number of its own");
        frames.clone().for_each(|frame| self.on_frame(connection, frame));
        Learned::Frames(frames.collect())
    }

    fn notice(&mut self, head: &Head, answer: &Bytes) -> Notice {
        let notice = Notice::open(KEYS.notice(), head, answer).expect("a notice opens");
        self.on_node(notice.node);
        notice
    }

    fn on_node(&mut self, node: NodeId) {
        assert_eq!(*self.node.get_or_insert(node), node, "a node has one name");
    }

    /// A chunk is the same whenever it comes, and carries on where the one before it ended.
    fn on_frame(&mut self, connection: Connection, frame: Frame) {
        let Frame::Data { stream, seq, fin, bytes } = frame else { return };
        let chunks = self.chunks.entry((connection, stream)).or_default();
        let seq = seq.number();
        if let Some(before) = chunks.insert(seq, (bytes.clone(), fin)) {
            assert_eq!(before, (bytes.clone(), fin), "chunk {seq} of stream {stream} has changed");
        }
        let before = seq.checked_sub(1).map(|before| chunks.get(&before)?.0.last());
        let start = match before {
            None => Some(0),
            Some(last) => last.map(|last| (usize::from(*last) + 1) % CYCLE),
        };
        // Where the one before it has not come, or was empty, it may start anywhere.
        let start = start.or_else(|| bytes.first().copied().map(usize::from)).unwrap_or_default();
        let runs =
            bytes.iter().enumerate().all(|(place, byte)| usize::from(*byte) == (start + place) % CYCLE);
        assert!(runs, "chunk {seq} of stream {stream} is not what its upstream sent");
    }
}
