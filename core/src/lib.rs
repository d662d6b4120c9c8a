//! Seqlane's protocol core: many TCP and UDP flows over batched HTTP request/response relays.
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

mod caps;
mod client;
mod close;
mod config;
mod error;
#[cfg(feature = "model")]
mod fingerprint;
mod flow;
mod id;
mod node;
mod reorder;
mod secret;
mod seq;
mod stats;
mod target;
mod time;
mod timer;
pub mod wire;

pub use caps::{Caps, Level};
pub use client::{Client, ClientAction, ClientEvent, ClientNotice, EndReason, ExchangeFailure, LocalEvent};
pub use config::{
    Balance, ClientConfig, ClientOptions, ConfigError, Form, NodeConfig, NodeOptions, OpenMode, RelayOptions,
};
pub use error::{ConnectFailure, Misuse};
pub use id::{ExchangeId, RelayId, RequestId, StreamId, UpstreamId};
pub use node::{
    Endpoint, Node, NodeAction, NodeEvent, NodeNotice, Response, SessionEnd, Shut, UpstreamEvent,
};
pub use reorder::{Rejected, ReorderLimits, ReorderQueue};
pub use secret::Secret;
pub use seq::Seq;
pub use stats::{ClientStats, NodeStats};
pub use target::{BadTarget, FlowKind, MAX_HOST_LEN, Target};
pub use time::Instant;
pub use timer::{TimerKind, Wake};
