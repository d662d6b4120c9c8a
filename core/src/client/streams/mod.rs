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
//! A [`lane`] is what client and node share: [`greeting`] makes one, and ends it when the node has forgotten it. What the
//! next request is for is decided by [`demand`], out of controllers that each have one number to find: when an answer is
//! late ([`lateness`]), how large packets are ([`amount`]), how much is under way ([`flight`]), how much is asked for while a
//! download begins ([`surge`]) or the node is out of credit ([`standing`]), which relays work ([`route`]).

mod adoption;
mod amount;
mod answers;
mod calls;
mod demand;
mod exchange;
#[cfg(feature = "model")]
mod fingerprint;
mod flight;
mod greeting;
mod intake;
mod lane;
mod late;
mod lateness;
mod local;
mod pack;
mod round_trips;
mod route;
mod standing;
mod stream;
mod surge;
#[cfg(test)]
mod tests;
mod wake;

pub(super) use calls::PacketRef;
pub(super) use greeting::Streams;
