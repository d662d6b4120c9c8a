//! Answers: every op of a batch takes its session's bytes, and the replies become one body.

use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use crate::id::{RequestId, UpstreamId};
use crate::node::action::{Response, SessionEnd};
use crate::node::sessions::batch::{Drain, Form, OpRef, Role, Slot};
use crate::node::sessions::ending::{Parting, UPSTREAM_RESET};
use crate::node::sessions::reply::Fixed;
use crate::node::sessions::session::{Session, Source, Taken};
use crate::node::{Node, Owner, Pieces};
use crate::target::FlowKind;
use crate::wire::{self, Code, ReplyParts, Sealing, Sid, Wrapping};

/// A reply with the place of its payload among the pieces of its batch.
struct Draft {
    reply: Fixed,
    payload: Range<usize>,
    kind: FlowKind,
}

impl Draft {
    const fn bare(reply: Fixed) -> Self {
        Self { reply, payload: 0..0, kind: FlowKind::Tcp }
    }

    fn parts<'a>(&'a self, pieces: &'a Pieces) -> ReplyParts<'a> {
        let payload = pieces.0.get(self.payload.clone()).unwrap_or_default();
        match self.kind {
            FlowKind::Tcp => ReplyParts { data: payload, ..self.reply.parts() },
            FlowKind::Udp => ReplyParts { packets: payload, ..self.reply.parts() },
        }
    }
}

/// What happens once the answer is on its way.
#[derive(Default)]
struct Aftermath {
    ended: Vec<(UpstreamId, SessionEnd)>,
    closing: Vec<Sid>,
}

impl Node {
    /// Answers a batch now, with what there is.
    pub(in crate::node) fn answer(&mut self, request: RequestId) {
        let Some(mut batch) = self.requests.remove(&request) else { return };
        self.timers.set(&mut batch.timer, Owner::Request(request), None);
        if matches!(batch.slots.as_slice(), [Slot::Packet(_)])
            && let Some(Slot::Packet(packet)) = batch.slots.pop()
        {
            return self.respond(request, lone_packet(batch.form, packet));
        }
        let mut pieces = core::mem::take(&mut self.pieces);
        let mut budget = self.config.tuning.max_batch_drain;
        let mut aftermath = Aftermath::default();
        let mut drafts = Vec::with_capacity(batch.slots.len());
        for (place, slot) in batch.slots.into_iter().enumerate() {
            let op = OpRef { request, place };
            drafts.push(self.draft(op, slot, &mut budget, &mut pieces, &mut aftermath));
        }
        let replies: Vec<_> = drafts.iter().map(|draft| draft.parts(&pieces)).collect();
        let response = match (batch.form, replies.first()) {
            (Form::Single, Some(reply)) => Response::json(200, wire::encode_single_answer(reply)),
            (Form::Packet, Some(reply)) => no_packet(reply),
            (Form::Single | Form::Packet, None) | (Form::Batch, _) => {
                Response::json(200, wire::encode_answer(&replies))
            }
        };
        if planted!(AnsweredTwice) && replies.len() == 2 {
            self.respond(request, response.clone());
        }
        drop(replies);
        pieces.0.clear();
        self.pieces = pieces;
        self.respond(request, response);
        for (upstream, why) in aftermath.ended {
            self.end_session(upstream, Parting::of(why));
        }
        for sid in aftermath.closing {
            self.close_session(sid);
        }
    }

    fn draft(
        &mut self,
        op: OpRef,
        slot: Slot,
        budget: &mut usize,
        pieces: &mut Pieces,
        aftermath: &mut Aftermath,
    ) -> Draft {
        match slot {
            Slot::Ready(reply) => Draft::bare(reply),
            Slot::Closing(sid) => {
                aftermath.closing.push(sid);
                Draft::bare(Fixed::eof(sid, None))
            }
            Slot::Waiting(drain) => self.drain(op, drain, budget, pieces, aftermath),
            Slot::Packet(packet) => {
                let start = pieces.0.len();
                pieces.0.push(packet.into_packet());
                Draft { payload: start..pieces.0.len(), ..Draft::bare(Fixed::default()) }
            }
            // Such a batch is not answered: see Batch::verdict.
            Slot::Unread | Slot::Connecting(_) | Slot::Queued { .. } | Slot::Exchange(..) => {
                Draft::bare(Fixed::default())
            }
        }
    }

    /// The op takes what its session has, within its own bound and what is left of the batch's.
    fn drain(
        &mut self,
        op: OpRef,
        drain: Drain,
        budget: &mut usize,
        pieces: &mut Pieces,
        aftermath: &mut Aftermath,
    ) -> Draft {
        let Self { config, upstreams, pool, stats, now, .. } = self;
        let Some(session) = upstreams.session_mut(drain.upstream) else {
            return Draft::bare(Fixed::default());
        };
        let (caps, most) = match drain.role {
            Role::Open(caps) => (caps, 0),
            Role::FirstBytes(caps, _) => (caps, *budget),
            Role::Poll | Role::Payload(_) => (None, *budget),
        };
        let start = pieces.0.len();
        let taken = session.take(most.min(config.tuning.max_drain), &mut pieces.0, pool);
        *budget = if planted!(DrainUnbounded) { *budget } else { budget.saturating_sub(taken.bytes) };
        stats.downlink_bytes =
            stats.downlink_bytes.saturating_add(u64::try_from(taken.bytes).unwrap_or(u64::MAX));
        session.finish(op, *now);
        let kind = session.kind();
        let end = end_of(session, taken).filter(|_| !matches!(drain.role, Role::Open(_)));
        let reply = match (end, kind) {
            (Some(SessionEnd::Reset), FlowKind::Tcp) => Fixed::error(UPSTREAM_RESET, drain.seq),
            _ => Fixed { eof: Some(end.is_some()), caps, ..Fixed::empty(session.sid, drain.seq) },
        };
        aftermath.ended.extend(end.map(|why| (drain.upstream, why)));
        self.touch(drain.upstream);
        Draft { reply, payload: start..pieces.0.len(), kind }
    }
}

/// The answer whose only reply is a packet, which is sealed when it is needed.
fn lone_packet(form: Form, packet: Sealing) -> Response {
    match form {
        Form::Batch => Response::json(200, packet.into_body(Wrapping::Answer)),
        Form::Single => Response::json(200, packet.into_body(Wrapping::Reply)),
        Form::Packet => Response::packet(packet.into_body(Wrapping::Raw)),
    }
}

/// The answer to what came as a packet, and has none for its answer.
fn no_packet(reply: &ReplyParts<'_>) -> Response {
    match reply.code {
        // As a node without level 2 answers a path that it does not know.
        Some(Code::UnsupportedOp) => Response::text(404, String::new()),
        _ => Response::text(400, reply.error.unwrap_or_default().into()),
    }
}

/// Why a session ends with the drain that took this, if it does.
fn end_of(session: &Session, taken: Taken) -> Option<SessionEnd> {
    match session.source {
        _ if !taken.eof => None,
        Source::Live | Source::Finished => Some(SessionEnd::Finished),
        // Bytes before a reset are answered first; the next op hears of it.
        Source::Reset if taken.bytes > 0 && session.kind() == FlowKind::Tcp => None,
        Source::Reset => Some(SessionEnd::Reset),
    }
}
