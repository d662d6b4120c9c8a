//! A sink that measures a run from its trace.

use std::collections::VecDeque;
use std::time::Duration;

use crate::plan::workload::{Role, Until, Workload};
use crate::trace::{Entry, Sink, What};
use crate::{Fault, Time};

/// Measures the times of a run.
#[derive(Clone, Debug)]
pub struct Probe {
    until: Until,
    flows: Vec<FlowProbe>,
    calls: u64,
    first_counted: Time,
    /// When the node last restarted.
    restarted: Option<Time>,
    /// From the restart of the node to the end of each flow that it had.
    pub(super) gone: Vec<Duration>,
}

/// What was seen of a flow.
#[derive(Clone, Debug)]
pub(super) struct FlowProbe {
    role: Role,
    opened: Time,
    /// Bytes that came to where they are looked at.
    pub(super) bytes: u64,
    /// When the first and the newest of them came.
    came: Option<(Time, Time)>,
    /// The longest that none came, between the first and the last.
    pub(super) stall: Duration,
    /// When, and whether in order.
    ended: Option<(Time, bool)>,
    /// When each word that has not come yet was said, and with which byte it ends.
    said: VecDeque<(Time, u64)>,
    bytes_said: u64,
    /// From saying to hearing, of each word that came.
    pub(super) waits: Vec<Duration>,
    /// When an answer was lost, until a word comes.
    struck: Option<Time>,
    /// Of the words that waited for the answer that was lost, or for the next.
    pub(super) hit: Vec<Duration>,
    /// When a quarter and nine tenths of the bytes had come, and how many calls there were by then.
    quarter: Option<(Time, u64, u64)>,
    most: Option<(Time, u64, u64)>,
}

impl FlowProbe {
    const fn new(role: Role) -> Self {
        Self {
            role,
            opened: Time::ZERO,
            bytes: 0,
            came: None,
            stall: Duration::ZERO,
            ended: None,
            said: VecDeque::new(),
            bytes_said: 0,
            waits: Vec::new(),
            struck: None,
            hit: Vec::new(),
            quarter: None,
            most: None,
        }
    }

    /// Bytes that came between a quarter and nine tenths of them, in which time, and with how many calls.
    pub(super) fn steady(&self) -> Option<(u64, Duration, u64)> {
        let ((from, bytes, calls), (until, more, later)) = (self.quarter?, self.most?);
        Some((more - bytes, until.since(from), later - calls))
    }

    /// Records how far the transfer is after `calls` calls.
    fn pass(&mut self, now: Time, calls: u64) {
        let (Role::Download(all) | Role::Upload(all)) = self.role else { return };
        let here = (now, self.bytes, calls);
        if self.quarter.is_none() && self.bytes >= all / 4 {
            self.quarter = Some(here);
        }
        if self.most.is_none() && self.bytes >= all / 10 * 9 {
            self.most = Some(here);
        }
    }

    /// Whether everything came that was to come.
    pub(super) fn finished(&self) -> bool {
        match self.role {
            Role::Download(bytes) | Role::Upload(bytes) => self.bytes >= bytes,
            Role::Echo | Role::End => self.ended.is_some_and(|(_, orderly)| orderly),
            Role::Pushed | Role::Life => self.ended.is_none(),
        }
    }

    pub(super) const fn is_echo(&self) -> bool {
        matches!(self.role, Role::Echo)
    }

    pub(super) const fn is_pushed(&self) -> bool {
        matches!(self.role, Role::Pushed)
    }

    pub(super) const fn is_bulk(&self) -> bool {
        matches!(self.role, Role::Download(_) | Role::Upload(_))
    }

    /// From the open to the last byte.
    pub(super) fn took(&self) -> Option<Duration> {
        self.came.map(|(_, last)| last.since(self.opened))
    }

    /// From the last sign of life to the visible end, of a flow that was lost.
    pub(super) fn noticed(&self) -> Option<Duration> {
        let (at, _) = self.ended.filter(|(_, orderly)| !orderly)?;
        Some(at.since(self.came.map_or(self.opened, |(_, last)| last)))
    }

    fn come(&mut self, now: Time, bytes: u64) {
        self.bytes += bytes;
        if let Some((_, last)) = self.came {
            self.stall = self.stall.max(now.since(last));
        }
        self.came = Some((self.came.map_or(now, |(first, _)| first), now));
        while let Some((at, _)) = self.said.front().copied().filter(|(_, end)| *end <= self.bytes) {
            self.waits.push(now.since(at));
            self.said.pop_front();
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
            (
                What::Deliver { bytes, .. },
                Role::Download(_) | Role::Echo | Role::Pushed | Role::End | Role::Life,
            ) => {
                self.come(now, bytes);
            }
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
        let first_counted = match until {
            Until::Time(from, _) => Time::ZERO.after(from),
            Until::Flow(_) | Until::All => Time::ZERO,
        };
        let flows = (0..flows).map(|flow| FlowProbe::new(workload.role(flow))).collect();
        Self { until, flows, calls: 0, first_counted, restarted: None, gone: Vec::new() }
    }

    /// Whether everything has been measured by now.
    pub fn is_done(&self, now: Time) -> bool {
        match self.until {
            Until::Flow(flow) => {
                self.flows.get(flow).is_none_or(|flow| flow.ended.is_some() || flow.finished())
            }
            Until::All => self.flows.iter().all(|flow| flow.ended.is_some()),
            Until::Time(from, length) => now >= Time::ZERO.after(from + length),
        }
    }

    /// Calls that were counted.
    pub(super) const fn calls(&self) -> u64 {
        self.calls
    }

    /// For how long calls were counted by now.
    pub(super) fn counted(&self, now: Time) -> Duration {
        let end = match self.until {
            Until::Time(from, length) => Time::ZERO.after(from + length),
            Until::Flow(_) | Until::All => Time::MAX,
        };
        now.min(end).since(self.first_counted)
    }

    pub(super) fn flows(&self) -> &[FlowProbe] {
        &self.flows
    }
}

impl Sink for Probe {
    const ON: bool = true;
    const SUMMARIES: bool = false;

    fn record(&mut self, entry: &Entry) {
        if let What::Send { .. } = entry.what
            && entry.at >= self.first_counted
        {
            self.calls += 1;
        }
        match entry.what {
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
