//! Handshake of level 2: hello, answer, notice (protocol.md 3.1).
//!
//! ```text
//!  client                                                 node
//!  ClientHello::new ──── hello, 256 bytes ────▶ ReceivedHello::open
//!                                                    │ let in      │ not
//!  ClientHello::read ◀── answer, 256 bytes ── ReceivedHello::answer│
//!  Notice::open ◀─────── notice, 256 bytes ──────────────── Notice::seal
//! ```
//!
//! The answer makes the keys of one connection. Nobody can make them again once both ephemeral keys are gone: neither from
//! the secret, nor from what passed.

mod hello;
mod keys;
mod noise;
mod notice;
mod payload;

pub use hello::{ClientHello, HANDSHAKE_LEN, HELLO, ReceivedHello};
pub use keys::{ConnectionKeys, NoticeKey, SecretKeys};
pub use notice::{MAX_TEXT, NOTICE, Notice, NoticeKind};
pub use payload::{AnswerPayload, HelloPayload, NodeId, Token};
