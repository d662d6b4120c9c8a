//! Codec of the wire. At levels 0 and 1 that is the deployed JSON, parsed strictly and written exactly
//! (protocol.md 1 and 2); at level 2 sealed packets of frames ([`seal`], [`packet`], [`frame`]; protocol.md 3).
//!
//! ```
//! use bytes::Bytes;
//! use seqlane::wire::{self, Limits, Op, ReplyParts, Sid};
//! use seqlane::{Form, Secret, Seq};
//!
//! let limits = Limits { max_body: 1 << 20, max_ops: 50 };
//! let key = Secret::new("correct horse");
//! let sid = Sid::new("9bf1").ok_or("a session id has 1 to 64 bytes")?;
//! let op = Op::Data { sid, seq: Some(Seq::ZERO), payload: Bytes::from("GET /") };
//!
//! // The client writes a batch, and the node reads it.
//! let body = wire::encode_request(Form::Node, &key, [&op].into_iter());
//! assert_eq!(body, r#"{"k":"correct horse","ops":[{"op":"data","sid":"9bf1","seq":0,"d":"R0VUIC8="}]}"#);
//! let request = wire::decode_request(&body, limits)?;
//! assert!(key.matches(&request.key));
//! assert_eq!(request.decode_ops(), [Ok(op)]);
//!
//! // The node answers op by op, and the client reads that.
//! let data = [Bytes::from("HT"), Bytes::from("TP/")];
//! let reply = ReplyParts { sid: Some(sid), data: &data, eof: Some(false), seq: Some(Seq::ZERO), ..ReplyParts::default() };
//! let body = wire::encode_answer(&[reply]);
//! assert_eq!(body, r#"{"r":[{"sid":"9bf1","d":"SFRUUC8=","eof":false,"seq":0}]}"#);
//! let answer = wire::decode_answer(&body, 1, limits)?;
//! assert_eq!(answer[0].data, "HTTP/");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Reading the JSON
//!
//! Strings are borrowed from the body unless they have escapes; the payloads of a body are decoded into one
//! arena and handed out as slices of it. Where the deployed peers leave room, this is how it is read:
//!
//! - One bad op or reply is one error in its place. It fails a body only by not being JSON at all.
//! - Unknown keys are ignored, and so are keys that the op of that name does not have. Of a key that comes
//!   twice, the last counts. `null` is the same as leaving the key out.
//! - `d` left out is the same as `"d":""`: no payload.
//! - Numbers are whole, and without sign, point or exponent: `7`, not `7.0`.
//! - Base64 has the standard alphabet, its padding, and no stray bits in its last symbol.
//! - A host has at most 255 bytes, a session id 64; error texts and unknown names are cut to 200. The body and
//!   the ops in it are bounded by [`Limits`] while they are read, the datagrams of an answer at 65 536.
//!   Reading does not recurse, so nesting is bounded by the body.
//! - Nothing may come after the document, and all of it is UTF-8.
//!
//! # Writing the JSON
//!
//! The code that writes a body is also the code that measures it, so the buffer is allocated once, with the
//! very size that [`Op::encoded_len`] and [`request_overhead`] foretell.

mod arena;
pub mod base64;
mod body;
mod client_id;
mod cursor;
pub mod direction;
pub mod end;
pub mod envelope;
pub mod frame;
pub mod frame_type;
pub mod handshake;
mod json;
pub mod number;
pub mod op;
pub mod packet;
pub mod reply;
pub mod reset;
pub mod seal;
pub mod sid;
#[cfg(test)]
mod tests;
pub mod varint;

pub use body::{Body, BodyForm};
pub(crate) use body::{PacketBody, Sealing, Wrapping};
pub use cursor::PacketError;
pub use envelope::{
    Answer, AnswerError, Form, Limits, Request, RequestError, SingleRequest, decode_answer, decode_request,
    decode_single, encode_answer, encode_error, encode_request, encode_single_answer, request_overhead,
};
pub use op::{BadOp, Op};
pub use reply::{Code, Reply, ReplyParts};
pub use sid::Sid;
