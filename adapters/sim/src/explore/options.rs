//! Options of an exploration.

use crate::explore::scope::Scope;
use crate::explore::search::SearchLimits;

/// What [`run`](crate::explore::run) explores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The scopes, one after the other.
    pub scopes: Vec<Scope>,
    /// The most states of a scope that are looked at.
    pub max_states: usize,
    /// What is checked of every state's future.
    pub liveness: Liveness,
    /// The most fair steps from any state to the end.
    pub heal_steps: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            scopes: Self::DEFAULT_SCOPES
                .iter()
                .map(|text| text.parse().expect("the default scopes are valid"))
                .collect(),
            max_states: 20_000_000,
            liveness: Liveness::Both,
            heal_steps: 200,
        }
    }
}

impl Options {
    /// What is explored when nothing is said: each in about a minute on one core.
    pub const DEFAULT_SCOPES: [&str; 4] = [
        "up=1,down=1,drop=1,dup=1,late=1,crash=1",
        "up=2,down=1,drop=1,unsent=1,late=1",
        "level=0,up=2,down=2,drop=1,late=1,crash=1,slow=1",
        "level=2,up=2,down=2,drop=1,dup=1,late=1,crash=1",
    ];

    pub(super) fn limits(&self) -> SearchLimits {
        /// 2 GB of them.
        const MOST_WAITING: usize = 100_000;
        let heals = matches!(self.liveness, Liveness::Heal | Liveness::Both);
        SearchLimits {
            states: self.max_states,
            waiting: MOST_WAITING,
            heal: heals.then_some(self.heal_steps),
            reach: matches!(self.liveness, Liveness::Reach | Liveness::Both),
        }
    }
}

/// What is checked of every state's future.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, strum::Display, clap::ValueEnum)]
#[strum(serialize_all = "kebab-case")]
pub enum Liveness {
    /// Nothing.
    None,
    /// That some way leads to the end.
    Reach,
    /// Without further faults, and with fair steps, the end comes within a number of steps.
    Heal,
    /// Both.
    #[default]
    Both,
}
