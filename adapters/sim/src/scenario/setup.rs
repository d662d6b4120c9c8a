//! One run's setup: every range of a scenario resolved to a value.

use std::time::Duration;

use seqlane::{ClientOptions, ConnectFailure, Form, Level, NodeOptions, RelayOptions, Secret};
use serde::Serialize;

use crate::chooser::{Chooser, key};
use crate::fault::Fault;
use crate::latency::{Latency, QUANTILES};
use crate::odds::Odds;
use crate::scenario::{Bounds, Scenario};
use crate::script::{Kind, Opening, Pace, Script, Side};
use crate::site::Site;

/// The key that clients and node share. It must never show up in a debug print (S12).
pub(crate) const KEY: &str = "sim-key-41f2";

/// A relay of a run.
#[derive(Clone, Debug, Serialize)]
pub struct RelaySetup {
    /// Calls that it takes at a time.
    pub concurrency: u32,
    /// Whether it queues calls beyond that, or refuses them.
    pub queues: bool,
    /// Calls that it takes, and then refuses until the day is over.
    pub daily_calls: Option<u64>,
    /// Bodies above this size are refused with 413.
    pub body_cap: Option<usize>,
    /// Whether it leads to the other node at first.
    pub other_node: bool,
}

/// A flow of a run.
#[derive(Clone, Debug, Serialize)]
pub struct FlowSetup {
    /// Which client opens it.
    pub client: usize,
    /// When, after the start.
    pub at: Duration,
    /// What is said.
    pub script: Script,
}

/// Everything about a run that is known before it begins.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The highest level that clients may use.
    pub level: Level,
    /// Options of each client.
    pub client: ClientOptions,
    /// Options of the node.
    pub node: NodeOptions,
    /// How many clients.
    pub clients: usize,
    /// The relays; every client uses all of them.
    pub relays: Vec<RelaySetup>,
    /// The flows.
    pub flows: Vec<FlowSetup>,
    /// How often each kind of fault happens, by its place in [`Fault::ALL`].
    pub faults: Vec<Odds>,
    /// Round trips.
    pub latency: Latency,
    /// Whether ties are broken in any order.
    pub ties: bool,
    /// How long faults happen.
    pub storm: Duration,
    /// Bytes a second of each client's link and of one call; none: no limit.
    pub link: Option<(u64, u64)>,
}

impl Setup {
    /// Resolves a scenario.
    pub fn new<C: Chooser>(scenario: &Scenario, chooser: &mut C) -> Self {
        let level = level(scenario, chooser);
        let mut faults = faults(scenario, level, chooser);
        let on = |fault: Fault| !faults[fault.index()].is_never();
        let clients =
            ranged(chooser, Site::Clients, 0, scenario.clients.least, scenario.clients.most) as usize;
        let relays = relays(scenario, chooser, &on);
        let (client, node) = machines(scenario, level, &relays, chooser);
        let flows = flows(scenario, clients, on(Fault::Upstream), chooser);
        let latency = match on(Fault::HeavyTail).then(|| chooser.pick(Site::HeavyTail, 0, 2) + 1) {
            Some(1) => Latency::Heavy,
            Some(2) => Latency::Bimodal,
            _ => scenario.latency,
        };
        // A node of level 0 has nothing that tells a second copy of an op from a new one.
        if node.max_level == Level::Legacy || on(Fault::Mixed) {
            faults[Fault::Duplicate.index()] = Odds::NEVER;
        }
        let link = scenario.link.map(|link| (link, scenario.per_call.unwrap_or(link)));
        Self {
            level,
            client,
            node,
            clients,
            relays,
            flows,
            faults,
            latency,
            ties: scenario.ties,
            storm: scenario.storm,
            link,
        }
    }

    /// How often a kind of fault happens.
    pub fn odds(&self, fault: Fault) -> Odds {
        self.faults[fault.index()]
    }

    /// Whether nothing goes wrong in this run.
    pub fn is_calm(&self) -> bool {
        self.faults.iter().all(|odds| odds.is_never())
    }
}

fn ranged<C: Chooser>(chooser: &mut C, site: Site, key: u64, least: u32, most: u32) -> u32 {
    least + chooser.pick(site, key, most - least + 1)
}

/// The names of levels, for the places where a number stands for one.
fn level<C: Chooser>(scenario: &Scenario, chooser: &mut C) -> Level {
    const LEVELS: [Level; 2] = [Level::Sequenced, Level::Legacy];
    match scenario.level {
        Some(0) => Level::Legacy,
        Some(_) => Level::Sequenced,
        None => LEVELS[chooser.pick(Site::Level, 0, 2) as usize % LEVELS.len()],
    }
}

fn faults<C: Chooser>(scenario: &Scenario, level: Level, chooser: &mut C) -> Vec<Odds> {
    /// The key of the question whether anything goes wrong at all.
    const ANY: u64 = u64::MAX;
    let number = level as u8;
    let calm = scenario.swarm && chooser.pick(Site::FaultOn, ANY, 8) == 0;
    Fault::ALL
        .iter()
        .map(|fault| {
            let most = scenario.net.get(fault).copied().unwrap_or(Odds::NEVER);
            if calm || most.is_never() || fault.from_level() > number {
                return Odds::NEVER;
            }
            if !scenario.swarm {
                return most;
            }
            let on = chooser.pick(Site::FaultOn, fault.index() as u64, 4) == 1;
            if !on {
                return Odds::NEVER;
            }
            let weight = chooser.pick(Site::FaultOdds, fault.index() as u64, 100);
            most.scaled(100 - weight, 100)
        })
        .collect()
}

fn relays<C: Chooser>(scenario: &Scenario, chooser: &mut C, on: &impl Fn(Fault) -> bool) -> Vec<RelaySetup> {
    const BODY_CAPS: [Option<usize>; 3] = [None, Some(66_000), Some(200_000)];
    let count = ranged(chooser, Site::Relays, 0, scenario.relays.least, scenario.relays.most);
    (0..u64::from(count))
        .map(|relay| {
            let mut ask = |fault, site, n| if on(fault) { chooser.pick(site, relay, n) } else { 0 };
            let queueing = ask(Fault::Queueing, Site::Queueing, 3);
            RelaySetup {
                concurrency: if queueing > 0 { queueing } else { scenario.concurrency },
                queues: queueing > 0,
                daily_calls: match ask(Fault::Refuse, Site::Quota, 4) {
                    1 => Some(20),
                    _ => scenario.daily_calls,
                },
                body_cap: BODY_CAPS[ask(Fault::BodyCap, Site::BodyCap, 3) as usize],
                other_node: ask(Fault::Mixed, Site::Mixed, 3) == 1,
            }
        })
        .collect()
}

fn machines<C: Chooser>(
    scenario: &Scenario,
    level: Level,
    relays: &[RelaySetup],
    chooser: &mut C,
) -> (ClientOptions, NodeOptions) {
    let relays = relays
        .iter()
        .map(|relay| RelayOptions {
            form: Form::Node,
            max_concurrent: scenario.concurrency as usize,
            daily_calls: relay.daily_calls,
            ..RelayOptions::new(Secret::new(KEY))
        })
        .collect();
    let mut client = ClientOptions { max_level: level, ..ClientOptions::new(relays) };
    let mut node = NodeOptions { max_level: level, ..NodeOptions::new(Secret::new(KEY)) };
    if let Some(depth) = scenario.depth {
        client.max_depth = depth;
    }
    if scenario.odd_bounds {
        chooser.weigh(Site::Bound, Odds::of(1, 6));
        let mut bounds = Bounds::new(chooser);
        bounds.client(&mut client);
        bounds.node(&mut node);
    }
    (client, node)
}

fn flows<C: Chooser>(scenario: &Scenario, clients: usize, trouble: bool, chooser: &mut C) -> Vec<FlowSetup> {
    let mut flows = Vec::new();
    for client in 0..clients {
        let count = ranged(chooser, Site::Flows, client as u64, scenario.flows.least, scenario.flows.most);
        for _ in 0..count {
            let flow = flows.len() as u64;
            let script = chooser.pick(Site::Script, flow, scenario.scripts.len() as u32) as usize;
            let share = u64::from(chooser.pick(Site::Size, flow, QUANTILES));
            // Squared, so that most flows are small and a few are large.
            let size = 1 + ((share * share) >> 16) * scenario.bytes / u64::from(QUANTILES);
            let mut script = Script::new(scenario.scripts[script], size);
            if trouble {
                spoil(&mut script, chooser.pick(Site::Upstream, flow, 16));
            }
            let pace = chooser.pick(Site::Pace, key(flow, 0), 1000);
            flows.push(FlowSetup { client, at: scenario.openings * pace / 1000, script });
        }
    }
    flows
}

/// What can be wrong with an upstream, or with an application (F20).
fn spoil(script: &mut Script, how: u32) {
    let slowly = Pace::After(Duration::from_secs(3));
    match how {
        1 => script.opening = Opening::Fail(ConnectFailure::Refused),
        2 => script.opening = Opening::Fail(ConnectFailure::HostUnreachable),
        3 => script.opening = Opening::Silence,
        4 => script.reset = Some((Side::Upstream, script.total_up() / 2)),
        5 => script.reset = Some((Side::Local, script.total_down() / 2)),
        6 if script.kind != Kind::UdpEcho => script.upstream_reads = Pace::Stalled,
        7 if script.kind != Kind::UdpEcho => script.local_reads = Pace::Stalled,
        8 => script.upstream_reads = slowly,
        9 => script.local_reads = slowly,
        10 => script.down = script.down.saturating_mul(20),
        11 => script.opening = Opening::Fail(ConnectFailure::NoSuchName),
        _ => {}
    }
}
