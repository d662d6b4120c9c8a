//! Folds: repeated lines, and stretches of calls and timers in which nothing moves, are drawn once with a count.

use std::fmt;
use std::time::Duration;

use crate::trace::{Actor, TraceLine};

/// Lines of a stretch that are kept at its beginning, and at its end.
const KEPT: (usize, usize) = (16, 8);
/// The fewest lines of a stretch that are folded.
const LEAST: usize = 16;
/// The longest group of lines that is looked for again after itself.
const LONGEST: usize = 24;
/// The fewest repeated lines that are folded.
const LEAST_REPEATED: usize = 6;

/// Lines that are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fold {
    /// The line of the picture that comes after them.
    pub before: usize,
    /// How many there are.
    pub entries: usize,
    /// Calls that were sent in them.
    pub calls: usize,
    /// From the line before them to the last of them.
    pub time: Duration,
    /// The reason to omit them.
    pub why: Why,
}

/// Reasons to omit lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// They are calls and timers, and nothing moves.
    Still,
    /// They repeat the lines before them, except for numbers.
    Again {
        /// How many lines come again.
        lines: usize,
        /// How often.
        times: usize,
    },
}

impl fmt::Display for Fold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { entries, calls, time, .. } = self;
        match self.why {
            Why::Still => {
                write!(f, "{entries} entries with {calls} calls in {time:.1?} are folded: nothing moved")
            }
            Why::Again { lines: 1, times } => write!(f, "the same {times} times more, in {time:.1?}"),
            Why::Again { lines, times } => {
                write!(f, "the last {lines} entries {times} times more, in {time:.1?}")
            }
        }
    }
}

/// Removes the lines that folds replace.
pub(super) fn fold(lines: &mut Vec<&TraceLine>) -> Vec<Fold> {
    let words: Vec<String> = lines.iter().map(|line| words(line)).collect();
    let mut folds = Vec::new();
    let mut kept: Vec<&TraceLine> = Vec::with_capacity(lines.len());
    let mut place = 0;
    while place < lines.len() {
        let found = again(&words[place..]).or_else(|| still(&lines[place..], &words[place..]));
        let Some((told, gone, why)) = found else {
            kept.push(lines[place]);
            place += 1;
            continue;
        };
        let (from, to) = (place + told, place + told + gone);
        kept.extend(&lines[place..from]);
        folds.push(Fold {
            before: kept.len(),
            entries: gone,
            calls: lines[from..to].iter().filter(|line| line.ev == "req.send").count(),
            time: lines[to - 1].t.since(lines[from - 1].t),
            why,
        });
        place = to;
    }
    *lines = kept;
    folds
}

/// The text of a line without numbers and relay names.
fn words(line: &TraceLine) -> String {
    let actor = match line.at {
        Actor::Relay(_) => "relay".to_owned(),
        other => other.to_string(),
    };
    let mut words = format!("{actor} {} ", line.ev);
    let mut number = false;
    for letter in line.text.chars() {
        let digit = letter.is_ascii_digit();
        if !(digit && number) {
            words.push(if digit { '#' } else { letter });
        }
        number = digit;
    }
    words
}

/// The group of lines at the beginning that comes again and again: its lines, and those that go.
fn again(words: &[String]) -> Option<(usize, usize, Why)> {
    let times = |lines: usize| {
        let (first, rest) = words.split_at(lines);
        rest.chunks_exact(lines).take_while(|group| *group == first).count()
    };
    (1..=LONGEST.min(words.len() / 2))
        .map(|lines| (lines, times(lines)))
        .filter(|(lines, times)| *times > 1 && lines * times >= LEAST_REPEATED)
        // Of equals the shortest group.
        .max_by_key(|(lines, times)| (lines * times, LONGEST - lines))
        .map(|(lines, times)| (lines, lines * times, Why::Again { lines, times }))
}

/// The stretch at the beginning in which nothing moves, up to what comes again and again: its lines that are kept at
/// the beginning, and those that go.
fn still(lines: &[&TraceLine], words: &[String]) -> Option<(usize, usize, Why)> {
    let stands = |place: &usize| stands_still(lines[*place]) && again(&words[*place..]).is_none();
    let still = (0..lines.len()).take_while(stands).count();
    let gone = still.saturating_sub(KEPT.0 + KEPT.1);
    (gone >= LEAST).then_some((KEPT.0, gone, Why::Still))
}

/// Whether a line is only about calls and timers.
fn stands_still(line: &TraceLine) -> bool {
    line.ev == "timeout" || line.id.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Time;

    fn line(i: u64, ev: &str, text: &str) -> TraceLine {
        TraceLine {
            i,
            e: i,
            t: Time::from_nanos(i * 1_000_000_000),
            at: Actor::Client(0),
            ev: ev.to_owned(),
            id: None,
            copy: 0,
            flow: None,
            relay: None,
            summary: None,
            fault: None,
            bad: false,
            text: text.to_owned(),
            cause: None,
            h: 0,
        }
    }

    fn told(lines: &[TraceLine]) -> (Vec<u64>, Vec<Fold>) {
        let mut shown: Vec<&TraceLine> = lines.iter().collect();
        let folds = fold(&mut shown);
        (shown.iter().map(|line| line.i).collect(), folds)
    }

    /// No two of them say the same.
    fn timers(range: std::ops::Range<u64>) -> Vec<TraceLine> {
        range.map(|i| line(i, "timeout", &"x".repeat(i as usize))).collect()
    }

    #[test]
    fn a_long_stretch_keeps_its_ends() {
        let deliver = |i| line(i, "flow.deliver", "flow 0 gets 1 B");
        let lines = [vec![deliver(0)], timers(1..101), vec![deliver(101)]].concat();
        let (kept, folds) = told(&lines);
        let time = Duration::from_secs(76);
        assert_eq!(folds, [Fold { before: 17, entries: 76, calls: 0, time, why: Why::Still }]);
        assert_eq!(kept, (0..=16).chain(93..=101).collect::<Vec<u64>>());
    }

    #[test]
    fn a_short_stretch_stays() {
        assert_eq!(told(&timers(0..39)), ((0..39).collect(), Vec::new()));
    }

    #[test]
    fn what_comes_again_and_again_is_told_once() {
        let poll = |i: u64| match i % 3 {
            0 => line(i, "req.send", &format!("x0.{i} sent")),
            1 => line(i, "reply.arrive", &format!("x0.{i} comes back")),
            _ => line(i, "flow.deliver", "flow 0 gets 1 B"),
        };
        let lines: Vec<TraceLine> = (0..32).map(poll).collect();
        let (kept, folds) = told(&lines);
        let (time, why) = (Duration::from_secs(27), Why::Again { lines: 3, times: 9 });
        assert_eq!(folds, [Fold { before: 3, entries: 27, calls: 9, time, why }]);
        assert_eq!(kept, [0, 1, 2, 30, 31]);
    }

    #[test]
    fn a_little_that_comes_again_stays() {
        let lines: Vec<TraceLine> = (0..6).map(|i| line(i, "timeout", "Hold is due")).collect();
        assert_eq!(told(&lines).0, [0, 1, 2, 3, 4, 5]);
    }
}
