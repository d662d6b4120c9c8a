//! Trace entries as they are in files.

use serde::{Deserialize, Serialize};

use crate::hex::Hex;
use crate::trace::{Actor, Entry, ExchangeName, Summary, What};
use crate::{Fault, Time};

/// One line of a trace file.
#[serde_with::skip_serializing_none]
#[serde_with::serde_as]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceLine {
    /// The entry's number.
    pub i: u64,
    /// The event of the run that it belongs to.
    pub e: u64,
    /// When, in nanoseconds.
    pub t: Time,
    /// Where.
    pub at: Actor,
    /// What: the verb of [`What::verb`].
    pub ev: String,
    /// The exchange that it is about.
    pub id: Option<ExchangeName>,
    /// Which copy of its request.
    #[serde(default, skip_serializing_if = "is_default")]
    pub copy: u8,
    /// The flow that it is about.
    pub flow: Option<u32>,
    /// The relay that a request is sent through.
    pub relay: Option<u32>,
    /// What the body carries.
    #[serde(alias = "gist")]
    pub summary: Option<Summary>,
    /// The fault that it is.
    pub fault: Option<Fault>,
    /// Whether it is an unwanted end: a failure, a reset, a violation.
    #[serde(default, skip_serializing_if = "is_default")]
    pub bad: bool,
    /// The same in words.
    pub text: String,
    /// The entry that led to it.
    pub cause: Option<u64>,
    /// The hash of the run up to here.
    #[serde_as(as = "Hex")]
    pub h: u64,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

const fn is_bad(what: What) -> bool {
    match what {
        What::Ended { why, .. } => !why.is_orderly(),
        What::Fail { .. }
        | What::LateReply { .. }
        | What::Abort { .. }
        | What::Connected { ok: false, .. }
        | What::UpstreamReset { .. }
        | What::Violated { .. } => true,
        _ => false,
    }
}

impl From<&Entry> for TraceLine {
    fn from(entry: &Entry) -> Self {
        let what = entry.what;
        let (relay, copy, summary) = match what {
            What::Send { relay, summary, .. } => (Some(relay), 0, Some(summary)),
            What::Respond { copy, summary, .. } => (None, copy, Some(summary)),
            What::Arrive { copy, .. } => (None, copy, None),
            _ => (None, 0, None),
        };
        Self {
            i: entry.index,
            e: entry.event,
            t: entry.at,
            at: entry.actor,
            ev: what.verb().to_owned(),
            id: what.exchange(),
            copy,
            flow: what.flow(),
            relay,
            summary,
            fault: what.fault(),
            bad: is_bad(what),
            text: what.to_string(),
            cause: entry.cause,
            h: entry.hash,
        }
    }
}
