//! Deterministic simulation of Seqlane: the real machines on a network whose behaviour follows from a seed.
//!
//! ```text
//!  application ─▶ Client ─▶ relays, links ─▶ Node ─▶ upstream
//!        the machines of the crate `seqlane`, unchanged, on one event heap with virtual time
//!
//!  Chooser ── every decision ──▶ World ── every step ──▶ oracle (properties), hash, coverage, trace
//! ```
//!
//! A [`World`] is one run. A [`Scenario`] says what runs are like, a [`Chooser`] makes every decision, and the
//! list of decisions that were not benign *is* the run: it can be replayed, shrunk and drawn.
//!
//! ```
//! use seqlane_sim::{Profile, World};
//!
//! let scenario = Profile::Swarm.scenario();
//! let outcome = World::new(&scenario, 42).run(1_000_000);
//! assert_eq!(outcome.violation, None);
//! assert_eq!(outcome.hash, World::new(&scenario, 42).run(1_000_000).hash);
//! ```
//!
//! # Your own host
//!
//! Put your code around the client behind [`ClientHost`], and every fault and property works on it:
//! [`Run::hosted`] makes single runs, [`Swarm`] many, [`shrink`](shrink::shrink_in) makes a failing one small,
//! and a [`Timeline`](timeline::Timeline) draws it. `examples/own_host.rs` does all of it in one page.
//!
//! A world can also be driven by hand, watched entry by entry, copied, and failed by a check of your own:
//!
//! ```
//! use seqlane_sim::trace::{Entry, Observer};
//! use seqlane_sim::{Profile, Property, Seeded, World};
//!
//! let scenario = Profile::Calm.scenario();
//! let mut sent = 0;
//! let listener = Observer(|entry: &Entry| sent += u64::from(entry.what.verb() == "req.send"));
//! let mut world = World::with(&scenario, Seeded::new(7), listener);
//! while world.step() {
//!     if world.tally().calls > 10_000 {
//!         world.violate(Property::R3, "ten thousand calls for a few conversations".to_owned());
//!     }
//! }
//! let outcome = world.outcome();
//! assert_eq!((outcome.violation, outcome.tally.calls), (None, sent));
//! ```
#![forbid(unsafe_code)]

pub mod bundle;
pub mod checkpoints;
pub mod chooser;
pub mod clock;
pub mod copies;
pub mod coverage;
pub mod decision_point;
mod ends;
pub mod explore;
pub mod fault;
pub mod fuzz;
pub mod guard;
pub mod hash;
pub mod heap;
mod hello;
mod hex;
pub mod host;
pub mod isolation;
pub mod latency;
pub mod link;
mod oracle;
pub mod origin;
pub mod pattern;
pub mod plan;
pub mod playback;
pub mod probability;
pub mod property;
pub mod rng;
pub mod run;
pub mod scenario;
pub mod script;
pub mod seed;
pub mod shrink;
pub mod swarm;
pub mod time;
pub mod timeline;
pub mod trace;
pub mod world;

pub use bundle::Bundle;
pub use chooser::{Chooser, Decision, Exhaustive, FromBytes, Recorded, Recorder, Seeded};
pub use coverage::{Coverage, CoveragePoint};
pub use decision_point::DecisionPoint;
pub use fault::Fault;
pub use host::ClientHost;
pub use probability::Probability;
pub use property::{Property, Violation};
pub use run::{DecisionSource, Limits, Recording, Run};
pub use scenario::{BadScenario, Profile, Scenario, UnknownProfile};
pub use seed::{Seed, Seeds};
pub use swarm::{Figures, Swarm};
pub use time::Time;
pub use world::{Outcome, Tally, World};
