//! The choice of a relay for one call (protocol.md 2.5, 3.2 rule 10).

use crate::config::Balance;
use crate::id::RelayId;

/// What a call is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::client) enum Purpose {
    /// Something that somebody waits for.
    Active(Path),
    /// Polls.
    Poll(Path),
}

impl Purpose {
    /// What the relay must be good for.
    pub(super) const fn path(self) -> Path {
        let (Self::Active(path) | Self::Poll(path)) = self;
        path
    }
}

/// What a relay must be good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::client) enum Path {
    /// Anything: no op has a `seq`.
    Any,
    /// Ops with `seq`.
    Sequenced,
}

impl Path {
    /// Whether ops that need this may go through a relay that is good for `carries`.
    pub(in crate::client) fn rides_on(self, carries: Self) -> bool {
        self == Self::Any || carries == Self::Sequenced
    }
}

/// A relay that has room and calls left for the purpose, and lets it pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) id: RelayId,
    pub(super) standby: Standby,
    /// When a call sent now should be answered, in microseconds, for comparison.
    pub(super) expected_answer: u64,
    pub(super) in_flight: usize,
    /// How many turns it is away from the relay whose turn it is.
    pub(super) turns: usize,
}

/// How gladly a relay is used: the first that has a candidate counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Standby {
    /// It works, and holds polls if the call is one.
    Preferred,
    /// It works, but a poll is a wasted call.
    Unheld,
    /// It fails; used when nothing else is left.
    LastResort,
}

/// The relay for a call.
pub(super) fn select(candidates: impl Iterator<Item = Candidate>, balance: Balance) -> Option<RelayId> {
    let cost = |candidate: &Candidate| match balance {
        Balance::Fastest => (candidate.standby, candidate.expected_answer, candidate.in_flight),
        Balance::RoundRobin => (candidate.standby, 0, candidate.turns),
    };
    candidates.min_by_key(cost).map(|candidate| candidate.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    use Standby::{LastResort, Preferred, Unheld};

    /// A candidate: standby, expected answer, calls in flight, turns.
    type Row = (Standby, u64, usize, usize);

    /// Candidates, the choice of the fastest and in turn, and why.
    type Case = (&'static [Row], Option<u32>, Option<u32>, &'static str);

    fn chosen(rows: &[Row], balance: Balance) -> Option<u32> {
        let candidates = (0..).zip(rows).map(|(place, row)| {
            let (standby, expected_answer, in_flight, turns) = *row;
            Candidate { id: RelayId::new(place), standby, expected_answer, in_flight, turns }
        });
        select(candidates, balance).map(RelayId::index)
    }

    #[test]
    fn the_table_of_choices() {
        let table: [Case; 7] = [
            (&[], None, None, "nothing to choose from"),
            (&[(Preferred, 9, 0, 1), (Preferred, 5, 0, 0)], Some(1), Some(1), "the faster; its turn"),
            (&[(Preferred, 5, 0, 1), (Preferred, 9, 0, 0)], Some(0), Some(1), "the faster is not its turn"),
            (&[(Preferred, 5, 2, 0), (Preferred, 5, 1, 1)], Some(1), Some(0), "alike: fewer calls"),
            (&[(Preferred, 5, 1, 0), (Preferred, 5, 1, 1)], Some(0), Some(0), "quite alike: the first"),
            (
                &[(Unheld, 1, 0, 0), (Preferred, 9, 9, 9)],
                Some(1),
                Some(1),
                "one that holds before all others",
            ),
            (&[(LastResort, 1, 0, 0), (Unheld, 9, 9, 9)], Some(1), Some(1), "one that fails last"),
        ];
        for (rows, fastest, round_robin, why) in table {
            assert_eq!(chosen(rows, Balance::Fastest), fastest, "{why}");
            assert_eq!(chosen(rows, Balance::RoundRobin), round_robin, "{why}");
        }
    }
}
