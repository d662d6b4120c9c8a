//! Connections of level 2 from their hello to their end: which node has them, and what may end them (L8).

use std::time::Duration;

use bytes::Bytes;
use seqlane::wire::direction::Direction;
use seqlane::wire::handshake::ConnectionKeys;
use seqlane::wire::packet::ClientId;
use seqlane::wire::seal::Seal;
use seqlane::{BodyForm, ClientEvent};

use crate::ends::Ends;
use crate::oracle::Oracle;
use crate::oracle::answers::{PacketAnswer, is_hello, looks_like_packet, packet_in};
use crate::oracle::records::{ConnectionRecord, SentCall, SentOp, SentPacket, sent_packet};
use crate::{CoveragePoint, Fault, Time};

/// A connection of which no packet is answered is over after this time, at both ends.
const UNCONFIRMED: Duration = Duration::from_secs(60);

/// A node is not judged silent before this time.
const LEAST_SILENCE: Duration = Duration::from_secs(3);

impl Oracle {
    /// R1: a node answers a packet or a hello. No answer is larger than was allowed.
    pub(super) fn on_packet_answered(
        &mut self,
        node: usize,
        form: BodyForm,
        request: &[SentOp],
        body: &Bytes,
    ) {
        const HANDSHAKE: u64 = 256;
        let Some(sent) = sent_packet(request) else { return };
        let Some(answer) = packet_in(form, body) else { return };
        let room = if sent.exchange.is_some() { sent.room.unwrap_or(u64::MAX) } else { HANDSHAKE };
        let len = answer.len() as u64;
        require!(self, len <= room, R1, "node{node} answers {len} B where {room} B were allowed");
        if is_hello(&answer)
            && let Some(PacketAnswer::LetIn(payload, keys)) = self.read_answer(sent, answer)
        {
            let home = self.home(node);
            self.packets.nodes.insert(payload.node, home);
            self.packets.handshakes.insert((sent.client, node), session(&keys));
        }
    }

    /// Whether a node has another connection under an id than the client: it had forgotten the first, and a late copy of
    /// the hello came.
    pub(super) fn is_answered_again(&self, node: usize, id: ClientId, record: &ConnectionRecord) -> bool {
        let own = record.keys.as_ref().map(session);
        self.packets.handshakes.get(&(id, node)).is_some_and(|last| Some(*last) != own)
    }

    /// A packet comes to a node: whether that one has its connection.
    pub(super) fn on_packet_arrived(&mut self, node: usize, sent: &SentPacket) {
        let home = self.home(node);
        if sent.exchange.is_some()
            && let Some(record) = self.packets.connections.get_mut(&sent.client)
            && record.home != Some(home)
        {
            record.strays += 1;
            self.coverage.set(CoveragePoint::StrayPacket);
        }
    }

    /// A call with a packet or a hello ends for its client: what it hears.
    pub(super) fn on_packet_back(&mut self, call: &SentCall, event: &ClientEvent) {
        let ClientEvent::Reply { body, .. } = event else { return };
        let Some(sent) = sent_packet(&call.request).copied() else { return };
        if sent.exchange.is_some() && !self.may_be_forged() {
            if looks_like_packet(body) {
                self.on_heard(&sent, call.at);
            }
            return;
        }
        let answer = packet_in(call.form, body).and_then(|answer| self.read_answer(&sent, answer));
        if let (None, Some(_)) = (sent.exchange, &answer)
            && let Some(record) = self.packets.connections.get_mut(&sent.client)
        {
            record.answered = true;
        }
        match answer {
            Some(PacketAnswer::Response) => self.on_heard(&sent, call.at),
            Some(PacketAnswer::LetIn(payload, keys)) => {
                let Some(home) = self.packets.nodes.get(&payload.node).copied() else { return };
                let now = self.now;
                let Some(record) = self.packets.connections.get_mut(&sent.client) else { return };
                if record.home.is_none() {
                    (record.home, record.keys) = (Some(home), Some(*keys));
                    (record.heard, record.heard_of, record.spoken) = (now, now, now);
                    let key = (record.client, home.0);
                    self.on_answered_hello(key, home, sent.client);
                }
            }
            Some(PacketAnswer::Notice) if sent.exchange.is_none() => {
                self.coverage.set(CoveragePoint::HelloRefused);
            }
            Some(PacketAnswer::Notice) | None => {}
        }
    }

    /// A client has a connection, unless it has another one to the same node.
    fn on_answered_hello(&mut self, key: (usize, usize), home: (usize, u64), id: ClientId) {
        let known = self.packets.newest.get(&key).copied();
        let lives = known.is_some_and(|known| {
            let record = self.packets.connections.get(&known);
            record.is_some_and(|record| record.home == Some(home)) && !self.is_lost(known)
        });
        if !lives {
            self.packets.newest.insert(key, id);
        }
        let nodes = self.packets.newest.range((key.0, 0)..(key.0 + 1, 0)).count();
        if nodes > 1 {
            self.coverage.set(CoveragePoint::TwoNodes);
        }
    }

    /// A packet that went out at `at` is answered.
    fn on_heard(&mut self, sent: &SentPacket, at: Time) {
        if let Some(record) = self.packets.connections.get_mut(&sent.client) {
            (record.heard, record.up) = (self.now, true);
            record.heard_of = record.heard_of.max(at);
        }
    }

    /// Whether an answer may look like one and be none (F6, F18, F19).
    fn may_be_forged(&self) -> bool {
        let forged = |fault: Fault| !self.setup.probability(fault).is_never();
        [Fault::Swap, Fault::Corrupt, Fault::Truncate].into_iter().any(forged)
    }

    /// A node has not heard of a client for too long. Streams that lived then are lost for a reason; one without any
    /// streams is to say hello before its next.
    pub(crate) fn on_forgotten(&mut self, ends: &Ends, id: ClientId) {
        let Some(record) = self.packets.connections.get(&id) else { return };
        if ends.flows.iter().any(|flow| flow.client == record.client && flow.is_alive()) {
            self.packets.forgotten.insert(id);
        }
    }

    /// Whether the node of a stream's connection may have forgotten it, or relays led its packets elsewhere.
    pub(super) fn may_be_gone(&self, flow: usize) -> bool {
        self.flows[flow].connection.is_some_and(|id| self.is_lost(id))
    }

    /// Whether a flow that is no stream yet may have been about to be one of a connection that is lost.
    pub(super) fn is_connection_lost(&self, client: usize) -> bool {
        self.living(client).any(|id| self.is_lost(id))
    }

    /// The connections of a client that may not have ended there: the newest one to each node, and those of which it
    /// speaks still.
    fn living(&self, client: usize) -> impl Iterator<Item = ClientId> {
        let newest = self.packets.newest.range((client, 0)..(client + 1, 0)).map(|(_, id)| *id);
        let speaks = move |(_, record): &(&ClientId, &ConnectionRecord)| {
            record.client == client && record.home.is_some() && self.now.since(record.spoken) < UNCONFIRMED
        };
        newest.chain(self.packets.connections.iter().filter(speaks).map(|(id, _)| *id))
    }

    /// Whether the node of a connection has restarted since, or has forgotten it, or packets of it came to another one.
    fn is_lost(&self, id: ClientId) -> bool {
        let Some(record) = self.packets.connections.get(&id) else { return true };
        let restarted = record.home.is_none_or(|(node, life)| self.nodes[node].life != life);
        // By its own rules the node has forgotten a client that it has not answered for so long.
        let silent = self.is_silent(record, self.setup.client.tuning.streams.idle);
        let unconfirmed = !record.up && self.has_passed(record.first.0, UNCONFIRMED);
        // One that was up ends with the second answer of a node that does not know it.
        let strayed = record.strays > u32::from(record.up);
        restarted || silent || unconfirmed || strayed || self.packets.forgotten.contains(&id)
    }

    /// Whether the node of a flow's connection may be judged silent: the client has heard of another one, and nothing of it
    /// that was sent later. A flow whose open never went out may have been about to be one of any connection.
    pub(super) fn may_be_silent(&self, flow: usize, client: usize) -> bool {
        let silent = |record: &ConnectionRecord| self.has_passed(record.heard_of, LEAST_SILENCE);
        let mut own = self.packets.connections.values().filter(|record| record.client == client);
        let its = self.flows[flow].connection.and_then(|id| self.packets.connections.get(&id));
        self.has_several_nodes(client)
            && its.map_or_else(|| own.any(|record| record.home.is_some() && silent(record)), silent)
    }

    /// Whether a client has had connections to several nodes, or several lives of one.
    fn has_several_nodes(&self, client: usize) -> bool {
        let own = self.packets.connections.values().filter(|record| record.client == client);
        let mut homes = own.filter_map(|record| record.home);
        let first = homes.next();
        homes.any(|home| Some(home) != first)
    }

    /// Whether the client gave the connection of a flow up for another one, so that the node can hear of the end of a
    /// stream no more.
    pub(super) fn is_given_up(&self, flow: usize, client: usize) -> bool {
        let record = self.flows[flow].connection.and_then(|id| self.packets.connections.get(&id));
        let dead = record.is_some_and(|record| self.is_silent(record, self.setup.client.dead_node));
        dead && self.has_several_nodes(client)
    }

    fn is_silent(&self, record: &ConnectionRecord, time: Duration) -> bool {
        self.has_passed(record.heard, time)
    }

    /// Whether a client may think that a time has passed: clocks differ by up to 1 in 2000.
    fn has_passed(&self, since: Time, time: Duration) -> bool {
        self.now.since(since) >= time - time / 1000
    }
}

/// What tells the handshake of these keys from others under the same id.
fn session(keys: &ConnectionKeys) -> Option<u64> {
    Seal::new(keys, Direction::Down).session()
}
