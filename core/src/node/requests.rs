//! HTTP requests that the node holds, each answered once (protocol.md 1.2, 1.3, 1.5).

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use bytes::Bytes;

use crate::config::NodeOptions;
use crate::id::RequestId;
use crate::node::action::Response;
use crate::node::event::Endpoint;
use crate::node::upstreams::ConnectionId;
use crate::wire::number::ExchangeNumber;
use crate::wire::{self, BadOp, Code, Limits, Op, ReplyParts, RequestError, Sealing, Wrapping};

/// Where an op is answered: its request, and its index in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Part {
    pub(super) request: RequestId,
    pub(super) index: usize,
}

/// Where an exchange of level 2 is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

/// What a request brings.
#[derive(Debug)]
pub(super) enum RequestContent {
    /// A packet of level 2 alone.
    Packet(Bytes),
    /// Ops of levels 0 and 1, and perhaps packets among them.
    Batch(Ops),
}

/// The ops of a batch.
#[derive(Debug)]
pub(super) struct Ops {
    pub(super) form: AnswerForm,
    pub(super) ops: Vec<Result<Op, BadOp>>,
    /// Whether the client counts its writes (`wseq`).
    pub(super) counts_writes: bool,
}

impl RequestContent {
    /// How many ops there are.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Packet(_) => 1,
            Self::Batch(batch) => batch.ops.len(),
        }
    }
}

impl Ops {
    /// The packets among the ops, with their index.
    pub(super) fn packets(&self) -> impl Iterator<Item = (usize, Bytes)> {
        self.ops.iter().enumerate().filter_map(|(index, op)| match op {
            Ok(Op::Streams { packet }) => Some((index, packet.clone())),
            Ok(_) | Err(_) => None,
        })
    }
}

/// The reply to a packet.
#[derive(Clone, Debug)]
pub(super) enum PacketReply {
    /// A packet.
    Packet(Sealing),
    /// The node does not offer level 2.
    Unsupported,
    /// The packet does not open, or broke the rules: the two look the same to a client.
    BadPacket,
}

impl PacketReply {
    pub(super) const fn is_error(&self) -> bool {
        matches!(self, Self::Unsupported | Self::BadPacket)
    }

    /// The error of the reply, and its code.
    pub(super) fn error(&self) -> Option<(String, Option<Code>)> {
        match self {
            Self::Packet(_) => None,
            Self::Unsupported => {
                let bad = BadOp::Unknown("streams".into());
                Some((bad.to_string(), bad.code()))
            }
            Self::BadPacket => Some(("bad packet".into(), None)),
        }
    }
}

/// The requests that are held.
#[derive(Clone, Debug, Default)]
pub(super) struct Requests {
    held: BTreeMap<RequestId, HeldRequest>,
    last: Option<RequestId>,
}

#[derive(Clone, Debug)]
struct HeldRequest {
    form: AnswerForm,
    holder: Holder,
    /// Whether it is in the work queue.
    queued: bool,
}

/// Which engine holds a request, and the replies to its packets.
#[derive(Clone, Debug)]
pub(super) enum Holder {
    /// The engine of levels 0 and 1. Packets among the ops are answered before the event is done.
    Sessions(BTreeMap<usize, PacketReply>),
    /// The engine of level 2: a packet is the whole request.
    Streams(PacketState),
}

/// A request that is one packet.
///
/// ```text
///  New ─▶ Exchange ─▶ Replied
///   └─────────────────▲
/// ```
#[derive(Clone, Debug)]
pub(super) enum PacketState {
    /// Nothing is known yet.
    New,
    /// It is held in an exchange.
    Exchange(ExchangeRef),
    /// The reply is known.
    Replied(PacketReply),
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
        closed: bool,
    ) -> Result<RequestContent, Refusal> {
        self.last = Some(request);
        if closed {
            return Err(Refusal::Closed);
        }
        let content = self.read(endpoint, body, config)?;
        let holder = match &content {
            RequestContent::Packet(_) => Holder::Streams(PacketState::New),
            RequestContent::Batch(_) => Holder::Sessions(BTreeMap::new()),
        };
        // It is queued when all of its parts were looked at.
        self.held.insert(request, HeldRequest { form: endpoint.into(), holder, queued: true });
        Ok(content)
    }

    fn read(
        &self,
        endpoint: &Endpoint,
        body: Bytes,
        config: &NodeOptions,
    ) -> Result<RequestContent, Refusal> {
        let limits = Limits { max_body: config.max_body, max_ops: config.tuning.max_batch_ops };
        let (mut ops, counts_writes) = match endpoint {
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
                return Ok(RequestContent::Packet(body));
            }
        };
        if matches!(ops.as_slice(), [Ok(Op::Streams { .. })])
            && let Some(Ok(Op::Streams { packet })) = ops.pop()
        {
            return Ok(RequestContent::Packet(packet));
        }
        Ok(RequestContent::Batch(Ops { form: endpoint.into(), ops, counts_writes }))
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

    /// Forgets a request, and says what held it.
    pub(super) fn remove(&mut self, request: RequestId) -> Option<Holder> {
        self.held.remove(&request).map(|held| held.holder)
    }

    /// The requests that are held.
    #[cfg(feature = "model")]
    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = (RequestId, &Holder)> {
        self.held.iter().map(|(request, held)| (*request, &held.holder))
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
        if let Some(HeldRequest { holder: Holder::Streams(state), .. }) = self.held.get_mut(&part.request) {
            *state = PacketState::Exchange(exchange);
        }
    }

    /// Keeps the reply to a packet; false if its request is not held.
    pub(super) fn reply(&mut self, part: Part, reply: PacketReply) -> bool {
        match self.held.get_mut(&part.request).map(|held| &mut held.holder) {
            Some(Holder::Sessions(packets)) => {
                packets.insert(part.index, reply);
                true
            }
            Some(Holder::Streams(state)) => {
                *state = PacketState::Replied(reply);
                true
            }
            None => false,
        }
    }

    /// Whether a request is one packet.
    pub(super) fn is_packet(&self, request: RequestId) -> bool {
        matches!(self.held.get(&request), Some(HeldRequest { holder: Holder::Streams(_), .. }))
    }

    /// Takes the reply to a packet among other ops.
    pub(super) fn take_reply(&mut self, part: Part) -> Option<PacketReply> {
        match self.held.get_mut(&part.request).map(|held| &mut held.holder) {
            Some(Holder::Sessions(packets)) => packets.remove(&part.index),
            Some(Holder::Streams(_)) | None => None,
        }
    }

    /// The response to a request that is one packet, once its reply is known.
    pub(super) fn packet_response(&self, request: RequestId) -> Option<Response> {
        match self.held.get(&request) {
            Some(HeldRequest { form, holder: Holder::Streams(PacketState::Replied(reply)), .. }) => {
                Some(response_to_packet(*form, reply.clone()))
            }
            Some(HeldRequest { holder: Holder::Streams(_) | Holder::Sessions(_), .. }) | None => None,
        }
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
            Self::WrongKey if diagnostic => Response::json(200, whole_error(form, "unauthorized")),
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
            Response::json(200, whole_error(form, &text))
        }
    }
}

/// An error of the whole request, in the place where the endpoint's caller looks for one.
fn whole_error(form: AnswerForm, error: &str) -> Bytes {
    match form {
        AnswerForm::Single | AnswerForm::Packet => wire::encode_error(error),
        AnswerForm::Batch => {
            wire::encode_answer(&[ReplyParts { error: Some(error), ..ReplyParts::default() }])
        }
    }
}

/// The response to a packet that came alone. It is sealed when the driver takes its body.
fn response_to_packet(form: AnswerForm, reply: PacketReply) -> Response {
    let (error, code) = match reply {
        PacketReply::Packet(packet) => {
            return match form {
                AnswerForm::Batch => Response::json(200, packet.into_body(Wrapping::Answer)),
                AnswerForm::Single => Response::json(200, packet.into_body(Wrapping::Reply)),
                AnswerForm::Packet => Response::packet(packet.into_body(Wrapping::Raw)),
            };
        }
        PacketReply::Unsupported | PacketReply::BadPacket => reply.error().unwrap_or_default(),
    };
    let parts = ReplyParts { error: Some(&error), code, ..ReplyParts::default() };
    match form {
        AnswerForm::Batch => Response::json(200, wire::encode_answer(&[parts])),
        AnswerForm::Single => Response::json(200, wire::encode_single_answer(&parts)),
        // As a node without level 2 answers a path that it does not know.
        AnswerForm::Packet if code == Some(Code::UnsupportedOp) => Response::text(404, String::new()),
        AnswerForm::Packet => Response::text(400, error),
    }
}

/// What a caller with a wrong key sees: a web server with nothing to show.
const NOT_FOUND_PAGE: &str = "<!DOCTYPE html>\n<html>\n<head><title>404 Not Found</title></head>\n\
     <body style=\"text-align:center\">\n<h1>404 Not Found</h1>\n<hr>nginx\n</body>\n</html>\n";
