//! One run of a scenario, and its recording.

use seqlane::{Client, ClientConfig, Instant};
use serde::{Deserialize, Serialize};

use crate::checkpoints::Checkpoints;
use crate::guard::guarded;
use crate::trace::{Entry, NoTrace, Sink};
use crate::world::World;
use crate::{
    Chooser, ClientHost, Decision, Outcome, Property, Recorded, Recorder, Scenario, Seeded, Time, Violation,
};

/// Where a run is cut off. A run that is cut off has no violation, and proves less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Events.
    pub events: u64,
    /// Virtual time.
    pub time: Time,
}

impl Default for Limits {
    /// A million events: some hundred times what a run of the profile `swarm` has.
    fn default() -> Self {
        Self { events: 1_000_000, time: Time::MAX }
    }
}

/// What decides a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DecisionSource {
    /// A seed. It makes the same run as long as the decision points and their order in the code stay the same.
    Seed(u64),
    /// A list of decisions. It makes the same run after most changes of the code.
    List(Vec<Decision>),
}

/// A run that was written down.
#[derive(Clone, Debug)]
pub struct Recording {
    /// How it ended.
    pub outcome: Outcome,
    /// The decisions that were not benign. They alone make the run again.
    pub decisions: Vec<Decision>,
    /// Hashes on its way.
    pub checkpoints: Checkpoints,
    /// What happened, entry by entry.
    pub entries: Vec<Entry>,
}

/// Makes runs of a scenario: with the bare client, or with an embedder's own host around it.
///
/// ```
/// use seqlane_sim::{DecisionSource, Profile, Run};
///
/// let scenario = Profile::Swarm.scenario();
/// let run = Run::new(&scenario);
/// let recording = run.record(&DecisionSource::Seed(42));
/// // The decisions alone make the same run.
/// assert_eq!(run.record(&DecisionSource::List(recording.decisions)).outcome, recording.outcome);
/// ```
#[derive(Debug)]
pub struct Run<'a, H = Client> {
    scenario: &'a Scenario,
    host: MakeHost<H>,
    limits: Limits,
}

/// Makes a host from a client's configuration, seed and start.
pub type MakeHost<H> = fn(ClientConfig, [u8; 32], Instant) -> H;

impl<H> Clone for Run<'_, H> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<H> Copy for Run<'_, H> {}

impl<'a> Run<'a> {
    /// Runs with the bare client.
    pub fn new(scenario: &'a Scenario) -> Self {
        Self::hosted(scenario, Client::unsealed)
    }
}

impl<'a, H: ClientHost> Run<'a, H> {
    /// Runs with an embedder's own hosts.
    pub fn hosted(scenario: &'a Scenario, host: MakeHost<H>) -> Self {
        Self { scenario, host, limits: Limits::default() }
    }

    /// Cuts runs off there.
    #[must_use]
    pub const fn within(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// The scenario of the runs.
    pub const fn scenario(&self) -> &'a Scenario {
        self.scenario
    }

    /// Limits of a run.
    pub const fn limits(&self) -> Limits {
        self.limits
    }

    /// The same runs of another scenario.
    #[must_use]
    pub const fn of<'b>(&self, scenario: &'b Scenario) -> Run<'b, H> {
        Run { scenario, host: self.host, limits: self.limits }
    }

    /// The run of a seed, as fast as possible.
    pub fn seeded(&self, seed: u64) -> Outcome {
        self.decided(Seeded::new(seed), NoTrace)
    }

    /// The run that `chooser` decides, told to `sink`.
    pub fn decided<C: Chooser, S: Sink>(&self, chooser: C, sink: S) -> Outcome {
        self.watched(chooser, sink, |_| true)
    }

    /// The run that `chooser` decides, observed after every event, until `go_on` returns false.
    ///
    /// A panic ends it, as a violation of [`Property::S11`].
    pub fn watched<C: Chooser, S: Sink>(
        &self,
        chooser: C,
        sink: S,
        mut go_on: impl FnMut(&mut World<H, C, S>) -> bool,
    ) -> Outcome {
        let mut world = match guarded(|| World::with_hosts(self.scenario, chooser, sink, self.host)) {
            Ok(world) => world,
            Err(what) => return stillborn(what),
        };
        let ended = guarded(|| while self.may_go_on(&world) && world.step() && go_on(&mut world) {});
        if let Err(what) = ended {
            world.violate(Property::S11, what);
        }
        world.outcome()
    }

    fn may_go_on<C: Chooser, S: Sink>(&self, world: &World<H, C, S>) -> bool {
        world.events() < self.limits.events && world.now() < self.limits.time
    }

    /// Makes a run, and writes down everything.
    pub fn record(&self, decisions: &DecisionSource) -> Recording {
        let mut entries = Vec::new();
        let (outcome, decisions, checkpoints) = match decisions {
            DecisionSource::Seed(seed) => self.note(Seeded::new(*seed), &mut entries),
            DecisionSource::List(decisions) => {
                self.note(Recorded::new(decisions.iter().copied()), &mut entries)
            }
        };
        Recording { outcome, decisions, checkpoints, entries }
    }

    /// Makes a run, and keeps its decisions: without a trace, for many runs.
    pub fn replay(&self, decisions: &[Decision]) -> (Outcome, Vec<Decision>) {
        let (outcome, decisions, _) = self.note(Recorded::new(decisions.iter().copied()), NoTrace);
        (outcome, decisions)
    }

    fn note<C: Chooser, S: Sink>(&self, chooser: C, sink: S) -> (Outcome, Vec<Decision>, Checkpoints) {
        let mut recorder = Recorder::new(chooser);
        let mut checkpoints = Checkpoints::default();
        let outcome = self.watched(&mut recorder, sink, |world| {
            checkpoints.note(world.events(), world.hash());
            true
        });
        (outcome, recorder.decisions().to_vec(), checkpoints)
    }

    /// D1: makes the run of a seed twice. Where the two differ, the outcome is the first one's with a violation
    /// of [`Property::D1`], which names the first event after which they differ.
    pub fn twice(&self, seed: u64) -> Outcome {
        let (first, second) = (self.seeded(seed), self.seeded(seed));
        if first == second {
            return first;
        }
        let (.., mine) = self.note(Seeded::new(seed), NoTrace);
        let (.., theirs) = self.note(Seeded::new(seed), NoTrace);
        let (from, event) = mine.differ(&theirs).unwrap_or((first.events, first.events));
        let what = format!("two runs of the same seed differ after events {from} to {event}");
        let violation = Violation { property: Property::D1, at: first.time, event, what };
        Outcome { violation: Some(violation), ..first }
    }
}

/// A run that panicked before it began.
fn stillborn(what: String) -> Outcome {
    let violation = Violation { property: Property::S11, at: Time::ZERO, event: 0, what };
    Outcome { violation: Some(violation), ..Outcome::default() }
}
