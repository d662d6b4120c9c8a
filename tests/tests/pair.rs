//! Client and node against a network that does what it likes: the properties of docs/protocol.md section 4.
#![allow(missing_docs)] // a test has no callers

use proptest::prelude::*;
use seqlane::Level;
use seqlane_tests::pair::{Pair, Step};

fn step() -> impl Strategy<Value = Step> {
    let index = 0..8_usize;
    prop_oneof![
        2 => Just(Step::Open),
        6 => (index.clone(), 1..3000_usize).prop_map(|(index, len)| Step::Write(index, len)),
        1 => index.clone().prop_map(Step::Finish),
        1 => index.clone().prop_map(Step::Reset),
        3 => index.clone().prop_map(Step::Read),
        4 => (index.clone(), prop::bool::weighted(0.1)).prop_map(|(index, no)| Step::Connect(index, no)),
        6 => (index.clone(), 1..3000_usize).prop_map(|(index, len)| Step::UpstreamWrite(index, len)),
        1 => index.clone().prop_map(Step::UpstreamFinish),
        1 => index.clone().prop_map(Step::UpstreamReset),
        3 => index.clone().prop_map(Step::UpstreamRead),
        14 => index.clone().prop_map(Step::Arrive),
        1 => index.clone().prop_map(Step::Double),
        14 => index.clone().prop_map(Step::Return),
        1 => index.clone().prop_map(Step::LoseRequest),
        1 => index.clone().prop_map(Step::NotSent),
        1 => index.clone().prop_map(Step::LoseReply),
        1 => (index, any::<usize>()).prop_map(|(index, cut)| Step::Spoil(index, cut)),
        4 => prop_oneof![0..50_u64, 300..1100_u64, 9_000..40_000_u64].prop_map(Step::Pass),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn level_1_keeps_every_property(steps in prop::collection::vec(step(), 1..200)) {
        Pair::play(Level::Sequenced, &steps);
    }

    #[test]
    fn level_0_keeps_every_property(steps in prop::collection::vec(step(), 1..200)) {
        Pair::play(Level::Legacy, &steps);
    }

    /// S8: the same seeds and events, the same actions.
    #[test]
    fn a_run_repeats_itself_exactly(steps in prop::collection::vec(step(), 1..60)) {
        prop_assert_eq!(Pair::play(Level::Sequenced, &steps), Pair::play(Level::Sequenced, &steps));
    }
}
