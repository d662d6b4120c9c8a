//! HTTP requests that the node holds, each answered once (protocol.md 1.2, 1.3, 1.5).

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::hash::{Hash, Hasher};

use bytes::Bytes;

use crate::config::NodeOptions;
use crate::id::RequestId;
use crate::node::action::Response;
use crate::node::event::Endpoint;
use crate::node::upstreams::ConnectionId;
use crate::wire::number::ExchangeNumber;
use crate::wire::{self, BadOp, Code, Limits, Op, PacketBody, ReplyParts, RequestError, Wrapping};

/// Where an op is answered: its request, and its index in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Part {
    pub(super) request: RequestId,
    pub(super) index: usize,
}

/// Where an exchange of level 2 is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct ExchangeRef {
    pub(super) connection: ConnectionId,
    pub(super) exchange: ExchangeNumber,
}

/// The form of a request's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum AnswerForm {
    /// Many replies.
    Batch,
    /// One reply.
    Single,
    /// A packet and nothing else.
    Packet,
}

impl From<&Endpoint> for AnswerForm {
    fn from(endpoint: &Endpoint) -> Self {
        match endpoint {
            Endpoint::Batch => Self::Batch,
            Endpoint::Single => Self::Single,
            Endpoint::Streams { .. } => Self::Packet,
        }
    }
}

/// The ops of a request: one packet, or ops of levels 0 and 1 with perhaps packets among them.
#[derive(Debug)]
pub(super) struct Ops {
    pub(super) form: AnswerForm,
    pub(super) ops: Vec<Result<Op, BadOp>>,
    /// Whether the client counts its writes (`wseq`).
    pub(super) counts_writes: bool,
    /// Bytes of memory that stay as long as any payload of the request does.
    pub(super) pinned: usize,
}

impl Ops {
    /// Whether they are one packet.
    pub(super) fn is_packet(&self) -> bool {
        matches!(self.ops.as_slice(), [Ok(Op::Streams { .. })])
    }

    /// Takes the packets out of the ops, with their index.
    pub(super) fn take_packets(&mut self) -> impl Iterator<Item = (usize, Bytes)> {
        self.ops.iter_mut().enumerate().filter_map(|(index, op)| match op {
            Ok(Op::Streams { packet }) => Some((index, core::mem::take(packet))),
            Ok(_) | Err(_) => None,
        })
    }
}

/// The reply to a packet.
pub(super) type PacketReply = Result<PacketBody, PacketError>;

/// Why a packet is not answered by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum PacketError {
    /// The node does not offer level 2.
    Unsupported,
    /// The packet does not open, or broke the rules: the two look the same to a client.
    BadPacket,
}

impl PacketError {
    /// The error of the reply, and its code.
    pub(super) const fn error(self) -> (&'static str, Option<Code>) {
        match self {
            Self::Unsupported => ("unknown op: streams", Some(Code::UnsupportedOp)),
            Self::BadPacket => ("bad packet", None),
        }
    }
}

/// What the state of the node allows a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    /// Whether the node is closed.
    pub(super) closed: bool,
    /// Whether levels 0 and 1 have a user.
    pub(super) has_default: bool,
}

/// The requests that are held.
#[derive(Clone, Debug, Default)]
pub(super) struct Requests {
    held: BTreeMap<RequestId, HeldRequest>,
    last: Option<RequestId>,
}

/// Which request came last makes no difference.
impl Hash for Requests {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.held.hash(state);
    }
}

#[derive(Clone, Debug, Hash)]
struct HeldRequest {
    form: AnswerForm,
    /// Whether it is one packet, which the engine of level 2 holds. Packets among other ops are answered before the event
    /// is done.
    is_packet: bool,
    /// The exchange that holds it, if it is one packet.
    exchange: Option<ExchangeRef>,
    /// The replies to its packets, with their index.
    replies: Vec<(usize, PacketReply)>,
    /// Whether it is in the work queue.
    queued: bool,
}

impl Requests {
    /// Whether the driver has handed in a request of this id, or of a higher one.
    pub(super) fn has_come(&self, request: RequestId) -> bool {
        self.last.is_some_and(|last| request <= last)
    }

    /// Takes the content of a request, and holds it from now on.
    pub(super) fn accept(
        &mut self,
        request: RequestId,
        endpoint: &Endpoint,
        body: Bytes,
        config: &NodeOptions,
        terms: Terms,
    ) -> Result<Ops, Refusal> {
        self.last = Some(request);
        if terms.closed {
            return Err(Refusal::Closed);
        }
        let ops = self.read(endpoint, body, config, terms.has_default)?;
        let held = HeldRequest {
            form: ops.form,
            is_packet: ops.is_packet(),
            exchange: None,
            replies: Vec::new(),
            // It is queued when all of its parts were looked at.
            queued: true,
        };
        self.held.insert(request, held);
        Ok(ops)
    }

    fn read(
        &self,
        endpoint: &Endpoint,
        body: Bytes,
        config: &NodeOptions,
        has_default: bool,
    ) -> Result<Ops, Refusal> {
        let limits = Limits { max_body: config.max_body, max_ops: config.tuning.max_batch_ops };
        let (ops, counts_writes) = match endpoint {
            Endpoint::Batch => {
                let batch = wire::decode_request(&body, limits).map_err(Refusal::Unreadable)?;
                self.admit(&batch.key, config)?;
                batch.decode()
            }
            Endpoint::Single => {
                let single = wire::decode_single(&body, limits).map_err(Refusal::Unreadable)?;
                self.admit(&single.key, config)?;
                (alloc::vec![single.decode_op()], false)
            }
            Endpoint::Streams { key } => {
                self.admit(key.reveal(), config)?;
                if body.len() > limits.max_body {
                    return Err(Refusal::Unreadable(RequestError::TooLarge));
                }
                (alloc::vec![Ok(Op::Streams { packet: body })], false)
            }
        };
        let check = |op| config.check_level(op, has_default);
        let ops: Vec<_> = ops.into_iter().map(|op| op.and_then(check)).collect();
        let payloads = ops.iter().flatten().filter_map(Op::payload).map(Bytes::len);
        let pinned = payloads.fold(0, usize::saturating_add);
        Ok(Ops { form: endpoint.into(), ops, counts_writes, pinned })
    }

    fn admit(&self, key: &str, config: &NodeOptions) -> Result<(), Refusal> {
        if !config.key.matches(key) {
            Err(Refusal::WrongKey)
        } else if self.held.len() >= config.max_requests {
            Err(Refusal::Busy)
        } else {
            Ok(())
        }
    }

    /// Forgets a request; false if it is not held.
    pub(super) fn remove(&mut self, request: RequestId) -> bool {
        self.held.remove(&request).is_some()
    }

    /// A request enters the work queue; false if it is there already, or is not held.
    pub(super) fn queue(&mut self, request: RequestId) -> bool {
        self.held.get_mut(&request).is_some_and(|held| !core::mem::replace(&mut held.queued, true))
    }

    /// A request left the work queue.
    pub(super) fn unqueue(&mut self, request: RequestId) {
        if let Some(held) = self.held.get_mut(&request) {
            held.queued = false;
        }
    }

    /// A request that is one packet is held in an exchange.
    pub(super) fn hold_exchange(&mut self, part: Part, exchange: ExchangeRef) {
        if let Some(held) = self.held.get_mut(&part.request).filter(|held| held.is_packet) {
            held.exchange = Some(exchange);
        }
    }

    /// The exchange that holds a request that is one packet.
    pub(super) fn exchange(&self, request: RequestId) -> Option<ExchangeRef> {
        self.held.get(&request)?.exchange
    }

    /// Keeps the reply to a packet; false if its request is not held.
    pub(super) fn reply(&mut self, part: Part, reply: PacketReply) -> bool {
        let held = self.held.get_mut(&part.request);
        held.map(|held| held.replies.push((part.index, reply))).is_some()
    }

    /// Takes the reply to a packet.
    pub(super) fn take_reply(&mut self, part: Part) -> Option<PacketReply> {
        let replies = &mut self.held.get_mut(&part.request)?.replies;
        let place = replies.iter().position(|(index, _)| *index == part.index)?;
        Some(replies.swap_remove(place).1)
    }

    /// The response to a request that is one packet, once its reply is known.
    pub(super) fn packet_response(&mut self, request: RequestId) -> Option<Response> {
        let HeldRequest { form, .. } = *self.held.get(&request).filter(|held| held.is_packet)?;
        Some(response_to_packet(form, self.take_reply(Part { request, index: 0 })?))
    }
}

/// Why a request is answered without a look at its ops.
#[derive(Clone, Debug)]
pub(super) enum Refusal {
    Unreadable(RequestError),
    WrongKey,
    Busy,
    Closed,
}

impl Refusal {
    pub(super) fn response(&self, form: AnswerForm, diagnostic: bool) -> Response {
        match self {
            Self::Busy if form == AnswerForm::Packet => Response::text(503, "node is busy".into()),
            Self::WrongKey if diagnostic => Response::json(200, error_body(form, ("unauthorized", None))),
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

fn unreadable(form: AnswerForm, error: &RequestError) -> Response {
    let text = error.to_string();
    match (form, error) {
        (_, RequestError::TooLarge) => Response::text(413, text),
        (AnswerForm::Single, RequestError::Missing(_)) => Response::text(422, text),
        (AnswerForm::Single | AnswerForm::Packet, _) => Response::text(400, text),
        (AnswerForm::Batch, RequestError::Missing(_) | RequestError::Json(_) | RequestError::TooManyOps) => {
            Response::json(200, error_body(form, (&text, None)))
        }
    }
}

/// An error, with its code, in the place where the endpoint's caller looks for one.
fn error_body(form: AnswerForm, (error, code): (&str, Option<Code>)) -> Bytes {
    let reply = ReplyParts { error: Some(error), code, ..ReplyParts::default() };
    match form {
        AnswerForm::Single | AnswerForm::Packet => wire::encode_single_answer(&reply),
        AnswerForm::Batch => wire::encode_answer(&[reply]),
    }
}

/// The response to a packet that came alone. It is sealed when the driver takes its body.
fn response_to_packet(form: AnswerForm, reply: PacketReply) -> Response {
    match (form, reply) {
        (AnswerForm::Batch, Ok(packet)) => Response::json(200, packet.into_body(Wrapping::Answer)),
        (AnswerForm::Single, Ok(packet)) => Response::json(200, packet.into_body(Wrapping::Reply)),
        (AnswerForm::Packet, Ok(packet)) => Response::packet(packet.into_body(Wrapping::Raw)),
        // As a node without level 2 answers a path that it does not know.
        (AnswerForm::Packet, Err(PacketError::Unsupported)) => Response::text(404, String::new()),
        (AnswerForm::Packet, Err(error)) => Response::text(400, error.error().0.into()),
        (AnswerForm::Batch | AnswerForm::Single, Err(error)) => {
            Response::json(200, error_body(form, error.error()))
        }
    }
}

/// What a caller with a wrong key sees: a web server with nothing to show.
const NOT_FOUND_PAGE: &str = "<!DOCTYPE html>\n<html>\n<head><title>404 Not Found</title></head>\n\
     <body style=\"text-align:center\">\n<h1>404 Not Found</h1>\n<hr>nginx\n</body>\n</html>\n";
