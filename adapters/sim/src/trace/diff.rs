//! The first difference of two traces.

use crate::trace::{Trace, TraceLine};

/// The first difference of two traces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Divergence {
    /// The place in both lists of lines.
    pub index: usize,
    /// How they differ there.
    pub how: How,
    /// The events among which the first lies after which the hashes differ, from and to.
    pub hashes: Option<(u64, u64)>,
}

/// How two lines differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// They say different things.
    Said,
    /// They say the same, but bytes or decisions before them were different.
    Hash,
    /// One trace ends here.
    Ended,
}

/// Finds where two traces part; none where they never do.
pub fn diverge(left: &Trace, right: &Trace) -> Option<Divergence> {
    let pairs = left.lines.iter().zip(&right.lines);
    let index = pairs.clone().position(|(left, right)| left != right);
    let (index, how) = match index {
        Some(index) => {
            let (left, right) = (&left.lines[index], &right.lines[index]);
            let silent = TraceLine { h: right.h, ..left.clone() } == *right;
            (index, if silent { How::Hash } else { How::Said })
        }
        None if left.lines.len() != right.lines.len() => (pairs.len(), How::Ended),
        None if left.trailer.hash != right.trailer.hash => (pairs.len(), How::Hash),
        None => return None,
    };
    Some(Divergence { index, how, hashes: left.trailer.checkpoints.differ(&right.trailer.checkpoints) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::{DecisionSource, Run};
    use crate::scenario::Profile;

    fn trace(decisions: &DecisionSource) -> Trace {
        let scenario = Profile::Swarm.scenario();
        let run = Run::new(&scenario);
        Trace::new(&run, decisions, &run.record(decisions))
    }

    #[test]
    fn a_trace_does_not_part_from_itself() {
        let trace = trace(&DecisionSource::Seed(5));
        assert_eq!(diverge(&trace, &trace), None);
    }

    #[test]
    fn a_pick_that_is_missing_shows_where_it_mattered() {
        let scenario = Profile::Swarm.scenario();
        let decisions = Run::new(&scenario).record(&DecisionSource::Seed(5)).decisions;
        let whole = trace(&DecisionSource::List(decisions.clone()));
        let part = trace(&DecisionSource::List(decisions[..decisions.len() / 2].to_vec()));
        let divergence = diverge(&whole, &part).expect("they part");
        let index = divergence.index;
        assert_eq!(whole.lines[..index], part.lines[..index]);
        assert_ne!(whole.lines.get(index), part.lines.get(index));
    }
}
