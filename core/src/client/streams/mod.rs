//! Level 2 at the client: streams that share exchanges (protocol.md 3).
//!
//! ```text
//!                 chunks              packets
//!  application ─────────▶ Stream ─▶ pack ────────▶ exchange ──▶ relay
//!       ▲                   │         ▲ demand        │
//!       │     frames        ▼         │               ▼ answer, status, or time
//!       └──────────────── intake ◀────┴── late ◀──────┘
//! ```
//!
//! A [`connection`] is what client and node share: [`greeting`] makes one, and ends it when the node has forgotten it. What the
//! next request is for is decided by [`demand`], out of controllers that each have one number to find: when an answer is
//! late ([`lateness`]), how large packets are ([`amount`]), how much is under way ([`flight`]), how much is asked for while a
//! download begins ([`surge`]) or the node is out of credit ([`standing`]), which relays work ([`route`]).

mod app_events;
mod calls;
mod congestion_window;
mod connection;
pub(super) mod decrypted;
pub(super) mod decryptor;
mod exchanges;
#[cfg(feature = "model")]
mod fingerprint;
mod handshake;
mod loss;
mod next_request;
pub(super) mod packet_call;
mod packet_size;
mod peer_credit;
mod receive;
mod request;
mod responses;
pub(super) mod round_trips;
mod slow_start;
mod stream;
#[cfg(test)]
mod tests;
mod timeout;
mod timers;
mod upgrade;

pub(super) use handshake::{Availability, Streams};
