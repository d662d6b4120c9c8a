//! The application's end of each flow.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use seqlane::wire::packet::Epoch;
use seqlane::{EndReason, FlowId, FlowKind, LocalEvent, OpenError, Target};

use crate::chooser::Chooser;
use crate::coverage::CoveragePoint;
use crate::host::ClientHost;
use crate::pattern::{Direction, LONGEST, Pattern};
use crate::property::Property;
use crate::scenario::{FlowSetup, Setup};
use crate::script::{Kind, Pace, Script, Side};
use crate::time::Time;
use crate::trace::{Actor, Sink, What};
use crate::world::event::Event;
use crate::world::{Phase, World};

/// How long a UDP application waits between datagrams, and for the last answers.
const UDP_PACE: Duration = Duration::from_millis(300);
const UDP_LINGER: Duration = Duration::from_secs(3);

/// A flow, from the application to its upstreams.
#[derive(Clone, Debug)]
pub(super) struct Flow {
    pub(super) client: usize,
    pub(super) script: Script,
    pub(super) stream: Option<FlowId>,
    pub(super) local: Application,
    /// Upstreams that were opened for it: one, unless an open was doubled.
    pub(super) upstreams: Vec<usize>,
    /// When a byte of it last moved at either end.
    pub(super) moved: Time,
    /// Its session was lost with a node, or it was led to a node that never had it: an end proves nothing.
    pub(super) orphaned: bool,
    /// Its node has restarted, and had it.
    pub(super) restarted: bool,
    /// The epoch in which its OPEN first went out: it is a stream of level 2.
    pub(super) epoch: Option<Epoch>,
    /// It is a foreign client's.
    pub(super) visiting: bool,
    /// The flow whose target it has: itself, or an earlier one.
    pub(super) target: usize,
    /// When its application had sent everything.
    pub(super) finished: Time,
    /// How and when it ended.
    pub(super) over: Option<(EndReason, Time)>,
    /// The numbers of the datagrams that its application got.
    datagrams: BTreeSet<u64>,
}

/// The application's socket.
#[derive(Clone, Debug, Default)]
pub(super) struct Application {
    pub(super) credit: usize,
    pub(super) opened: bool,
    pub(super) fin: bool,
    pub(super) ended: Option<EndReason>,
    turns: u32,
    thinking: bool,
    pub(super) sent: u64,
    pub(super) received: u64,
    pub(super) unread: usize,
    reading: bool,
    done: bool,
}

impl Application {
    /// Whether the application sends nothing any more.
    pub(super) const fn is_done(&self) -> bool {
        self.done
    }
}

impl Flow {
    pub(super) fn new((index, setup): (usize, &FlowSetup)) -> Self {
        Self {
            client: setup.client,
            script: setup.script.clone(),
            stream: None,
            local: Application::default(),
            upstreams: Vec::new(),
            moved: Time::ZERO,
            orphaned: false,
            restarted: false,
            epoch: None,
            visiting: false,
            target: setup.again.unwrap_or(index),
            finished: Time::ZERO,
            over: None,
            datagrams: BTreeSet::new(),
        }
    }

    /// What a foreign client says: no client has it, so that for clients it is over.
    fn visiting(index: usize) -> Self {
        let script = Script::new(Kind::Echo, 100);
        let setup = FlowSetup { client: usize::MAX, at: Duration::ZERO, script, again: None, spoiled: false };
        let local = Application { ended: Some(EndReason::Local), ..Application::default() };
        Self { local, visiting: true, ..Self::new((index, &setup)) }
    }

    /// The host that flow `index` opens. One that follows another to its target writes the same name in another way,
    /// so that an open tells whose it is.
    fn host(&self, index: usize) -> String {
        let first = if self.target == index { 'f' } else { 'F' };
        format!("{first}{}", self.target)
    }

    pub(super) const fn is_udp(&self) -> bool {
        matches!(self.script.transport(), FlowKind::Udp)
    }
}

/// The flows of a run: those of its clients, then those of its foreign clients.
pub(super) fn all(setup: &Setup) -> Vec<Flow> {
    let foreign_clients =
        (setup.flows.len()..).zip(&setup.foreign_clients).map(|(index, _)| Flow::visiting(index));
    setup.flows.iter().enumerate().map(Flow::new).chain(foreign_clients).collect()
}

/// A datagram that tells its flow and its number.
pub(super) fn datagram(flow: usize, direction: Direction, number: u64, len: u64) -> Bytes {
    let len = len.max(8) as usize;
    let mut bytes = BytesMut::with_capacity(len);
    bytes.extend_from_slice(&number.to_be_bytes());
    bytes.extend_from_slice(&Pattern::new(flow as u64, direction).slice(number * len as u64, len - 8));
    bytes.freeze()
}

/// The number of a datagram that is whole and belongs to this flow.
pub(super) fn datagram_number(flow: usize, direction: Direction, bytes: &Bytes) -> Option<u64> {
    let number = u64::from_be_bytes(bytes.get(..8)?.try_into().ok()?);
    let expected = Pattern::new(flow as u64, direction);
    let offset = number.checked_mul(bytes.len() as u64)?;
    expected.verify(offset, &bytes[8..]).is_ok().then_some(number)
}

impl<H: ClientHost, C: Chooser, S: Sink> World<H, C, S> {
    pub(super) fn on_start(&mut self, flow: usize) {
        let (client, kind) = (self.flows[flow].client, self.flows[flow].script.transport());
        let target = Target::new(&self.flows[flow].host(flow), 443).expect("a name and a port");
        self.tell(
            Actor::App(flow as u32),
            What::Open { flow: flow as u32, kind: self.flows[flow].script.kind },
        );
        self.flows[flow].moved = self.now;
        let now = self.client_now(client);
        match self.clients[client].host.open(now, target, kind) {
            Ok(stream) => {
                let side = &mut self.clients[client];
                if stream.number() as usize != side.streams.len() {
                    self.violated(Property::S4, format!("stream {stream} is not the next"));
                    return;
                }
                side.streams.push(flow);
                self.flows[flow].stream = Some(stream);
            }
            Err(OpenError::FlowLimit) => self.flows[flow].local.ended = Some(EndReason::NoRelay),
            Err(error) => self.violated(Property::S5, format!("client{client} refuses to open: {error}")),
        }
        if let Some(patience) = self.flows[flow].script.gives_up {
            self.at(self.now.after(patience), Event::GiveIn(flow));
        }
        self.drain_client(client);
    }

    /// The application gives up: nothing has come for it, or not enough.
    pub(super) fn on_give_in(&mut self, flow: usize) {
        let Flow { client, local, .. } = &mut self.flows[flow];
        let client = *client;
        if local.ended.is_none() && !std::mem::replace(&mut local.done, true) {
            self.tell(Actor::App(flow as u32), What::Abort { flow: flow as u32 });
            self.local(flow, LocalEvent::Reset);
            self.drain_client(client);
        }
    }

    pub(super) fn on_think(&mut self, flow: usize) {
        self.flows[flow].local.thinking = false;
        if self.flows[flow].is_udp() {
            self.send_datagram(flow);
        } else {
            let local = &mut self.flows[flow].local;
            local.turns += 1;
            self.pump_local(flow);
        }
        self.drain_client(self.flows[flow].client);
    }

    /// Writes as much as the script and the credit allow.
    pub(super) fn pump_local(&mut self, flow: usize) {
        loop {
            let Flow { script, local, .. } = &mut self.flows[flow];
            if local.ended.is_some() || local.done || !local.opened {
                return;
            }
            if matches!(script.transport(), FlowKind::Udp) {
                if !local.thinking {
                    local.thinking = true;
                    self.at(self.now, Event::Think(flow));
                }
                return;
            }
            if local.turns < script.turns_open(local.received) && !local.thinking {
                if local.turns == 0 || script.think.is_zero() {
                    local.turns += 1;
                    continue;
                }
                local.thinking = true;
                let at = self.now.after(script.think);
                self.at(at, Event::Think(flow));
                continue;
            }
            let due = script.up.saturating_mul(u64::from(local.turns)) - local.sent;
            if due > 0 {
                let len = script.write.min(local.credit).min(LONGEST).min(due as usize);
                if len == 0 {
                    self.coverage.set(CoveragePoint::CreditPaused);
                    return;
                }
                self.write(flow, len);
                continue;
            }
            // At level 2 each side ends its own direction.
            let answers = local.fin && self.flows[flow].epoch.is_some();
            let Flow { script, local, .. } = &mut self.flows[flow];
            if (script.half_close || answers) && local.sent == script.total_up() {
                local.done = true;
                if script.half_close {
                    self.coverage.set(CoveragePoint::HalfClosed);
                }
                self.flows[flow].finished = self.now;
                self.tell(Actor::App(flow as u32), What::Finish { flow: flow as u32 });
                self.local(flow, LocalEvent::Fin);
            }
            return;
        }
    }

    fn write(&mut self, flow: usize, len: usize) {
        let local = &mut self.flows[flow].local;
        let bytes = Pattern::new(flow as u64, Direction::Up).slice(local.sent, len);
        local.credit -= len;
        local.sent += len as u64;
        self.tell(Actor::App(flow as u32), What::Write { flow: flow as u32, bytes: len as u64 });
        self.local(flow, LocalEvent::Data(bytes));
    }

    fn send_datagram(&mut self, flow: usize) {
        let Flow { script, local, .. } = &mut self.flows[flow];
        if local.ended.is_some() || local.done {
            return;
        }
        if local.turns == script.turns {
            local.done = true;
            self.tell(Actor::App(flow as u32), What::Finish { flow: flow as u32 });
            return self.local(flow, LocalEvent::Fin);
        }
        let (number, len) = (u64::from(local.turns), script.up);
        local.turns += 1;
        local.thinking = true;
        let pause = if local.turns == script.turns { UDP_LINGER } else { UDP_PACE };
        self.flows[flow].moved = self.now;
        self.at(self.now.after(pause), Event::Think(flow));
        self.tell(Actor::App(flow as u32), What::Write { flow: flow as u32, bytes: len });
        self.local(flow, LocalEvent::Data(datagram(flow, Direction::Up, number, len)));
    }

    pub(super) fn on_deliver(&mut self, flow: usize, bytes: Bytes) {
        let len = bytes.len();
        self.tell(
            Actor::Client(self.flows[flow].client as u32),
            What::Deliver { flow: flow as u32, bytes: len as u64 },
        );
        self.flows[flow].moved = self.now;
        self.ledger.flows[flow].downlink = self.now;
        self.tally.downlink += len as u64;
        if self.flows[flow].is_udp() {
            self.check_datagram(flow, &bytes);
            return self.local(flow, LocalEvent::Written(len));
        }
        self.check_downlink(flow, &bytes);
        let Flow { script, local, .. } = &mut self.flows[flow];
        local.received += len as u64;
        local.unread += len;
        if let Some((Side::Local, after)) = script.reset
            && local.received >= after
            && !local.done
        {
            local.done = true;
            self.tell(Actor::App(flow as u32), What::Abort { flow: flow as u32 });
            return self.local(flow, LocalEvent::Reset);
        }
        self.read_local(flow);
        self.pump_local(flow);
    }

    fn check_datagram(&mut self, flow: usize, bytes: &Bytes) {
        let what = match datagram_number(flow, Direction::Down, bytes) {
            None => "which its upstream never sent",
            // A doubled request makes an upstream that echoes it twice.
            Some(number) if self.flows[flow].datagrams.insert(number) || self.may_be_doubled(flow) => return,
            Some(_) => "for the second time",
        };
        self.violated(Property::S1, format!("flow {flow} gets a datagram {what}"));
    }

    /// The application reads, now or later.
    pub(super) fn read_local(&mut self, flow: usize) {
        let faulty = self.phase == Phase::Faults;
        let Flow { script, local, .. } = &mut self.flows[flow];
        if local.unread == 0 || local.reading {
            return;
        }
        match script.local_reads {
            Pace::Stalled if faulty => {}
            Pace::AtOnce | Pace::Stalled => {
                let unread = std::mem::take(&mut local.unread);
                self.local(flow, LocalEvent::Written(unread));
            }
            Pace::After(pause) => {
                local.reading = true;
                self.at(self.now.after(pause), Event::LocalRead(flow));
            }
        }
    }

    pub(super) fn on_local_read(&mut self, flow: usize) {
        let local = &mut self.flows[flow].local;
        local.reading = false;
        if local.ended.is_none() {
            let unread = std::mem::take(&mut local.unread);
            self.flows[flow].moved = self.now;
            self.local(flow, LocalEvent::Written(unread));
            self.drain_client(self.flows[flow].client);
        }
    }

    pub(super) fn on_flow_ended(&mut self, flow: usize, why: EndReason) {
        self.check_end(flow, why);
        self.cover_end(why);
        self.flows[flow].local.ended = Some(why);
        self.flows[flow].over = Some((why, self.now));
        if why.is_orderly() {
            self.tally.finished += 1;
        } else {
            self.tally.lost += 1;
        }
        self.rest_if_done();
    }
}
