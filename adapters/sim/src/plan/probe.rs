//! A sink that measures a run from its trace.

use std::collections::VecDeque;
use std::time::Duration;

use crate::plan::measure::{Measurement, Transfer};
use crate::plan::workload::{Role, Until, Workload};
use crate::trace::{Entry, Sink, What};
use crate::{Fault, Time};

/// Measures the times of a run.
#[derive(Clone, Debug)]
pub struct Probe {
    until: Until,
    flows: Vec<FlowProbe>,
    calls: u64,
    /// From when until when calls count.
    counted: (Time, Time),
    /// When the node last restarted.
    restarted: Option<Time>,
    /// From the restart of the node to the end of each flow that it had.
    gone: Vec<Duration>,
}

/// What was seen of a flow.
#[derive(Clone, Debug, Default)]
struct FlowProbe {
    role: Role,
    opened: Time,
    /// Bytes that came to where they are looked at.
    bytes: u64,
    /// When the first and the newest of them came.
    came: Option<(Time, Time)>,
    /// The longest that none came, between the first and the last.
    stall: Duration,
    /// When, and whether in order.
    ended: Option<(Time, bool)>,
    /// When each word that has not come yet was said, and with which byte it ends.
    said: VecDeque<(Time, u64)>,
    bytes_said: u64,
    /// From saying to hearing, of each word that came.
    waits: Vec<Duration>,
    /// When an answer was lost, until a word comes.
    struck: Option<Time>,
    /// Of the words that waited for the answer that was lost, or for the next.
    hit: Vec<Duration>,
    /// When a quarter and nine tenths of the bytes had come, and how many calls there were by then.
    quarter: Option<(Time, u64, u64)>,
    most: Option<(Time, u64, u64)>,
}

impl FlowProbe {
    /// Records how far the transfer is after `calls` calls.
    fn pass(&mut self, now: Time, calls: u64) {
        let (Role::Download(all) | Role::Upload(all)) = self.role else { return };
        let here = (now, self.bytes, calls);
        if self.bytes >= all / 4 {
            self.quarter.get_or_insert(here);
        }
        if self.bytes >= all / 10 * 9 {
            self.most.get_or_insert(here);
        }
    }

    /// Whether everything came that was to come.
    fn finished(&self) -> bool {
        match self.role {
            Role::Download(bytes) | Role::Upload(bytes) => self.bytes >= bytes,
            Role::Echo | Role::End => self.ended.is_some_and(|(_, orderly)| orderly),
            Role::Pushed | Role::Life => self.ended.is_none(),
        }
    }

    /// The whole of it, in `calls` calls.
    fn whole(&self, calls: u64) -> Option<Transfer> {
        let (_, last) = self.came.filter(|_| self.finished())?;
        Some(Transfer { bytes: self.bytes, took: last.since(self.opened), calls })
    }

    /// What came between a quarter and nine tenths of it.
    fn steady(&self) -> Option<Transfer> {
        let ((from, bytes, calls), (until, more, later)) = (self.quarter?, self.most?);
        Some(Transfer { bytes: more - bytes, took: until.since(from), calls: later - calls })
    }

    /// From the last sign of life to the visible end, of a flow that was lost.
    fn noticed(&self) -> Option<Duration> {
        let (at, _) = self.ended.filter(|(_, orderly)| !orderly)?;
        Some(at.since(self.came.map_or(self.opened, |(_, last)| last)))
    }

    fn come(&mut self, now: Time, bytes: u64) {
        self.bytes += bytes;
        let (first, last) = self.came.unwrap_or((now, now));
        self.stall = self.stall.max(now.since(last));
        self.came = Some((first, now));
        while let Some((at, _)) = self.said.pop_front_if(|(_, end)| *end <= self.bytes) {
            self.waits.push(now.since(at));
            if self.struck.take().is_some() {
                self.hit.push(now.since(at));
            }
        }
    }

    fn say(&mut self, now: Time, bytes: u64) {
        self.bytes_said += bytes;
        self.said.push_back((now, self.bytes_said));
    }

    fn see(&mut self, now: Time, what: &What) {
        match (*what, self.role) {
            (What::Open { .. }, _) => self.opened = now,
            (What::Ended { why, .. }, _) => self.ended = Some((now, why.is_orderly())),
            (What::Uplink { bytes, .. }, Role::Upload(_)) => self.come(now, bytes),
            (What::Deliver { .. }, Role::Upload(_)) => {}
            (What::Deliver { bytes, .. }, _) => self.come(now, bytes),
            (What::Write { bytes, .. }, Role::Echo) | (What::Downlink { bytes, .. }, Role::Pushed) => {
                self.say(now, bytes);
            }
            _ => {}
        }
    }
}

impl Probe {
    /// A probe for a workload with this many flows.
    pub fn new(workload: Workload, flows: usize) -> Self {
        let until = workload.until();
        let counted = match until {
            Until::Time(from, length) => (Time::ZERO.after(from), Time::ZERO.after(from + length)),
            Until::Flow(_) | Until::All => (Time::ZERO, Time::MAX),
        };
        let flow = |flow| FlowProbe { role: workload.role(flow), ..FlowProbe::default() };
        let flows = (0..flows).map(flow).collect();
        Self { until, flows, calls: 0, counted, restarted: None, gone: Vec::new() }
    }

    /// Whether everything has been measured by now.
    pub fn is_done(&self, now: Time) -> bool {
        match self.until {
            Until::Flow(flow) => {
                self.flows.get(flow).is_none_or(|flow| flow.ended.is_some() || flow.finished())
            }
            Until::All => self.flows.iter().all(|flow| flow.ended.is_some()),
            Until::Time(..) => now >= self.counted.1,
        }
    }

    /// What the run has shown by now.
    pub fn measurement(&self, now: Time) -> Measurement {
        let flows = || self.flows.iter();
        let (from, until) = self.counted;
        let judged = || flows().filter(|flow| flow.role != Role::Echo || self.flows.len() == 1);
        let bulk = flows().find(|flow| matches!(flow.role, Role::Download(_) | Role::Upload(_)));
        let waits = |role: Role, select: fn(&FlowProbe) -> &[Duration]| {
            flows().filter(|flow| flow.role == role).flat_map(select).copied().collect()
        };
        Measurement {
            flows: judged().count() as u32,
            finished: judged().filter(|flow| flow.finished()).count() as u32,
            bulk: bulk.and_then(|flow| flow.whole(self.calls)),
            stall: match bulk {
                Some(flow) => flow.stall,
                None => flows().map(|flow| flow.stall).max().unwrap_or_default(),
            },
            echoes: waits(Role::Echo, |flow| &flow.waits),
            pushes: waits(Role::Pushed, |flow| &flow.waits),
            noticed: flows().filter_map(FlowProbe::noticed).collect(),
            steady: bulk.and_then(FlowProbe::steady),
            hit: waits(Role::Echo, |flow| &flow.hit),
            gone: self.gone.clone(),
            calls: self.calls,
            counted: now.min(until).since(from),
        }
    }
}

impl Sink for Probe {
    const ON: bool = true;
    const SUMMARIES: bool = false;

    fn record(&mut self, entry: &Entry) {
        match entry.what {
            What::Send { .. } if entry.at >= self.counted.0 => self.calls += 1,
            What::Strike { fault: Fault::LoseReply, .. } => {
                self.flows.iter_mut().for_each(|flow| flow.struck = Some(entry.at));
            }
            What::Environment { fault: Fault::Restart, .. } => self.restarted = Some(entry.at),
            _ => {}
        }
        let flow = entry.what.flow().and_then(|flow| self.flows.get_mut(flow as usize));
        if let Some(flow) = flow {
            flow.see(entry.at, &entry.what);
            flow.pass(entry.at, self.calls);
            if let (What::Ended { why, .. }, Some(restarted)) = (entry.what, self.restarted)
                && !why.is_orderly()
                && flow.opened < restarted
            {
                self.gone.push(entry.at.since(restarted));
            }
        }
    }
}
