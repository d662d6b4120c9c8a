//! The envelope of a request and of an answer.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;

use bytes::Bytes;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::secret::Secret;
use crate::wire::arena::Arena;
use crate::wire::json::{Elements, Length, OrNull, Raw, ReadElements, Sink, Text, cut};
use crate::wire::op::{BadOp, Op, OpFields};
use crate::wire::reply::{MAX_ERROR_LEN, MAX_PACKETS, Reply, ReplyFields, ReplyParts};

/// The JSON form that a peer takes (protocol.md 1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Form {
    /// A relay script: `{"k","t":"batch","ops"}`.
    #[default]
    Relay,
    /// A node, with no relay between: `{"k","ops"}`.
    Node,
}

/// What a reader accepts at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a body.
    pub max_body: usize,
    /// Ops of a request. The replies of an answer are bounded by the ops that they answer.
    pub max_ops: usize,
}

/// A batch request, read but not yet decoded: check [`key`](Self::key) before spending memory on the ops.
pub struct Request<'a> {
    /// The key that the caller presented.
    pub key: Cow<'a, str>,
    ops: Vec<&'a RawValue>,
}

impl Request<'_> {
    /// How many ops there are, good and bad.
    pub fn len(&self) -> usize {
        self.ops.len()
    }

    /// Whether there is no op at all.
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// Decodes the ops. All payloads share one allocation, of which they are slices.
    pub fn decode_ops(self) -> Vec<Result<Op, BadOp>> {
        self.decode().0
    }

    /// Decodes the ops, and says whether the client counts its writes: whether an op says which of them it is, `wseq`.
    pub(crate) fn decode(self) -> (Vec<Result<Op, BadOp>>, bool) {
        let fields = self.ops.iter().map(|op| OpFields::read(op.get(), "d", "wseq"));
        let fields: Vec<_> = fields.map(|read| read.map_err(|_| BadOp::NotAnOp)).collect();
        let counts_writes = fields.iter().flatten().any(|(_, wseq)| wseq.is_some());
        let payloads = fields.iter().flatten().map(|(fields, _)| fields.payload_len());
        let mut arena = Arena::with_room(payloads.fold(0, usize::saturating_add));
        let ops = fields.into_iter().map(|fields| fields?.0.interpret(&mut arena)).collect();
        (ops, counts_writes)
    }
}

/// The key is left out.
impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("ops", &self.ops.len()).finish_non_exhaustive()
    }
}

/// A single-op request (`POST /tunnel`), read but not yet decoded.
pub struct SingleRequest<'a> {
    /// The key that the caller presented.
    pub key: Cow<'a, str>,
    op: OpFields<'a>,
}

impl SingleRequest<'_> {
    /// Decodes the op. UDP and level 2 have no place in a single request: their ops count as unknown.
    ///
    /// # Errors
    /// [`BadOp`] says what is wrong with the op; the request was well formed.
    pub fn decode_op(self) -> Result<Op, BadOp> {
        let name = self.op.name()?;
        if matches!(&*name, "udp_open" | "udp_data" | "streams") {
            return Err(BadOp::Unknown(name.into()));
        }
        self.op.interpret(&mut Arena::with_room(self.op.payload_len()))
    }
}

/// The key is left out.
impl fmt::Debug for SingleRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SingleRequest").finish_non_exhaustive()
    }
}

/// Why a request as a whole could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestError {
    /// The body has more bytes than allowed.
    TooLarge,
    /// The batch has more ops than allowed.
    TooManyOps,
    /// The body is no JSON, or not an object of the right shape; what the reader says of it.
    Json(Box<str>),
    /// Single requests: a required field is missing.
    Missing(&'static str),
}

/// The error text as a node answers it, whole: `bad json: ` stands before what the reader says.
impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => f.write_str("request body too large"),
            Self::TooManyOps => f.write_str("too many ops in one batch"),
            Self::Json(text) => write!(f, "bad json: {text}"),
            Self::Missing(field) => write!(f, "missing field `{field}`"),
        }
    }
}

impl core::error::Error for RequestError {}

/// What a reader is told of bad JSON. Its own texts repeat what they found, which may be a key or a payload:
/// only those that cannot are passed on.
fn bad_json(error: &serde_json::Error, expected: &str) -> RequestError {
    let text = if error.is_data() {
        alloc::format!("expected {expected} at line {} column {}", error.line(), error.column())
    } else {
        alloc::format!("{error}")
    };
    RequestError::Json(text.into())
}

fn utf8(body: &[u8], limits: Limits) -> Result<&str, RequestError> {
    if body.len() > limits.max_body {
        return Err(RequestError::TooLarge);
    }
    core::str::from_utf8(body).map_err(|error| {
        RequestError::Json(alloc::format!("invalid UTF-8 at byte {}", error.valid_up_to()).into())
    })
}

/// The replies of a usable answer.
pub type Answer = Vec<Reply>;

/// Why an answer as a whole is of no use. It counts as a failure of the relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnswerError {
    /// The body has more bytes than allowed.
    TooLarge,
    /// The body is no JSON of the right shape: HTML, cut, or something else.
    NotAnAnswer,
    /// The answer is `{"e": text}` alone.
    Envelope(Box<str>),
    /// The answer has another number of replies than the request had ops.
    WrongLength {
        /// Ops in the request.
        expected: usize,
        /// Replies in the answer.
        got: usize,
    },
}

impl fmt::Display for AnswerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => f.write_str("answer too large"),
            Self::NotAnAnswer => f.write_str("not an answer: no JSON of the right shape"),
            Self::Envelope(text) => write!(f, "the relay or node reports: {text}"),
            Self::WrongLength { expected, got } => write!(f, "{expected} replies expected, {got} found"),
        }
    }
}

impl core::error::Error for AnswerError {}

/// Reads an envelope: an object with a list and another value under these keys, of which each may be missing. Of a key
/// that comes twice, the last counts.
struct ReadEnvelope<L, V> {
    list: (&'static str, L),
    other: (&'static str, PhantomData<V>),
}

impl<'a, L: DeserializeSeed<'a> + Copy, V: Deserialize<'a>> ReadEnvelope<L, V> {
    /// Reads the whole of `text`.
    fn read(self, text: &'a str) -> Result<(Option<L::Value>, Option<V>), serde_json::Error> {
        let mut reader = serde_json::Deserializer::from_str(text);
        let envelope = reader.deserialize_map(self)?;
        reader.end()?;
        Ok(envelope)
    }
}

impl<'a, L: DeserializeSeed<'a> + Copy, V: Deserialize<'a>> Visitor<'a> for ReadEnvelope<L, V> {
    type Value = (Option<L::Value>, Option<V>);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut list, mut other) = (None, None);
        while let Some(Text(key)) = map.next_key()? {
            if key == self.list.0 {
                list = Some(map.next_value_seed(self.list.1)?);
            } else if key == self.other.0 {
                other = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok((list, other))
    }
}

/// Reads a batch request in node form (what `POST /tunnel/batch` takes).
///
/// # Errors
/// [`RequestError`] when the body as a whole cannot be read; bad ops are found by
/// [`decode_ops`](Request::decode_ops) and harm nobody else.
pub fn decode_request(body: &[u8], limits: Limits) -> Result<Request<'_>, RequestError> {
    let reader =
        ReadEnvelope { list: ("ops", ReadElements { max: limits.max_ops }), other: ("k", PhantomData) };
    let (ops, key) = reader
        .read(utf8(body, limits)?)
        .map_err(|error| bad_json(&error, "an object with a string `k` and an array `ops`"))?;
    let missing = |field| RequestError::Json(alloc::format!("missing field `{field}`").into());
    let Text(key) = key.ok_or_else(|| missing("k"))?;
    let ops = ops.ok_or_else(|| missing("ops"))?;
    if ops.count > ops.kept.len() {
        return Err(RequestError::TooManyOps);
    }
    Ok(Request { key, ops: ops.kept })
}

/// Reads a single-op request in node form (what `POST /tunnel` takes).
///
/// # Errors
/// [`RequestError`] when the body as a whole cannot be read, or names no key or no op.
pub fn decode_single(body: &[u8], limits: Limits) -> Result<SingleRequest<'_>, RequestError> {
    let (op, key) =
        OpFields::read(utf8(body, limits)?, "data", "k").map_err(|error| bad_json(&error, "an object"))?;
    let key = key.ok_or(RequestError::Missing("k"))?;
    let key = key.string().ok_or_else(|| RequestError::Json("`k` is not a string".into()))?;
    if !op.is_named() {
        return Err(RequestError::Missing("op"));
    }
    Ok(SingleRequest { key, op })
}

/// The bytes of a request that are not of its ops. A request has this many and the
/// [`encoded_len`](Op::encoded_len) of each op, less 1 when there is any op.
pub fn request_overhead(form: Form, key: &Secret) -> usize {
    let mut length = Length::default();
    write_request(form, key, core::iter::empty(), &mut length);
    length.0
}

/// Writes a batch request.
pub fn encode_request<'a>(form: Form, key: &Secret, ops: impl Iterator<Item = &'a Op> + Clone) -> Bytes {
    write(
        |sink| write_request(form, key, ops.clone(), sink),
        |sink| write_request(form, key, ops.clone(), sink),
    )
}

fn write_request<'a, S: Sink>(form: Form, key: &Secret, ops: impl Iterator<Item = &'a Op>, sink: &mut S) {
    let mut object = sink.object();
    object.string("k", key.reveal());
    match form {
        Form::Relay => object.string("t", "batch"),
        Form::Node => {}
    }
    object.field("ops").array(ops, |sink, op| op.write(sink));
    object.end();
}

/// Writes twice: for the length, and then into a buffer of that length.
fn write(measure: impl FnOnce(&mut Length), fill: impl FnOnce(&mut Vec<u8>)) -> Bytes {
    let mut length = Length::default();
    measure(&mut length);
    let mut body = Vec::with_capacity(length.0);
    fill(&mut body);
    Bytes::from(body)
}

/// The object in `body`: all of it, or what lies between the first `{` and the last `}` where a relay has
/// put text around it.
fn object_in(body: &[u8]) -> Option<&[u8]> {
    const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();
    let body = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body).trim_ascii_start();
    if body.starts_with(b"{") {
        return Some(body);
    }
    let first = body.iter().position(|byte| *byte == b'{')?;
    let last = body.iter().rposition(|byte| *byte == b'}')?;
    body.get(first..=last)
}

/// Reads the envelope of an answer, `{"r"}` or `{"e"}`; null counts as absent.
fn read_answer(body: &[u8], max_replies: usize) -> Option<(Option<Elements<'_>>, Option<Raw<'_>>)> {
    let replies = OrNull(ReadElements { max: max_replies });
    let reader = ReadEnvelope { list: ("r", replies), other: ("e", PhantomData) };
    let (replies, error) = reader.read(core::str::from_utf8(object_in(body)?).ok()?).ok()?;
    Some((replies.flatten(), error.and_then(Raw::new)))
}

/// Reads the answer to a batch of `ops` ops.
///
/// Text around the object, as some relays have it, is skipped. When there are both `r` and `e`, a non-empty
/// `r` is the answer and `e` is ignored.
///
/// # Errors
/// [`AnswerError`] when no reply can be matched to its op. What is wrong with one reply alone makes that reply
/// [damaged](Reply::damaged) and harms no other.
pub fn decode_answer(body: &[u8], ops: usize, limits: Limits) -> Result<Answer, AnswerError> {
    if body.len() > limits.max_body {
        return Err(AnswerError::TooLarge);
    }
    let replies = match read_answer(body, ops).ok_or(AnswerError::NotAnAnswer)? {
        (Some(replies), _) if replies.count > 0 => replies,
        (_, Some(error)) => {
            let text = error.string().unwrap_or(Cow::Borrowed(error.text()));
            return Err(AnswerError::Envelope(cut(&text, MAX_ERROR_LEN).into()));
        }
        (Some(replies), None) => replies,
        (None, None) => return Err(AnswerError::NotAnAnswer),
    };
    if replies.count != ops {
        return Err(AnswerError::WrongLength { expected: ops, got: replies.count });
    }
    Ok(decode_replies(&replies.kept))
}

fn decode_replies(replies: &[&RawValue]) -> Answer {
    let fields: Vec<_> = replies.iter().map(|reply| ReplyFields::read(reply.get())).collect();
    let payloads = fields.iter().map(|fields| fields.payload_len());
    let mut arena = Arena::with_room(payloads.fold(0, usize::saturating_add));
    let mut packets_left = MAX_PACKETS;
    fields.into_iter().map(|fields| fields.interpret(&mut arena, &mut packets_left)).collect()
}

/// Writes a batch answer, `{"r":[...]}`.
pub fn encode_answer(replies: &[ReplyParts<'_>]) -> Bytes {
    write(|sink| write_answer(replies, sink), |sink| write_answer(replies, sink))
}

fn write_answer<S: Sink>(replies: &[ReplyParts<'_>], sink: &mut S) {
    let mut object = sink.object();
    object.field("r").array(replies.iter(), |sink, reply| reply.write(sink));
    object.end();
}

/// Writes a single answer: the reply object itself.
pub fn encode_single_answer(reply: &ReplyParts<'_>) -> Bytes {
    write(|sink| reply.write(sink), |sink| reply.write(sink))
}

/// Writes `{"e": text}`: the failure of a whole exchange.
pub fn encode_error(text: &str) -> Bytes {
    let reply = ReplyParts { error: Some(text), ..ReplyParts::default() };
    encode_single_answer(&reply)
}
