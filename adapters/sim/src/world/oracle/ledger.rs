//! What the oracle remembers of ops, sessions, flows and relays, beside what the world itself keeps.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use seqlane::wire::Sid;
use seqlane::wire::number::ExchangeNumber;
use seqlane::wire::packet::ClientId;
use seqlane::{BodyForm, ExchangeId, Instant};

use crate::time::Time;
use crate::world::oracle::packets::PacketBook;

/// The oracle's books.
#[derive(Clone, Debug, Default)]
pub(in crate::world) struct Ledger {
    /// The ops of every exchange that its client has not been told the end of.
    pub(in crate::world) exchanges: BTreeMap<(usize, ExchangeId), Sent>,
    pub(in crate::world) sessions: BTreeMap<Sid, Session>,
    pub(in crate::world) flows: Vec<FlowBook>,
    /// By client and relay.
    pub(in crate::world) relays: BTreeMap<(usize, u32), RelayBook>,
    /// Whether a node has refused something because of a limit.
    pub(in crate::world) limited: bool,
    /// Level 2.
    pub(in crate::world) packets: PacketBook,
}

impl Ledger {
    pub(in crate::world) fn for_flows(flows: usize) -> Self {
        Self { flows: vec![FlowBook::default(); flows], ..Self::default() }
    }
}

/// An exchange that is out.
#[derive(Clone, Debug)]
pub(in crate::world) struct Sent {
    pub(in crate::world) at: Time,
    pub(in crate::world) form: BodyForm,
    /// Whether its answer has begun to come.
    pub(in crate::world) answering: bool,
    pub(in crate::world) notes: Arc<[Note]>,
}

/// An op that was sent.
#[derive(Clone, Copy, Debug)]
pub(in crate::world) struct Note {
    /// Its flow, if it has one: a probe has none.
    pub(in crate::world) flow: Option<usize>,
    pub(in crate::world) role: Role,
    /// Payload bytes.
    pub(in crate::world) payload: usize,
}

impl Note {
    /// Whether it opens a flow and brings its first bytes.
    pub(in crate::world) const fn is_first_bytes(&self) -> bool {
        matches!(self.role, Role::Open { first_bytes: true })
    }

    /// Whether these are the notes of a packet of level 2.
    pub(in crate::world) const fn are_packet(notes: &[Self]) -> bool {
        matches!(notes, [Self { role: Role::Packet { .. }, .. }])
    }
}

/// What kind of op it is.
#[derive(Clone, Copy, Debug)]
pub(in crate::world) enum Role {
    Open {
        first_bytes: bool,
    },
    Data {
        sid: Sid,
        seq: Option<u64>,
    },
    Close,
    /// A packet of level 2, which is alone in its batch.
    Packet {
        /// Whose it is and its number, if it can be read.
        name: Option<(ClientId, ExchangeNumber)>,
        hello: bool,
        /// The longest answer that it allows; none: a header.
        room: Option<u64>,
    },
}

/// A session, from the reply that named it.
#[derive(Clone, Debug)]
pub(in crate::world) struct Session {
    pub(in crate::world) flow: usize,
    /// The node that has it, and which life of that node.
    pub(in crate::world) home: (usize, u64),
    /// Whether the node offered level 1 for it.
    pub(in crate::world) offered: bool,
    /// The next number that its client has not used yet.
    pub(in crate::world) next: u64,
    /// Numbers that came back to the client unused.
    pub(in crate::world) returned: BTreeSet<u64>,
    /// How many copies of each op have come to the node.
    pub(in crate::world) copies: BTreeMap<u64, u32>,
    /// Ops that came early, their payload, and when.
    pub(in crate::world) early: BTreeMap<u64, (usize, Instant)>,
    /// Every op below this number has come.
    pub(in crate::world) frontier: u64,
    /// Uplink bytes that have come in order: the upstream must have them.
    pub(in crate::world) due: u64,
    /// Whether it is not known any more what the upstream must have.
    pub(in crate::world) blind: bool,
    /// Ops that were executed.
    pub(in crate::world) executed: BTreeSet<u64>,
}

impl Session {
    pub(in crate::world) const fn new(flow: usize, home: (usize, u64), offered: bool, due: u64) -> Self {
        Self {
            flow,
            home,
            offered,
            next: 0,
            returned: BTreeSet::new(),
            copies: BTreeMap::new(),
            early: BTreeMap::new(),
            frontier: 0,
            due,
            blind: false,
            executed: BTreeSet::new(),
        }
    }
}

/// A flow, as its client's calls show it.
#[derive(Clone, Debug, Default)]
pub(in crate::world) struct FlowBook {
    /// Something happened to it that may lose it.
    pub(in crate::world) excused: bool,
    /// Something happened to a clock, so that nothing is known of waits.
    pub(in crate::world) upset: bool,
    /// Its open has gone out.
    pub(in crate::world) opening: bool,
    /// An open below level 2 has gone out.
    pub(in crate::world) session: bool,
    /// No relay took something of its client's.
    pub(in crate::world) turned_away: bool,
    /// Its ops that are out.
    pub(in crate::world) out: u32,
    /// Uplink bytes that ops have taken.
    pub(in crate::world) shipped: u64,
    /// Payload calls in a row that left it out although it had something to send.
    pub(in crate::world) passed_over: u32,
    /// Polls since it last moved, or since `polls_since`.
    pub(in crate::world) polls: u32,
    pub(in crate::world) polls_since: Time,
    /// When it last was part of a call.
    pub(in crate::world) polled: Time,
    /// Its last poll may have come back early because of another flow in the same batch.
    pub(in crate::world) hurried: bool,
    /// Its last poll had others beside it.
    pub(in crate::world) in_company: bool,
    /// When downlink last came.
    pub(in crate::world) downlink: Time,
}

/// A relay, as one client's calls and notices show it.
#[derive(Clone, Debug, Default)]
pub(in crate::world) struct RelayBook {
    /// Calls when every flow was long over.
    pub(in crate::world) late_calls: u32,
    /// It refused, and asked to be left alone until then.
    pub(in crate::world) alone_until: Option<Instant>,
    /// The same, also when it has answered since.
    pub(in crate::world) refused_until: Option<Instant>,
    /// Whether its last failure was a refusal.
    pub(in crate::world) refused: bool,
    /// How often it was taken out since it last answered.
    pub(in crate::world) setbacks: u32,
    /// When a call through it last ended.
    pub(in crate::world) ended: Time,
    /// Calls of the present day.
    pub(in crate::world) spent: u64,
    /// When the day is over; none before the first call.
    pub(in crate::world) renews: Option<Instant>,
    /// When a day last was over whose budget was spent.
    pub(in crate::world) renewed: Option<Time>,
}
