//! Bundles: one recorded run in a file, with what is needed to make it again.

use serde::{Deserialize, Serialize};

use crate::checkpoints::Checkpoints;
use crate::hex::Hex;
use crate::origin::Origin;
use crate::{ClientHost, Decision, DecisionSource, Limits, Recording, Run, Scenario, Seed, Violation};

/// What the file is.
pub const FORMAT: &str = "seqlane-sim-failure";
const VERSION: u32 = 1;

/// A recorded run: its decisions and its result.
///
/// A seed repeats the run with the same code only. The decisions survive most changes, so a regression corpus
/// keeps them.
#[serde_with::serde_as]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bundle {
    /// [`FORMAT`].
    format: String,
    v: u32,
    /// The seed that found it.
    #[serde_as(as = "Option<Hex>")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// The code that it was found with.
    pub origin: Origin,
    /// The violation; none in a run that must pass.
    pub violation: Option<Violation>,
    /// Events of the run.
    pub events: u64,
    /// The hash at its end.
    #[serde_as(as = "Hex")]
    pub hash: u64,
    /// The scenario.
    pub scenario: Scenario,
    /// Where the run was cut off.
    pub limits: Limits,
    /// The decisions that were not benign.
    #[serde(alias = "picks")]
    pub decisions: Vec<Decision>,
    /// Hashes on its way.
    pub checkpoints: Checkpoints,
}

/// The result of a replay.
#[derive(Clone, Debug)]
pub struct Replay {
    /// The run as it is now.
    pub recording: Recording,
    /// The first event after which it differs from the one in the bundle, from and to.
    pub differs: Option<(u64, u64)>,
}

/// A file that is no bundle.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no bundle of a failure: {0}")]
pub struct BadBundle(String);

impl Bundle {
    /// Puts a recorded run together.
    pub fn new<H: ClientHost>(run: &Run<'_, H>, seed: Option<u64>, recording: &Recording) -> Self {
        Self {
            format: FORMAT.to_owned(),
            v: VERSION,
            seed,
            origin: Origin::here(),
            violation: recording.outcome.violation.clone(),
            events: recording.outcome.events,
            hash: recording.outcome.hash,
            scenario: run.scenario().clone(),
            limits: run.limits(),
            decisions: recording.decisions.clone(),
            checkpoints: recording.checkpoints.clone(),
        }
    }

    /// `failure-S2-0x2a.json`.
    pub fn file_name(&self) -> String {
        let property = self.violation.as_ref().map_or("none", |violation| violation.property.id());
        match self.seed {
            Some(seed) => format!("failure-{property}-{}.json", Seed(seed)),
            None => format!("failure-{property}.json"),
        }
    }

    /// Reads a bundle.
    ///
    /// # Errors
    /// [`BadBundle`] if the text is no bundle.
    pub fn read(text: &str) -> Result<Self, BadBundle> {
        let bundle: Self = serde_json::from_str(text).map_err(|error| BadBundle(error.to_string()))?;
        if bundle.format != FORMAT || bundle.v != VERSION {
            return Err(BadBundle(format!("it is {} version {}", bundle.format, bundle.v)));
        }
        Ok(bundle)
    }

    /// As text, a decision a line.
    pub fn write(&self) -> String {
        let decisions = |decision: &Decision| serde_json::to_string(decision).expect("a decision is JSON");
        let listed: Vec<String> = self.decisions.iter().map(decisions).collect();
        let rest = Self { decisions: Vec::new(), ..self.clone() };
        let text = serde_json::to_string_pretty(&rest).expect("a bundle is JSON");
        let listed =
            if listed.is_empty() { String::new() } else { format!("\n    {}\n  ", listed.join(",\n    ")) };
        let checkpoints = serde_json::to_string(&self.checkpoints).expect("checkpoints are JSON");
        let (head, _) = text.split_once("\"decisions\": []").expect("a bundle has decisions");
        format!("{head}\"decisions\": [{listed}],\n  \"checkpoints\": {checkpoints}\n}}\n")
    }

    /// Makes the run again, with the bare client.
    pub fn replay(&self) -> Replay {
        self.replay_in(&Run::new(&self.scenario))
    }

    /// Makes the run again, with the hosts of `run`.
    pub fn replay_in<H: ClientHost>(&self, run: &Run<'_, H>) -> Replay {
        let run = run.of(&self.scenario).within(self.limits);
        let recording = run.record(&DecisionSource::List(self.decisions.clone()));
        let differs = self.differs(&recording);
        Replay { recording, differs }
    }

    /// The first event after which another recording differs from this one, from and to.
    pub fn differs(&self, recording: &Recording) -> Option<(u64, u64)> {
        let same = recording.outcome.hash == self.hash && recording.outcome.events == self.events;
        let last = self.events.min(recording.outcome.events) + 1;
        (!same).then(|| self.checkpoints.differ(&recording.checkpoints).unwrap_or((last, last)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Profile;

    fn bundle() -> Bundle {
        let scenario = Profile::Swarm.scenario();
        let run = Run::new(&scenario);
        Bundle::new(&run, Some(42), &run.record(&DecisionSource::Seed(42)))
    }

    #[test]
    fn a_bundle_is_the_same_after_it_was_written_and_read() {
        let bundle = bundle();
        assert_eq!(Bundle::read(&bundle.write()), Ok(bundle.clone()));
        let empty = Bundle { decisions: Vec::new(), seed: None, ..bundle };
        assert_eq!(Bundle::read(&empty.write()), Ok(empty));
    }

    #[test]
    fn a_replay_is_the_same_run() {
        let bundle = bundle();
        let replay = bundle.replay();
        assert_eq!((replay.differs, replay.recording.outcome.hash), (None, bundle.hash));
    }

    #[test]
    fn a_replay_that_differs_names_the_first_event() {
        let mut bundle = bundle();
        let event = bundle.events / 2;
        let mut wrong = Checkpoints::default();
        let scenario = bundle.scenario.clone();
        let chooser = crate::chooser::Recorded::new(bundle.decisions.iter().copied());
        Run::new(&scenario).watched(chooser, crate::trace::NoTrace, |world| {
            wrong.note(world.events(), if world.events() < event { world.hash() } else { !world.hash() });
            true
        });
        bundle.checkpoints = wrong;
        bundle.hash = !bundle.hash;
        let (from, to) = bundle.replay().differs.expect("it differs");
        assert!((from..=to).contains(&event), "{from} to {to}, not {event}");
    }
}
