//! Upstreams: they open, read, answer and end as the scripts of their flows say.

use std::time::Duration;

use bytes::Bytes;
use seqlane::{FlowKind, NodeEvent, Shut, UpstreamEvent, UpstreamId};

use crate::chooser::key;
use crate::ends::{Upstream, UpstreamState, datagram, datagram_number};
use crate::pattern::{Direction, LONGEST, Pattern};
use crate::script::{Opening, Pace, Script, Side};
use crate::trace::{Actor, Sink, What};
use crate::world::event::Event;
use crate::world::{Phase, World};
use crate::{Chooser, ClientHost, CoveragePoint, DecisionPoint, Fault};

/// How long upstreams take to answer; the first is the benign one.
const ANSWERS: [Duration; 4] =
    [Duration::ZERO, Duration::from_millis(5), Duration::from_millis(120), Duration::from_millis(900)];

impl<H: ClientHost, C: Chooser, S: Sink> World<H, C, S> {
    pub(super) fn upstream_event(&mut self, upstream: usize, event: UpstreamEvent) {
        let Upstream { node, id, .. } = self.ends.upstreams[upstream];
        self.node_handle(node, NodeEvent::Upstream { upstream: id, event });
    }

    /// A node opens an upstream for a flow.
    pub(super) fn open_upstream(&mut self, node: usize, id: UpstreamId, flow: usize) {
        let index = self.ends.upstreams.len();
        self.tell(Actor::Node(node as u32), What::Connect { flow: flow as u32 });
        self.ends.flows[flow].upstreams.push(index);
        if self.setup.flows.get(flow).is_some_and(|setup| setup.spoiled) {
            self.count_fault(Fault::Upstream);
        }
        self.oracle.on_upstream_opened(&self.ends, flow);
        let wait = self.chooser.decide(DecisionPoint::Connect, key(flow as u64, index as u64), 80);
        let answer = self.chooser.decide(DecisionPoint::Pace, key(flow as u64, 1), ANSWERS.len() as u32);
        let answers_after = self.ends.flows[flow].script.answers_after;
        self.ends.upstreams.push(Upstream {
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
            answers_after: answers_after.unwrap_or(ANSWERS[answer as usize % ANSWERS.len()]),
        });
        self.nodes[node].upstreams.insert(id, index);
        if self.ends.flows[flow].script.opening != Opening::Silence {
            self.at(self.now.after(Duration::from_millis(u64::from(wait))), Event::Connect(index));
        }
    }

    pub(super) fn on_connect(&mut self, upstream: usize) {
        let Upstream { node, flow, state, .. } = self.ends.upstreams[upstream];
        if state != UpstreamState::Opening {
            return;
        }
        let event = match self.ends.flows[flow].script.opening {
            Opening::Fail(failure) => {
                self.ends.upstreams[upstream].state = UpstreamState::Broken { event: self.events };
                UpstreamEvent::Failed(failure)
            }
            Opening::Accept | Opening::Silence => {
                self.ends.upstreams[upstream].state = UpstreamState::Open;
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
        let (flow, len) = (self.ends.upstreams[upstream].flow, bytes.len());
        self.tell(Actor::Upstream(flow as u32), What::Uplink { flow: flow as u32, bytes: len as u64 });
        self.ends.flows[flow].moved = self.now;
        self.tally.uplink += len as u64;
        self.oracle.on_written(&self.ends, upstream, &bytes);
        if self.ends.flows[flow].is_udp() {
            return self.echo_datagram(upstream, &bytes);
        }
        let end = &mut self.ends.upstreams[upstream];
        end.received += len as u64;
        end.unread += len;
        if let Some((Side::Upstream, after)) = self.ends.flows[flow].script.reset
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
        let flow = self.ends.upstreams[upstream].flow;
        let Some(number) = datagram_number(flow, Direction::Up, bytes) else { return };
        let reply = datagram(flow, Direction::Down, number, self.ends.flows[flow].script.down);
        self.tell(
            Actor::Upstream(flow as u32),
            What::Downlink { flow: flow as u32, bytes: reply.len() as u64 },
        );
        self.ends.upstreams[upstream].sent += reply.len() as u64;
        self.upstream_event(upstream, UpstreamEvent::Datagram(reply));
    }

    /// The upstream reads, now or later.
    pub(super) fn read_upstream(&mut self, upstream: usize) {
        let faulty = self.phase == Phase::Faults;
        let end = &mut self.ends.upstreams[upstream];
        if end.unread == 0 || end.reading || end.state != UpstreamState::Open {
            return;
        }
        match self.ends.flows[end.flow].script.upstream_reads {
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
        let end = &mut self.ends.upstreams[upstream];
        end.reading = false;
        if end.state == UpstreamState::Open {
            let unread = std::mem::take(&mut end.unread);
            let (node, flow) = (end.node, end.flow);
            self.ends.flows[flow].moved = self.now;
            self.upstream_event(upstream, UpstreamEvent::Written(unread));
            self.drain_node(node);
        }
    }

    /// Schedules the bytes that the upstream sends next.
    fn answer(&mut self, upstream: usize) {
        let end = &mut self.ends.upstreams[upstream];
        let script = &self.ends.flows[end.flow].script;
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
        let end = &mut self.ends.upstreams[upstream];
        end.due = end.due.max(due);
        let (node, due, promised) = (end.node, end.due, end.promised);
        if let Some(slice) = self.ends.flows[end.flow].script.slice().filter(|_| due < promised) {
            self.at(self.now.after(Script::TICK), Event::Speak(upstream, promised.min(due + slice)));
        }
        self.pump_upstream(upstream);
        self.drain_node(node);
    }

    pub(super) fn on_upstream_credit(&mut self, upstream: usize, bytes: usize) {
        self.ends.upstreams[upstream].credit += bytes;
        self.pump_upstream(upstream);
    }

    /// Sends as much as is due and the credit allows, and the end after the last byte.
    fn pump_upstream(&mut self, upstream: usize) {
        loop {
            let end = &mut self.ends.upstreams[upstream];
            let script: &Script = &self.ends.flows[end.flow].script;
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

    /// A node ends an upstream.
    pub(super) fn on_shut(&mut self, upstream: usize, how: Shut) {
        self.oracle.on_upstream_shut(&self.ends, upstream, how);
        let Upstream { node, flow, .. } = self.ends.upstreams[upstream];
        self.ends.upstreams[upstream].state = UpstreamState::Gone;
        self.tell(Actor::Node(node as u32), What::Shut { flow: flow as u32 });
    }
}
