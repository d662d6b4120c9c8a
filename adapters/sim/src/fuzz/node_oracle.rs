//! Properties of a node at level 2 that hold whatever its clients do.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use seqlane::wire::direction::Direction;
use seqlane::wire::frame::{Frame, Frames};
use seqlane::wire::number::{AnswerNumber, StreamNumber};
use seqlane::wire::packet::{self, Epoch, RequestHeader, ResponseHeader, ResponseRoom};
use seqlane::wire::seal::Seal;
use seqlane::{FlowKind, NodeAction, NodeNotice, Target, UpstreamId};

use crate::fuzz::node_bench::CYCLE;
use crate::fuzz::peer::{HOST, PORTS};

/// What clients asked and what the node did.
#[derive(Default)]
pub(super) struct NodeOracle {
    /// A packet was changed before it was sealed: what streams carry up may be anything from then on.
    pub(super) tampered: bool,
    /// The streams that clients have opened, by what their targets say.
    opened: BTreeMap<u8, BTreeSet<u16>>,
    /// Chunks that upstreams were given.
    given: BTreeMap<UpstreamId, u64>,
    ended: BTreeSet<UpstreamId>,
    answers: BTreeSet<(Epoch, AnswerNumber)>,
    /// Chunks that came down.
    chunks: BTreeMap<(Epoch, StreamNumber), BTreeMap<u64, (Bytes, bool)>>,
}

impl NodeOracle {
    /// The node wants something done.
    pub(super) fn look(&mut self, action: &NodeAction) {
        match action {
            NodeAction::OpenUpstream { upstream, target, kind, .. } if target.host() == HOST => {
                self.on_open(*upstream, target, *kind);
            }
            NodeAction::WriteUpstream { upstream, bytes } => self.on_write(*upstream, bytes),
            NodeAction::Event(NodeNotice::SessionEnded { upstream, .. }) => {
                assert!(self.ended.insert(*upstream), "{upstream} has one end");
            }
            // Its client may start numbering streams again.
            NodeAction::Event(NodeNotice::ClientEnded { client, .. }) => {
                self.opened.remove(&client.0[0]);
            }
            _ => {}
        }
    }

    fn on_open(&mut self, upstream: UpstreamId, target: &Target, kind: FlowKind) {
        if kind == FlowKind::Tcp {
            self.given.insert(upstream, 0);
        }
        let client = (target.port() / PORTS) as u8;
        let once = self.opened.entry(client).or_default().insert(target.port());
        assert!(once || self.tampered, "a stream is opened once: {target}");
    }

    /// Every chunk says which it is; each comes once, in order.
    fn on_write(&mut self, upstream: UpstreamId, bytes: &Bytes) {
        let Some(given) = self.given.get_mut(&upstream).filter(|_| !self.tampered) else { return };
        let expected = (*given % CYCLE as u64) as u8;
        assert!(bytes.iter().all(|byte| *byte == expected), "{upstream} gets chunk {given} next");
        *given += 1;
    }

    /// The answer to a request that asked this; what there is to learn from it.
    pub(super) fn answered(
        &mut self,
        asked: &RequestHeader,
        packet: Bytes,
    ) -> (ResponseHeader, impl Iterator<Item = Frame> + use<>) {
        let len = packet.len() as u64;
        let plain = Seal::null(Direction::Down).open(packet).expect("an answer opens");
        let (header, frames) = packet::decode_response(plain).expect("an answer can be read");
        assert_eq!((header.client, header.exchange), (asked.client, asked.exchange));
        assert_eq!(header.grants.is_some(), asked.epoch.is_none(), "a hello is answered with grants");
        match asked.max_response {
            _ if asked.epoch.is_none() || header.flags.unknown => no_frames(&frames),
            ResponseRoom::HeaderOnly => no_frames(&frames),
            ResponseRoom::Bytes(room) => assert!(len <= room, "{len} B in a room of {room} B"),
        }
        if !header.flags.unknown {
            assert!(self.answers.insert((header.epoch, header.answer)), "an answer has a number of its own");
            frames.clone().for_each(|frame| self.on_frame(header.epoch, frame));
        }
        (header, frames)
    }

    /// A chunk is the same whenever it comes, and carries on where the one before it ended.
    fn on_frame(&mut self, epoch: Epoch, frame: Frame) {
        let Frame::Data { stream, seq, fin, bytes } = frame else { return };
        let chunks = self.chunks.entry((epoch, stream)).or_default();
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

fn no_frames(frames: &Frames) {
    assert_eq!(frames.clone().next(), None, "an answer that is a header alone");
}
