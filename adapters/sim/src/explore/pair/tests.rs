//! Tests of the closed world: equal fingerprints behave alike, and small scopes hold.

use std::collections::{HashMap, VecDeque};

use super::*;
use crate::explore::search::{SearchLimits, SearchProgress, search};
use crate::rng::Xoshiro256pp;

fn pair(scope: &str) -> Pair {
    Pair::new(scope.parse().expect("a scope"))
}

/// Plays the same random steps, by their place among those that are offered, from two states.
fn play_alike(pair: &Pair, mut one: State, mut other: State, rng: &mut Xoshiro256pp) {
    const STEPS: usize = 3;
    for _ in 0..STEPS {
        let (offered, also) = (pair.steps(&one), pair.steps(&other));
        assert_eq!(offered.len(), also.len(), "{offered:?}\n{also:?}\n{one:#?}\n{other:#?}");
        if offered.is_empty() {
            return;
        }
        let place = (rng.next() % offered.len() as u64) as usize;
        let before = (one.clone(), other.clone());
        pair.take(&mut one, offered[place]).expect("a small scope holds");
        pair.take(&mut other, also[place]).expect("a small scope holds");
        let unlike =
            || format!("{} and {} from\n{:#?}\n{:#?}", offered[place], also[place], before.0, before.1);
        assert_eq!(one.output(), other.output(), "the machines did something else: {}", unlike());
        assert_eq!(pair.print(&one), pair.print(&other), "{}", unlike());
    }
}

/// Whenever a state is met again by another way, the first and the second copy must behave alike. Returns how
/// many pairs were compared.
fn meet(pair: &Pair, states: usize) -> usize {
    let mut rng = Xoshiro256pp::new(3);
    let root = pair.root().expect("a small scope holds");
    let mut met = HashMap::from([(pair.print(&root), root.clone())]);
    let mut waiting = VecDeque::from([root]);
    let mut compared = 0;
    while let Some(state) = waiting.pop_front() {
        if pair.is_done(&state) {
            continue;
        }
        for step in pair.steps(&state) {
            let mut next = state.clone();
            pair.take(&mut next, step).expect("a small scope holds");
            match met.get(&pair.print(&next)) {
                Some(first) => {
                    play_alike(pair, first.clone(), next, &mut rng);
                    compared += 1;
                }
                None if met.len() < states => {
                    met.insert(pair.print(&next), next.clone());
                    waiting.push_back(next);
                }
                None => {}
            }
        }
    }
    compared
}

#[test]
fn states_with_equal_fingerprints_behave_alike() {
    let scopes = [
        "up=1,down=1",
        "up=2,down=1,lanes=3,drop=1,slow=1",
        "up=1,down=1,dup=1",
        "up=1,down=1,late=1,crash=1",
        "level=0,up=2,down=1,drop=1,late=1",
        "up=1,down=1,warm=0,drop=1",
        "up=2,down=1,unsent=2",
        "flows=2,up=1,down=0,batch=3,reset=1",
        "level=2,up=1,down=2,drop=1,late=1",
        "level=2,up=2,down=1,dup=1,drop=1",
        "level=2,up=1,down=1,dup=1,crash=1",
        "level=2,up=1,down=1,late=1,crash=1",
    ];
    const STATES: usize = 700;
    for scope in scopes {
        assert!(meet(&pair(scope), STATES) > 400, "{scope}");
    }
}

#[test]
fn small_scopes_hold_to_the_end_and_heal_from_everywhere() {
    for scope in [
        "up=1,down=0,drop=1",
        "up=0,down=1,crash=1,late=1",
        "up=1,down=0,reset=1",
        "up=1,down=0,warm=0",
        "up=2,down=0,unsent=1",
        "level=0,up=1,down=0,slow=1",
    ] {
        let limits = SearchLimits { states: 20_000, waiting: 20_000, heal: Some(100), reach: true };
        let found = search(&pair(scope), limits, &mut |_| {});
        assert_eq!(found.failure, None, "{scope}");
        assert!(!found.progress.truncated, "{scope}");
        assert!(found.progress.done > 0 && found.progress.dead == Some(0), "{scope}");
    }
}

#[test]
fn a_search_that_may_keep_little_waiting_finds_the_same_states() {
    let of = |waiting| {
        let limits = SearchLimits { states: 20_000, waiting, heal: Some(100), reach: true };
        search(&pair("up=1,down=0,drop=1"), limits, &mut |_| {})
    };
    let (broad, deep) = (of(20_000), of(3));
    let (one, other) = (deep.progress, broad.progress);
    assert!(one.frontier < other.frontier && deep.failure.is_none());
    let numbers = |of: SearchProgress| (of.states, of.expanded, of.transitions, of.done, of.dead);
    assert_eq!(numbers(one), numbers(other));
}

#[test]
fn some_way_ends_with_everything_delivered_in_order() {
    let pair = pair("up=2,down=2");
    let mut state = pair.root().unwrap();
    while !pair.is_done(&state) {
        let step = pair.fair(&state).expect("something is left to happen");
        pair.take(&mut state, step).unwrap();
    }
    assert!(state.all_finished());
}

#[test]
fn how_the_world_came_to_a_state_does_not_matter() {
    // The upstream's byte and the application's byte, in both orders.
    let pair = pair("up=1,down=1");
    let run = |order: &[fn(&Step) -> bool]| {
        let mut state = pair.root().unwrap();
        for wanted in order {
            let step = pair.steps(&state).into_iter().find(wanted).expect("offered");
            pair.take(&mut state, step).unwrap();
        }
        pair.print(&state)
    };
    let write = |step: &Step| matches!(step, Step::Write(_));
    let arrive = |step: &Step| matches!(step, Step::Arrive(_));
    let connect = |step: &Step| matches!(step, Step::Connect(_));
    let speak = |step: &Step| matches!(step, Step::Speak(_));
    let finish = |step: &Step| matches!(step, Step::Finish(_));
    let one = run(&[write, arrive, connect, speak, finish]);
    let other = run(&[write, arrive, finish, connect, speak]);
    assert_eq!(one, other);
    assert_ne!(one, run(&[write, arrive, connect, finish]));
}
