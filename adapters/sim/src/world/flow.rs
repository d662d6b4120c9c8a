//! Applications: they open, write, read, finish and give up as their scripts say.

use std::time::Duration;

use bytes::Bytes;
use seqlane::{EndReason, FlowKind, LocalEvent, OpenError, Target};

use crate::ends::{Flow, datagram};
use crate::oracle::{require, violated};
use crate::pattern::{Direction, LONGEST, Pattern};
use crate::script::{Pace, Side};
use crate::trace::{Actor, Sink, What};
use crate::world::event::Event;
use crate::world::{Phase, World};
use crate::{Chooser, ClientHost, CoveragePoint};

/// How long a UDP application waits between datagrams, and for the last answers.
const UDP_PACE: Duration = Duration::from_millis(300);
const UDP_LINGER: Duration = Duration::from_secs(3);

impl<H: ClientHost, C: Chooser, S: Sink> World<H, C, S> {
    pub(super) fn on_start(&mut self, flow: usize) {
        let (client, kind) = (self.ends.flows[flow].client, self.ends.flows[flow].script.transport());
        let target = Target::new(&self.ends.flows[flow].host(flow), 443).expect("a name and a port");
        self.tell(
            Actor::App(flow as u32),
            What::Open { flow: flow as u32, kind: self.ends.flows[flow].script.kind },
        );
        self.ends.flows[flow].moved = self.now;
        let now = self.shown(client);
        match self.clients[client].host.open(now, target, kind) {
            Ok(id) => {
                let flows = &mut self.clients[client].flows;
                require!(self.oracle, id.number() as usize == flows.len(), S4, "flow {id} is not the next");
                flows.push(flow);
                self.ends.flows[flow].id = Some(id);
            }
            Err(OpenError::FlowLimit) => self.ends.flows[flow].app.ended = Some(EndReason::NoRelay),
            Err(error) => {
                violated!(self.oracle, S5, "client{client} refuses to open: {error}");
            }
        }
        if let Some(patience) = self.ends.flows[flow].script.gives_up {
            self.at(self.now.after(patience), Event::GiveIn(flow));
        }
        self.drain_client(client);
    }

    /// The application gives up: nothing has come for it, or not enough.
    pub(super) fn on_give_in(&mut self, flow: usize) {
        let Flow { client, app, .. } = &mut self.ends.flows[flow];
        let client = *client;
        if app.ended.is_none() && !std::mem::replace(&mut app.done, true) {
            self.tell(Actor::App(flow as u32), What::Abort { flow: flow as u32 });
            self.client_event(flow, LocalEvent::Reset);
            self.drain_client(client);
        }
    }

    pub(super) fn on_think(&mut self, flow: usize) {
        self.ends.flows[flow].app.thinking = false;
        if self.ends.flows[flow].is_udp() {
            self.send_datagram(flow);
        } else {
            let app = &mut self.ends.flows[flow].app;
            app.turns += 1;
            self.pump_local(flow);
        }
        self.drain_client(self.ends.flows[flow].client);
    }

    /// Writes as much as the script and the credit allow.
    pub(super) fn pump_local(&mut self, flow: usize) {
        loop {
            let Flow { script, app, .. } = &mut self.ends.flows[flow];
            if app.ended.is_some() || app.done || !app.opened {
                return;
            }
            if matches!(script.transport(), FlowKind::Udp) {
                if !app.thinking {
                    app.thinking = true;
                    self.at(self.now, Event::Think(flow));
                }
                return;
            }
            if app.turns < script.turns_open(app.received) && !app.thinking {
                if app.turns == 0 || script.think.is_zero() {
                    app.turns += 1;
                    continue;
                }
                app.thinking = true;
                let at = self.now.after(script.think);
                self.at(at, Event::Think(flow));
                continue;
            }
            let due = script.up.saturating_mul(u64::from(app.turns)) - app.sent;
            if due > 0 {
                let len = script.write.min(app.credit).min(LONGEST).min(due as usize);
                if len == 0 {
                    self.coverage.set(CoveragePoint::CreditPaused);
                    return;
                }
                self.write(flow, len);
                continue;
            }
            // At level 2 each side ends its own direction.
            let answers = app.fin && self.ends.flows[flow].is_stream;
            let Flow { script, app, .. } = &mut self.ends.flows[flow];
            if (script.half_close || answers) && app.sent == script.total_up() {
                app.done = true;
                if script.half_close {
                    self.coverage.set(CoveragePoint::HalfClosed);
                }
                self.ends.flows[flow].finished = self.now;
                self.tell(Actor::App(flow as u32), What::Finish { flow: flow as u32 });
                self.client_event(flow, LocalEvent::Fin);
            }
            return;
        }
    }

    fn write(&mut self, flow: usize, len: usize) {
        let app = &mut self.ends.flows[flow].app;
        let bytes = Pattern::new(flow as u64, Direction::Up).slice(app.sent, len);
        app.credit -= len;
        app.sent += len as u64;
        self.tell(Actor::App(flow as u32), What::Write { flow: flow as u32, bytes: len as u64 });
        self.client_event(flow, LocalEvent::Data(bytes));
    }

    fn send_datagram(&mut self, flow: usize) {
        let Flow { script, app, .. } = &mut self.ends.flows[flow];
        if app.ended.is_some() || app.done {
            return;
        }
        if app.turns == script.turns {
            app.done = true;
            self.tell(Actor::App(flow as u32), What::Finish { flow: flow as u32 });
            return self.client_event(flow, LocalEvent::Fin);
        }
        let (number, len) = (u64::from(app.turns), script.up);
        app.turns += 1;
        app.thinking = true;
        let pause = if app.turns == script.turns { UDP_LINGER } else { UDP_PACE };
        self.ends.flows[flow].moved = self.now;
        self.at(self.now.after(pause), Event::Think(flow));
        self.tell(Actor::App(flow as u32), What::Write { flow: flow as u32, bytes: len });
        self.client_event(flow, LocalEvent::Data(datagram(flow, Direction::Up, number, len)));
    }

    pub(super) fn on_deliver(&mut self, flow: usize, bytes: Bytes) {
        let len = bytes.len();
        self.tell(
            Actor::Client(self.ends.flows[flow].client as u32),
            What::Deliver { flow: flow as u32, bytes: len as u64 },
        );
        self.ends.flows[flow].moved = self.now;
        self.tally.downlink += len as u64;
        self.oracle.on_delivered(&self.ends, flow, &bytes);
        if self.ends.flows[flow].is_udp() {
            return self.client_event(flow, LocalEvent::Written(len));
        }
        let Flow { script, app, .. } = &mut self.ends.flows[flow];
        app.received += len as u64;
        app.unread += len;
        if let Some((Side::Local, after)) = script.reset
            && app.received >= after
            && !app.done
        {
            app.done = true;
            self.tell(Actor::App(flow as u32), What::Abort { flow: flow as u32 });
            return self.client_event(flow, LocalEvent::Reset);
        }
        self.read_local(flow);
        self.pump_local(flow);
    }

    /// The application reads, now or later.
    pub(super) fn read_local(&mut self, flow: usize) {
        let faulty = self.phase == Phase::Faults;
        let Flow { script, app, .. } = &mut self.ends.flows[flow];
        if app.unread == 0 || app.reading {
            return;
        }
        match script.local_reads {
            Pace::Stalled if faulty => {}
            Pace::AtOnce | Pace::Stalled => {
                let unread = std::mem::take(&mut app.unread);
                self.client_event(flow, LocalEvent::Written(unread));
            }
            Pace::After(pause) => {
                app.reading = true;
                self.at(self.now.after(pause), Event::LocalRead(flow));
            }
        }
    }

    pub(super) fn on_local_read(&mut self, flow: usize) {
        let app = &mut self.ends.flows[flow].app;
        app.reading = false;
        if app.ended.is_none() {
            let unread = std::mem::take(&mut app.unread);
            self.ends.flows[flow].moved = self.now;
            self.client_event(flow, LocalEvent::Written(unread));
            self.drain_client(self.ends.flows[flow].client);
        }
    }

    pub(super) fn on_flow_ended(&mut self, flow: usize, why: EndReason) {
        self.oracle.on_flow_ended(&self.ends, flow, why);
        self.ends.flows[flow].app.ended = Some(why);
        self.ends.flows[flow].over = Some((why, self.now));
        if why.is_orderly() {
            self.tally.finished += 1;
        } else {
            self.tally.lost += 1;
        }
        self.rest_if_done();
    }
}
