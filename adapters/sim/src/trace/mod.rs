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
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, strum::Display, SerializeDisplay, DeserializeFromStr,
)]
pub enum Actor {
    /// The network as a whole: change, and the heal.
    #[strum(to_string = "world")]
    World,
    /// The application of a flow.
    #[strum(to_string = "app{0}")]
    App(u32),
    /// A client.
    #[strum(to_string = "client{0}")]
    Client(u32),
    /// A relay.
    #[strum(to_string = "relay{0}")]
    Relay(u32),
    /// A node.
    #[strum(to_string = "node{0}")]
    Node(u32),
    /// The upstream of a flow.
    #[strum(to_string = "upstream{0}")]
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

/// Declares what can happen, by what it is about: its fields, its verb in traces, and its text for people.
macro_rules! happenings {
    (
        $($(#[$about:meta])* $subject:ident: $subject_type:ty {
            $($(#[$doc:meta])* $name:ident { $($field:ident: $type:ty),* } = $verb:literal, $text:expr;)*
        })*
        {
            $($(#[$other_doc:meta])* $other:ident { $($other_field:ident: $other_type:ty),* }
                = $other_verb:literal, $other_text:expr;)*
        }
    ) => {
        /// Something that happened.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[allow(missing_docs, reason = "the fields are named by what they are")]
        pub enum What {
            $($($(#[$doc])* $name { $subject: $subject_type, $($field: $type),* },)*)*
            $($(#[$other_doc])* $other { $($other_field: $other_type),* },)*
        }

        impl What {
            /// The word for it in traces.
            pub const fn verb(self) -> &'static str {
                match self {
                    $($(Self::$name { .. } => $verb,)*)*
                    $(Self::$other { .. } => $other_verb,)*
                }
            }

            $($(#[$about])*
            pub const fn $subject(self) -> Option<$subject_type> {
                match self {
                    $(Self::$name { $subject, .. })|* => Some($subject),
                    _ => None,
                }
            })*
        }

        impl fmt::Display for What {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let text = match *self {
                    $($(Self::$name { $subject, $($field),* } => {
                        let _ = ($subject, $(&$field),*);
                        $text
                    })*)*
                    $(Self::$other { $($other_field),* } => $other_text,)*
                };
                f.write_str(&text)
            }
        }
    };
}

happenings! {
    /// The flow that it is about.
    flow: u32 {
        /// An application opens a flow.
        Open { kind: Kind } = "app.open", format!("flow {flow} opens ({kind:?})");
        /// An application writes.
        Write { bytes: u64 } = "app.write", format!("flow {flow} writes {bytes} B");
        /// An application finishes its half.
        Finish {} = "app.finish", format!("flow {flow} has sent everything");
        /// An application resets its flow.
        Abort {} = "app.reset", format!("flow {flow} is reset by its application");
        /// A client tells an application that its flow is open.
        Opened {} = "flow.opened", format!("flow {flow} is open");
        /// A client delivers bytes to an application.
        Deliver { bytes: u64 } = "flow.deliver", format!("flow {flow} gets {bytes} B");
        /// A client ends an application's socket in order.
        Fin {} = "flow.fin", format!("flow {flow} gets its end");
        /// A flow ends at the client.
        Ended { why: EndReason } = "flow.ended", format!("flow {flow} is over: {why}");
        /// A node opens an upstream.
        Connect {} = "up.connect", format!("connects for flow {flow}");
        /// An upstream is connected, or not.
        Connected { ok: bool } = "up.connected",
            format!("{} for flow {flow}", if ok { "connected" } else { "refused" });
        /// A node writes to an upstream.
        Uplink { bytes: u64 } = "up.write", format!("gets {bytes} B of flow {flow}");
        /// An upstream sends.
        Downlink { bytes: u64 } = "up.send", format!("sends {bytes} B for flow {flow}");
        /// An upstream has sent everything.
        UpstreamFin {} = "up.fin", format!("has sent everything for flow {flow}");
        /// An upstream resets.
        UpstreamReset {} = "up.reset", format!("resets flow {flow}");
        /// A node shuts an upstream.
        Shut {} = "up.shut", format!("shuts the upstream of flow {flow}");
        /// A session ends at a node.
        SessionEnded { why: SessionEnd } = "session.ended",
            format!("session of flow {flow} ended: {why:?}");
    }
    /// The exchange that it is about.
    exchange: ExchangeName {
        /// A client sends a request.
        Send { relay: u32, bytes: u64, summary: Summary } = "req.send",
            format!("{exchange} sent through relay{relay}: {}, {bytes} B in all", summary.asked());
        /// A request arrives at a node; `copy` counts from 0.
        Arrive { copy: u8, bytes: u64 } = "req.arrive", match copy {
            0 => format!("{exchange} arrives, {bytes} B"),
            _ => format!("{exchange} arrives again (copy {copy})"),
        };
        /// A node answers a request.
        Respond { copy: u8, bytes: u64, summary: Summary } = "reply.send", match copy {
            0 => format!("{exchange} answered: {}, {bytes} B in all", summary.answered()),
            _ => format!("{exchange} answered (copy {copy})"),
        };
        /// A reply arrives at the client.
        Reply { bytes: u64 } = "reply.arrive", format!("{exchange} comes back, {bytes} B");
        /// A reply arrives after its exchange has ended.
        LateReply {} = "reply.late", format!("{exchange} comes back too late");
        /// An exchange fails at the client.
        Fail { why: ExchangeFailure } = "req.failed", format!("{exchange} failed: {why}");
        /// A fault strikes an exchange.
        Strike { fault: Fault, how: &'static str } = "fault",
            format!("{}: {exchange} {how}", fault.id());
    }
    {
        /// A fault strikes a host or the network.
        Environment { fault: Fault, how: &'static str } = "fault", format!("{}: {how}", fault.id());
        /// A machine's deadline has come.
        Timeout { timer: TimerKind } = "timeout", format!("{timer:?} is due");
        /// The faults are over; this relay is well for good.
        Heal { core: u32 } = "heal", format!("the fault phase is over; relay{core} is well for good");
        /// A property is violated.
        Violated { property: Property } = "violated", format!("{} violated", property.id());
    }
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
        let digits = text.find(|letter: char| letter.is_ascii_digit()).unwrap_or(text.len());
        let (kind, number) = text.split_at(digits);
        match (kind, number.parse().ok()) {
            ("world", None) if number.is_empty() => Ok(Self::World),
            ("app", Some(number)) => Ok(Self::App(number)),
            ("client", Some(number)) => Ok(Self::Client(number)),
            ("relay", Some(number)) => Ok(Self::Relay(number)),
            ("node", Some(number)) => Ok(Self::Node(number)),
            ("upstream", Some(number)) => Ok(Self::Upstream(number)),
            _ => Err(UnknownName(text.to_owned())),
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
    /// The fault that it is.
    pub const fn fault(self) -> Option<Fault> {
        match self {
            Self::Strike { fault, .. } | Self::Environment { fault, .. } => Some(fault),
            _ => None,
        }
    }
}
