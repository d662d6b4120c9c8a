//! Ops from their client to their execution: numbers, copies, turns, fairness (S3, S7, I2, I3).

use bytes::Bytes;
use seqlane::wire::{self, Limits, Op, Reply, Sid};
use seqlane::{BodyForm, ClientEvent, ExchangeFailure, Level};

use crate::ends::{Ends, UpstreamState};
use crate::oracle::Oracle;
use crate::oracle::records::{OpKind, Request, SentCall, SentOp, SessionRecord, is_packet, sent_packet};
use crate::{CoveragePoint, Fault, Property};

/// A flow with something to send is passed over at most this often, and this often for each flow.
const PASSED_OVER: u32 = 32;
const PASSED_OVER_EACH: u32 = 4;

impl Oracle {
    /// Reads what the ops of a request are about.
    pub(super) fn read_ops(&mut self, ends: &Ends, client: usize, relay: u32, ops: &[Op]) -> Request {
        if let [Op::Streams { packet }] = ops {
            let kind = self.on_packet(ends, client, relay, packet);
            return Request::from([SentOp { flow: None, kind, payload: packet.len() }]);
        }
        let session_flow = |sid: &Sid| self.sessions.get(sid).map(|session| session.flow);
        let read = |op: &Op| {
            let payload = op.payload().map_or(0, Bytes::len);
            let (flow, kind) = match op {
                Op::Connect { target } | Op::ConnectData { target, .. } | Op::UdpOpen { target, .. } => {
                    let first_bytes = matches!(op, Op::ConnectData { .. });
                    (ends.flow_named(target.host()), OpKind::Open { first_bytes })
                }
                Op::Data { sid, seq, .. } => {
                    (session_flow(sid), OpKind::Data { sid: *sid, seq: seq.map(|seq| seq.number()) })
                }
                Op::UdpData { sid, .. } => (session_flow(sid), OpKind::Data { sid: *sid, seq: None }),
                Op::Close { .. } => (None, OpKind::Close),
                Op::Streams { .. } => (None, OpKind::Packet(None)),
            };
            SentOp { flow, kind, payload }
        };
        ops.iter().map(read).collect()
    }

    /// A client sends ops.
    pub(super) fn record_ops(&mut self, ends: &Ends, client: usize, request: &[SentOp]) {
        self.check_fairness(ends, client, request);
        if self.is_sealed_only() {
            let sealed = request.iter().all(|op| matches!(op.kind, OpKind::Packet(_)));
            require!(self, sealed, S15, "client{client} sends {request:?}");
        }
        for op in request {
            if let OpKind::Data { sid, seq } = op.kind {
                self.check_number(client, sid, seq, op);
            }
            let Some(flow) = op.flow else { continue };
            let record = &mut self.flows[flow];
            record.out += 1;
            if let OpKind::Open { first_bytes } = op.kind {
                if first_bytes {
                    self.coverage.set(CoveragePoint::FirstBytesRode);
                }
                (record.opening, record.session) = (true, true);
                record.shipped = op.payload as u64;
            }
        }
    }

    /// S7 at the client: each number once, in order, except for what came back unused.
    fn check_number(&mut self, client: usize, sid: Sid, seq: Option<u64>, op: &SentOp) {
        let Some(session) = self.sessions.get_mut(&sid) else { return };
        let flow = session.flow;
        let wrong = match seq {
            None if session.next > 0 => Some(format!("flow {flow} numbers its ops no longer")),
            None => {
                self.flows[flow].shipped += op.payload as u64;
                None
            }
            Some(number) if !session.offered => {
                Some(format!("flow {flow} numbers op {number}, and its node has not offered that"))
            }
            Some(number) if session.returned.remove(&number) => None,
            Some(number) if number == session.next && session.returned.is_empty() => {
                session.next += 1;
                self.flows[flow].shipped += op.payload as u64;
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
    fn check_fairness(&mut self, ends: &Ends, client: usize, request: &[SentOp]) {
        let carries = |op: &SentOp| op.payload > 0 && matches!(op.kind, OpKind::Data { seq: Some(_), .. });
        if !request.iter().any(carries) {
            return;
        }
        let most = PASSED_OVER + PASSED_OVER_EACH * ends.flows.len() as u32;
        for flow in (0..ends.flows.len()).filter(|flow| ends.flows[*flow].client == client) {
            let served = request.iter().any(|op| op.flow == Some(flow));
            let waits = !served && self.has_uplink_waiting(ends, flow);
            let record = &mut self.flows[flow];
            record.passed_over = if waits { record.passed_over + 1 } else { 0 };
            let served = record.passed_over <= most;
            require!(
                self,
                served,
                I2,
                "flow {flow} has something to send, and {most} payload calls left it out"
            );
        }
    }

    fn has_uplink_waiting(&self, ends: &Ends, flow: usize) -> bool {
        let (app, record) = (&ends.flows[flow].app, &self.flows[flow]);
        let ready = |session: &SessionRecord| {
            session.flow == flow && session.offered && session.next > 0 && session.returned.is_empty()
        };
        app.ended.is_none()
            && record.out == 0
            && app.sent > record.shipped
            && self.sessions.values().any(ready)
    }

    /// A call ends for its client.
    pub(super) fn record_end(&mut self, call: &SentCall, event: &ClientEvent) {
        self.record_company(call);
        self.on_packet_back(call, event);
        let unused = matches!(
            event,
            ClientEvent::ExchangeFailed {
                why: ExchangeFailure::NotSent | ExchangeFailure::Refused { .. } | ExchangeFailure::TooLarge,
                ..
            }
        );
        for op in call.request.iter() {
            if let Some(flow) = op.flow {
                let record = &mut self.flows[flow];
                record.out = record.out.saturating_sub(1);
                if let OpKind::Open { .. } = op.kind {
                    record.opening = !unused;
                }
            }
            if let OpKind::Data { sid, seq } = op.kind
                && unused
                && let Some(session) = self.sessions.get_mut(&sid)
            {
                match seq {
                    Some(number) => drop(session.returned.insert(number)),
                    None => {
                        let record = &mut self.flows[session.flow];
                        record.shipped = record.shipped.saturating_sub(op.payload as u64);
                    }
                }
            }
        }
    }

    /// Ops come to a node that can read them.
    pub(crate) fn on_arrived(&mut self, node: usize, request: &[SentOp]) {
        if let Some(sent) = sent_packet(request) {
            self.on_packet_arrived(node, sent);
        }
        let (home, now) = (self.home(node), self.clocks[self.clients.len() + node].read(self.now));
        let doubled = self.has_struck(Fault::Duplicate);
        let (most, most_bytes) =
            (self.setup.node.tuning.seq_queue_ops, self.setup.node.tuning.seq_queue_bytes);
        for op in request {
            let OpKind::Data { sid, seq } = op.kind else { continue };
            let Some(session) = self.sessions.get_mut(&sid) else { continue };
            if session.home != home {
                self.flows[session.flow].excused = true;
                continue;
            }
            let Some(number) = seq else {
                session.blind |= doubled;
                session.due += op.payload as u64;
                continue;
            };
            let copies = session.copies.entry(number).or_default();
            *copies += 1;
            if *copies > 1 {
                continue;
            }
            session.early.insert(number, (op.payload, now));
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

    /// I3: a node has handled a request and is idle again; what has come in order is written.
    pub(crate) fn on_handled(&mut self, ends: &Ends, node: usize, request: &[SentOp]) {
        let home = self.home(node);
        for op in request.iter().filter(|op| op.payload > 0) {
            let OpKind::Data { sid, .. } = op.kind else { continue };
            let Some(session) = self.sessions.get(&sid) else { continue };
            let flow = session.flow;
            let [upstream] = ends.flows[flow].upstreams[..] else { continue };
            let end = &ends.upstreams[upstream];
            let known = !session.blind && session.home == home && !ends.flows[flow].is_udp();
            if known && end.state == UpstreamState::Open && end.unread == 0 {
                let (got, due) = (end.received, session.due);
                require!(
                    self,
                    got >= due,
                    I3,
                    "{due} B of flow {flow} have come to node{node}, and {got} B are written"
                );
            }
        }
    }

    /// A node answers a request.
    pub(crate) fn on_answered(
        &mut self,
        ends: &Ends,
        node: usize,
        form: BodyForm,
        request: &[SentOp],
        body: &Bytes,
    ) {
        if is_packet(request) {
            return self.on_packet_answered(node, form, request, body);
        }
        let limits = Limits { max_body: 1 << 30, max_ops: request.len() };
        let Ok(replies) = wire::decode_answer(body, request.len(), limits) else {
            return self.on_refused(request);
        };
        self.check_drain(node, &replies);
        let home = self.home(node);
        for (op, reply) in request.iter().zip(&replies) {
            match op.kind {
                OpKind::Open { .. } => self.record_opened(ends, home, op, reply),
                OpKind::Data { sid, seq: Some(number) } => self.check_execution(home, sid, number, reply),
                OpKind::Data { .. } | OpKind::Close | OpKind::Packet(_) => {}
            }
        }
    }

    /// A request got no further than its envelope, or is given up: its ops need not run.
    pub(crate) fn on_refused(&mut self, request: &[SentOp]) {
        for op in request {
            if let OpKind::Data { sid, .. } = op.kind
                && let Some(session) = self.sessions.get_mut(&sid)
            {
                session.blind = true;
            }
        }
        self.excuse(request);
    }

    fn record_opened(&mut self, ends: &Ends, home: (usize, u64), op: &SentOp, reply: &Reply) {
        if let (Some(flow), Some(sid), None) = (op.flow, reply.sid, &reply.error) {
            let offered = reply.caps.is_some_and(|caps| caps.level() >= Level::Sequenced);
            let speaks = self.setup.node_level(home.0) >= Level::Sequenced;
            require!(self, !offered || speaks, S7, "node{} offers level 1 and speaks level 0", home.0);
            let due = ends.upstreams_of(flow).last().map_or(0, |upstream| upstream.received);
            let session = SessionRecord { flow, home, offered, due, ..SessionRecord::default() };
            self.sessions.entry(sid).or_insert(session);
        }
    }

    /// S3: an op is executed once. S7: it is refused for its number only if another copy has come.
    fn check_execution(&mut self, home: (usize, u64), sid: Sid, number: u64, reply: &Reply) {
        let Some(session) = self.sessions.get_mut(&sid).filter(|session| session.home == home) else {
            return;
        };
        let flow = session.flow;
        let Some(error) = reply.error.as_deref() else {
            // Nothing tells a late copy of a last op from the op itself when both find the end.
            let ran = !reply.eof || !reply.data.is_empty();
            if ran && !session.executed.insert(number) {
                violated!(self, S3, "op {number} of flow {flow} is executed twice");
            }
            return;
        };
        let copies = session.copies.get(&number).copied().unwrap_or(0);
        // A payload without room is lost, and so is everything that waits for it.
        session.blind |= error.contains("too much waits");
        let refused = error.contains("already processed") || error.contains("already waits");
        if refused && copies < 2 {
            violated!(self, S7, "op {number} of flow {flow} is refused, and came once: {error}");
        } else if error.starts_with(&format!("seq {number} refused: too much waits for {number} ")) {
            violated!(self, S7, "op {number} of flow {flow} is expected and refused");
        } else if !error.contains("upstream was reset") {
            let record = &mut self.flows[flow];
            record.excused |=
                error.contains("too much waits") || (error.contains("timed out") && record.turned_away);
        }
    }

    /// R1: what one answer carries stays within the bounds of drains.
    fn check_drain(&mut self, node: usize, replies: &[Reply]) {
        let bounds = &self.setup.node.tuning;
        let bytes: usize = replies.iter().map(|reply| reply.data.len()).sum();
        let largest = replies.iter().map(|reply| reply.data.len()).max().unwrap_or(0);
        let within = bytes <= bounds.max_batch_drain && largest <= bounds.max_drain;
        require!(self, within, R1, "node{node} answers {bytes} B in one batch, {largest} B in one reply");
    }
}
