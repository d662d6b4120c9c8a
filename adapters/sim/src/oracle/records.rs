//! Records of the oracle: clients, nodes, flows, sessions, calls and relays.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use seqlane::wire::Sid;
use seqlane::wire::handshake::{ConnectionKeys, NodeId};
use seqlane::wire::number::ExchangeNumber;
use seqlane::wire::packet::ClientId;
use seqlane::wire::seal::Head;
use seqlane::{BodyForm, ClientStats, Instant, RequestId, Wake};

use crate::time::Time;

/// A hello is sent again for so long.
pub(super) const HELLO_SENT: Duration = Duration::from_secs(30);

/// What a request carries: one entry an op.
pub(crate) type Request = Arc<[SentOp]>;

/// An op that was sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SentOp {
    /// Its flow, where it has one.
    pub(super) flow: Option<usize>,
    pub(super) kind: OpKind,
    /// Payload bytes.
    pub(super) payload: usize,
}

/// The kind of an op.
#[derive(Clone, Copy, Debug)]
pub(super) enum OpKind {
    Open {
        first_bytes: bool,
    },
    Data {
        sid: Sid,
        seq: Option<u64>,
    },
    Close,
    /// A packet or a hello of level 2, which is alone in its batch; none if it cannot be read.
    Packet(Option<SentPacket>),
}

/// A packet or a hello that was sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct SentPacket {
    /// The id of its connection.
    pub(super) client: ClientId,
    /// What it begins with: a notice answers this.
    pub(super) head: Head,
    /// Its number; a hello has none.
    pub(super) exchange: Option<ExchangeNumber>,
    /// The longest answer that it allows; none: a header alone.
    pub(super) room: Option<u64>,
}

impl SentOp {
    /// Whether it opens a flow and brings its first bytes.
    pub(crate) const fn is_first_bytes(&self) -> bool {
        matches!(self.kind, OpKind::Open { first_bytes: true })
    }

    /// Whether it is a packet or a hello of level 2.
    pub(crate) const fn is_packet(&self) -> bool {
        matches!(self.kind, OpKind::Packet(_))
    }
}

/// The packet or the hello that a request is.
pub(super) fn sent_packet(request: &[SentOp]) -> Option<&SentPacket> {
    match request {
        [SentOp { kind: OpKind::Packet(packet), .. }] => packet.as_ref(),
        _ => None,
    }
}

/// Whether a request is a packet of level 2.
pub(crate) fn is_packet(request: &[SentOp]) -> bool {
    request.first().is_some_and(SentOp::is_packet)
}

/// The flows that a request is about.
pub(super) fn flows(request: &[SentOp]) -> impl Iterator<Item = usize> {
    request.iter().filter_map(|op| op.flow)
}

/// A call that its client waits for.
#[derive(Clone, Debug)]
pub(super) struct SentCall {
    pub(super) at: Time,
    pub(super) relay: u32,
    /// When its client's HTTP layer gives it up.
    pub(super) deadline: Instant,
    pub(super) form: BodyForm,
    /// Whether its answer has begun to come.
    pub(super) answering: bool,
    pub(super) request: Request,
}

/// A client.
#[derive(Clone, Debug)]
pub(super) struct ClientRecord {
    /// What its clock showed at the start of the run.
    pub(super) began: Instant,
    /// Calls in a row in which nothing of its flows moved, and since when.
    pub(super) idle_calls: (u64, Time),
}

/// A node.
#[derive(Clone, Debug, Default)]
pub(super) struct NodeRecord {
    /// How often it has restarted.
    pub(super) life: u64,
    /// Requests that it holds, and since when.
    pub(super) held: BTreeMap<RequestId, Time>,
}

/// A session, from the reply that named it.
#[derive(Clone, Debug, Default)]
pub(super) struct SessionRecord {
    pub(super) flow: usize,
    /// The node that has it, and which life of that node.
    pub(super) home: (usize, u64),
    /// Whether the node offered level 1 for it.
    pub(super) offered: bool,
    /// The next number that its client has not used yet.
    pub(super) next: u64,
    /// Numbers that came back to the client unused.
    pub(super) returned: BTreeSet<u64>,
    /// How many copies of each op have come to the node.
    pub(super) copies: BTreeMap<u64, u32>,
    /// Ops that came early, their payload, and when.
    pub(super) early: BTreeMap<u64, (usize, Instant)>,
    /// Every op below this number has come.
    pub(super) frontier: u64,
    /// Uplink bytes that have come in order: the upstream must have them.
    pub(super) due: u64,
    /// Whether it is unknown by now what the upstream must have.
    pub(super) blind: bool,
    /// Ops that were executed.
    pub(super) executed: BTreeSet<u64>,
}

/// A flow.
#[derive(Clone, Debug, Default)]
pub(super) struct FlowRecord {
    /// Something happened to it that may lose it.
    pub(super) excused: bool,
    /// Something happened to a clock, so that nothing is known of waits.
    pub(super) upset: bool,
    /// Its session was lost with a node, or it was led to a node that never had it: an end proves nothing.
    pub(super) orphaned: bool,
    /// A node that had it has restarted.
    pub(super) restarted: bool,
    /// The connection over which its OPEN went out, once it is a stream of level 2.
    pub(super) connection: Option<ClientId>,
    /// Its open has gone out.
    pub(super) opening: bool,
    /// An open below level 2 has gone out.
    pub(super) session: bool,
    /// No relay took something of its client's.
    pub(super) turned_away: bool,
    /// Its ops that are out.
    pub(super) out: u32,
    /// Uplink bytes that ops have taken.
    pub(super) shipped: u64,
    /// Payload calls in a row that left it out although it had something to send.
    pub(super) passed_over: u32,
    /// Polls since it last moved, or since `polls_since`.
    pub(super) polls: u32,
    pub(super) polls_since: Time,
    /// When it last was part of a call.
    pub(super) polled: Time,
    /// Its last poll may have come back early because of another flow in the same batch.
    pub(super) hurried: bool,
    /// Its last poll had others beside it.
    pub(super) in_company: bool,
    /// When downlink last came.
    pub(super) downlink: Time,
    /// The numbers of the datagrams that its application got.
    pub(super) datagrams: BTreeSet<u64>,
}

/// An upstream.
#[derive(Clone, Debug, Default)]
pub(super) struct UpstreamRecord {
    /// When the node said that its session ended.
    pub(super) session_over: Option<Time>,
    /// Whether the node has half-closed it.
    pub(super) half_closed: bool,
    /// The numbers of the datagrams that it got.
    pub(super) datagrams: BTreeSet<u64>,
}

/// A relay, as one client's calls and notices show it.
#[derive(Clone, Debug, Default)]
pub(super) struct RelayRecord {
    /// Calls when every flow was long over.
    pub(super) late_calls: u32,
    /// It refused, and asked to be left alone until then.
    pub(super) alone_until: Option<Instant>,
    /// The same, also when it has answered since.
    pub(super) refused_until: Option<Instant>,
    /// Whether its last failure was a refusal.
    pub(super) refused: bool,
    /// How often it was taken out since it last answered.
    pub(super) setbacks: u32,
    /// When a call through it last ended.
    pub(super) ended: Time,
    /// Calls of the present day.
    pub(super) spent: u64,
    /// When the day is over; none before the first call.
    pub(super) renews: Option<Instant>,
    /// When a day last was over whose budget was spent.
    pub(super) renewed: Option<Time>,
}

/// Connections of level 2, and the nodes that have them.
#[derive(Clone, Debug, Default)]
pub(super) struct PacketRecords {
    /// From the first hello on.
    pub(super) connections: BTreeMap<ClientId, ConnectionRecord>,
    /// The nodes, and the lives of them, by the names that they gave themselves.
    pub(super) nodes: BTreeMap<NodeId, (usize, u64)>,
    /// The connection of a client to a node that it spoke of last.
    pub(super) newest: BTreeMap<(usize, usize), ClientId>,
    /// What tells the handshake that a node had under an id last.
    pub(super) handshakes: BTreeMap<(ClientId, usize), Option<u64>>,
    /// Connections that were forgotten with streams.
    pub(super) forgotten: BTreeSet<ClientId>,
}

/// A connection, from its first hello on.
#[derive(Clone, Debug)]
pub(super) struct ConnectionRecord {
    /// Which client of the world has it.
    pub(super) client: usize,
    /// Its hello, the relay that it is for, and when it first went out: for the world, and for the client.
    pub(super) hello: Bytes,
    pub(super) relay: u32,
    pub(super) first: (Time, Instant),
    /// Whether the client waits for no answer to its hello any more.
    pub(super) answered: bool,
    /// When a packet of it last went out.
    pub(super) spoken: Time,
    /// The node that has it, and which life of that node, from the answer that came to the client first; and its keys.
    pub(super) home: Option<(usize, u64)>,
    pub(super) keys: Option<ConnectionKeys>,
    /// When its client last heard from the node.
    pub(super) heard: Time,
    /// When the newest packet went out that was answered.
    pub(super) heard_of: Time,
    /// Whether a packet of it was answered.
    pub(super) up: bool,
    /// How many of its packets came to another node.
    pub(super) strays: u32,
    /// The exchange after the newest.
    pub(super) next: ExchangeNumber,
    pub(super) done: ExchangeNumber,
    /// The streams that it has opened, by number.
    pub(super) streams: BTreeSet<u64>,
}

/// A client at the end of a run.
pub(crate) struct ClientAtRest<'a> {
    pub(crate) held: usize,
    pub(crate) wake: Option<Wake>,
    pub(crate) stats: &'a ClientStats,
    pub(crate) machine: &'a dyn Debug,
}

/// A node at the end of a run.
pub(crate) struct NodeAtRest<'a> {
    pub(crate) held: usize,
    /// Ops that waited for an earlier one.
    pub(crate) reordered: u64,
    pub(crate) machine: &'a dyn Debug,
}
