//! Tests of the search, on a toy of a sender and a receiver with known bugs.

use std::fmt;

use super::*;
use crate::property::Property;

/// What is wrong with the toy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrong {
    Nothing,
    /// The sender forgets what it has sent, so that a loss is for ever; both go on polling all the same.
    Forgets,
    /// The receiver takes an item again.
    TakesAgain,
    /// After a loss both wait for each other, and nothing can happen.
    Stops,
    /// It takes ever so long.
    Dawdles,
    /// It panics when something is lost.
    Panics,
}

/// A sender with items, a receiver that asks for them one by one, and a network with one place each way.
struct Toy {
    wrong: Wrong,
    items: u8,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Toys {
    asked: Option<u8>,
    sent: Option<u8>,
    taken: u8,
    /// What a sender that forgets can still send.
    kept_from: u8,
    losses: u8,
    lost: bool,
    idle: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Move {
    Ask,
    Send,
    Take,
    Lose,
    Idle,
}

impl fmt::Display for Move {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl Model for Toy {
    type State = Toys;
    type Step = Move;

    fn root(&self) -> Result<Toys, Broken> {
        Ok(Toys { losses: 1, ..Toys::default() })
    }

    fn steps(&self, state: &Toys) -> Vec<Move> {
        let stuck = self.wrong == Wrong::Stops && state.lost;
        let dawdles = self.wrong == Wrong::Dawdles && state.idle < 50;
        let mut steps = Vec::new();
        steps.extend(
            (state.asked.is_none() && state.sent.is_none() && !stuck && !dawdles).then_some(Move::Ask),
        );
        steps.extend((state.asked.is_some() && state.sent.is_none()).then_some(Move::Send));
        steps.extend(state.sent.is_some().then_some(Move::Take));
        steps.extend((state.sent.is_some() && state.losses > 0).then_some(Move::Lose));
        steps.extend(dawdles.then_some(Move::Idle));
        steps
    }

    fn take(&self, state: &mut Toys, step: Move) -> Result<(), Broken> {
        match step {
            Move::Ask => state.asked = Some(state.taken),
            Move::Send => {
                let item = state.asked.take().unwrap_or(0);
                // One that has nothing to send answers empty.
                state.sent = Some(if item < state.kept_from { u8::MAX } else { item });
                if self.wrong == Wrong::Forgets {
                    state.kept_from = state.kept_from.max(item + 1);
                }
            }
            Move::Take => match state.sent.take() {
                Some(item) if item == state.taken => {
                    state.taken += 1;
                    if self.wrong == Wrong::TakesAgain && item == 1 {
                        return Err(Broken::new(Property::S2, "item 1 is taken again"));
                    }
                }
                _ => {}
            },
            Move::Lose => {
                assert!(self.wrong != Wrong::Panics, "lost, of all things");
                state.sent = None;
                state.losses -= 1;
                state.lost = true;
            }
            Move::Idle => state.idle += 1,
        }
        Ok(())
    }

    fn print(&self, state: &Toys) -> u128 {
        let parts = [
            state.asked.map_or(0xff, |item| item),
            state.sent.map_or(0xee, |item| item),
            state.taken,
            state.kept_from,
            state.losses,
            u8::from(state.lost),
            state.idle,
        ];
        parts.iter().fold(1, |print, part| print << 8 | u128::from(*part))
    }

    fn is_done(&self, state: &Toys) -> bool {
        state.taken == self.items
    }

    fn heal(&self, state: &mut Toys) {
        state.losses = 0;
    }

    fn fair(&self, state: &Toys) -> Option<Move> {
        self.steps(state).into_iter().next()
    }
}

fn explore(wrong: Wrong, liveness: Liveness) -> SearchResult<Move> {
    let options = Options { liveness, heal_steps: 40, ..Options::default() };
    search(&Toy { wrong, items: 2 }, options.limits(), &mut |_| {})
}

fn property(found: &SearchResult<Move>) -> Option<Property> {
    found.failure.as_ref().map(|failure| failure.broken.property)
}

#[test]
fn a_sound_toy_passes_and_every_state_is_counted_once() {
    let found = explore(Wrong::Nothing, Liveness::Both);
    assert_eq!(found.failure, None);
    assert_eq!((found.progress.dead, found.progress.truncated), (Some(0), false));
    // Per item: ask, send, take; each of them before and after the loss; and the two ends.
    assert_eq!((found.progress.states, found.progress.done), (14, 2));
    // Healed, two items take six steps, wherever it starts.
    assert_eq!(found.progress.worst_heal, Some(6));
}

#[test]
fn a_circle_that_never_ends_is_found_in_both_ways_and_not_by_safety() {
    assert_eq!(property(&explore(Wrong::Forgets, Liveness::None)), None);
    for liveness in [Liveness::Reach, Liveness::Heal] {
        let found = explore(Wrong::Forgets, liveness);
        assert_eq!(property(&found), Some(Property::L1), "{liveness}");
        let steps = found.failure.expect("found").steps;
        assert_eq!(steps, [Move::Ask, Move::Send, Move::Lose], "the shortest way, by {liveness}");
    }
    assert!(explore(Wrong::Forgets, Liveness::Reach).progress.dead.is_some_and(|dead| dead >= 3));
}

#[test]
fn a_healed_run_that_leads_nowhere_is_told() {
    let failure = explore(Wrong::Forgets, Liveness::Heal).failure.expect("found");
    assert_eq!(failure.then.len(), 40);
    assert!(failure.then.starts_with(&[Move::Ask, Move::Send, Move::Take]));
}

#[test]
fn a_broken_property_is_reached_by_a_shortest_way() {
    let failure = explore(Wrong::TakesAgain, Liveness::None).failure.expect("found");
    assert_eq!(failure.broken.property, Property::S2);
    assert_eq!(failure.steps, [Move::Ask, Move::Send, Move::Take, Move::Ask, Move::Send, Move::Take]);
}

#[test]
fn a_state_in_which_nothing_can_happen_is_an_end_only_when_all_is_done() {
    let failure = explore(Wrong::Stops, Liveness::None).failure.expect("found");
    assert_eq!(failure.broken.property, Property::L3);
    assert_eq!(failure.steps, [Move::Ask, Move::Send, Move::Lose]);
}

#[test]
fn what_takes_too_long_can_be_done_but_does_not_heal() {
    assert_eq!(property(&explore(Wrong::Dawdles, Liveness::Reach)), None);
    assert_eq!(property(&explore(Wrong::Dawdles, Liveness::Heal)), Some(Property::L1));
}

#[test]
fn a_panic_is_a_counterexample() {
    let failure = explore(Wrong::Panics, Liveness::None).failure.expect("found");
    assert_eq!(failure.broken.property, Property::S11);
    assert!(failure.broken.what.starts_with("lost, of all things at "), "{}", failure.broken.what);
    assert_eq!(failure.steps.last(), Some(&Move::Lose));
}

#[test]
fn a_limit_on_states_is_told_and_nothing_is_said_of_what_lies_beyond() {
    let options = Options { max_states: 5, ..Options::default() };
    let found = search(&Toy { wrong: Wrong::Nothing, items: 2 }, options.limits(), &mut |_| {});
    assert!(found.progress.truncated && found.progress.dead.is_none());
    assert_eq!(found.progress.states, 5);
}

#[test]
fn a_report_tells_the_scope_the_numbers_and_how_it_came_to_a_failure() {
    let scope: Scope = "up=1,down=0".parse().unwrap();
    let report = run(&Options { scopes: vec![scope], ..Options::default() }, &mut |_, _| {});
    assert!(report.counterexample().is_none());
    let text = report.to_string();
    assert!(text.contains("level=1,up=1,down=0,lanes=2") && text.contains("every property holds"), "{text}");

    let found = explore(Wrong::Forgets, Liveness::Heal);
    let failed = Report { scopes: vec![ScopeReport::new(scope, found, std::time::Duration::ZERO)] };
    assert!(failed.counterexample().is_some_and(|found| found.property.is_liveness()));
    let text = failed.to_string();
    assert!(text.contains("L1 does not hold") && text.contains("   3  Lose"), "{text}");
    assert!(text.contains("   4  Ask") && text.contains("and so on, 20 steps more"), "{text}");
}
