//! Client and node against a network that does what it likes: the properties of docs/protocol.md section 4.
#![allow(missing_docs)] // a test has no callers

use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
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

/// 256 cases, or what `PROPTEST_CASES` says. What fails is written down beside this file.
fn config() -> ProptestConfig {
    let persistence = FileFailurePersistence::WithSource("regressions");
    ProptestConfig { failure_persistence: Some(Box::new(persistence)), ..ProptestConfig::default() }
}

/// Cases that once broke a property.
#[test]
fn recorded_cases_keep_every_property() {
    use Step::{
        Arrive, Connect, Double, Open, Pass, Return, UpstreamFinish, UpstreamReset, UpstreamWrite, Write,
    };
    let cases: [&[Step]; 3] = [
        // The node gave up an upstream that took nothing, and its next poll was shown an end.
        &[Open, Write(0, 1), Arrive(0), Connect(0, false), UpstreamWrite(0, 901), Pass(30_000)],
        // The upstream was reset with bytes left, and the reset looked like an end.
        &[Open, Open, Write(0, 1), Arrive(0), Connect(0, false), UpstreamWrite(0, 901), UpstreamReset(0)],
        // The first copy of a poll took the tail, and the second one was shown an end without it.
        &[
            Open,
            Pass(20),
            Arrive(0),
            Connect(0, false),
            Return(0),
            UpstreamWrite(0, 10),
            UpstreamFinish(0),
            Double(0),
            Arrive(0),
            Return(0),
        ],
    ];
    for case in cases {
        Pair::play(Level::Sequenced, case);
    }
}

proptest! {
    #![proptest_config(config())]

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
