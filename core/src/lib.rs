//! Seqlane's protocol core: many TCP and UDP flows over batched HTTP request/response relays that reorder, lose,
//! duplicate, delay and truncate what passes.
//!
//! Two machines hold the whole protocol: [`Client`] and [`Node`]. They have no socket, no clock and no randomness of
//! their own: a driver hands in what happened and carries out what they want done.
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
//!  2. read the clock once ([`Clock`], or any other that does not jump);
//!  3. hand in what happened with `handle`;
//!  4. `poll` until `Idle`, and carry out each action;
//!  5. set the one timer to the wake time that `Idle` names;
//!  6. start again.
//!
//! Nothing is remembered between the steps: events may come in any number before a drain, a poll too many does no harm,
//! and memory is bounded by the credit that the machines give, not by the driver.
//!
//! # Events and actions
//!
//! [`ClientEvent`] and [`NodeEvent`] say what can happen, [`ClientAction`] and [`NodeAction`] what the driver does about
//! it; each names its obligations. An exchange of the client ends with one event, a request at the node is answered
//! once, and every flow has one [`Ended`](ClientAction::Ended) with an [`EndReason`]. [`Misuse`] is the driver's mistake
//! and leaves the machine as it was; what a peer sends is never misuse and never a panic.
//!
//! ```
//! use seqlane::{
//!     Client, ClientAction, ClientEvent, ClientOptions, FlowKind, Instant, LocalEvent, RelayOptions, Secret,
//! };
//!
//! let options = ClientOptions::new(vec![RelayOptions::new(Secret::new("key"))]).validate()?;
//! let mut client = Client::new(options, [7; 32], Instant::ZERO);
//! let flow = client.open(Instant::ZERO, "example.org:443".parse()?, FlowKind::Tcp)?;
//!
//! // 2, 3: the application has written.
//! let now = Instant::from_micros(900);
//! client.handle(now, ClientEvent::Local { flow, event: LocalEvent::Data("hello".into()) })?;
//!
//! // 4, 5: what the client wants done.
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
//! # Where to go on
//!
//! - `examples/in_memory.rs` joins a client and a node without any network.
//! - `docs/embedding.md` explains credit, exchanges and stopping, with a driver for threads.
//! - [`ClientOptions`] and [`NodeOptions`] have every bound and wait, with defaults and reasons.
//! - The crate `seqlane-tokio` drives both machines with real sockets.
//! - `docs/protocol.md` is the protocol; comments in the code cite its sections.
//!
//! # Features
//!
//! - `std` (default): [`Clock`], the system's clock for drivers. The machines themselves need no `std`.
//! - `simd` (default): base64 by SIMD, chosen at run time. It needs `std` too.
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
mod entropy;
mod error;
#[cfg(feature = "model")]
mod fingerprint;
mod id;
mod level;
mod node;
mod pin;
mod queue;
mod relative;
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
    NodeOptions, NodeStreamOptions, NodeTuning, OpenMode, RelayOptions, UserError, UserOptions, Valid,
};
pub use entropy::names_of_seed;
pub use error::{ConnectFailure, Misuse, OpenError};
pub use id::{ExchangeId, FlowId, RelayId, RequestId, UpstreamId};
pub use level::{Caps, Level};
pub use node::{
    ClientEnd, ClientFault, Endpoint, Node, NodeAction, NodeEvent, NodeNotice, Response, SessionEnd, Shut,
    UpstreamEvent,
};
#[cfg(feature = "unstable-internals")]
pub use reorder::{Rejected, ReorderLimits, ReorderQueue};
pub use secret::Secret;
pub use seq::Seq;
pub use stats::{ClientStats, NodeStats, UserStats};
pub use target::{BadTarget, FlowKind, MAX_HOST_LEN, Target};
pub use time::Instant;
pub use timer::{TimerKind, Wake};
pub use wire::end::EndCode;
pub use wire::handshake::NoticeKind;
pub use wire::packet::ClientId;
pub use wire::reset::ResetCode;
pub use wire::{Body, BodyForm, Form};

/// The examples of the embedding guide, compiled and run with the tests.
#[cfg(doctest)]
#[doc = include_str!("../../docs/embedding.md")]
struct EmbeddingGuide;
