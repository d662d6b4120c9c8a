//! Every planted bug is found. One test, since a planted bug is in the whole process.
#![cfg(feature = "planted")]

use std::collections::BTreeSet;

use seqlane::planted::Bug;
use seqlane_sim::{Property, scoreboard};

#[test]
fn every_planted_bug_is_found_and_every_property_finds_one() {
    let mut finders = BTreeSet::new();
    let mut missed = Vec::new();
    for bug in Bug::ALL.iter().copied() {
        match scoreboard::hunt(bug, 1, 10_000).finds.first() {
            Some((property, _)) => {
                finders.insert(*property);
            }
            None => missed.push(bug),
        }
    }
    assert!(missed.is_empty(), "not found: {missed:?}");
    let idle: Vec<_> = Property::ALL.iter().filter(|property| !finders.contains(property)).collect();
    assert!(idle.is_empty(), "no planted bug violates {idle:?}");
}
