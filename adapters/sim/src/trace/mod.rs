//! What a run did, entry by entry.

mod diff;
mod file;
mod line;
mod summary;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use diff::{Divergence, How, diverge};
pub use file::{BadTrace, End, FORMAT, Header, Trace, Trailer};
pub use line::TraceLine;
pub use summary::Summary;

use seqlane::{EndReason, ExchangeFailure, SessionEnd, TimerKind};

use crate::script::Kind;
use crate::{Fault, Property, Time};

/// Where something happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Actor {
    /// The network as a whole: change, and the heal.
    World,
    /// The application of a flow.
    App(u32),
    /// A client.
    Client(u32),
    /// A relay.
    Relay(u32),
    /// A node.
    Node(u32),
    /// The upstream of a flow.
    Upstream(u32),
}

/// Names an exchange over all clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ExchangeName {
    /// The client.
    pub client: u32,
    /// Its number there.
    pub number: u64,
}

/// Something that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are named by what they are")]
pub enum What {
    /// An application opens a flow.
    Open { flow: u32, kind: Kind },
    /// An application writes.
    Write { flow: u32, bytes: u64 },
    /// An application finishes its half.
    Finish { flow: u32 },
    /// An application resets its flow.
    Abort { flow: u32 },
    /// A client sends a request.
    Send { exchange: ExchangeName, relay: u32, bytes: u64, summary: Summary },
    /// A request arrives at a node; `copy` counts from 0.
    Arrive { exchange: ExchangeName, copy: u8, bytes: u64 },
    /// A node answers a request.
    Respond { exchange: ExchangeName, copy: u8, bytes: u64, summary: Summary },
    /// A reply arrives at the client.
    Reply { exchange: ExchangeName, bytes: u64 },
    /// A reply arrives after its exchange has ended.
    LateReply { exchange: ExchangeName },
    /// An exchange fails at the client.
    Fail { exchange: ExchangeName, why: ExchangeFailure },
    /// A fault strikes an exchange.
    Strike { fault: Fault, exchange: ExchangeName, how: &'static str },
    /// A fault strikes a host or the network.
    Environment { fault: Fault, how: &'static str },
    /// A client tells an application that its flow is open.
    Opened { flow: u32 },
    /// A client delivers bytes to an application.
    Deliver { flow: u32, bytes: u64 },
    /// A client ends an application's socket in order.
    Fin { flow: u32 },
    /// A flow ends at the client.
    Ended { flow: u32, why: EndReason },
    /// A node opens an upstream.
    Connect { flow: u32 },
    /// An upstream is connected, or not.
    Connected { flow: u32, ok: bool },
    /// A node writes to an upstream.
    Uplink { flow: u32, bytes: u64 },
    /// An upstream sends.
    Downlink { flow: u32, bytes: u64 },
    /// An upstream has sent everything.
    UpstreamFin { flow: u32 },
    /// An upstream resets.
    UpstreamReset { flow: u32 },
    /// A node shuts an upstream.
    Shut { flow: u32 },
    /// A session ends at a node.
    SessionEnded { flow: u32, why: SessionEnd },
    /// A machine's deadline has come.
    Timeout { timer: TimerKind },
    /// The faults are over; this relay is well for good.
    Heal { core: u32 },
    /// A property is violated.
    Violated { property: Property },
}

/// One line of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its number, from 0.
    pub index: u64,
    /// The event of the run that it belongs to.
    pub event: u64,
    /// When.
    pub at: Time,
    /// Where.
    pub actor: Actor,
    /// What.
    pub what: What,
    /// The entry that led to it.
    pub cause: Option<u64>,
    /// The hash of the run up to here.
    pub hash: u64,
}

/// Takes a trace in. Closures do, and so does a vector.
pub trait Sink {
    /// Whether anybody listens: without, no entry is made.
    const ON: bool;
    /// Whether entries shall tell what bodies carry, for which every body is decoded once more.
    const SUMMARIES: bool = Self::ON;

    /// Takes the next entry.
    fn record(&mut self, entry: &Entry);
}

/// Listens to nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoTrace;

impl Sink for NoTrace {
    const ON: bool = false;

    fn record(&mut self, _entry: &Entry) {}
}

impl<S: Sink> Sink for &mut S {
    const ON: bool = S::ON;

    fn record(&mut self, entry: &Entry) {
        (**self).record(entry);
    }
}

impl Sink for Vec<Entry> {
    const ON: bool = true;

    fn record(&mut self, entry: &Entry) {
        self.push(*entry);
    }
}

/// Calls a function for every entry.
#[derive(Clone, Copy, Debug)]
pub struct Observer<F>(pub F);

impl<F: FnMut(&Entry)> Sink for Observer<F> {
    const ON: bool = true;

    fn record(&mut self, entry: &Entry) {
        (self.0)(entry);
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::World => f.write_str("world"),
            Self::App(flow) => write!(f, "app{flow}"),
            Self::Client(client) => write!(f, "client{client}"),
            Self::Relay(relay) => write!(f, "relay{relay}"),
            Self::Node(node) => write!(f, "node{node}"),
            Self::Upstream(flow) => write!(f, "upstream{flow}"),
        }
    }
}

impl fmt::Display for ExchangeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "x{}.{}", self.client, self.number)
    }
}

/// A name in a trace that nobody has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownName(String);

impl fmt::Display for UnknownName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "nobody in a run is called `{}`", self.0)
    }
}

impl std::error::Error for UnknownName {}

impl FromStr for Actor {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        if text == "world" {
            return Ok(Self::World);
        }
        let bad = || UnknownName(text.to_owned());
        let digits = text.find(|letter: char| letter.is_ascii_digit()).ok_or_else(bad)?;
        let (kind, number) = text.split_at(digits);
        let number = number.parse().map_err(|_| bad())?;
        match kind {
            "app" => Ok(Self::App(number)),
            "client" => Ok(Self::Client(number)),
            "relay" => Ok(Self::Relay(number)),
            "node" => Ok(Self::Node(number)),
            "upstream" => Ok(Self::Upstream(number)),
            _ => Err(bad()),
        }
    }
}

impl FromStr for ExchangeName {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        let read = || {
            let (client, number) = text.strip_prefix('x')?.split_once('.')?;
            Some(Self { client: client.parse().ok()?, number: number.parse().ok()? })
        };
        read().ok_or_else(|| UnknownName(text.to_owned()))
    }
}

impl TryFrom<String> for Actor {
    type Error = UnknownName;

    fn try_from(text: String) -> Result<Self, UnknownName> {
        text.parse()
    }
}

impl TryFrom<String> for ExchangeName {
    type Error = UnknownName;

    fn try_from(text: String) -> Result<Self, UnknownName> {
        text.parse()
    }
}

impl From<Actor> for String {
    fn from(actor: Actor) -> Self {
        actor.to_string()
    }
}

impl From<ExchangeName> for String {
    fn from(name: ExchangeName) -> Self {
        name.to_string()
    }
}

impl What {
    /// The word for it in traces.
    pub const fn verb(self) -> &'static str {
        match self {
            Self::Open { .. } => "app.open",
            Self::Write { .. } => "app.write",
            Self::Finish { .. } => "app.finish",
            Self::Abort { .. } => "app.reset",
            Self::Send { .. } => "req.send",
            Self::Arrive { .. } => "req.arrive",
            Self::Respond { .. } => "reply.send",
            Self::Reply { .. } => "reply.arrive",
            Self::LateReply { .. } => "reply.late",
            Self::Fail { .. } => "req.failed",
            Self::Strike { .. } | Self::Environment { .. } => "fault",
            Self::Opened { .. } => "flow.opened",
            Self::Deliver { .. } => "flow.deliver",
            Self::Fin { .. } => "flow.fin",
            Self::Ended { .. } => "flow.ended",
            Self::Connect { .. } => "up.connect",
            Self::Connected { .. } => "up.connected",
            Self::Uplink { .. } => "up.write",
            Self::Downlink { .. } => "up.send",
            Self::UpstreamFin { .. } => "up.fin",
            Self::UpstreamReset { .. } => "up.reset",
            Self::Shut { .. } => "up.shut",
            Self::SessionEnded { .. } => "session.ended",
            Self::Timeout { .. } => "timeout",
            Self::Heal { .. } => "heal",
            Self::Violated { .. } => "violated",
        }
    }

    /// The flow that it is about.
    pub const fn flow(self) -> Option<u32> {
        match self {
            Self::Open { flow, .. }
            | Self::Write { flow, .. }
            | Self::Finish { flow }
            | Self::Abort { flow }
            | Self::Opened { flow }
            | Self::Deliver { flow, .. }
            | Self::Fin { flow }
            | Self::Ended { flow, .. }
            | Self::Connect { flow }
            | Self::Connected { flow, .. }
            | Self::Uplink { flow, .. }
            | Self::Downlink { flow, .. }
            | Self::UpstreamFin { flow }
            | Self::UpstreamReset { flow }
            | Self::Shut { flow }
            | Self::SessionEnded { flow, .. } => Some(flow),
            _ => None,
        }
    }

    /// The exchange that it is about.
    pub const fn exchange(self) -> Option<ExchangeName> {
        match self {
            Self::Send { exchange, .. }
            | Self::Arrive { exchange, .. }
            | Self::Respond { exchange, .. }
            | Self::Reply { exchange, .. }
            | Self::LateReply { exchange }
            | Self::Fail { exchange, .. }
            | Self::Strike { exchange, .. } => Some(exchange),
            _ => None,
        }
    }

    /// The fault that it is.
    pub const fn fault(self) -> Option<Fault> {
        match self {
            Self::Strike { fault, .. } | Self::Environment { fault, .. } => Some(fault),
            _ => None,
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Open { flow, kind } => write!(f, "flow {flow} opens ({kind:?})"),
            Self::Write { flow, bytes } => write!(f, "flow {flow} writes {bytes} B"),
            Self::Finish { flow } => write!(f, "flow {flow} has sent everything"),
            Self::Abort { flow } => write!(f, "flow {flow} is reset by its application"),
            Self::Send { exchange, relay, bytes, summary } => {
                write!(f, "{exchange} sent through relay{relay}: {}, {bytes} B in all", summary.asked())
            }
            Self::Arrive { exchange, copy: 0, bytes } => write!(f, "{exchange} arrives, {bytes} B"),
            Self::Arrive { exchange, copy, .. } => write!(f, "{exchange} arrives again (copy {copy})"),
            Self::Respond { exchange, copy: 0, bytes, summary } => {
                write!(f, "{exchange} answered: {}, {bytes} B in all", summary.answered())
            }
            Self::Respond { exchange, copy, .. } => write!(f, "{exchange} answered (copy {copy})"),
            Self::Reply { exchange, bytes } => write!(f, "{exchange} comes back, {bytes} B"),
            Self::LateReply { exchange } => write!(f, "{exchange} comes back too late"),
            Self::Fail { exchange, why } => write!(f, "{exchange} failed: {why}"),
            Self::Strike { fault, exchange, how } => write!(f, "{}: {exchange} {how}", fault.id()),
            Self::Environment { fault, how } => write!(f, "{}: {how}", fault.id()),
            Self::Opened { flow } => write!(f, "flow {flow} is open"),
            Self::Deliver { flow, bytes } => write!(f, "flow {flow} gets {bytes} B"),
            Self::Fin { flow } => write!(f, "flow {flow} gets its end"),
            Self::Ended { flow, why } => write!(f, "flow {flow} is over: {why}"),
            Self::Connect { flow } => write!(f, "connects for flow {flow}"),
            Self::Connected { flow, ok: true } => write!(f, "connected for flow {flow}"),
            Self::Connected { flow, ok: false } => write!(f, "refused for flow {flow}"),
            Self::Uplink { flow, bytes } => write!(f, "gets {bytes} B of flow {flow}"),
            Self::Downlink { flow, bytes } => write!(f, "sends {bytes} B for flow {flow}"),
            Self::UpstreamFin { flow } => write!(f, "has sent everything for flow {flow}"),
            Self::UpstreamReset { flow } => write!(f, "resets flow {flow}"),
            Self::Shut { flow } => write!(f, "shuts the upstream of flow {flow}"),
            Self::SessionEnded { flow, why } => write!(f, "session of flow {flow} ended: {why:?}"),
            Self::Timeout { timer } => write!(f, "{timer:?} is due"),
            Self::Heal { core } => write!(f, "the fault phase is over; relay{core} is well for good"),
            Self::Violated { property } => write!(f, "{} violated", property.id()),
        }
    }
}
