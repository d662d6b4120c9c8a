//! Exhaustive search: every behaviour of the real machines in a small world.
//!
//! ```text
//!   application ─ Write, Finish, Reset ─▶ Client ─ requests in flight ─▶ Node ─ Connect, Speak, Finish ─ upstream
//!                                           ▲                              │
//!                                           └────── answers in flight ─────┘
//!
//!   root ─▶ every step that can happen ─▶ states, each once ─▶ properties, in each
//!                                                          └─▶ a way to the end, from each
//! ```
//!
//! A [`Scope`] says how small: how many bytes each end sends, how many ops are in flight, and how often the network
//! loses, doubles or delays, the node restarts, an end resets. Within it *nothing* is left to chance. In each state
//! each of these can happen next: an end plays the next step of its script; a request or an answer in flight
//! arrives, in any order, is lost, or is doubled; an exchange is given up although its answer may still come, which
//! nobody will read then; the node restarts; time goes on to the next deadline, be it the client's, the node's
//! or the driver's. It never goes on by some other time: between deadlines nothing changes.
//!
//! Time is as fast as the network allows: a deadline passes when nothing is in flight between the machines (what
//! the node holds is not), or as often as the budget `slow` says.
//!
//! # States
//! Two states are the same when their fingerprints are: 128 bits over both machines (feature `model` of the
//! core: times count from now and only as long as something looks at them, ids by their rank, numbers of ops
//! from what their session expects) and over the network and the ends, renamed in the same way. A test plays
//! random steps from states that were reached in two ways, and compares.
//!
//! # Properties
//! In every state: S1, S2, S4, S8, S9, S10, S11, S13, R1, and D5 in a scope without faults. Of every state's
//! future, two things ([`Liveness`]):
//!
//! - *reach*: some way leads to a state in which every flow has ended and nothing is left behind. The search goes
//!   backwards along every transition, so that circles without an exit show, which is how polling dies.
//! - *heal*: without further faults, and with fair steps, the end comes within a number of steps.
//!
//! A node that restarts forgets its sessions, and an op of a session that is gone is answered with `eof`
//! (protocol.md 2.2): at levels 0 and 1 nothing on the wire tells that end from an orderly one, so S1 excuses the
//! flows that a restart orphans from having been delivered whole.
//!
//! # Scopes that were searched to the end
//!
//! One core, profile `sim`, both liveness checks; seconds are of CPU time. A state that waits to be looked at takes
//! about 12 KB, one that was looked at about 50 bytes, a transition 8.
//!
//! | scope | states | transitions | worst heal | seconds |
//! |---|---|---|---|---|
//! | `up=1,down=1` | 805 | 1,690 | 11 steps | 0.02 |
//! | `up=1,down=1,drop=1` | 3,434 | 9,659 | 11 | 0.07 |
//! | `up=1,down=1,dup=1` | 20,262 | 53,009 | 16 | 0.5 |
//! | `up=3,down=2,lanes=3` | 30,396 | 90,900 | 19 | 0.9 |
//! | `up=2,down=1,drop=1,unsent=1,late=1` (default) | 182,633 | 568,874 | 13 | 5 |
//! | `level=0,up=2,down=2,drop=1,late=1,crash=1,slow=1` (default) | 278,588 | 996,499 | 9 | 6.6 |
//! | `up=2,down=2,drop=1,late=1,crash=1,reset=1` | 289,189 | 1,188,952 | 16 | 9 |
//! | `up=1,down=1,drop=1,dup=1,late=1,crash=1` (default) | 441,807 | 1,783,175 | 16 | 14 |
//! | `level=2,up=2,down=2,drop=1,dup=1,late=1,crash=1` (default) | 955,085 | 2,018,791 | 18 | 92, on a busy machine |
//!
//! A doubled request is the dearest fault: its second copy may come at any time, and a doubled open leaves a session
//! that only the node's idle limit ends. So the world has an idle limit of 40 s in the place of 300 s.
//!
//! # Paths
//! [`Paths`] is the other way to try everything: the whole simulator under an odometer of decisions.

mod healing;
pub mod model;
pub mod pair;

mod options;
mod paths;
mod report;
mod scope;
mod search;
#[cfg(test)]
mod tests;

use std::time::Instant;

pub use model::{Broken, Model};
pub use options::{Liveness, Options};
pub use pair::Pair;
pub use paths::{Paths, PathsReport};
pub use report::{Counterexample, Report, ScopeReport};
pub use scope::{BadScope, Scope};
pub use search::{Refutation, SearchLimits, SearchProgress, SearchResult, search};

/// Explores every scope, up to the first failure, and tells `watch` now and then how far it is.
///
/// ```
/// use seqlane_sim::explore::{Options, run};
///
/// let options = Options { scopes: vec!["up=1,down=0".parse()?], ..Options::default() };
/// let report = run(&options, &mut |_, _| {});
/// assert!(report.counterexample().is_none(), "{report}");
/// # Ok::<(), seqlane_sim::explore::BadScope>(())
/// ```
pub fn run(options: &Options, watch: &mut dyn FnMut(Scope, SearchProgress)) -> Report {
    let mut report = Report::default();
    for scope in &options.scopes {
        let began = Instant::now();
        let found = search(&Pair::new(*scope), options.limits(), &mut |progress| watch(*scope, progress));
        report.scopes.push(ScopeReport::new(*scope, found, began.elapsed()));
        if report.counterexample().is_some() {
            break;
        }
    }
    report
}
