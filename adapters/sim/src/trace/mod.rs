//! Traces: what happened in a run, entry by entry.

mod diff;
mod file;
mod line;
mod summary;

use std::fmt;
use std::str::FromStr;

use serde_with::{DeserializeFromStr, SerializeDisplay};

pub use diff::{Divergence, How, diverge};
pub use file::{BadTrace, FORMAT, Header, RunEnd, Trace, Trailer};
pub use line::TraceLine;
pub use summary::Summary;

use seqlane::{EndReason, ExchangeFailure, SessionEnd, TimerKind};

use crate::script::Kind;
use crate::{Fault, Property, Time};

/// Where something happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, SerializeDisplay, DeserializeFromStr)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, SerializeDisplay, DeserializeFromStr)]
pub struct ExchangeName {
    /// The client.
    pub client: u32,
    /// Its number there.
    pub number: u64,
}

/// Declares what can happen: its fields, its verb in traces, and its text for people.
macro_rules! happenings {
    ($($(#[$doc:meta])* $name:ident { $($field:ident: $type:ty),* } = $verb:literal, $text:expr;)*) => {
        /// Something that happened.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[allow(missing_docs, reason = "the fields are named by what they are")]
        pub enum What {
            $($(#[$doc])* $name { $($field: $type),* },)*
        }

        impl What {
            /// The word for it in traces.
            pub const fn verb(self) -> &'static str {
                match self { $(Self::$name { .. } => $verb,)* }
            }
        }

        impl fmt::Display for What {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let text = match *self {
                    $(Self::$name { $($field),* } => {
                        let _ = ($(&$field),*);
                        $text
                    })*
                };
                f.write_str(&text)
            }
        }
    };
}

happenings! {
    /// An application opens a flow.
    Open { flow: u32, kind: Kind } = "app.open", format!("flow {flow} opens ({kind:?})");
    /// An application writes.
    Write { flow: u32, bytes: u64 } = "app.write", format!("flow {flow} writes {bytes} B");
    /// An application finishes its half.
    Finish { flow: u32 } = "app.finish", format!("flow {flow} has sent everything");
    /// An application resets its flow.
    Abort { flow: u32 } = "app.reset", format!("flow {flow} is reset by its application");
    /// A client sends a request.
    Send { exchange: ExchangeName, relay: u32, bytes: u64, summary: Summary } = "req.send",
        format!("{exchange} sent through relay{relay}: {}, {bytes} B in all", summary.asked());
    /// A request arrives at a node; `copy` counts from 0.
    Arrive { exchange: ExchangeName, copy: u8, bytes: u64 } = "req.arrive", match copy {
        0 => format!("{exchange} arrives, {bytes} B"),
        _ => format!("{exchange} arrives again (copy {copy})"),
    };
    /// A node answers a request.
    Respond { exchange: ExchangeName, copy: u8, bytes: u64, summary: Summary } = "reply.send", match copy {
        0 => format!("{exchange} answered: {}, {bytes} B in all", summary.answered()),
        _ => format!("{exchange} answered (copy {copy})"),
    };
    /// A reply arrives at the client.
    Reply { exchange: ExchangeName, bytes: u64 } = "reply.arrive", format!("{exchange} comes back, {bytes} B");
    /// A reply arrives after its exchange has ended.
    LateReply { exchange: ExchangeName } = "reply.late", format!("{exchange} comes back too late");
    /// An exchange fails at the client.
    Fail { exchange: ExchangeName, why: ExchangeFailure } = "req.failed", format!("{exchange} failed: {why}");
    /// A fault strikes an exchange.
    Strike { fault: Fault, exchange: ExchangeName, how: &'static str } = "fault",
        format!("{}: {exchange} {how}", fault.id());
    /// A fault strikes a host or the network.
    Environment { fault: Fault, how: &'static str } = "fault", format!("{}: {how}", fault.id());
    /// A client tells an application that its flow is open.
    Opened { flow: u32 } = "flow.opened", format!("flow {flow} is open");
    /// A client delivers bytes to an application.
    Deliver { flow: u32, bytes: u64 } = "flow.deliver", format!("flow {flow} gets {bytes} B");
    /// A client ends an application's socket in order.
    Fin { flow: u32 } = "flow.fin", format!("flow {flow} gets its end");
    /// A flow ends at the client.
    Ended { flow: u32, why: EndReason } = "flow.ended", format!("flow {flow} is over: {why}");
    /// A node opens an upstream.
    Connect { flow: u32 } = "up.connect", format!("connects for flow {flow}");
    /// An upstream is connected, or not.
    Connected { flow: u32, ok: bool } = "up.connected",
        format!("{} for flow {flow}", if ok { "connected" } else { "refused" });
    /// A node writes to an upstream.
    Uplink { flow: u32, bytes: u64 } = "up.write", format!("gets {bytes} B of flow {flow}");
    /// An upstream sends.
    Downlink { flow: u32, bytes: u64 } = "up.send", format!("sends {bytes} B for flow {flow}");
    /// An upstream has sent everything.
    UpstreamFin { flow: u32 } = "up.fin", format!("has sent everything for flow {flow}");
    /// An upstream resets.
    UpstreamReset { flow: u32 } = "up.reset", format!("resets flow {flow}");
    /// A node shuts an upstream.
    Shut { flow: u32 } = "up.shut", format!("shuts the upstream of flow {flow}");
    /// A session ends at a node.
    SessionEnded { flow: u32, why: SessionEnd } = "session.ended",
        format!("session of flow {flow} ended: {why:?}");
    /// A machine's deadline has come.
    Timeout { timer: TimerKind } = "timeout", format!("{timer:?} is due");
    /// The faults are over; this relay is well for good.
    Heal { core: u32 } = "heal", format!("the fault phase is over; relay{core} is well for good");
    /// A property is violated.
    Violated { property: Property } = "violated", format!("{} violated", property.id());
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
    /// Whether entries carry summaries of bodies, which decodes every body once more.
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

/// A name in a trace that no actor or exchange has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no actor or exchange is called `{0}`")]
pub struct UnknownName(String);

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

impl What {
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
