//! Every op, from its client to its execution: numbers, copies, turns, fairness (S3, S7, I2, I3).

use std::sync::Arc;

use bytes::Bytes;
use seqlane::wire::{self, Limits, Op, Reply};
use seqlane::{BodyForm, ClientEvent, ExchangeFailure, ExchangeId, Level};

use crate::chooser::Chooser;
use crate::coverage::CoveragePoint;
use crate::fault::Fault;
use crate::host::ClientHost;
use crate::property::Property;
use crate::trace::Sink;
use crate::world::World;
use crate::world::oracle::ledger::{Note, Role, Sent, Session};
use crate::world::oracle::packets::looks_like_packet;
use crate::world::upstream::UpstreamState;

/// A flow with something to send is passed over at most this often, and this often for each flow.
const PASSED_OVER: u32 = 32;
const PASSED_OVER_EACH: u32 = 4;

impl<H: ClientHost, C: Chooser, S: Sink> World<H, C, S> {
    /// What the ops of a request are about.
    pub(in crate::world) fn notes_of(&mut self, client: usize, ops: &[Op]) -> Arc<[Note]> {
        if let [Op::Streams { packet }] = ops {
            let role = self.note_packet(client, packet.clone());
            return Arc::new([Note { flow: None, role, payload: packet.len() }]);
        }
        let note = |op: &Op| {
            let payload = op.payload().map_or(0, Bytes::len);
            let (flow, role) = match op {
                Op::Connect { target } => (self.flow_named(target.host()), Role::Open { first_bytes: false }),
                Op::ConnectData { target, .. } => {
                    (self.flow_named(target.host()), Role::Open { first_bytes: true })
                }
                Op::UdpOpen { target, .. } => {
                    (self.flow_named(target.host()), Role::Open { first_bytes: false })
                }
                Op::Data { sid, seq, .. } => {
                    (self.session_flow(sid), Role::Data { sid: *sid, seq: seq.map(|seq| seq.number()) })
                }
                Op::UdpData { sid, .. } => (self.session_flow(sid), Role::Data { sid: *sid, seq: None }),
                Op::Close { .. } => (None, Role::Close),
                Op::Streams { .. } => (None, Role::Packet { name: None, hello: false, room: None }),
            };
            Note { flow, role, payload }
        };
        ops.iter().map(note).collect()
    }

    fn session_flow(&self, sid: &wire::Sid) -> Option<usize> {
        self.ledger.sessions.get(sid).map(|session| session.flow)
    }

    /// The flow that opens a target by this name: see [`Flow::host`](crate::world::flow::Flow::host).
    pub(in crate::world) fn flow_named(&self, host: &str) -> Option<usize> {
        let target = host.get(1..)?.parse::<usize>().ok().filter(|n| *n < self.flows.len())?;
        match host.get(..1)? {
            "f" => Some(target),
            "F" => (target + 1..self.flows.len()).find(|flow| self.flows[*flow].target == target),
            _ => None,
        }
    }

    /// A client sends ops.
    pub(in crate::world) fn note_send(
        &mut self,
        client: usize,
        exchange: ExchangeId,
        form: BodyForm,
        notes: &Arc<[Note]>,
    ) {
        self.check_fairness(client, notes);
        for note in notes.iter() {
            if let Role::Data { sid, seq } = note.role {
                self.check_number(client, sid, seq, note);
            }
            let Some(flow) = note.flow else { continue };
            let book = &mut self.ledger.flows[flow];
            book.out += 1;
            if let Role::Open { first_bytes } = note.role {
                if first_bytes {
                    self.coverage.set(CoveragePoint::FirstBytesRode);
                }
                book.opening = true;
                book.session = true;
                book.shipped = note.payload as u64;
            }
        }
        let sent = Sent { at: self.now, form, answering: false, notes: Arc::clone(notes) };
        self.ledger.exchanges.insert((client, exchange), sent);
    }

    /// S7 at the client: each number once, in order, except for what came back unused.
    fn check_number(&mut self, client: usize, sid: wire::Sid, seq: Option<u64>, note: &Note) {
        let Some(session) = self.ledger.sessions.get_mut(&sid) else { return };
        let flow = session.flow;
        let wrong = match seq {
            None if session.next > 0 => Some(format!("flow {flow} numbers its ops no longer")),
            None => {
                self.ledger.flows[flow].shipped += note.payload as u64;
                None
            }
            Some(number) if !session.offered => {
                Some(format!("flow {flow} numbers op {number}, and its node has not offered that"))
            }
            Some(number) if session.returned.remove(&number) => None,
            Some(number) if number == session.next && session.returned.is_empty() => {
                session.next += 1;
                self.ledger.flows[flow].shipped += note.payload as u64;
                None
            }
            Some(number) => Some(format!(
                "flow {flow} of client{client} sends op {number} when {} is next and {:?} came back",
                session.next, session.returned
            )),
        };
        if let Some(what) = wrong {
            self.violated(Property::S7, what);
        }
    }

    /// I2: a flow with something to send, and nothing out, is not left out again and again.
    fn check_fairness(&mut self, client: usize, notes: &[Note]) {
        let carries = |note: &Note| note.payload > 0 && matches!(note.role, Role::Data { seq: Some(_), .. });
        if !notes.iter().any(carries) {
            return;
        }
        let most = PASSED_OVER + PASSED_OVER_EACH * self.flows.len() as u32;
        for flow in 0..self.flows.len() {
            if self.flows[flow].client != client {
                continue;
            }
            let served = notes.iter().any(|note| note.flow == Some(flow));
            let waits = !served && self.has_uplink_waiting(flow);
            let book = &mut self.ledger.flows[flow];
            book.passed_over = if waits { book.passed_over + 1 } else { 0 };
            if book.passed_over > most {
                let what = format!("flow {flow} has something to send, and {most} payload calls left it out");
                return self.violated(Property::I2, what);
            }
        }
    }

    fn has_uplink_waiting(&self, flow: usize) -> bool {
        let (state, book) = (&self.flows[flow], &self.ledger.flows[flow]);
        let ready = |session: &Session| {
            session.flow == flow && session.offered && session.next > 0 && session.returned.is_empty()
        };
        state.local.ended.is_none()
            && book.out == 0
            && state.local.sent > book.shipped
            && self.ledger.sessions.values().any(ready)
    }

    /// An exchange ends at its client.
    pub(in crate::world) fn note_end(&mut self, client: usize, exchange: ExchangeId, event: &ClientEvent) {
        let Some(Sent { at, notes, .. }) = self.ledger.exchanges.remove(&(client, exchange)) else { return };
        self.note_company(at, &notes);
        if let ClientEvent::Reply { body, .. } = event
            && Note::are_packet(&notes)
            && looks_like_packet(body)
        {
            self.ledger.packets.heard.insert(client, self.now);
        }
        let unused = matches!(
            event,
            ClientEvent::ExchangeFailed {
                why: ExchangeFailure::NotSent | ExchangeFailure::Refused { .. } | ExchangeFailure::TooLarge,
                ..
            }
        );
        for note in notes.iter() {
            if let Some(flow) = note.flow {
                let book = &mut self.ledger.flows[flow];
                book.out = book.out.saturating_sub(1);
                if let Role::Open { .. } = note.role {
                    book.opening = !unused;
                }
            }
            if let Role::Data { sid, seq } = note.role
                && unused
                && let Some(session) = self.ledger.sessions.get_mut(&sid)
            {
                match seq {
                    Some(number) => {
                        session.returned.insert(number);
                    }
                    None => {
                        let book = &mut self.ledger.flows[session.flow];
                        book.shipped = book.shipped.saturating_sub(note.payload as u64);
                    }
                }
            }
        }
    }

    /// Ops come to a node that can read them.
    pub(in crate::world) fn note_arrival(&mut self, node: usize, notes: &[Note]) {
        let (home, now) = ((node, self.nodes[node].life), self.node_now(node));
        let doubled = self.tally.faults[Fault::Duplicate.index()] > 0;
        let (most, most_bytes) =
            (self.setup.node.tuning.seq_queue_ops, self.setup.node.tuning.seq_queue_bytes);
        for note in notes {
            let Role::Data { sid, seq } = note.role else { continue };
            let Some(session) = self.ledger.sessions.get_mut(&sid) else { continue };
            if session.home != home {
                self.ledger.flows[session.flow].excused = true;
                continue;
            }
            let Some(number) = seq else {
                session.blind |= doubled;
                session.due += note.payload as u64;
                continue;
            };
            let copies = session.copies.entry(number).or_default();
            *copies += 1;
            if *copies > 1 {
                continue;
            }
            session.early.insert(number, (note.payload, now));
            // What the node refuses, or gives up waiting with, does not reach the upstream.
            let waiting: usize = session.early.values().map(|(bytes, _)| bytes).sum();
            let oldest = session.early.values().map(|(_, since)| *since).min().unwrap_or(now);
            session.blind |= session.early.len() > most
                || waiting > most_bytes
                || now.saturating_since(oldest).as_secs() >= 20;
            while let Some((bytes, _)) = session.early.remove(&session.frontier) {
                session.due += bytes as u64;
                session.frontier += 1;
            }
        }
    }

    /// I3, as soon as the node is idle again: what has come in order is written.
    pub(in crate::world) fn check_turns(&mut self, node: usize, notes: &[Note]) {
        let home = (node, self.nodes[node].life);
        for note in notes.iter().filter(|note| note.payload > 0) {
            let Role::Data { sid, .. } = note.role else { continue };
            let Some(session) = self.ledger.sessions.get(&sid) else { continue };
            let flow = session.flow;
            let [upstream] = self.flows[flow].upstreams[..] else { continue };
            let end = &self.upstreams[upstream];
            if session.blind || session.home != home || end.state != UpstreamState::Open || end.behind() > 0 {
                continue;
            }
            if !self.flows[flow].is_udp() && end.received < session.due {
                let (got, due) = (end.received, session.due);
                let what = format!("{due} B of flow {flow} have come to node{node}, and {got} B are written");
                self.violated(Property::I3, what);
            }
        }
    }

    /// A node answers a request.
    pub(in crate::world) fn note_answer(
        &mut self,
        node: usize,
        form: BodyForm,
        notes: &[Note],
        body: &Bytes,
    ) {
        if Note::are_packet(notes) {
            return self.note_packet_answer(node, form, notes, body);
        }
        let limits = Limits { max_body: 1 << 30, max_ops: notes.len() };
        let Ok(replies) = wire::decode_answer(body, notes.len(), limits) else {
            return self.note_refusal(notes);
        };
        self.check_drain(node, &replies);
        let home = (node, self.nodes[node].life);
        for (note, reply) in notes.iter().zip(&replies) {
            match note.role {
                Role::Open { .. } => self.note_opened(home, note, reply),
                Role::Data { sid, seq: Some(number) } => self.check_execution(home, sid, number, reply),
                Role::Data { .. } | Role::Close | Role::Packet { .. } => {}
            }
        }
    }

    /// The request got no further than its envelope, or is given up: its ops need not run.
    pub(in crate::world) fn note_refusal(&mut self, notes: &[Note]) {
        for note in notes {
            if let Role::Data { sid, .. } = note.role
                && let Some(session) = self.ledger.sessions.get_mut(&sid)
            {
                session.blind = true;
            }
        }
        self.excuse(notes);
    }

    fn note_opened(&mut self, home: (usize, u64), note: &Note, reply: &Reply) {
        if let (Some(flow), Some(sid), None) = (note.flow, reply.sid, &reply.error) {
            let offered = reply.caps.is_some_and(|caps| caps.level() >= Level::Sequenced);
            if offered && self.nodes[home.0].config.options().max_level < Level::Sequenced {
                self.violated(Property::S7, format!("node{} offers level 1 and speaks level 0", home.0));
            }
            let received = self.flows[flow].upstreams.last().map_or(0, |up| self.upstreams[*up].received);
            let session = Session::new(flow, home, offered, received);
            self.ledger.sessions.entry(sid).or_insert(session);
        }
    }

    /// S3: an op is executed once. S7: it is refused for its number only if another copy has come.
    fn check_execution(&mut self, home: (usize, u64), sid: wire::Sid, number: u64, reply: &Reply) {
        let Some(session) = self.ledger.sessions.get_mut(&sid).filter(|session| session.home == home) else {
            return;
        };
        let flow = session.flow;
        let Some(error) = reply.error.as_deref() else {
            // Nothing tells a late copy of a last op from the op itself when both find the end.
            let ran = !reply.eof || !reply.data.is_empty();
            if ran && !session.executed.insert(number) {
                self.violated(Property::S3, format!("op {number} of flow {flow} is executed twice"));
            }
            return;
        };
        let copies = session.copies.get(&number).copied().unwrap_or(0);
        // A payload that found no room has come in vain, and so has what waits for it.
        session.blind |= error.contains("too much waits");
        let refused = error.contains("already processed") || error.contains("already waits");
        if refused && copies < 2 {
            let what = format!("op {number} of flow {flow} is refused, and came once: {error}");
            self.violated(Property::S7, what);
        } else if error.starts_with(&format!("seq {number} refused: too much waits for {number} ")) {
            self.violated(Property::S7, format!("op {number} of flow {flow} is expected and refused"));
        } else if !error.contains("upstream was reset") {
            let book = &mut self.ledger.flows[flow];
            book.excused |=
                error.contains("too much waits") || (error.contains("timed out") && book.turned_away);
        }
    }

    /// R1: what one answer carries stays within the bounds of drains.
    fn check_drain(&mut self, node: usize, replies: &[Reply]) {
        let config = self.nodes[node].config.options();
        let most = config.tuning.max_batch_drain;
        let bytes: usize = replies.iter().map(|reply| reply.data.len()).sum();
        let largest = replies.iter().map(|reply| reply.data.len()).max().unwrap_or(0);
        if bytes > most || largest > config.tuning.max_drain {
            self.violated(
                Property::R1,
                format!("node{node} answers {bytes} B in one batch, {largest} B in one reply"),
            );
        }
    }
}
