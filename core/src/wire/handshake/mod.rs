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

/// How the keys of a secret are made: [`SecretKeys::new`], but for models.
pub(crate) type MakeKeys = fn(&crate::secret::Secret) -> SecretKeys;

mod hello;
mod keys;
mod noise;
mod notice;
mod payload;

pub use hello::{ClientHello, HELLO, ReceivedHello, client_of};
pub use keys::{ConnectionKeys, NoticeKey, SecretKeys};
pub use notice::{MAX_TEXT, NOTICE, Notice, NoticeKind};
pub use payload::{AnswerPayload, HANDSHAKE_LEN, HelloPayload, NodeId, Token};
