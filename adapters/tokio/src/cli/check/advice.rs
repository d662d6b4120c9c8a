//! Advice from findings.

use std::time::Duration;

use seqlane::{ClientStreamOptions, Form, Level};

use super::probe::{Findings, NoStreams};

/// The settings of the user.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub(super) form: Form,
    pub(super) binary: bool,
    pub(super) secret: bool,
    pub(super) daily_calls: Option<u64>,
}

/// Seconds of a day.
const DAY: f64 = 86_400.0;

/// Advice, the most useful first.
pub(super) fn advice(findings: &Findings, settings: Settings) -> Vec<String> {
    let at_streams = findings.level == Some(Level::Streams);
    let mut advice = Vec::new();
    match findings.no_streams {
        _ if at_streams => {}
        Some(NoStreams::Unsupported) => advice.push(
            "a lost call resets flows; enable level 2 on the node (`seqlane node --max-level 2`)".to_owned(),
        ),
        Some(NoStreams::OtherSecret) => advice.push(
            "a lost call resets flows; for level 2, set the node's --secret at the client, or the same one at both"
                .to_owned(),
        ),
        None => {}
    }
    if at_streams && !settings.secret && settings.form == Form::Relay {
        advice.push(
            "not sealed: the relay can read and change everything; set the same --secret at node and client \
             (`seqlane keygen` makes one)"
                .to_owned(),
        );
    }
    if at_streams && findings.binary == Some(true) && !settings.binary && settings.form == Form::Relay {
        advice.push("the relay is 8-bit clean; --binary saves a quarter of the bytes".to_owned());
    }
    if findings.duplicates.is_some_and(|copies| copies > 0) {
        advice.push(
            "the relay duplicates calls; level 2 is unaffected, flows at levels 0 and 1 will be reset"
                .to_owned(),
        );
    }
    advice.extend(of_holds(findings));
    advice.extend(of_budget(findings, settings));
    advice
}

fn of_holds(findings: &Findings) -> Option<String> {
    let wanted = ClientStreamOptions::default().idle_hold;
    let limit = findings.holds.limit?;
    (limit <= wanted).then(|| {
        let longest = findings.holds.longest.unwrap_or(Duration::ZERO);
        format!(
            "the relay drops calls that are held for {}; idle flows cost a call every {} at least, and calls that \
             clients hold for {} are lost",
            text(limit),
            text(longest),
            text(wanted)
        )
    })
}

fn of_budget(findings: &Findings, settings: Settings) -> Option<String> {
    let (budget, round_trip) = (settings.daily_calls?, findings.round_trip?);
    let wanted = ClientStreamOptions::default().idle_hold;
    let hold = match findings.holds.limit {
        Some(_) => findings.holds.longest.unwrap_or(Duration::ZERO),
        None => wanted,
    };
    let calls = DAY / (hold + round_trip).as_secs_f64();
    Some(format!(
        "an idle day costs {calls:.0} of {budget} calls at holds of {}; the rest is for transfers",
        text(hold)
    ))
}

/// A duration in seconds or milliseconds.
pub(super) fn text(duration: Duration) -> String {
    if duration < Duration::from_secs(1) {
        format!("{} ms", duration.as_millis())
    } else {
        format!("{} s", (duration.as_secs_f64() * 10.0).round() / 10.0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::hold::Holds;
    use super::*;

    const SETTINGS: Settings = Settings { form: Form::Relay, binary: false, secret: true, daily_calls: None };

    fn streams() -> Findings {
        Findings { level: Some(Level::Streams), ..Findings::default() }
    }

    #[track_caller]
    fn has(advice: &[String], words: &str) {
        assert!(advice.iter().any(|line| line.contains(words)), "{words}: {advice:?}");
    }

    #[test]
    fn a_relay_without_faults_needs_no_advice() {
        assert_eq!(advice(&streams(), SETTINGS), Vec::<String>::new());
    }

    #[test]
    fn the_two_reasons_against_level_2_are_told_apart() {
        let at =
            |why| Findings { level: Some(Level::Sequenced), no_streams: Some(why), ..Findings::default() };
        has(&advice(&at(NoStreams::Unsupported), SETTINGS), "--max-level 2");
        has(&advice(&at(NoStreams::OtherSecret), SETTINGS), "the node's --secret");
    }

    #[test]
    fn flows_without_a_secret_are_reported_as_not_sealed_and_not_for_a_node() {
        has(&advice(&streams(), Settings { secret: false, ..SETTINGS }), "not sealed: the relay can read");
        let at_node = Settings { secret: false, form: Form::Node, ..SETTINGS };
        assert_eq!(advice(&streams(), at_node), Vec::<String>::new());
    }

    #[test]
    fn an_8_bit_clean_relay_is_worth_a_flag() {
        let clean = Findings { binary: Some(true), ..streams() };
        has(&advice(&clean, SETTINGS), "--binary");
        assert_eq!(advice(&clean, Settings { binary: true, ..SETTINGS }), Vec::<String>::new());
    }

    #[test]
    fn a_short_hold_limit_and_a_budget_are_reported() {
        let holds = Holds { longest: Some(Duration::from_secs(4)), limit: Some(Duration::from_millis(7500)) };
        let short = Findings { holds, round_trip: Some(Duration::from_secs(1)), ..streams() };
        has(&advice(&short, SETTINGS), "drops calls that are held for 7.5 s");
        has(
            &advice(&short, Settings { daily_calls: Some(20_000), ..SETTINGS }),
            "costs 17280 of 20000 calls",
        );
    }

    #[test]
    fn duplicated_calls_are_reported() {
        has(&advice(&Findings { duplicates: Some(1), ..streams() }, SETTINGS), "duplicates calls");
    }
}
