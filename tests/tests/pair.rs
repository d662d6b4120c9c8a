//! Client and node against a network that does what it likes: the properties of docs/protocol.md section 4.
#![allow(missing_docs)] // a test has no callers

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{FileFailurePersistence, TestRunner};
use seqlane::{Balance, Level};
use seqlane_tests::pair::{Fate, Pair, Setting, Step};

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        14 => Just(Fate::Arrive),
        14 => Just(Fate::Return),
        1 => Just(Fate::Double),
        1 => Just(Fate::LoseRequest),
        1 => Just(Fate::NotSent),
        1 => Just(Fate::Refuse),
        1 => Just(Fate::LoseReply),
        1 => any::<usize>().prop_map(Fate::Cut),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let index = 0..8_usize;
    let len = || prop_oneof![4 => 1..3000_usize, 1 => 1..80_000_usize];
    prop_oneof![
        2 => Just(Step::Open),
        1 => Just(Step::OpenUdp),
        6 => (index.clone(), len()).prop_map(|(index, len)| Step::Write(index, len)),
        1 => index.clone().prop_map(Step::Finish),
        1 => index.clone().prop_map(Step::Reset),
        3 => index.clone().prop_map(Step::Read),
        4 => (index.clone(), prop::bool::weighted(0.1)).prop_map(|(index, no)| Step::Connect(index, no)),
        6 => (index.clone(), len()).prop_map(|(index, len)| Step::UpstreamWrite(index, len)),
        1 => index.clone().prop_map(Step::UpstreamFinish),
        1 => index.clone().prop_map(Step::UpstreamReset),
        3 => index.clone().prop_map(Step::UpstreamRead),
        34 => (index, fate()).prop_map(|(index, fate)| Step::Network(index, fate)),
        4 => prop_oneof![0..50_u64, 300..1100_u64, 9_000..40_000_u64].prop_map(Step::Pass),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), 1..200)
}

fn balance() -> impl Strategy<Value = Balance> {
    prop_oneof![Just(Balance::Fastest), Just(Balance::RoundRobin)]
}

/// 256 cases, or what `PROPTEST_CASES` says. What fails is written down beside this file.
fn config() -> ProptestConfig {
    let persistence = FileFailurePersistence::WithSource("regressions");
    ProptestConfig { failure_persistence: Some(Box::new(persistence)), ..ProptestConfig::default() }
}

/// Cases that once broke a property.
#[test]
fn recorded_cases_keep_every_property() {
    use Fate::{Arrive, Double, Return};
    use Step::{Connect, Network, Open, Pass, UpstreamFinish, UpstreamReset, UpstreamWrite, Write};
    let arrive = || Network(0, Arrive);
    let connected = || [Open, Pass(20), arrive(), Connect(0, false)];
    let cases: [Vec<Step>; 4] = [
        // The node gave up an upstream that took nothing, and its next poll was shown an end.
        vec![Open, Write(0, 1), arrive(), Connect(0, false), UpstreamWrite(0, 901), Pass(30_000)],
        // The upstream was reset with bytes left, and the reset looked like an end.
        vec![Open, Open, Write(0, 1), arrive(), Connect(0, false), UpstreamWrite(0, 901), UpstreamReset(0)],
        // It was reset with nothing left, and looked like an end too.
        connected().into_iter().chain([UpstreamReset(0)]).collect(),
        // The first copy of a poll took the tail, and the second one was shown an end without it.
        connected()
            .into_iter()
            .chain([Network(0, Return), UpstreamWrite(0, 10), UpstreamFinish(0)])
            .chain([Network(0, Double), arrive(), Network(0, Return)])
            .collect(),
    ];
    for case in cases {
        Pair::play(Setting::plain(Level::Sequenced), &case);
    }
}

/// Properties that nothing puts to the test hold for nothing.
#[test]
fn the_runs_meet_what_they_are_for() {
    let mut runner = TestRunner::deterministic();
    let runs: Vec<_> = (0..40)
        .map(|_| {
            let steps = steps().new_tree(&mut runner).expect("a list of steps").current();
            Pair::play(Setting::plain(Level::Sequenced), &steps)
        })
        .collect();
    let sum = |count: fn(&seqlane_tests::pair::Outcome) -> u64| runs.iter().map(count).sum::<u64>();
    for (what, met) in [
        ("replies out of order", sum(|run| run.client.reordered)),
        ("ops out of order", sum(|run| run.node.reordered)),
        ("ops sent again", sum(|run| run.client.ops_resent)),
        ("failed exchanges", sum(|run| run.client.failed)),
        ("failed ops", sum(|run| run.node.failed_ops)),
        ("datagrams dropped", sum(|run| run.client.datagrams_dropped + run.node.datagrams_dropped)),
        ("kilobytes up", sum(|run| run.node.uplink_bytes) / 1024),
        ("kilobytes down", sum(|run| run.client.downlink_bytes) / 1024),
    ] {
        assert!(met > 0, "no {what} in {} runs", runs.len());
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn level_1_keeps_every_property(steps in steps(), balance in balance()) {
        Pair::play(Setting { balance, ..Setting::plain(Level::Sequenced) }, &steps);
    }

    #[test]
    fn level_0_keeps_every_property(steps in steps(), balance in balance()) {
        Pair::play(Setting { balance, ..Setting::plain(Level::Legacy) }, &steps);
    }

    #[test]
    fn a_client_of_level_1_with_a_node_of_level_0_keeps_every_property(steps in steps()) {
        Pair::play(Setting { node: Level::Legacy, ..Setting::plain(Level::Sequenced) }, &steps);
    }

    #[test]
    fn a_relay_that_loses_seq_beside_a_clean_one_breaks_no_property(steps in steps(), balance in balance()) {
        Pair::play(Setting { balance, second_strips: true, ..Setting::plain(Level::Sequenced) }, &steps);
    }

    /// S8: the same seeds and events, the same actions, byte for byte.
    #[test]
    fn a_run_repeats_itself_exactly(
        steps in prop::collection::vec(step(), 1..60),
        level in prop_oneof![Just(Level::Legacy), Just(Level::Sequenced)],
    ) {
        let setting = Setting::plain(level);
        prop_assert_eq!(Pair::play(setting, &steps), Pair::play(setting, &steps));
    }
}
