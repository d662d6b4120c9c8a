//! The setup of one run: every range of a scenario resolved to a value.

use std::time::Duration;

use seqlane::{ClientOptions, ConnectFailure, Form, Level, NodeOptions, RelayOptions, Secret};
use serde::Serialize;

use crate::chooser::key;
use crate::latency::{Latency, QUANTILES};
use crate::scenario::{Bounds, Scenario};
use crate::script::{Kind, Opening, Pace, Script, Side};
use crate::{Chooser, DecisionPoint, Fault, Probability};

/// The key that clients and node share. It must never show up in a debug print (S12).
pub(crate) const KEY: &str = "sim-key-41f2";

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The key of the question whether the other node is an old one.
const OLD: u64 = u64::MAX;

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
    /// When its budget is renewed, after the start; none: not during a run.
    pub renews_in: Option<Duration>,
    /// Whether it leads to the other node at first.
    pub other_node: bool,
    /// Whether it takes packets of level 2 as they are.
    pub binary: bool,
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
    /// The earlier flow whose target it has, if it is not its own.
    pub again: Option<usize>,
    /// Whether its upstream or application misbehaves (F20).
    pub spoiled: bool,
}

/// A caller that speaks to the node itself, with data and a close in one batch.
#[derive(Clone, Debug, Serialize)]
pub struct ForeignClientSetup {
    /// When it comes, after the start.
    pub at: Duration,
    /// Whether its close stands before its data.
    pub closes_first: bool,
}

/// A time during which a relay swallows every request.
#[derive(Clone, Copy, Debug)]
pub struct Outage {
    /// The relay.
    pub relay: usize,
    /// From when, after the start.
    pub from: Duration,
    /// Until when; none: permanently.
    pub until: Option<Duration>,
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
    /// The highest level of the node that some relays lead to instead.
    pub other_level: Level,
    /// How many clients.
    pub clients: usize,
    /// The relays; every client uses all of them.
    pub relays: Vec<RelaySetup>,
    /// The flows.
    pub flows: Vec<FlowSetup>,
    /// The foreign clients.
    pub foreign_clients: Vec<ForeignClientSetup>,
    /// Whether the other node does not know `connect_data`.
    pub other_is_old: bool,
    /// Relays that are out of order at known times, beside what faults bring.
    pub outages: Vec<Outage>,
    /// When the node restarts, beside what faults bring.
    pub restarts: Vec<Duration>,
    /// Answers with shorter bodies are not lost by F2.
    pub spared: usize,
    /// How often each kind of fault happens, by its place in [`Fault::ALL`].
    pub faults: Vec<Probability>,
    /// Round trips.
    pub latency: Latency,
    /// Whether ties are broken in any order.
    pub ties: bool,
    /// How long faults happen.
    pub fault_phase: Duration,
    /// Bytes a second of each client's link and of one call; none: no limit.
    pub link: Option<(u64, u64)>,
}

impl Setup {
    /// Resolves a scenario.
    pub fn new<C: Chooser>(scenario: &Scenario, chooser: &mut C) -> Self {
        let (level, node_level) = levels(scenario, chooser);
        let mut faults = faults(scenario, level, chooser);
        let on = |fault: Fault| !faults[fault.index()].is_never();
        let clients =
            ranged(chooser, DecisionPoint::Clients, 0, scenario.clients.least, scenario.clients.most)
                as usize;
        let relays = relays(scenario, level, clients as u32, chooser, &on);
        let (client, node) = machines(scenario, (level, node_level), &relays, chooser);
        let flows = flows(scenario, clients, (on(Fault::Upstream), roomy(&client, &node)), chooser);
        let latency = match on(Fault::HeavyTail).then(|| chooser.decide(DecisionPoint::HeavyTail, 0, 2) + 1) {
            Some(1) => Latency::Heavy,
            Some(2) => Latency::Bimodal,
            _ => scenario.latency,
        };
        let other_is_old = on(Fault::Mixed) && chooser.decide(DecisionPoint::Mixed, OLD, 2) == 1;
        let other_level = other_level(scenario, on(Fault::Mixed), chooser);
        // A node of level 0 has nothing that tells a second copy of an op from a new one.
        if node.max_level == Level::Legacy || on(Fault::Mixed) && other_level == Level::Legacy {
            faults[Fault::Duplicate.index()] = Probability::NEVER;
        }
        let foreign_clients = foreign_clients(scenario, chooser);
        let link = scenario.link.map(|link| (link, scenario.per_call.unwrap_or(link)));
        Self {
            level,
            client,
            node,
            other_level,
            clients,
            relays,
            flows,
            foreign_clients,
            outages: Vec::new(),
            restarts: Vec::new(),
            spared: 0,
            other_is_old,
            faults,
            latency,
            ties: scenario.ties,
            fault_phase: scenario.fault_phase,
            link,
        }
    }

    /// How often a kind of fault happens.
    pub fn probability(&self, fault: Fault) -> Probability {
        self.faults[fault.index()]
    }

    /// The highest level of a node: of the first, or of the one that some relays lead to instead.
    pub(crate) const fn node_level(&self, node: usize) -> Level {
        if node == 0 { self.node.max_level } else { self.other_level }
    }

    /// Whether nothing goes wrong in this run.
    pub fn is_calm(&self) -> bool {
        self.faults.iter().all(|probability| probability.is_never())
    }
}

fn ranged<C: Chooser>(chooser: &mut C, point: DecisionPoint, key: u64, least: u32, most: u32) -> u32 {
    least + chooser.decide(point, key, most - least + 1)
}

/// The highest levels of the clients and of the node: half of the clients have level 2, and most nodes what their
/// clients have.
fn levels<C: Chooser>(scenario: &Scenario, chooser: &mut C) -> (Level, Level) {
    const CLIENTS: [Level; 4] = [Level::Streams, Level::Sequenced, Level::Legacy, Level::Streams];
    const NODES: [Option<Level>; 6] =
        [None, None, None, Some(Level::Sequenced), Some(Level::Legacy), Some(Level::Streams)];
    let asked = |number: Option<u8>| number.and_then(Level::from_number);
    let clients = asked(scenario.level)
        .unwrap_or_else(|| CLIENTS[chooser.decide(DecisionPoint::Level, 0, 4) as usize % CLIENTS.len()]);
    let node = asked(scenario.node_level).unwrap_or_else(|| match scenario.level {
        Some(_) => clients,
        None => NODES[chooser.decide(DecisionPoint::Level, 1, 6) as usize % NODES.len()].unwrap_or(clients),
    });
    (clients, node)
}

fn other_level<C: Chooser>(scenario: &Scenario, mixed: bool, chooser: &mut C) -> Level {
    const LEVELS: [Level; 3] = [Level::Legacy, Level::Streams, Level::Sequenced];
    let asked = scenario.other_level.and_then(Level::from_number);
    asked.unwrap_or_else(|| {
        let place = if mixed { chooser.decide(DecisionPoint::Level, 2, 3) } else { 0 };
        LEVELS[place as usize % LEVELS.len()]
    })
}

fn faults<C: Chooser>(scenario: &Scenario, level: Level, chooser: &mut C) -> Vec<Probability> {
    /// The key of the question whether anything goes wrong at all.
    const ANY: u64 = u64::MAX;
    let number = level as u8;
    let calm = scenario.swarm && chooser.decide(DecisionPoint::FaultOn, ANY, 8) == 0;
    Fault::ALL
        .iter()
        .map(|fault| {
            let most = scenario.net.get(fault).copied().unwrap_or(Probability::NEVER);
            if calm || most.is_never() || fault.from_level() > number {
                return Probability::NEVER;
            }
            if !scenario.swarm {
                return most;
            }
            let on = chooser.decide(DecisionPoint::FaultOn, fault.index() as u64, 4) == 1;
            if !on {
                return Probability::NEVER;
            }
            let weight = chooser.decide(DecisionPoint::FaultProbability, fault.index() as u64, 100);
            most.scaled(100 - weight, 100)
        })
        .collect()
}

fn relays<C: Chooser>(
    scenario: &Scenario,
    level: Level,
    clients: u32,
    chooser: &mut C,
    on: &impl Fn(Fault) -> bool,
) -> Vec<RelaySetup> {
    const RENEWALS: [Option<Duration>; 3] =
        [None, Some(Duration::from_secs(20)), Some(Duration::from_secs(60))];
    const BODY_CAPS: [Option<usize>; 3] = [None, Some(66_000), Some(200_000)];
    let count = ranged(chooser, DecisionPoint::Relays, 0, scenario.relays.least, scenario.relays.most);
    (0..u64::from(count))
        .map(|relay| {
            let mut ask = |open: bool, point, n| if open { chooser.decide(point, relay, n) } else { 0 };
            let queueing = ask(on(Fault::Queueing), DecisionPoint::Queueing, 3);
            let other_node = ask(on(Fault::Mixed), DecisionPoint::Mixed, 3) == 1;
            let binary = ask(level == Level::Streams && scenario.swarm, DecisionPoint::Binary, 4) == 1;
            RelaySetup {
                // Every client keeps to the limit of its own account.
                concurrency: match queueing {
                    0 => scenario.concurrency.saturating_mul(clients),
                    queueing => queueing,
                },
                queues: queueing > 0,
                daily_calls: match ask(on(Fault::Refuse), DecisionPoint::Quota, 4) {
                    1 => Some(20),
                    _ => scenario.daily_calls,
                },
                renews_in: RENEWALS[ask(on(Fault::Refuse), DecisionPoint::Renewal, 3) as usize],
                body_cap: BODY_CAPS[ask(on(Fault::BodyCap), DecisionPoint::BodyCap, 3) as usize],
                other_node,
                binary,
            }
        })
        .collect()
}

fn machines<C: Chooser>(
    scenario: &Scenario,
    (level, node_level): (Level, Level),
    relays: &[RelaySetup],
    chooser: &mut C,
) -> (ClientOptions, NodeOptions) {
    let relays = relays
        .iter()
        .map(|relay| {
            RelayOptions::new(Secret::new(KEY))
                .form(Form::Node)
                .max_concurrent(scenario.concurrency as usize)
                .daily_calls(relay.daily_calls)
                .budget_resets_in(relay.renews_in.unwrap_or(DAY))
                .binary(relay.binary)
        })
        .collect();
    let mut client = ClientOptions::new(relays).max_level(level);
    let mut node = NodeOptions::new(Secret::new(KEY)).max_level(node_level);
    for (wait, seconds) in &scenario.waits {
        wait.set(*seconds, &mut client, &mut node);
    }
    if let Some(seconds) = scenario.client_idle {
        let idle = Duration::from_secs(u64::from(seconds.max(4)));
        for (option, hold) in [
            (&mut client.tuning.streams.idle, &mut client.tuning.streams.idle_hold),
            (&mut node.tuning.streams.idle, &mut node.tuning.streams.max_hold),
        ] {
            *option = idle;
            *hold = (*hold).min(idle / 2);
        }
    }
    if let Some(depth) = scenario.depth {
        client.max_depth = depth;
    }
    if let Some(bytes) = scenario.op_payload {
        client.tuning.max_op_payload = bytes;
    }
    if let Some(bytes) = scenario.write_queue {
        node.tuning.write_queue = bytes;
    }
    if scenario.odd_bounds {
        chooser.weigh(DecisionPoint::Bound, Probability::of(1, 6));
        let mut bounds = Bounds::new(chooser);
        bounds.client(&mut client);
        bounds.node(&mut node);
        if level == Level::Streams && chooser.decide(DecisionPoint::Sealed, 0, 4) == 1 {
            client.min_level = Some(Level::Streams);
        }
    }
    (client, node)
}

/// Whether bounds leave ops so large that much can be sent with few of them.
const fn roomy(client: &ClientOptions, node: &NodeOptions) -> bool {
    const ROOM: usize = 32 << 10;
    client.tuning.max_op_payload >= ROOM && client.downlink_window >= ROOM && node.tuning.max_drain >= ROOM
}

/// The flows of a run, some of them in trouble and some of them large if that may be.
fn flows<C: Chooser>(
    scenario: &Scenario,
    clients: usize,
    (trouble, large): (bool, bool),
    chooser: &mut C,
) -> Vec<FlowSetup> {
    /// One flow in how many is larger than the others, and how many times larger.
    const LARGE: (u32, u64) = (40, 200);
    let mut flows = Vec::new();
    for client in 0..clients {
        let count =
            ranged(chooser, DecisionPoint::Flows, client as u64, scenario.flows.least, scenario.flows.most);
        for _ in 0..count {
            let flow = flows.len() as u64;
            let script = chooser.decide(DecisionPoint::Script, flow, scenario.scripts.len() as u32) as usize;
            let share = u64::from(chooser.decide(DecisionPoint::Size, flow, QUANTILES));
            // Squared, so that most flows are small and a few are large.
            let size = 1 + ((share * share) >> 16) * scenario.bytes / u64::from(QUANTILES);
            let many = large && scenario.swarm && chooser.decide(DecisionPoint::Large, flow, LARGE.0) == 1;
            let mut script =
                Script::new(scenario.scripts[script], if many { size.saturating_mul(LARGE.1) } else { size });
            let how = if trouble { chooser.decide(DecisionPoint::Upstream, flow, 16) } else { 0 };
            spoil(&mut script, how);
            let pace = chooser.decide(DecisionPoint::Pace, key(flow, 0), 1000);
            let at = scenario.openings * pace / 1000;
            let setup = FlowSetup { client, at, script, again: None, spoiled: (1..=13).contains(&how) };
            let again = again(&setup, flow as usize, chooser);
            flows.push(setup);
            flows.extend(again);
        }
    }
    flows
}

/// An application may try a target again that it could not reach.
fn again<C: Chooser>(failed: &FlowSetup, flow: usize, chooser: &mut C) -> Option<FlowSetup> {
    if !matches!(failed.script.opening, Opening::Fail(_)) {
        return None;
    }
    let seconds = chooser.decide(DecisionPoint::Again, flow as u64, 60);
    (seconds > 0).then(|| FlowSetup {
        at: failed.at + Duration::from_secs(u64::from(seconds)),
        again: Some(flow),
        ..failed.clone()
    })
}

fn foreign_clients<C: Chooser>(scenario: &Scenario, chooser: &mut C) -> Vec<ForeignClientSetup> {
    let count =
        if scenario.foreign_clients { chooser.decide(DecisionPoint::ForeignClients, 0, 4) } else { 0 };
    (0..u64::from(count))
        .map(|foreign_client| {
            let pace = chooser.decide(DecisionPoint::Pace, key(foreign_client, 2), 1000);
            let closes_first = chooser.decide(DecisionPoint::ForeignClients, 1 + foreign_client, 2) == 1;
            ForeignClientSetup { at: scenario.openings * pace / 1000, closes_first }
        })
        .collect()
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
        12 => script.gives_up = Some(Duration::from_millis(60)),
        13 => script.gives_up = Some(Duration::from_secs(2)),
        _ => {}
    }
}
