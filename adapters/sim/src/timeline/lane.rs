//! Lanes of a timeline, from the application on the left to the upstream on the right.

use std::collections::{BTreeMap, BTreeSet};

use crate::timeline::client_of;
use crate::trace::{Actor, TraceLine};

/// A lane: an actor, or all applications of a client, or all upstreams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, strum::Display)]
pub enum Lane {
    /// The applications of a client.
    #[strum(to_string = "app{0}")]
    Apps(u32),
    /// A client.
    #[strum(to_string = "cli{0}")]
    Client(u32),
    /// A relay.
    #[strum(to_string = "rel{0}")]
    Relay(u32),
    /// A node.
    #[strum(to_string = "node{0}")]
    Node(u32),
    /// Every upstream.
    #[strum(to_string = "up")]
    Upstreams,
}

/// The lanes of a run, in their order, and whose lane each actor has.
#[derive(Clone, Debug)]
pub struct Lanes {
    lanes: Vec<Lane>,
    /// The client of each flow.
    owners: BTreeMap<u32, u32>,
    /// For each flow the nodes that opened an upstream for it, and at which entry.
    homes: BTreeMap<u32, Vec<(u64, u32)>>,
}

impl Lanes {
    /// The lanes of all actors that appear in the lines shown.
    pub fn new(lines: &[TraceLine], shown: &[&TraceLine]) -> Self {
        let owned = lines.iter().filter_map(|line| Some((line.flow?, client_of(line.at)?)));
        let owners: BTreeMap<u32, u32> = owned.collect();
        let mut homes: BTreeMap<u32, Vec<(u64, u32)>> = BTreeMap::new();
        for line in lines.iter().filter(|line| line.ev == "up.connect") {
            if let (Some(flow), Actor::Node(node)) = (line.flow, line.at) {
                homes.entry(flow).or_default().push((line.i, node));
            }
        }
        let mut this = Self { lanes: Vec::new(), owners, homes };
        let mut seen: BTreeSet<Lane> = shown.iter().filter_map(|line| this.of(line.at)).collect();
        seen.extend(shown.iter().filter_map(|line| line.relay.map(Lane::Relay)));
        seen.extend(shown.iter().filter_map(|line| this.neighbours(line)).flat_map(|(from, to)| [from, to]));
        for lane in seen {
            match lane {
                // They stand beside their client.
                Lane::Apps(_) => {}
                Lane::Client(client) => this.lanes.extend([Lane::Apps(client), lane]),
                Lane::Relay(_) | Lane::Node(_) | Lane::Upstreams => this.lanes.push(lane),
            }
        }
        this
    }

    /// The lane of an actor; none for the world.
    pub fn of(&self, actor: Actor) -> Option<Lane> {
        Some(match actor {
            Actor::World => return None,
            Actor::App(flow) => Lane::Apps(self.owners.get(&flow).copied().unwrap_or(0)),
            Actor::Client(client) => Lane::Client(client),
            Actor::Relay(relay) => Lane::Relay(relay),
            Actor::Node(node) => Lane::Node(node),
            Actor::Upstream(_) => Lane::Upstreams,
        })
    }

    /// The lanes, left to right.
    pub fn all(&self) -> &[Lane] {
        &self.lanes
    }

    /// The place of a lane, from the left.
    pub fn place(&self, lane: Lane) -> Option<usize> {
        self.lanes.iter().position(|other| *other == lane)
    }

    /// The node that an upstream belongs to: the one that opened it last before this line.
    fn home(&self, line: &TraceLine) -> u32 {
        let homes = line.flow.and_then(|flow| self.homes.get(&flow));
        let last = homes.and_then(|homes| homes.iter().rev().find(|(opened, _)| *opened <= line.i));
        last.map_or(0, |(_, node)| *node)
    }

    /// The lanes between which something passes at once: application and client, node and upstream.
    pub fn neighbours(&self, line: &TraceLine) -> Option<(Lane, Lane)> {
        let own = self.of(line.at)?;
        let owner = line.flow.map(|flow| self.owners.get(&flow).copied().unwrap_or(0));
        match line.ev.as_str() {
            "app.open" | "app.write" | "app.finish" | "app.reset" => Some((own, Lane::Client(owner?))),
            "flow.opened" | "flow.deliver" | "flow.fin" | "flow.ended" => Some((own, Lane::Apps(owner?))),
            "up.connect" | "up.shut" => Some((own, Lane::Upstreams)),
            "up.write" => Some((Lane::Node(self.home(line)), own)),
            "up.connected" | "up.send" | "up.fin" | "up.reset" => Some((own, Lane::Node(self.home(line)))),
            _ => None,
        }
    }

    /// The lane's name; numbered only where there are several.
    pub fn name(&self, lane: Lane) -> String {
        let several = self.lanes.iter().filter(|lane| matches!(lane, Lane::Client(_))).count() > 1;
        match lane {
            Lane::Apps(client) if several => format!("application {client}"),
            Lane::Apps(_) => "application".to_owned(),
            Lane::Client(client) if several => format!("client {client}"),
            Lane::Client(_) => "client".to_owned(),
            Lane::Relay(relay) => format!("relay {relay}"),
            Lane::Node(node) => format!("node {node}"),
            Lane::Upstreams => "upstream".to_owned(),
        }
    }
}
