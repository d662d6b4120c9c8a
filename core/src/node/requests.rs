//! Requests: from the body to the ops, and away again when the caller has gone.

use alloc::string::ToString;
use alloc::vec::Vec;

use bytes::Bytes;

use crate::close::CloseOrder;
use crate::id::RequestId;
use crate::node::action::{NodeAction, NodeNotice, Response, SessionEnd, Shut};
use crate::node::event::Endpoint;
use crate::node::sessions::batch::{Batch, Drain, Form, OpRef, Slot};
use crate::node::sessions::ending::Parting;
use crate::node::sessions::hold::{Hold, Pace};
use crate::node::{Node, Owner, Phase, Task};
use crate::wire::{self, BadOp, Limits, Op, ReplyParts, RequestError};

/// Why a request gets no further than its envelope.
#[derive(Clone, Debug)]
enum Refusal {
    Unreadable(RequestError),
    WrongKey,
    Busy,
    Closed,
}

impl Node {
    /// A request came: its ops run, and it is answered or held.
    pub(super) fn on_request(&mut self, request: RequestId, endpoint: &Endpoint, body: Bytes) {
        self.last_request = Some(request);
        self.stats.requests = self.stats.requests.saturating_add(1);
        let form = Form::from(endpoint);
        match self.read(endpoint, body) {
            Ok((ops, counts_writes)) => self.run_ops(request, form, ops, counts_writes),
            Err(refusal) => self.refuse(request, form, &refusal),
        }
    }

    /// The ops of a request, and whether its client counts its writes.
    fn read(&self, endpoint: &Endpoint, body: Bytes) -> Result<(Vec<Result<Op, BadOp>>, bool), Refusal> {
        if self.phase == Phase::Closed {
            return Err(Refusal::Closed);
        }
        let limits = Limits { max_body: self.config.max_body, max_ops: self.config.tuning.max_batch_ops };
        match endpoint {
            Endpoint::Batch => {
                let batch = wire::decode_request(&body, limits).map_err(Refusal::Unreadable)?;
                self.admit(&batch.key)?;
                Ok(batch.decode())
            }
            Endpoint::Single => {
                let single = wire::decode_single(&body, limits).map_err(Refusal::Unreadable)?;
                self.admit(&single.key)?;
                Ok((alloc::vec![single.decode_op()], false))
            }
            Endpoint::Streams { key } => {
                self.admit(key.reveal())?;
                if body.len() > limits.max_body {
                    return Err(Refusal::Unreadable(RequestError::TooLarge));
                }
                Ok((alloc::vec![Ok(Op::Streams { packet: body })], false))
            }
        }
    }

    fn admit(&self, key: &str) -> Result<(), Refusal> {
        if !self.config.key.matches(key) {
            Err(Refusal::WrongKey)
        } else if self.requests.len() >= self.config.max_requests {
            Err(Refusal::Busy)
        } else {
            Ok(())
        }
    }

    fn refuse(&mut self, request: RequestId, form: Form, refusal: &Refusal) {
        match refusal {
            Refusal::Unreadable(_) => self.notice(NodeNotice::BadRequest { request }),
            Refusal::WrongKey => {
                self.stats.unauthorized = self.stats.unauthorized.saturating_add(1);
                self.notice(NodeNotice::Unauthorized { request });
            }
            Refusal::Busy => self.notice(NodeNotice::LimitReached { limit: "max_requests" }),
            Refusal::Closed => {}
        }
        let response = refusal.response(form, self.config.diagnostic);
        self.respond(request, response);
    }

    pub(super) fn respond(&mut self, request: RequestId, response: Response) {
        self.stats.responses = self.stats.responses.saturating_add(1);
        self.actions.push_back(NodeAction::Respond { request, response });
    }

    fn run_ops(&mut self, request: RequestId, form: Form, ops: Vec<Result<Op, BadOp>>, counts_writes: bool) {
        let config = &self.config;
        let pace = match form {
            Form::Batch | Form::Packet => Pace {
                wait: config.tuning.active_drain,
                step: config.tuning.settle_step,
                settle: Some(config.tuning.settle_max),
            },
            Form::Single => {
                Pace { wait: config.tuning.single_wait, step: config.tuning.single_settle, settle: None }
            }
        };
        let hold = if form == Form::Single || ops.iter().flatten().any(is_active) {
            if counts_writes { Hold::Each } else { Hold::Active }
        } else {
            Hold::LongPoll { until: self.now.saturating_add(config.longpoll) }
        };
        let mut batch = Batch::new(form, ops.len(), hold, pace);
        // Its turn on the agenda comes when all of its ops were looked at.
        batch.listed = true;
        self.requests.insert(request, batch);
        let pinned = ops.iter().flatten().filter_map(Op::payload).map(Bytes::len);
        let pinned = pinned.fold(0, usize::saturating_add);
        let mut order = CloseOrder::new();
        for (place, op) in ops.into_iter().enumerate() {
            self.run_op(OpRef { request, place }, op, pinned, &mut order);
        }
        self.agenda.push_back(Task::Batch(request));
    }

    /// Nobody waits for the answer any more: what the batch opened and did not tell is shut, what it waits
    /// for is left alone, and what it wanted closed is closed.
    pub(super) fn on_request_gone(&mut self, request: RequestId) {
        let Some(mut batch) = self.requests.remove(&request) else { return };
        self.timers.set(&mut batch.timer, Owner::Request(request), None);
        self.stats.requests_gone = self.stats.requests_gone.saturating_add(1);
        for (place, slot) in batch.slots.into_iter().enumerate() {
            let op = OpRef { request, place };
            match slot {
                Slot::Connecting(upstream) => {
                    self.remove_upstream(upstream);
                    self.actions.push_back(NodeAction::ShutUpstream { upstream, how: Shut::Reset });
                }
                Slot::Queued { upstream, seq } => {
                    if let Some(session) = self.upstreams.session_mut(upstream) {
                        session.turn.withdraw(op, seq);
                        self.touch(upstream);
                    }
                }
                Slot::Waiting(drain) => self.abandon(op, drain),
                Slot::Closing(sid) => self.close_session(sid),
                Slot::Exchange(connection, exchange) => self.on_exchange_gone(op, connection, exchange),
                Slot::Unread | Slot::Ready(_) | Slot::Packet(_) => {}
            }
        }
    }

    fn abandon(&mut self, op: OpRef, drain: Drain) {
        let now = self.now;
        if let Some(session) = self.upstreams.session_mut(drain.upstream) {
            session.finish(op, now);
            self.touch(drain.upstream);
        }
        if drain.role.opens() {
            self.end_session(drain.upstream, Parting::of(SessionEnd::Abandoned));
        }
    }
}

/// Whether an op makes its batch active: it is answered soon, whatever its polls have.
fn is_active(op: &Op) -> bool {
    match op {
        Op::Connect { .. } | Op::ConnectData { .. } | Op::Streams { .. } => true,
        Op::Data { payload, .. } | Op::UdpOpen { payload, .. } | Op::UdpData { payload, .. } => {
            !payload.is_empty()
        }
        Op::Close { .. } => false,
    }
}

impl Refusal {
    fn response(&self, form: Form, diagnostic: bool) -> Response {
        match self {
            Self::Busy if form == Form::Packet => Response::text(503, "node is busy".into()),
            Self::WrongKey if diagnostic => Response::json(200, listed(form, "unauthorized")),
            Self::WrongKey => Response {
                status: 404,
                content_type: "text/html",
                body: Bytes::from_static(NOT_FOUND_PAGE.as_bytes()).into(),
            },
            Self::Busy => Response::json(200, wire::encode_error("node is busy: too many held requests")),
            Self::Closed => Response::json(503, wire::encode_error("node is shutting down")),
            Self::Unreadable(error) => unreadable(form, error),
        }
    }
}

fn unreadable(form: Form, error: &RequestError) -> Response {
    let text = error.to_string();
    match (form, error) {
        (_, RequestError::TooLarge) => Response::text(413, text),
        (Form::Single, RequestError::Missing(_)) => Response::text(422, text),
        (Form::Single | Form::Packet, _) => Response::text(400, text),
        (Form::Batch, RequestError::Missing(_) | RequestError::Json(_) | RequestError::TooManyOps) => {
            Response::json(200, listed(form, &text))
        }
    }
}

/// An error in the place where the endpoint's caller looks for one.
fn listed(form: Form, error: &str) -> Bytes {
    match form {
        Form::Single | Form::Packet => wire::encode_error(error),
        Form::Batch => wire::encode_answer(&[ReplyParts { error: Some(error), ..ReplyParts::default() }]),
    }
}

/// What a caller with a wrong key sees: a web server with nothing to show.
const NOT_FOUND_PAGE: &str = "<!DOCTYPE html>\n<html>\n<head><title>404 Not Found</title></head>\n\
     <body style=\"text-align:center\">\n<h1>404 Not Found</h1>\n<hr>nginx\n</body>\n</html>\n";
