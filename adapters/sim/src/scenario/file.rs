//! Scenario files and `--set` settings.

use std::fmt;

use seqlane::Level;
use toml::{Table, Value};

use crate::scenario::{Profile, Scenario};

/// An invalid scenario, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadScenario(String);

impl Scenario {
    /// Puts a scenario together: the profile, then what the file says, then single settings.
    ///
    /// The profile is the one given, else the file's own, else `swarm`. A setting is `key=value`, where the
    /// key is a name of a scenario file (`net.lose-reply` for a fault) and `none` takes a limit away.
    ///
    /// ```
    /// use seqlane_sim::{Profile, Scenario};
    ///
    /// let file = "profile = 'calm'\nfault-phase = '10s'\n[net]\nlose-reply = '3/100'";
    /// let scenario = Scenario::assemble(None, Some(file), &["flows=[1,8]", "net.late=1/50"])?;
    /// assert_eq!(scenario.profile, Profile::Calm);
    /// assert_eq!((scenario.fault_phase.as_secs(), scenario.flows.most, scenario.net.len()), (10, 8, 2));
    /// # Ok::<(), seqlane_sim::BadScenario>(())
    /// ```
    ///
    /// # Errors
    /// [`BadScenario`] names what cannot be read.
    pub fn assemble<S: AsRef<str>>(
        profile: Option<Profile>,
        file: Option<&str>,
        settings: &[S],
    ) -> Result<Self, BadScenario> {
        let mut file: Table = file.map(toml::from_str).transpose().map_err(bad)?.unwrap_or_default();
        let own = match file.remove("profile") {
            Some(name) => Some(name.try_into::<Profile>().map_err(bad)?),
            None => None,
        };
        let mut table = Table::try_from(profile.or(own).unwrap_or_default().scenario()).map_err(bad)?;
        for (key, value) in file {
            table.insert(today(&key).to_owned(), value);
        }
        for setting in settings {
            set(&mut table, setting.as_ref())?;
        }
        let scenario: Self = table.try_into().map_err(bad)?;
        scenario.check()
    }

    /// Refuses what no run can be made of.
    fn check(self) -> Result<Self, BadScenario> {
        let empty = [("clients", self.clients), ("relays", self.relays)];
        if let Some((name, _)) = empty.iter().find(|(_, span)| span.least == 0) {
            return Err(BadScenario(format!("{name}: there must be at least one")));
        }
        if self.scripts.is_empty() {
            return Err(BadScenario("scripts: name at least one kind of conversation".to_owned()));
        }
        let levels =
            [("level", self.level), ("node-level", self.node_level), ("other-level", self.other_level)];
        for (name, level) in levels {
            if let Some(level) = level.filter(|level| Level::from_number(*level).is_none()) {
                return Err(BadScenario(format!("{name}: there is no level {level}; there are 0, 1 and 2")));
            }
        }
        if self.concurrency == 0 {
            return Err(BadScenario("concurrency: a relay must take at least one call".to_owned()));
        }
        Ok(self)
    }
}

fn bad(error: impl fmt::Display) -> BadScenario {
    BadScenario(error.to_string().trim_end().to_owned())
}

/// The present name of a key: two of them had other names once.
fn today(key: &str) -> &str {
    match key {
        "visitors" => "foreign-clients",
        "storm" => "fault-phase",
        other => other,
    }
}

/// Applies `key=value` to a table.
fn set(table: &mut Table, setting: &str) -> Result<(), BadScenario> {
    let (key, text) = setting
        .split_once('=')
        .ok_or_else(|| BadScenario(format!("`{setting}` sets nothing: write it as flows=[1,8]")))?;
    let (key, text) = (today(key.trim()), text.trim());
    if text == "none" {
        table.remove(key);
        return Ok(());
    }
    // What is no TOML value is a text without its quotes.
    let value = format!("value = {text}").parse::<Table>().ok().and_then(|mut read| read.remove("value"));
    let value = value.unwrap_or_else(|| Value::String(text.to_owned()));
    // The two tables of a scenario.
    if let Some((name @ ("net" | "waits"), key)) = key.split_once('.') {
        let part = table.entry(name).or_insert_with(|| Value::Table(Table::new()));
        let part = part.as_table_mut().ok_or_else(|| BadScenario(format!("{name}: not a table")))?;
        // A probability is a text, also where it reads as a number.
        part.insert(key.to_owned(), if name == "net" { Value::String(text.to_owned()) } else { value });
        return Ok(());
    }
    table.insert(key.to_owned(), value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::fault::Fault;
    use crate::probability::Probability;
    use crate::scenario::Wait;

    #[test]
    fn every_profile_is_the_same_after_it_was_written_and_read() {
        for profile in Profile::ALL {
            let scenario = profile.scenario();
            let text = toml::to_string(&scenario).expect("a scenario is TOML");
            assert_eq!(Scenario::assemble::<&str>(None, Some(&text), &[]), Ok(scenario));
        }
    }

    #[test]
    fn a_file_changes_its_profile_and_a_setting_changes_the_file() {
        let file = "profile = 'hosted'\nbytes = 7\nopenings = '1s 500ms'\n";
        let scenario = Scenario::assemble(None, Some(file), &["bytes=9", "link=none"]).unwrap();
        let expected = Scenario {
            bytes: 9,
            openings: Duration::from_millis(1500),
            link: None,
            ..Profile::Hosted.scenario()
        };
        assert_eq!(scenario, expected);
    }

    #[test]
    fn the_odds_of_a_fault_are_set_by_its_name() {
        let settings = ["net.lose-reply=3/100", "net.late=0"];
        let scenario = Scenario::assemble(Some(Profile::Calm), None, &settings).unwrap();
        let net = [(Fault::LoseReply, Probability::of(3, 100)), (Fault::Late, Probability::NEVER)];
        assert_eq!(scenario.net, net.into());
    }

    #[test]
    fn a_wait_is_set_by_its_name() {
        let settings = ["waits.refusal=2", "waits.hold=50"];
        let scenario = Scenario::assemble(Some(Profile::Calm), Some("[waits]\nhold = 4"), &settings).unwrap();
        assert_eq!(scenario.waits, [(Wait::Refusal, 2), (Wait::Hold, 50)].into());
        let text = toml::to_string(&scenario).unwrap();
        assert_eq!(Scenario::assemble::<&str>(None, Some(&text), &[]), Ok(scenario));
    }

    #[test]
    fn each_side_has_its_own_highest_level() {
        let settings = ["level=2", "node-level=1", "other-level=0", "client-idle=40"];
        let scenario = Scenario::assemble(Some(Profile::Calm), None, &settings).unwrap();
        let levels = (scenario.level, scenario.node_level, scenario.other_level, scenario.client_idle);
        assert_eq!(levels, (Some(2), Some(1), Some(0), Some(40)));
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        for (setting, named) in [
            ("flws=[1,2]", "flws"),
            ("net.lose-rely=1/2", "lose-rely"),
            ("net.late=3/2", "3/2"),
            ("fault-phase=soon", "soon"),
            ("relays=[0,2]", "relays"),
            ("scripts=[]", "scripts"),
            ("level=3", "level 3"),
            ("other-level=9", "other-level"),
            ("waits.holds=3", "holds"),
        ] {
            let error = Scenario::assemble(None, None, &[setting]).unwrap_err().to_string();
            assert!(error.contains(named), "{setting}: {error}");
        }
    }
}
