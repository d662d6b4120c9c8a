//! Stretches in which calls come and go and nothing moves, left out: a story of a flow that stands still for half
//! an hour is not a thousand polls long.

use std::fmt;
use std::time::Duration;

use crate::trace::Line;

/// Lines of a stretch that are kept at its beginning, and at its end.
const KEPT: (usize, usize) = (16, 8);
/// A stretch is folded when at least so many lines go.
const LEAST: usize = 16;

/// Lines that are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fold {
    /// The line of the picture that comes after them.
    pub before: usize,
    /// How many there are.
    pub entries: usize,
    /// Calls that were sent in them.
    pub calls: usize,
    /// From the line before them to the one after them.
    pub time: Duration,
}

impl fmt::Display for Fold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { entries, calls, time, .. } = self;
        write!(f, "{entries} entries with {calls} calls in {time:.1?} are folded: nothing moved")
    }
}

/// Takes out what can be left out.
pub(super) fn fold(lines: &mut Vec<&Line>) -> Vec<Fold> {
    let mut folds = Vec::new();
    let mut kept: Vec<&Line> = Vec::with_capacity(lines.len());
    let mut rest = &lines[..];
    while !rest.is_empty() {
        let still = rest.iter().take_while(|line| stands_still(line)).count();
        let gone = still.saturating_sub(KEPT.0 + KEPT.1);
        if gone >= LEAST {
            let (from, to) = (KEPT.0, KEPT.0 + gone);
            kept.extend(&rest[..from]);
            folds.push(Fold {
                before: kept.len(),
                entries: gone,
                calls: rest[from..to].iter().filter(|line| line.ev == "req.send").count(),
                time: rest[to].t.since(rest[from - 1].t),
            });
            kept.extend(&rest[to..still]);
        } else {
            kept.extend(&rest[..still]);
        }
        let moving = rest[still..].iter().take_while(|line| !stands_still(line)).count();
        kept.extend(&rest[still..still + moving]);
        rest = &rest[still + moving..];
    }
    *lines = kept;
    folds
}

/// Whether a line is only about calls and timers.
fn stands_still(line: &Line) -> bool {
    line.ev == "timeout" || line.id.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Time;
    use crate::trace::Actor;

    fn line(i: u64, ev: &str) -> Line {
        Line {
            i,
            e: i,
            t: Time::from_nanos(i * 1_000_000_000),
            at: Actor::Client(0),
            ev: ev.to_owned(),
            id: None,
            copy: 0,
            flow: None,
            relay: None,
            gist: None,
            fault: None,
            bad: false,
            text: String::new(),
            cause: None,
            h: 0,
        }
    }

    #[test]
    fn a_long_stretch_keeps_its_ends() {
        let lines: Vec<Line> =
            (0..102).map(|i| line(i, if i == 0 || i == 101 { "flow.deliver" } else { "timeout" })).collect();
        let mut shown: Vec<&Line> = lines.iter().collect();
        let folds = fold(&mut shown);
        assert_eq!(folds, [Fold { before: 17, entries: 76, calls: 0, time: Duration::from_secs(77) }]);
        let kept: Vec<u64> = shown.iter().map(|line| line.i).collect();
        let expected: Vec<u64> = (0..=16).chain(93..=101).collect();
        assert_eq!(kept, expected);
    }

    #[test]
    fn a_short_stretch_stays() {
        let lines: Vec<Line> = (0..39).map(|i| line(i, "timeout")).collect();
        let mut shown: Vec<&Line> = lines.iter().collect();
        assert_eq!((fold(&mut shown), shown.len()), (Vec::new(), 39));
    }
}
