//! The envelope of a request and of an answer.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use bytes::Bytes;

use crate::config::Form;
use crate::secret::Secret;
use crate::wire::op::{BadOp, Op};
use crate::wire::reply::{Reply, ReplyParts};

/// What a reader accepts at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a body.
    pub max_body: usize,
    /// Elements of a batch.
    pub max_ops: usize,
}

/// A batch request, read but not yet decoded: check [`key`](Self::key) before spending memory on the ops.
pub struct Request<'a> {
    /// The key that the caller presented.
    pub key: Cow<'a, str>,
}

impl Request<'_> {
    /// Decodes the ops. All payloads share one allocation, of which they are slices.
    pub fn decode_ops(self) -> Vec<Result<Op, BadOp>> {
        todo!()
    }
}

/// A single-op request (`POST /tunnel`), read but not yet decoded.
pub struct SingleRequest<'a> {
    /// The key that the caller presented.
    pub key: Cow<'a, str>,
}

impl SingleRequest<'_> {
    /// Decodes the op.
    pub fn decode_op(self) -> Result<Op, BadOp> {
        todo!()
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

impl fmt::Display for RequestError {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        todo!()
    }
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
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        todo!()
    }
}

/// Reads a batch request in node form (what `POST /tunnel/batch` takes).
pub fn decode_request(_body: &[u8], _limits: Limits) -> Result<Request<'_>, RequestError> {
    todo!()
}

/// Reads a single-op request in node form (what `POST /tunnel` takes).
pub fn decode_single(_body: &[u8], _limits: Limits) -> Result<SingleRequest<'_>, RequestError> {
    todo!()
}

/// Writes a batch request.
pub fn encode_request<'a>(_form: Form, _key: &Secret, _ops: impl Iterator<Item = &'a Op> + Clone) -> Bytes {
    todo!()
}

/// Reads the answer to a batch of `ops` ops.
pub fn decode_answer(_body: &[u8], _ops: usize, _limits: Limits) -> Result<Answer, AnswerError> {
    todo!()
}

/// Writes a batch answer, `{"r":[...]}`.
pub fn encode_answer(_replies: &[ReplyParts<'_>]) -> Bytes {
    todo!()
}

/// Writes a single answer: the reply object itself.
pub fn encode_single_answer(_reply: &ReplyParts<'_>) -> Bytes {
    todo!()
}

/// Writes `{"e": text}`: the failure of a whole exchange.
pub fn encode_error(_text: &str) -> Bytes {
    todo!()
}
