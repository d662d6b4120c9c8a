//! Flags that select a scenario.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use seqlane_sim::{Limits, Profile, Scenario, Seed, Time};

use crate::cli::console::command;
use crate::cli::verdict::CliError;

/// The scenario of runs, and their limits.
#[derive(Args, Clone, Debug)]
pub(crate) struct ScenarioArgs {
    /// A scenario file (TOML)
    #[arg(long, value_name = "FILE", help_heading = "Scenario")]
    scenario: Option<PathBuf>,
    /// A ready-made scenario
    #[arg(long, value_name = "NAME", help_heading = "Scenario")]
    profile: Option<Profile>,
    /// Set one name of a scenario file: net.lose-reply=3/100, flows=[1,8], link=none
    #[arg(long = "set", value_name = "KEY=VALUE", help_heading = "Scenario")]
    settings: Vec<String>,
    /// Cut runs off after this much virtual time
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, help_heading = "Scenario")]
    sim_time: Option<Duration>,
    /// Cut runs off after this many events
    #[arg(long, value_name = "N", default_value_t = Limits::default().events, help_heading = "Scenario")]
    max_events: u64,
}

impl ScenarioArgs {
    /// The scenario that was asked for.
    pub(crate) fn scenario(&self) -> Result<Scenario, CliError> {
        let file = self.scenario.as_ref();
        let text = file
            .map(|path| std::fs::read_to_string(path).map_err(|error| CliError::file(path, error)))
            .transpose()?;
        Scenario::assemble(self.profile, text.as_deref(), &self.settings).map_err(|error| match file {
            Some(path) => CliError::file(path, error),
            None => error.into(),
        })
    }

    /// Limits of a run.
    pub(crate) fn limits(&self) -> Limits {
        let time = self.sim_time.map_or(Time::MAX, |time| Time::ZERO.after(time));
        Limits { events: self.max_events, time }
    }

    /// The command line that makes one seed's run.
    pub(crate) fn command(&self, seed: Seed) -> String {
        let mut words = vec!["run".to_owned(), "--seed".to_owned(), seed.to_string()];
        let mut flag = |name: &str, value: String| words.extend([format!("--{name}"), value]);
        if let Some(path) = &self.scenario {
            flag("scenario", path.display().to_string());
        }
        if let Some(profile) = self.profile {
            flag("profile", profile.to_string());
        }
        for setting in &self.settings {
            flag("set", setting.clone());
        }
        if let Some(time) = self.sim_time {
            flag("sim-time", humantime::format_duration(time).to_string().replace(' ', ""));
        }
        if self.max_events != Limits::default().events {
            flag("max-events", self.max_events.to_string());
        }
        command(words)
    }
}
