//! Conditions of a measured run, and the setup of the simulator that follows from them.

use std::time::Duration;

use seqlane::{ClientOptions, Form, Level, NodeOptions, RelayOptions, Secret};
use serde::{Deserialize, Serialize};

use crate::latency::Latency;
use crate::plan::round_trip::RoundTrip;
use crate::plan::size::Size;
use crate::plan::workload::Workload;
use crate::scenario::setup::KEY;
use crate::scenario::{FlowSetup, Outage, RelaySetup, Setup};
use crate::script::Script;
use crate::{Fault, Probability};

/// Level, network and bounds of a run. What a plan leaves out is as on the measured hosted relay, without
/// faults.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Conditions {
    /// The highest level that both sides may use.
    pub level: u8,
    /// The round trip of a call.
    pub round_trip: RoundTrip,
    /// How often a request is lost silently, and how often a reply is.
    pub loss: Probability,
    /// How often a request arrives twice. Never at level 0, which nothing there could survive.
    pub duplicates: Probability,
    /// One of the answers 10 to 19 of each run is lost silently, and nothing else; of answers with payload, where
    /// `spared` says how large those are.
    pub lose_one: bool,
    /// Answers with shorter bodies are not lost.
    pub spared: Size,
    /// Whether relays take packets of level 2 as they are; otherwise they travel as base64, like everything else.
    pub binary: bool,
    /// Calls that a relay takes a day; 0: as many as come.
    pub daily_calls: u64,
    /// When flows begin to open, in seconds after the start of the client.
    pub begins: u32,
    /// Seconds after `begins` at which the first relay goes silent permanently; 0: never.
    pub dies: u32,
    /// Seconds after `begins` at which every relay goes silent for 60 s; 0: never.
    pub silent: u32,
    /// Seconds after `begins` at which the node restarts; 0: never.
    pub restarts: u32,
    /// How many relays there are.
    pub relays: u32,
    /// Calls that a relay takes at a time.
    pub concurrency: u32,
    /// Bytes a second of the link that all calls share, each way.
    pub link: Size,
    /// Bytes a second that one call gets at most.
    pub per_call: Size,
    /// Bytes a second that come from each upstream; 0: all at once.
    pub upstream: Size,
    /// Data ops in flight per session, at most, from level 1 on.
    pub depth: usize,
    /// Bytes of a session that one response brings at most.
    pub response_cap: Size,
}

impl Default for Conditions {
    fn default() -> Self {
        let (client, node) = (ClientOptions::new(Vec::new()), NodeOptions::new(Secret::new(KEY)));
        Self {
            level: Level::default().number(),
            round_trip: RoundTrip(Latency::Hosted),
            loss: Probability::NEVER,
            duplicates: Probability::NEVER,
            lose_one: false,
            spared: Size(0),
            binary: false,
            daily_calls: 0,
            begins: 0,
            dies: 0,
            silent: 0,
            restarts: 0,
            relays: 4,
            concurrency: 30,
            link: Size(10_000_000),
            per_call: Size(1_400_000),
            upstream: Size(0),
            depth: client.max_depth,
            response_cap: Size(node.tuning.max_drain as u64),
        }
    }
}

impl Conditions {
    /// The level itself; none where the machines do not have it.
    pub const fn level(&self) -> Option<Level> {
        Level::from_number(self.level)
    }

    /// Data ops of one session in flight at a time.
    pub const fn in_flight(&self) -> usize {
        match self.level {
            0 => 1,
            _ => self.depth,
        }
    }

    /// Bytes of a session that one request takes at most.
    pub fn request_cap(&self) -> usize {
        ClientOptions::new(Vec::new()).tuning.max_op_payload
    }

    /// What makes no run.
    pub fn check(&self) -> Result<(), String> {
        if self.level().is_none() {
            return Err(format!("level: the machines have no level {}", self.level));
        }
        if self.relays == 0 || self.concurrency == 0 {
            return Err("relays, concurrency: there must be at least one".to_owned());
        }
        if self.link.0 == 0 || self.per_call.0 == 0 {
            return Err("link, per-call: must be at least 1 B".to_owned());
        }
        let (client, node) = self.machines(Level::default());
        client.validate().map_err(|error| error.to_string())?;
        node.validate().map_err(|error| error.to_string())?;
        Ok(())
    }

    fn machines(&self, level: Level) -> (ClientOptions, NodeOptions) {
        let relay = RelayOptions::new(Secret::new(KEY))
            .form(Form::Node)
            .max_concurrent(self.concurrency as usize)
            .daily_calls(self.daily_calls())
            .binary(self.binary);
        let relays = vec![relay; self.relays as usize];
        let client = ClientOptions::new(relays).max_level(level).max_depth(self.depth);
        let mut node = NodeOptions::new(Secret::new(KEY)).max_level(level);
        node.tuning.max_drain = usize::try_from(self.response_cap.0).unwrap_or(usize::MAX);
        node.tuning.max_batch_drain = node.tuning.max_batch_drain.max(node.tuning.max_drain);
        (client, node)
    }

    /// A run of `workload`. Faults do not end before it does.
    pub fn setup(&self, workload: Workload) -> Setup {
        const FOR_EVER: Duration = Duration::from_secs(3650 * 86_400);
        let level = self.level().unwrap_or_default();
        let (client, node) = self.machines(level);
        let relay = RelaySetup {
            concurrency: self.concurrency,
            queues: false,
            daily_calls: self.daily_calls(),
            renews_in: None,
            body_cap: None,
            other_node: false,
            binary: self.binary,
        };
        let flows = workload.flows().into_iter();
        Setup {
            level,
            client,
            node,
            other_level: Level::Legacy,
            clients: 1,
            relays: vec![relay; self.relays as usize],
            flows: flows
                .map(|(at, script)| FlowSetup {
                    client: 0,
                    at: at + self.begins(),
                    script: Script { rate: (self.upstream.0 > 0).then_some(self.upstream.0), ..script },
                    again: None,
                    spoiled: false,
                })
                .collect(),
            foreign_clients: Vec::new(),
            outages: self.outages(),
            restarts: self.at(self.restarts).into_iter().collect(),
            spared: usize::try_from(self.spared.0).unwrap_or(usize::MAX),
            other_is_old: false,
            faults: Fault::ALL.iter().map(|fault| self.probability(*fault)).collect(),
            latency: self.round_trip.0,
            ties: false,
            fault_phase: FOR_EVER,
            link: Some((self.link.0, self.per_call.0)),
        }
    }

    fn daily_calls(&self) -> Option<u64> {
        (self.daily_calls > 0).then_some(self.daily_calls)
    }

    /// When flows begin to open.
    pub fn begins(&self) -> Duration {
        Duration::from_secs(u64::from(self.begins))
    }

    /// So many seconds after the first flows open; 0: never.
    fn at(&self, seconds: u32) -> Option<Duration> {
        (seconds > 0).then(|| self.begins() + Duration::from_secs(u64::from(seconds)))
    }

    fn outages(&self) -> Vec<Outage> {
        const SILENCE: Duration = Duration::from_secs(60);
        let dead = self.at(self.dies).map(|from| Outage { relay: 0, from, until: None });
        let silent = self.at(self.silent).into_iter().flat_map(|from| {
            (0..self.relays as usize).map(move |relay| Outage { relay, from, until: Some(from + SILENCE) })
        });
        dead.into_iter().chain(silent).collect()
    }

    fn probability(&self, fault: Fault) -> Probability {
        match fault {
            // Which one it is, the chooser decides.
            Fault::LoseReply if self.lose_one => Probability::ALWAYS,
            Fault::LoseRequest | Fault::LoseReply => self.loss,
            Fault::Duplicate if self.level >= Fault::Duplicate.from_level() => self.duplicates,
            _ => Probability::NEVER,
        }
    }
}
