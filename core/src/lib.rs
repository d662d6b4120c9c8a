//! Seqlane's protocol core: many TCP and UDP flows over batched HTTP request/response relays that reorder,
//! lose, double, delay and cut what passes.
//!
//! Two machines hold the whole protocol. They have no socket, no clock and no randomness of their own: a
//! driver hands in what happened and carries out what they want done.
//!
//! ```text
//!  application ─ local events ─▶ Client ─ Send ─▶ relay(s) ─ Request ─▶ Node ─ actions ─▶ upstream
//!              ◀─── actions ───        ◀─ Reply ─           ◀─ Respond ─      ◀─ events ──
//! ```
//!
//! # The driver loop
//!
//! Both machines are driven in the same way, by one task that owns the machine:
//!
//!  1. wait for the wake time, a socket, an HTTP answer, or a command;
//!  2. read the clock once;
//!  3. hand in what happened with `handle`;
//!  4. `poll` until `Idle`, and carry out each action;
//!  5. set the one timer to the wake time that `Idle` names;
//!  6. again.
//!
//! There is nothing to remember between the steps: events may come in any number before a drain, a poll too
//! many does no harm, and memory is bounded by the credit that the machines give, not by the driver.
//!
//! ```
//! use seqlane::{
//!     Client, ClientAction, ClientEvent, ClientOptions, FlowKind, Instant, LocalEvent, RelayOptions, Secret,
//!     Target,
//! };
//!
//! let options = ClientOptions::new(vec![RelayOptions::new(Secret::new("key"))]).validate()?;
//! let mut client = Client::new(options, [7; 32], Instant::ZERO);
//! let flow = client.open(Instant::ZERO, Target::new("example.org", 443)?, FlowKind::Tcp)?;
//!
//! // 2, 3: the application has spoken.
//! let now = Instant::from_micros(900);
//! let event = LocalEvent::Data("hello".into());
//! client.handle(now, ClientEvent::Local { flow, event })?;
//!
//! // 4, 5: what is to be done about it.
//! let wake = loop {
//!     match client.poll() {
//!         ClientAction::Send { relay, body, .. } => println!("POST {} bytes to relay {relay}", body.len()),
//!         ClientAction::Credit { flow, bytes } => println!("read {bytes} bytes more from flow {flow}"),
//!         ClientAction::Opened { flow } => println!("flow {flow} is open"),
//!         ClientAction::Idle { wake } => break wake,
//!         other => println!("{other:?}"),
//!     }
//! };
//! assert!(wake.is_some_and(|wake| wake.at > now));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! `examples/in_memory.rs` joins a client and a node without any network. The crate `seqlane-tokio` drives
//! both with real sockets. The protocol is written down in the project's `docs/protocol.md`; comments in the
//! code cite its sections.
//!
//! # Features
//!
//! - `std` (default): [`Clock`], the system's clock for drivers. The machines themselves need no `std`.
//! - `simd` (default): base64 by SIMD, chosen at run time. Without it the crate needs no `std` at all.
//! - `unstable-internals`: the modules behind the machines, such as the codec of the wire. They change without
//!   notice.
//! - `model`: fingerprints of the machines' states, for searching the state space of the real code.
#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::unreachable,
        clippy::indexing_slicing,
        clippy::string_slice,
        clippy::arithmetic_side_effects,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::wildcard_enum_match_arm
    )
)]

extern crate alloc;

mod client;
#[cfg(feature = "std")]
mod clock;
mod close;
mod config;
mod connection;
mod credit;
mod datagrams;
mod error;
#[cfg(feature = "model")]
mod fingerprint;
mod id;
mod level;
mod node;
mod pin;
mod queue;
#[cfg_attr(
    not(feature = "unstable-internals"),
    allow(dead_code, unreachable_pub, reason = "public with the feature")
)]
mod reorder;
mod secret;
mod seq;
mod stats;
mod target;
mod time;
mod timer;
#[cfg(feature = "unstable-internals")]
pub mod wire;
#[cfg(not(feature = "unstable-internals"))]
#[allow(dead_code, unreachable_pub, unused_imports, reason = "public with the feature")]
mod wire;

pub use client::{
    Client, ClientAction, ClientEvent, ClientNotice, DecryptedPacket, Decryptor, EndReason, ExchangeFailure,
    LocalEvent,
};
#[cfg(feature = "std")]
pub use clock::Clock;
pub use config::{
    Balance, ClientConfig, ClientOptions, ClientStreamOptions, ClientTuning, ConfigError, NodeConfig,
    NodeOptions, NodeStreamOptions, NodeTuning, OpenMode, RelayOptions,
};
pub use error::{ConnectFailure, Misuse, OpenError};
pub use id::{ExchangeId, FlowId, RelayId, RequestId, UpstreamId};
pub use level::{Caps, Level};
#[cfg(feature = "model")]
pub use node::SessionPlace;
pub use node::{
    ClientEnd, ClientFault, Endpoint, Node, NodeAction, NodeEvent, NodeNotice, Response, SessionEnd, Shut,
    UpstreamEvent,
};
#[cfg(feature = "unstable-internals")]
pub use reorder::{Rejected, ReorderLimits, ReorderQueue};
pub use secret::Secret;
pub use seq::Seq;
pub use stats::{ClientStats, NodeStats};
pub use target::{BadTarget, FlowKind, MAX_HOST_LEN, Target};
pub use time::Instant;
pub use timer::{TimerKind, Wake};
pub use wire::packet::ClientId;
pub use wire::reset::ResetCode;
pub use wire::{Body, BodyForm, Form};

/// The examples of the embedding guide, compiled and run with the tests.
#[cfg(doctest)]
#[doc = include_str!("../../docs/embedding.md")]
struct EmbeddingGuide;
