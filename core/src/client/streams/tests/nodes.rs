//! Several nodes: which flows open where, and what the end of one node means for the others (protocol.md 3.3).

use core::time::Duration;

use crate::client::{ClientNotice, EndReason};
use crate::level::Level;
use crate::secret::Secret;
use crate::wire::reset::ResetCode;

use super::rig::{Faults, Rig, node_options, options};
use super::{MINUTE, connections};

const QUICK: Faults = Faults { lose_request: 0, lose_reply: 0, double: 0, way: (20, 40) };

/// Relays that lead to so many nodes in turn.
fn rig(relays: usize, nodes: usize, seed: u64) -> Rig {
    Rig::with_nodes(options(relays), (nodes, node_options(Level::Streams)), QUICK, seed)
}

/// Upstreams at a node.
fn at(rig: &Rig, node: usize) -> usize {
    rig.upstreams.keys().filter(|(at, _)| *at == node).count()
}

/// Opens a flow that echoes a byte. Returns how long that takes; none if it does not within a minute.
fn echo(rig: &mut Rig) -> Option<Duration> {
    let (before, flow) = (rig.now, rig.open("echo", 1, true));
    rig.run(MINUTE, |rig| rig.app(flow).ended.is_some());
    let whole = rig.app(flow).ended == Some(EndReason::Finished);
    whole.then(|| rig.now.saturating_since(before))
}

#[test]
fn nodes_share_the_flows_of_a_client() {
    let mut rig = rig(2, 2, 1);
    rig.run(Duration::from_secs(2), |_| false);
    for _ in 0..40 {
        rig.open("echo", 1, false);
        rig.run(Duration::from_millis(50), |_| false);
    }
    let shares = [at(&rig, 0), at(&rig, 1)];
    assert!(shares.iter().all(|share| (12..=28).contains(share)), "{shares:?}");
    assert_eq!(connections(&rig), 2);
}

#[test]
fn new_flows_work_soon_after_a_node_died_and_those_on_the_other_notice_nothing() {
    type Death = fn(&mut Rig);
    let deaths: [(&str, Death); 3] = [
        ("silently", |rig| rig.silent.push(0)),
        ("its relay answers 502", |rig| rig.broken.push(0)),
        ("its relay refuses", |rig| rig.refusing.push(0)),
    ];
    for (how, die) in deaths {
        for seed in 1..8 {
            let mut rig = rig(2, 2, seed);
            for _ in 0..10 {
                rig.open("echo", 1, false);
                rig.run(Duration::from_millis(300), |_| false);
            }
            let before = [at(&rig, 0), at(&rig, 1)];
            assert!(before.iter().all(|share| *share > 0), "{before:?}");
            let died = rig.now;
            die(&mut rig);
            // Applications open flows all the time; those that meet the dead node before it is known are not counted.
            let mut last_stuck = None;
            for _ in 0..40 {
                let opened = rig.now;
                let flow = rig.open("echo", 1, false);
                rig.run(Duration::from_millis(500), |rig| rig.app(flow).got.len() == 1);
                if rig.app(flow).got.is_empty() {
                    last_stuck = Some(opened.saturating_since(died));
                }
            }
            assert!(last_stuck < Some(Duration::from_secs(2)), "{how}, seed {seed}: {last_stuck:?}");
            rig.run(2 * MINUTE, |_| false);
            let lost = rig.apps.values().filter(|app| app.ended == Some(EndReason::NodeSilent)).count();
            let alive = rig.apps.values().filter(|app| app.ended.is_none()).count();
            assert!(lost >= before[0] && alive >= 30, "{how}, seed {seed}: {lost} lost, {alive} alive");
            let others = rig.apps.values().filter(|app| app.got.len() == 1 && app.ended.is_none()).count();
            assert_eq!(others, alive, "{how}, seed {seed}");
        }
    }
}

#[test]
fn two_relays_that_lead_to_another_node_end_no_flow_that_a_third_one_carries() {
    for seed in 1..20 {
        let mut rig = rig(3, 1, seed);
        rig.add_node();
        let flow = rig.open("echo", 1, false);
        assert!(rig.run(MINUTE, |rig| rig.app(flow).got.len() == 1));
        rig.run(Duration::from_secs(5), |_| false);
        rig.leads.insert(1, 1);
        rig.leads.insert(2, 1);
        for place in 2..40 {
            rig.write(flow, 1);
            assert!(rig.run(MINUTE, |rig| rig.app(flow).got.len() == place), "seed {seed}: {place}");
            rig.run(Duration::from_millis(700), |_| false);
        }
        assert_eq!(rig.app(flow).ended, None, "seed {seed}");
        assert_eq!(connections(&rig), 2, "the strays found the other node");
    }
}

#[test]
fn a_node_that_restarts_ends_its_flows_and_none_of_the_other_node() {
    let mut rig = rig(2, 2, 3);
    for _ in 0..10 {
        rig.open("echo", 1, false);
        rig.run(Duration::from_millis(300), |_| false);
    }
    let (lost, kept) = (at(&rig, 0), at(&rig, 1));
    rig.restart_node();
    rig.run(MINUTE, |_| false);
    let gone = rig.apps.values().filter(|app| app.ended == Some(EndReason::Reset(ResetCode::Gone))).count();
    let alive = rig.apps.values().filter(|app| app.ended.is_none()).count();
    assert_eq!((gone, alive), (lost, kept));
    assert!(echo(&mut rig).is_some_and(|took| took < Duration::from_secs(2)));
}

#[test]
fn a_flow_that_opens_while_it_is_unclear_whether_the_node_knows_the_client_waits_and_opens_whole() {
    for seed in 1..10 {
        let mut rig = rig(1, 1, seed);
        let first = rig.open("echo", 1, false);
        assert!(rig.run(MINUTE, |rig| rig.app(first).got.len() == 1));
        rig.restart_node();
        rig.write(first, 1);
        let in_doubt = |rig: &Rig| {
            rig.client.streams.as_ref().unwrap().connections().any(|connection| connection.is_in_doubt())
        };
        assert!(rig.run(MINUTE, in_doubt), "seed {seed}");
        let second = rig.open("echo", 1, true);
        assert!(rig.run(MINUTE, |rig| rig.app(second).ended.is_some()));
        assert_eq!(rig.app(second).ended, Some(EndReason::Finished), "seed {seed}");
        assert_eq!(rig.app(first).ended, Some(EndReason::Reset(ResetCode::Gone)));
    }
}

#[test]
fn a_node_that_drains_takes_no_new_flow_while_another_one_lives() {
    let mut rig = rig(2, 2, 1);
    let flows: [_; 4] = core::array::from_fn(|_| {
        let flow = rig.open("echo", 1, false);
        rig.run(Duration::from_millis(300), |_| false);
        flow
    });
    let before = at(&rig, 0);
    rig.drain_gently(0);
    for flow in flows {
        rig.write(flow, 1);
    }
    rig.run(Duration::from_secs(2), |_| false);
    for _ in 0..10 {
        assert!(echo(&mut rig).is_some());
    }
    assert_eq!(at(&rig, 0), before);
    assert!(flows.iter().all(|flow| rig.app(*flow).got.len() == 2), "what is open goes on");
}

#[test]
fn a_balancer_that_gives_each_id_a_node_of_its_own_works_with_one_relay() {
    // Hello and packets of an id meet at one node; every hello has another id.
    for nodes in 1..4 {
        let mut rig =
            Rig::balanced(options(1), (nodes, node_options(Level::Streams)), QUICK, 40 + nodes as u64);
        let flow = rig.open("echo", 1, false);
        assert!(rig.run(MINUTE, |rig| rig.app(flow).got.len() == 1), "{nodes} nodes");
        rig.run(MINUTE, |_| false);
        rig.write(flow, 1);
        assert!(rig.run(MINUTE, |rig| rig.app(flow).got.len() == 2), "{nodes} nodes");
    }
}

#[test]
fn behind_a_balancer_a_draining_node_is_left_for_another_one() {
    for seed in 1..10 {
        let mut rig = Rig::balanced(options(1), (3, node_options(Level::Streams)), QUICK, seed);
        let flow = rig.open("echo", 1, false);
        assert!(rig.run(MINUTE, |rig| rig.app(flow).got.len() == 1));
        let home = rig.upstreams.keys().next().unwrap().0;
        rig.drain_gently(home);
        rig.write(flow, 1);
        rig.run(Duration::from_secs(30), |_| false);
        let before = at(&rig, home);
        assert!(echo(&mut rig).is_some(), "seed {seed}");
        assert_eq!(at(&rig, home), before, "seed {seed}");
        rig.write(flow, 1);
        assert!(rig.run(MINUTE, |rig| rig.app(flow).got.len() == 3), "seed {seed}: what is open goes on");
    }
}

#[test]
fn a_node_that_wants_a_secret_is_named_and_left_alone() {
    let node = node_options(Level::Streams);
    let mut rig = Rig::with_other_secret(options(1), Secret::new("what the node wants"), node, QUICK);
    rig.run(MINUTE, |_| false);
    let refused = |notice: &&ClientNotice| matches!(notice, ClientNotice::NodeRefused { .. });
    assert_eq!(rig.notices.iter().filter(refused).count(), 1);
    let flow = rig.open("echo", 1, false);
    assert!(
        rig.run(MINUTE, |rig| rig.app(flow).got.len() == 1),
        "levels 0 and 1 work where they are allowed"
    );
}

#[test]
fn a_node_with_another_secret_holds_no_flow_up_that_may_do_without_level_2() {
    let options = options(1).secret(Secret::new("what the client has")).min_level(Level::Legacy);
    let node = node_options(Level::Streams);
    let mut rig = Rig::with_other_secret(options, Secret::new("what the node wants"), node, QUICK);
    rig.run(MINUTE, |_| false);
    let flow = rig.open("echo", 1, false);
    assert!(rig.run(Duration::from_secs(5), |rig| rig.app(flow).got.len() == 1));
}

#[test]
fn a_client_that_closes_says_goodbye_to_every_node() {
    let mut rig = rig(2, 2, 1);
    for _ in 0..4 {
        rig.open("echo", 1, false);
        rig.run(Duration::from_millis(300), |_| false);
    }
    rig.close();
    assert!(rig.run(MINUTE, |rig| rig.closed));
    assert!(rig.upstreams.values().all(|upstream| upstream.is_over()), "{:?}", rig.upstreams);
}

#[test]
fn a_connection_is_replaced_after_a_day_and_its_flows_stay() {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    let mut rig = rig(1, 1, 1);
    let old = rig.open("echo", 1, false);
    rig.run(DAY + MINUTE, |_| false);
    let new = rig.open("echo", 1, false);
    assert!(rig.run(MINUTE, |rig| rig.app(new).got.len() == 1));
    assert_eq!(connections(&rig), 2);
    rig.write(old, 1);
    assert!(rig.run(MINUTE, |rig| rig.app(old).got.len() == 2));
    rig.local(old, crate::client::LocalEvent::Fin);
    rig.run(MINUTE, |_| false);
    assert_eq!(connections(&rig), 1, "the old one ends with its last flow");
}
