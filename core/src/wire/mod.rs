//! What crosses the wire at levels 0 and 1: the deployed JSON, read strictly and written exactly
//! (protocol.md 1 and 2).
//!
//! Reading borrows from the body, bounds everything, and turns one bad op into one error reply. Payloads
//! of a body are decoded into one arena and handed out as slices of it. Writing fills one buffer.

pub mod base64;
pub mod envelope;
#[cfg(test)]
mod golden;
mod json;
pub mod op;
pub mod reply;
pub mod sid;

pub use envelope::{
    Answer, AnswerError, Limits, Request, RequestError, SingleRequest, decode_answer, decode_request,
    decode_single, encode_answer, encode_error, encode_request, encode_single_answer, request_overhead,
};
pub use op::{BadOp, Op};
pub use reply::{Code, Reply, ReplyParts};
pub use sid::Sid;
