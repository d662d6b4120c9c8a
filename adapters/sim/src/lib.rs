//! Deterministic simulation of Seqlane: the real machines, a network made of seeds.
//!
//! ```text
//!  application ─▶ Client ─▶ relays, links ─▶ Node ─▶ upstream
//!        the machines of the crate `seqlane`, unchanged, on one event heap with virtual time
//!
//!  Chooser ── every decision ──▶ World ── every step ──▶ oracle (properties), hash, marks, trace
//! ```
//!
//! A [`World`] is one run. A [`Scenario`] says what runs are like, a [`Chooser`] makes every decision, and the
//! list of decisions that were not benign *is* the run: it can be replayed, shrunk and told as a story.
//!
//! ```
//! use seqlane_sim::{Profile, World};
//!
//! let scenario = Profile::Swarm.scenario();
//! let outcome = World::new(&scenario, 42).run(1_000_000);
//! assert_eq!(outcome.violation, None);
//! assert_eq!(outcome.hash, World::new(&scenario, 42).run(1_000_000).hash);
//! ```
#![forbid(unsafe_code)]

pub mod chooser;
pub mod clock;
pub mod fault;
pub mod hash;
pub mod heap;
pub mod host;
pub mod latency;
pub mod link;
pub mod mark;
pub mod odds;
pub mod pattern;
pub mod property;
pub mod rng;
pub mod scenario;
pub mod script;
pub mod site;
pub mod time;
pub mod trace;
pub mod world;

pub use chooser::{Chooser, Exhaustive, FromBytes, Pick, Recorded, Recorder, Seeded};
pub use fault::Fault;
pub use host::ClientHost;
pub use mark::{Mark, Marks};
pub use odds::Odds;
pub use property::{Property, Violation};
pub use scenario::{Profile, Scenario};
pub use site::Site;
pub use time::Time;
pub use world::{Outcome, Tally, World};
