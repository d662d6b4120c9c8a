//! What to do about what was found.

use std::time::Duration;

use seqlane::{ClientStreamOptions, Form, Level};

use super::probe::{Findings, Seal};

/// What the user has said beside the relays.
#[derive(Clone, Copy, Debug)]
pub(super) struct Said {
    pub(super) form: Form,
    pub(super) binary: bool,
    pub(super) secret: bool,
    pub(super) daily_calls: Option<u64>,
}

/// Seconds of a day.
const DAY: f64 = 86_400.0;

/// Advice, the most useful first.
pub(super) fn advice(findings: &Findings, said: Said) -> Vec<String> {
    let at_streams = findings.level == Some(Level::Streams);
    let mut advice = Vec::new();
    match findings.seal {
        _ if at_streams => {}
        Some(Seal::Unsupported) => advice.push(
            "flows die of a lost call: for level 2 the node must offer it (`seqlane node`, --max-level 2)".to_owned(),
        ),
        Some(Seal::Other) => advice.push(
            "flows die of a lost call: for level 2 give the node's --secret to the client, or set one at both"
                .to_owned(),
        ),
        None => {}
    }
    if at_streams && !said.secret && said.form == Form::Relay {
        advice.push("the relay can open the seal: set --secret at node and client".to_owned());
    }
    if at_streams && findings.binary == Some(true) && !said.binary && said.form == Form::Relay {
        advice.push("packets pass as they are: --binary saves a quarter of the bytes".to_owned());
    }
    if findings.doubled.is_some_and(|copies| copies > 0) {
        advice.push("calls are doubled: level 2 takes no harm, flows of level 0 and 1 end by it".to_owned());
    }
    advice.extend(of_holds(findings));
    advice.extend(of_budget(findings, said));
    advice
}

fn of_holds(findings: &Findings) -> Option<String> {
    let wanted = ClientStreamOptions::default().idle_hold;
    let limit = findings.holds.limit?;
    (limit <= wanted).then(|| {
        let longest = findings.holds.longest.unwrap_or(Duration::ZERO);
        format!(
            "calls that are held for {} do not come back: waiting flows cost a call every {} at least, and clients \
             that wait for {} lose them",
            text(limit),
            text(longest),
            text(wanted)
        )
    })
}

fn of_budget(findings: &Findings, said: Said) -> Option<String> {
    let (budget, round_trip) = (said.daily_calls?, findings.round_trip?);
    let wanted = ClientStreamOptions::default().idle_hold;
    let hold = match findings.holds.limit {
        Some(_) => findings.holds.longest.unwrap_or(Duration::ZERO),
        None => wanted,
    };
    let calls = DAY / (hold + round_trip).as_secs_f64();
    Some(format!(
        "waiting all day costs {calls:.0} of {budget} calls at holds of {}; the rest is for transfers",
        text(hold)
    ))
}

/// A duration in seconds or milliseconds, as people say it.
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

    const SAID: Said = Said { form: Form::Relay, binary: false, secret: true, daily_calls: None };

    fn streams() -> Findings {
        Findings { level: Some(Level::Streams), ..Findings::default() }
    }

    #[track_caller]
    fn has(advice: &[String], words: &str) {
        assert!(advice.iter().any(|line| line.contains(words)), "{words}: {advice:?}");
    }

    #[test]
    fn a_relay_in_best_order_needs_no_advice() {
        assert_eq!(advice(&streams(), SAID), Vec::<String>::new());
    }

    #[test]
    fn what_keeps_level_2_away_is_told_apart() {
        let at = |seal| Findings { level: Some(Level::Sequenced), seal: Some(seal), ..Findings::default() };
        has(&advice(&at(Seal::Unsupported), SAID), "--max-level 2");
        has(&advice(&at(Seal::Other), SAID), "the node's --secret");
    }

    #[test]
    fn a_seal_that_the_relay_can_open_is_told_of_and_at_a_node_there_is_nobody() {
        has(&advice(&streams(), Said { secret: false, ..SAID }), "set --secret");
        let at_node = Said { secret: false, form: Form::Node, ..SAID };
        assert_eq!(advice(&streams(), at_node), Vec::<String>::new());
    }

    #[test]
    fn a_way_that_keeps_all_bits_is_worth_a_flag() {
        let clean = Findings { binary: Some(true), ..streams() };
        has(&advice(&clean, SAID), "--binary");
        assert_eq!(advice(&clean, Said { binary: true, ..SAID }), Vec::<String>::new());
    }

    #[test]
    fn a_short_ceiling_and_a_budget_are_weighed() {
        let holds = Holds { longest: Some(Duration::from_secs(4)), limit: Some(Duration::from_millis(7500)) };
        let short = Findings { holds, round_trip: Some(Duration::from_secs(1)), ..streams() };
        has(&advice(&short, SAID), "held for 7.5 s do not come back");
        has(&advice(&short, Said { daily_calls: Some(20_000), ..SAID }), "costs 17280 of 20000 calls");
    }

    #[test]
    fn doubled_calls_are_told_of() {
        has(&advice(&Findings { doubled: Some(1), ..streams() }, SAID), "calls are doubled");
    }
}
