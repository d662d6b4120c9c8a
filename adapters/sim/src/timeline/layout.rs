//! Layout of a timeline: lanes side by side, time downwards.
//!
//! Every line has a row of its own, so that no label covers another. Time that passes adds room, but by its
//! logarithm: a millisecond and a minute are both seen.

use std::collections::BTreeMap;

use crate::timeline::{Lane, Timeline, fold_before};
use crate::trace::TraceLine;

/// Where the axis of time is.
pub(super) const AXIS: f64 = 104.0;
const MARGIN: f64 = 190.0;
const ROW: f64 = 20.0;
/// From the top of the rows to the first.
const TOP: f64 = 22.0;
/// The room of a fold.
pub(super) const FOLD: f64 = 34.0;
/// The distance of bars that are side by side.
const SLOT: f64 = 7.0;
/// Bars side by side, at most.
const SLOTS: usize = 10;

/// Places of a picture, in pixels.
#[derive(Debug)]
pub(super) struct Layout {
    xs: BTreeMap<Lane, f64>,
    ys: Vec<f64>,
    pub(super) width: f64,
    pub(super) height: f64,
}

impl Layout {
    pub(super) fn new(timeline: &Timeline<'_>) -> Self {
        let lanes = timeline.lanes.all();
        let mut x = AXIS + 90.0;
        let mut xs: BTreeMap<Lane, f64> = lanes.first().map(|lane| (*lane, x)).into_iter().collect();
        for pair in lanes.windows(2) {
            x += gap(pair[0], pair[1]);
            xs.insert(pair[1], x);
        }
        let mut ys = Vec::new();
        let mut y = TOP;
        let mut last: Option<&TraceLine> = None;
        for (place, line) in timeline.lines.iter().enumerate() {
            y += last.replace(line).map_or(0.0, |last| ROW + room(last, line));
            if fold_before(timeline, place).is_some() {
                y += FOLD;
            }
            ys.push(y);
        }
        Self { xs, ys, width: x + MARGIN, height: y + 34.0 }
    }

    pub(super) fn x(&self, lane: Lane) -> f64 {
        self.xs.get(&lane).copied().unwrap_or(AXIS)
    }

    pub(super) fn y(&self, line: usize) -> f64 {
        self.ys.get(line).copied().unwrap_or(self.height)
    }
}

const fn gap(left: Lane, right: Lane) -> f64 {
    match (left, right) {
        (Lane::Apps(_), _) => 225.0,
        (Lane::Client(_), Lane::Relay(_) | Lane::Node(_)) => 230.0,
        (Lane::Relay(_), Lane::Relay(_)) => 110.0,
        (Lane::Relay(_), _) => 220.0,
        (Lane::Node(_), Lane::Node(_)) => 130.0,
        _ => 200.0,
    }
}

/// The room for the time between two lines.
fn room(before: &TraceLine, after: &TraceLine) -> f64 {
    let millis = after.t.since(before.t).as_secs_f64() * 1000.0;
    if millis > 0.0 { (6.0 + 9.0 * (1.0 + millis).log10()).min(48.0) } else { 0.0 }
}

/// Bars that stand side by side where they overlap, each from one line to another.
pub(super) fn slots(bars: &[(usize, usize)]) -> Vec<usize> {
    let mut busy_until = Vec::new();
    let mut slots = Vec::new();
    for (from, to) in bars {
        let free = busy_until.iter().position(|until| until < from);
        let slot = free.unwrap_or(busy_until.len());
        if slot == busy_until.len() {
            busy_until.push(0);
        }
        busy_until[slot] = *to;
        slots.push(slot.min(SLOTS));
    }
    slots
}

/// How far a bar in this slot is from its lane.
pub(super) fn offset(slot: usize) -> f64 {
    7.0 + SLOT * slot as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_that_overlap_stand_side_by_side() {
        assert_eq!(slots(&[(0, 5), (1, 3), (4, 9), (6, 7)]), [0, 1, 1, 0]);
    }
}
