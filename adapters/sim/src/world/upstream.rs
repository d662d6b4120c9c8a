//! The upstream's end of each flow.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use seqlane::{FlowKind, NodeEvent, Shut, UpstreamEvent, UpstreamId};

use crate::chooser::{Chooser, key};
use crate::coverage::CoveragePoint;
use crate::decision_point::DecisionPoint;
use crate::fault::Fault;
use crate::host::ClientHost;
use crate::pattern::{Direction, LONGEST, Pattern};
use crate::property::Property;
use crate::script::{Opening, Pace, Script, Side};
use crate::time::Time;
use crate::trace::{Actor, Sink, What};
use crate::world::event::Event;
use crate::world::flow::{datagram, datagram_number};
use crate::world::{Phase, World};

/// How long upstreams take to answer; the first is the benign one.
const ANSWERS: [Duration; 4] =
    [Duration::ZERO, Duration::from_millis(5), Duration::from_millis(120), Duration::from_millis(900)];

/// A connection of a node to the far end of a flow.
#[derive(Clone, Debug)]
pub(super) struct Upstream {
    pub(super) node: usize,
    pub(super) id: UpstreamId,
    pub(super) flow: usize,
    pub(super) state: UpstreamState,
    credit: usize,
    sent: u64,
    /// Bytes that it has decided to send.
    promised: u64,
    due: u64,
    pub(super) received: u64,
    unread: usize,
    reading: bool,
    pub(super) finished: bool,
    /// Whether the node has half-closed it.
    uplink_over: bool,
    /// How long it takes to answer.
    answers_after: Duration,
    /// When the node said that its session ended.
    pub(super) session_over: Option<Time>,
    /// When it could not be opened.
    pub(super) failed: Option<Time>,
    /// The numbers of the datagrams that it got.
    datagrams: BTreeSet<u64>,
}

/// ```text
///   Opening ── connected ──▶ Open ── shut by the node, or lost with it ──▶ Gone
///      │                      └───── reset by itself ──▶ Broken
///      ├── failed ──▶ Broken
///      └── shut by the node ──▶ Gone
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UpstreamState {
    Opening,
    Open,
    /// It went by itself, during this event of the run: until its end the node may not have heard of it.
    Broken {
        event: u64,
    },
    Gone,
}

impl UpstreamState {
    pub(super) const fn is_over(self) -> bool {
        matches!(self, Self::Broken { .. } | Self::Gone)
    }
}

impl<H: ClientHost, C: Chooser, S: Sink> World<H, C, S> {
    pub(super) fn upstream_event(&mut self, upstream: usize, event: UpstreamEvent) {
        let Upstream { node, id, .. } = self.upstreams[upstream];
        self.node_handle(node, NodeEvent::Upstream { upstream: id, event });
    }

    /// A node opens an upstream for a flow.
    pub(super) fn open_upstream(&mut self, node: usize, id: UpstreamId, flow: usize) {
        let index = self.upstreams.len();
        self.tell(Actor::Node(node as u32), What::Connect { flow: flow as u32 });
        self.flows[flow].upstreams.push(index);
        if self.setup.flows.get(flow).is_some_and(|setup| setup.spoiled) {
            self.count_fault(Fault::Upstream);
        }
        self.check_opens(flow);
        let wait = self.chooser.decide(DecisionPoint::Connect, key(flow as u64, index as u64), 80);
        let answer = self.chooser.decide(DecisionPoint::Pace, key(flow as u64, 1), ANSWERS.len() as u32);
        let answers_after = self.flows[flow].script.answers_after;
        self.upstreams.push(Upstream {
            node,
            id,
            flow,
            state: UpstreamState::Opening,
            credit: 0,
            sent: 0,
            promised: 0,
            due: 0,
            received: 0,
            unread: 0,
            reading: false,
            finished: false,
            uplink_over: false,
            answers_after: answers_after.unwrap_or(ANSWERS[answer as usize % ANSWERS.len()]),
            session_over: None,
            failed: None,
            datagrams: BTreeSet::new(),
        });
        self.nodes[node].upstreams.insert(id, index);
        if self.flows[flow].script.opening != Opening::Silence {
            self.at(self.now.after(Duration::from_millis(u64::from(wait))), Event::Connect(index));
        }
    }

    pub(super) fn on_connect(&mut self, upstream: usize) {
        let Upstream { node, flow, state, .. } = self.upstreams[upstream];
        if state != UpstreamState::Opening {
            return;
        }
        let event = match self.flows[flow].script.opening {
            Opening::Fail(failure) => {
                self.upstreams[upstream].state = UpstreamState::Broken { event: self.events };
                self.upstreams[upstream].failed = Some(self.now);
                UpstreamEvent::Failed(failure)
            }
            Opening::Accept | Opening::Silence => {
                self.upstreams[upstream].state = UpstreamState::Open;
                UpstreamEvent::Opened
            }
        };
        let ok = event == UpstreamEvent::Opened;
        self.tell(Actor::Upstream(flow as u32), What::Connected { flow: flow as u32, ok });
        self.upstream_event(upstream, event);
        if ok {
            self.answer(upstream);
        }
        self.drain_node(node);
    }

    /// A node writes to an upstream.
    pub(super) fn on_uplink(&mut self, upstream: usize, bytes: Bytes) {
        let (flow, len) = (self.upstreams[upstream].flow, bytes.len());
        self.tell(Actor::Upstream(flow as u32), What::Uplink { flow: flow as u32, bytes: len as u64 });
        self.flows[flow].moved = self.now;
        self.tally.uplink += len as u64;
        if self.flows[flow].is_udp() {
            return self.echo_datagram(upstream, &bytes);
        }
        self.check_uplink(upstream, &bytes);
        let end = &mut self.upstreams[upstream];
        end.received += len as u64;
        end.unread += len;
        if let Some((Side::Upstream, after)) = self.flows[flow].script.reset
            && end.received >= after
        {
            end.state = UpstreamState::Broken { event: self.events };
            self.tell(Actor::Upstream(flow as u32), What::UpstreamReset { flow: flow as u32 });
            return self.upstream_event(upstream, UpstreamEvent::Reset);
        }
        self.read_upstream(upstream);
        self.answer(upstream);
    }

    fn echo_datagram(&mut self, upstream: usize, bytes: &Bytes) {
        let flow = self.upstreams[upstream].flow;
        let Some(number) = datagram_number(flow, Direction::Up, bytes) else {
            return self.violated(Property::S1, format!("upstream of flow {flow} gets a foreign datagram"));
        };
        if !self.upstreams[upstream].datagrams.insert(number) && !self.may_be_doubled(flow) {
            return self
                .violated(Property::S2, format!("upstream of flow {flow} gets datagram {number} twice"));
        }
        let reply = datagram(flow, Direction::Down, number, self.flows[flow].script.down);
        self.tell(
            Actor::Upstream(flow as u32),
            What::Downlink { flow: flow as u32, bytes: reply.len() as u64 },
        );
        self.upstreams[upstream].sent += reply.len() as u64;
        self.upstream_event(upstream, UpstreamEvent::Datagram(reply));
    }

    /// The upstream reads, now or later.
    pub(super) fn read_upstream(&mut self, upstream: usize) {
        let faulty = self.phase == Phase::Faults;
        let end = &mut self.upstreams[upstream];
        if end.unread == 0 || end.reading || end.state != UpstreamState::Open {
            return;
        }
        match self.flows[end.flow].script.upstream_reads {
            Pace::Stalled if faulty => {}
            Pace::AtOnce | Pace::Stalled => {
                let unread = std::mem::take(&mut end.unread);
                self.upstream_event(upstream, UpstreamEvent::Written(unread));
            }
            Pace::After(pause) => {
                end.reading = true;
                self.at(self.now.after(pause), Event::UpstreamRead(upstream));
            }
        }
    }

    pub(super) fn on_upstream_read(&mut self, upstream: usize) {
        let end = &mut self.upstreams[upstream];
        end.reading = false;
        if end.state == UpstreamState::Open {
            let unread = std::mem::take(&mut end.unread);
            let (node, flow) = (end.node, end.flow);
            self.flows[flow].moved = self.now;
            self.upstream_event(upstream, UpstreamEvent::Written(unread));
            self.drain_node(node);
        }
    }

    /// The upstream decides what it has to say, and says it after a while.
    fn answer(&mut self, upstream: usize) {
        let end = &mut self.upstreams[upstream];
        let script = &self.flows[end.flow].script;
        let due = script.down_due(end.received);
        if matches!(script.transport(), FlowKind::Udp) || due <= end.promised {
            return;
        }
        let speaks = end.due < end.promised;
        end.promised = due;
        match script.slice() {
            Some(_) if speaks => {}
            Some(slice) => {
                let (at, due) = (self.now.after(end.answers_after), due.min(end.due + slice));
                self.at(at, Event::Speak(upstream, due));
            }
            None if end.answers_after.is_zero() => {
                end.due = due;
                self.pump_upstream(upstream);
            }
            None => {
                let at = self.now.after(end.answers_after);
                self.at(at, Event::Speak(upstream, due));
            }
        }
    }

    pub(super) fn on_speak(&mut self, upstream: usize, due: u64) {
        let end = &mut self.upstreams[upstream];
        end.due = end.due.max(due);
        let (node, due, promised) = (end.node, end.due, end.promised);
        if let Some(slice) = self.flows[end.flow].script.slice().filter(|_| due < promised) {
            self.at(self.now.after(Script::TICK), Event::Speak(upstream, promised.min(due + slice)));
        }
        self.pump_upstream(upstream);
        self.drain_node(node);
    }

    pub(super) fn on_upstream_credit(&mut self, upstream: usize, bytes: usize) {
        self.upstreams[upstream].credit += bytes;
        self.pump_upstream(upstream);
    }

    /// Sends as much as is due and the credit allows, and the end after the last byte.
    fn pump_upstream(&mut self, upstream: usize) {
        loop {
            let end = &mut self.upstreams[upstream];
            let script: &Script = &self.flows[end.flow].script;
            if end.state != UpstreamState::Open || end.finished {
                return;
            }
            let flow = end.flow as u32;
            if end.sent == script.total_down() {
                end.finished = true;
                self.tell(Actor::Upstream(flow), What::UpstreamFin { flow });
                return self.upstream_event(upstream, UpstreamEvent::Fin);
            }
            let missing = end.due - end.sent;
            let len = script.write.min(end.credit).min(LONGEST).min(missing as usize);
            if len == 0 {
                if missing > 0 {
                    self.coverage.set(CoveragePoint::CreditPaused);
                }
                return;
            }
            let bytes = Pattern::new(u64::from(flow), Direction::Down).slice(end.sent, len);
            end.credit -= len;
            end.sent += len as u64;
            self.tell(Actor::Upstream(flow), What::Downlink { flow, bytes: len as u64 });
            self.upstream_event(upstream, UpstreamEvent::Data(bytes));
        }
    }

    /// A node has written everything that will ever come (level 2).
    pub(super) fn on_uplink_end(&mut self, upstream: usize) {
        let Upstream { flow, received, .. } = self.upstreams[upstream];
        let (sent, done) = (self.flows[flow].local.sent, self.flows[flow].local.is_done());
        if !self.is_stream(flow) {
            self.violated(Property::S4, format!("the upstream of flow {flow} is half-closed below level 2"));
        } else if std::mem::replace(&mut self.upstreams[upstream].uplink_over, true) {
            self.violated(Property::S4, format!("the upstream of flow {flow} is half-closed twice"));
        } else if received != sent || !done {
            let what = format!("the upstream of flow {flow} is half-closed after {received} B of {sent} B");
            self.violated(Property::S1, what);
        }
    }

    /// A node ends an upstream.
    pub(super) fn on_shut(&mut self, upstream: usize, how: Shut) {
        let flow = self.upstreams[upstream].flow as u32;
        let left = self.upstreams[upstream].unread;
        if how == Shut::Close && left > 0 {
            self.violated(
                Property::S1,
                format!("the upstream of flow {flow} is closed before its last {left} B"),
            );
        }
        if how == Shut::Close && self.upstreams[upstream].session_over.is_some_and(|over| over < self.now) {
            self.coverage.set(CoveragePoint::Lingered);
        }
        if self.upstreams[upstream].state == UpstreamState::Opening {
            self.upstreams[upstream].failed = Some(self.now);
        }
        self.upstreams[upstream].state = UpstreamState::Gone;
        self.tell(Actor::Node(self.upstreams[upstream].node as u32), What::Shut { flow });
    }
}

impl Upstream {
    /// Everything that it had to say, it has said.
    pub(super) const fn sent_all(&self, script: &Script) -> bool {
        self.finished && self.sent == script.total_down()
    }

    /// Bytes that were written to it and that it has not read.
    pub(super) const fn behind(&self) -> u64 {
        self.unread as u64
    }

    /// Bytes that it has sent.
    pub(super) const fn sent(&self) -> u64 {
        self.sent
    }
}
