//! The response to a batch: every op takes its session's bytes, and the replies become one body (protocol.md 2.4 rule 5).

use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use bytes::Bytes;

use crate::id::{RequestId, UpstreamId};
use crate::node::action::{Response, SessionEnd};
use crate::node::context::Context;
use crate::node::requests::{AnswerForm, Part};
use crate::node::sessions::batch::{Batch, Drain, PendingReply, Role};
use crate::node::sessions::closed::UPSTREAM_RESET;
use crate::node::sessions::reply::FixedReply;
use crate::node::sessions::table::SessionTable;
use crate::target::FlowKind;
use crate::wire::{self, ReplyParts, Sid};

/// Writes responses.
#[derive(Clone, Debug, Default)]
pub(super) struct Responder {
    /// Bytes on their way from sessions into a response; empty between responses, kept for its capacity.
    pieces: Pieces,
}

/// Slices of payload, never shown.
#[derive(Clone, Default)]
struct Pieces(Vec<Bytes>);

impl fmt::Debug for Pieces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} pieces", self.0.len())
    }
}

/// What ends once the response is on its way, in this order.
#[derive(Debug, Default)]
pub(super) struct Ends {
    /// Sessions that came to their end.
    pub(super) ended: Vec<(UpstreamId, SessionEnd)>,
    /// Sessions that the client closes.
    pub(super) closing: Vec<Sid>,
}

/// A reply with the place of its payload among the pieces of its response.
struct DraftReply {
    reply: FixedReply,
    payload: Range<usize>,
    kind: FlowKind,
}

impl DraftReply {
    const fn bare(reply: FixedReply) -> Self {
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

/// One response while it is written.
struct Writer<'a> {
    sessions: &'a mut SessionTable,
    cx: &'a mut Context,
    pieces: &'a mut Pieces,
    /// Bytes that its drains may still take together.
    budget: usize,
    ends: Ends,
}

impl Responder {
    /// Answers a batch with what there is.
    pub(super) fn respond(
        &mut self,
        request: RequestId,
        batch: Batch,
        sessions: &mut SessionTable,
        cx: &mut Context,
    ) -> Ends {
        let (form, pending) = batch.into_replies();
        let budget = cx.config().tuning.max_batch_drain;
        let ends = Ends::default();
        let mut writer = Writer { sessions, cx, pieces: &mut self.pieces, budget, ends };
        let replies = pending.into_iter().enumerate();
        let drafts: Vec<_> =
            replies.map(|(index, reply)| writer.draft(Part { request, index }, reply)).collect();
        let ends = writer.ends;
        let replies: Vec<_> = drafts.iter().map(|draft| draft.parts(&self.pieces)).collect();
        let response = match (form, replies.first()) {
            (AnswerForm::Single, Some(reply)) => Response::json(200, wire::encode_single_answer(reply)),
            (AnswerForm::Single, None) | (AnswerForm::Batch | AnswerForm::Packet, _) => {
                Response::json(200, wire::encode_answer(&replies))
            }
        };
        self.pieces.0.clear();
        cx.respond(request, response);
        ends
    }
}

impl Writer<'_> {
    fn draft(&mut self, op: Part, reply: PendingReply) -> DraftReply {
        match reply {
            PendingReply::Ready(reply) => DraftReply::bare(reply),
            PendingReply::Closing(sid) => {
                self.ends.closing.push(sid);
                DraftReply::bare(FixedReply::eof(sid, None))
            }
            PendingReply::Waiting(drain) => self.drain(op, drain),
            PendingReply::Packet => self.packet(op),
            // Such a batch is not answered: see Batch::decide.
            PendingReply::Unread | PendingReply::Connecting(_) | PendingReply::Queued { .. } => {
                DraftReply::bare(FixedReply::default())
            }
        }
    }

    fn packet(&mut self, op: Part) -> DraftReply {
        match self.cx.take_packet_reply(op) {
            Some(Ok(packet)) => {
                let start = self.pieces.0.len();
                self.pieces.0.push(packet.into_packet());
                let payload = start..self.pieces.0.len();
                DraftReply { payload, ..DraftReply::bare(FixedReply::default()) }
            }
            Some(Err(error)) => {
                let (error, code) = error.error();
                DraftReply::bare(FixedReply { code, ..FixedReply::error(error, None) })
            }
            None => DraftReply::bare(FixedReply::default()),
        }
    }

    /// The op takes what its session has, within its own bound and what is left of the batch's.
    fn drain(&mut self, op: Part, drain: Drain) -> DraftReply {
        let Self { sessions, cx, pieces, budget, ends } = self;
        let Some(session) = sessions.session_mut(drain.upstream) else {
            return DraftReply::bare(FixedReply::default());
        };
        let (caps, most) = match drain.role {
            Role::Open(caps) => (caps, 0),
            Role::FirstBytes(caps) => (caps, *budget),
            Role::Data => (None, *budget),
        };
        let start = pieces.0.len();
        let taken = session.take(most.min(cx.config().tuning.max_drain), &mut pieces.0, cx);
        *budget = budget.saturating_sub(taken.bytes);
        cx.count_downlink(session.socket().user(), taken.bytes);
        session.finish(op, cx.now());
        let kind = session.socket().kind();
        let end = taken.end.filter(|_| !matches!(drain.role, Role::Open(_)));
        let reply = match (end, kind) {
            (Some(SessionEnd::Reset), FlowKind::Tcp) => FixedReply::error(UPSTREAM_RESET, drain.seq),
            _ => FixedReply { eof: Some(end.is_some()), caps, ..FixedReply::empty(session.sid(), drain.seq) },
        };
        ends.ended.extend(end.map(|why| (drain.upstream, why)));
        cx.queue_upstream(drain.upstream);
        DraftReply { reply, payload: start..pieces.0.len(), kind }
    }
}
