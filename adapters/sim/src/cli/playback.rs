//! `replay` of a recording that `seqlane --record` wrote.

use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Instant;

use seqlane_sim::playback::{Difference, End, Playback, ReplayedEntry, play_to};
use serde_json::{Value, json};

use crate::cli::console::{Console, count};
use crate::cli::verdict::{CliError, Verdict};

/// Drives the recorded machine again; tells the entries whose numbers are in `told`.
pub(crate) fn run(
    path: &Path,
    file: Vec<u8>,
    told: Option<RangeInclusive<u64>>,
    console: &Console,
) -> Result<Verdict, CliError> {
    let start = Instant::now();
    let mut said = Ok(());
    let playback = play_to(file.into(), |step: ReplayedEntry<'_>| {
        if told.as_ref().is_some_and(|told| told.contains(&step.entry)) && said.is_ok() {
            let ReplayedEntry { entry, time, kind, text } = step;
            said = console.say(&format!("{entry:>6} {:>14.6}  {kind:<8} {text}\n", time.as_secs_f64()));
        }
    });
    said?;
    let playback = playback.map_err(|error| CliError::file(path, error))?;
    let Playback { machine, program, events, actions, time, end } = &playback;
    console.say(&format!(
        "a {machine}, recorded by version {program}: {}, {} in {:.6} s, replayed in {:.1?}\n",
        count(*events, "event"),
        count(*actions, "action"),
        time.as_secs_f64(),
        start.elapsed(),
    ))?;
    console.document(&document(&playback))?;
    match end {
        End::Same(ending) => {
            console.say(&format!("it did the same; the recording ends because {ending}\n"))?;
            Ok(Verdict::Pass)
        }
        End::Differs(difference) => {
            console.say(&words(difference))?;
            Ok(Verdict::Differs)
        }
        End::Broken(error) => {
            console.say("it did the same as far as the recording can be read\n")?;
            Err(CliError::file(path, error))
        }
    }
}

fn words(difference: &Difference) -> String {
    let Difference { event, time, after, expected, got } = difference;
    format!(
        "NOT THE RECORDED RUN: after event {event} at {:.6} s, {after}\n  expected {expected}\n  got      {got}\n",
        time.as_secs_f64()
    )
}

fn document(playback: &Playback) -> Value {
    let Playback { machine, program, events, actions, time, end } = playback;
    let (ending, differs, broken) = match end {
        End::Same(ending) => (Some(ending.to_string()), None, None),
        End::Differs(difference) => (None, Some(difference), None),
        End::Broken(error) => (None, None, Some(error.to_string())),
    };
    json!({
        "machine": machine,
        "program": program,
        "events": events,
        "actions": actions,
        "seconds": time.as_secs_f64(),
        "ending": ending,
        "broken": broken,
        "differs": differs.map(|difference| json!({
            "event": difference.event,
            "seconds": difference.time.as_secs_f64(),
            "after": difference.after,
            "expected": difference.expected,
            "got": difference.got,
        })),
    })
}
