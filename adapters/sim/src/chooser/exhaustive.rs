//! A chooser that tries every combination of decisions, one run after the other.

use crate::chooser::Chooser;
use crate::decision_point::DecisionPoint;

/// An odometer over the decisions of a run: the last decision turns first, and one that is exhausted carries
/// over to the one before. Decisions beyond `depth`, and those of points that are not listed, are benign.
///
/// ```
/// use seqlane_sim::{Chooser, Exhaustive, DecisionPoint};
///
/// let mut runs = Vec::new();
/// let mut chooser = Exhaustive::new(&[DecisionPoint::LoseReply, DecisionPoint::Duplicate], 2);
/// loop {
///     runs.push((chooser.decide(DecisionPoint::LoseReply, 0, 2), chooser.decide(DecisionPoint::Duplicate, 0, 3)));
///     if !chooser.next_run() {
///         break;
///     }
/// }
/// assert_eq!(runs, [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]);
/// ```
#[derive(Clone, Debug)]
pub struct Exhaustive {
    points: Vec<DecisionPoint>,
    depth: usize,
    /// The decisions and their numbers of ways, in order.
    wheels: Vec<(u32, u32)>,
    asked: usize,
}

impl Exhaustive {
    /// Tries all answers to the first `depth` questions of these points.
    pub fn new(points: &[DecisionPoint], depth: usize) -> Self {
        Self { points: points.to_vec(), depth, wheels: Vec::new(), asked: 0 }
    }

    /// Goes on to the next combination; false when there is none.
    pub fn next_run(&mut self) -> bool {
        self.wheels.truncate(self.asked);
        self.asked = 0;
        while let Some((value, n)) = self.wheels.pop() {
            if value + 1 < n {
                self.wheels.push((value + 1, n));
                return true;
            }
        }
        false
    }
}

impl Chooser for Exhaustive {
    fn decide(&mut self, point: DecisionPoint, _key: u64, n: u32) -> u32 {
        if !self.points.contains(&point) || self.asked >= self.depth {
            return 0;
        }
        if self.asked == self.wheels.len() {
            self.wheels.push((0, n.max(1)));
        }
        let (value, _) = self.wheels[self.asked];
        self.asked += 1;
        value.min(n.saturating_sub(1))
    }
}
