//! Workloads of measured runs.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::pattern::LONGEST;
use crate::plan::size::Size;
use crate::script::{Kind, Script};

/// One of the things that are measured. Every flow opens at the start unless said otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Workload {
    /// One flow downloads this many bytes.
    Download(Size),
    /// One flow uploads this many bytes.
    Upload(Size),
    /// One flow sends 1 KiB, and the next 1 s after its echo; this many times.
    Echo(u32),
    /// The same while another flow downloads this many bytes.
    EchoBeside(Size),
    /// This many open flows that are silent after their first bytes.
    Idle(u32),
    /// The same, but one of them receives a message twice a minute.
    Pushes(u32),
    /// This many flows within 10 s: echoes, requests, downloads and uploads of 256 KiB.
    Mixed(u32),
}

/// What of a flow is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// Bytes that come to the application; this many in all.
    Download(u64),
    /// Bytes that come to the upstream; this many in all.
    Upload(u64),
    /// From each write to its whole echo; and that the flow comes to an orderly end.
    Echo,
    /// From each word that the upstream says to its delivery; and that the flow lives.
    Pushed,
    /// That it comes to an orderly end.
    End,
    /// That it lives.
    #[default]
    Life,
}

/// When a run has been measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// When this flow has all its bytes, or is over.
    Flow(usize),
    /// When every flow is over.
    All,
    /// At this time; calls count from the first time on.
    Time(Duration, Duration),
}

/// Bytes of an echo.
const ECHO: u64 = 1 << 10;
/// How long an application thinks between echoes.
const THINK: Duration = Duration::from_secs(1);
/// How long an upstream is silent before it sends to an idle flow.
const SILENCE: Duration = Duration::from_secs(30);
/// Bytes of what it says.
const WORD: u64 = 100;
/// What is fetched or sent by a flow of a mixed workload.
const MIDDLING: u64 = 256 << 10;
/// Idle flows open within this time, and calls are counted after it.
const SETTLED: Duration = Duration::from_secs(300);
/// How long idle flows are watched.
const WATCHED: Duration = Duration::from_secs(2 * 3600);

impl Workload {
    /// The flows: when each opens, and what is said.
    pub fn flows(&self) -> Vec<(Duration, Script)> {
        match *self {
            Self::Download(Size(bytes)) => vec![at_once(bulk(Kind::Download, bytes))],
            Self::Upload(Size(bytes)) => vec![at_once(bulk(Kind::Upload, bytes))],
            Self::Echo(turns) => vec![at_once(echo(turns))],
            Self::EchoBeside(Size(bytes)) => {
                vec![at_once(echo(u32::MAX)), at_once(bulk(Kind::Download, bytes))]
            }
            Self::Idle(flows) => {
                (0..flows).map(|flow| (opening(flow, flows, SETTLED / 5), silent(WATCHED * 10))).collect()
            }
            Self::Pushes(flows) => {
                let silence = |flow| if flow == 0 { SILENCE } else { WATCHED * 10 };
                (0..flows).map(|flow| (opening(flow, flows, SETTLED / 5), silent(silence(flow)))).collect()
            }
            Self::Mixed(flows) => {
                let within = Duration::from_secs(10);
                (0..flows).map(|flow| (opening(flow, flows, within), mixed(flow))).collect()
            }
        }
    }

    /// What of each flow is looked at.
    pub fn role(&self, flow: usize) -> Role {
        match (*self, flow) {
            (Self::Download(Size(bytes)), _) => Role::Download(bytes),
            (Self::Upload(Size(bytes)), _) => Role::Upload(bytes),
            (Self::Echo(_), _) | (Self::EchoBeside(_), 0) => Role::Echo,
            (Self::EchoBeside(Size(bytes)), _) => Role::Download(bytes),
            (Self::Pushes(_), 0) => Role::Pushed,
            (Self::Idle(_) | Self::Pushes(_), _) => Role::Life,
            (Self::Mixed(_), _) => Role::End,
        }
    }

    /// When it has been measured.
    pub const fn until(&self) -> Until {
        match self {
            Self::Download(_) | Self::Upload(_) => Until::Flow(0),
            Self::EchoBeside(_) => Until::Flow(1),
            Self::Echo(_) | Self::Mixed(_) => Until::All,
            Self::Idle(_) | Self::Pushes(_) => Until::Time(SETTLED, WATCHED),
        }
    }
}

const fn at_once(script: Script) -> (Duration, Script) {
    (Duration::ZERO, script)
}

fn opening(flow: u32, flows: u32, within: Duration) -> Duration {
    within * flow / flows.max(1)
}

fn plain(kind: Kind, size: u64) -> Script {
    Script { answers_after: Some(Duration::ZERO), ..Script::new(kind, size) }
}

fn bulk(kind: Kind, bytes: u64) -> Script {
    // Both ends write as much as their credit allows.
    Script { write: LONGEST, ..plain(kind, bytes) }
}

fn echo(turns: u32) -> Script {
    Script { turns, up: ECHO, down: ECHO, think: THINK, ..plain(Kind::Echo, ECHO) }
}

/// An upstream that speaks again and again, and is silent before.
fn silent(silence: Duration) -> Script {
    let script = Script { turns: u32::MAX, up: WORD, down: WORD, ..plain(Kind::Echo, WORD) };
    Script { answers_after: Some(silence), ..script }
}

fn mixed(flow: u32) -> Script {
    match flow % 4 {
        0 => echo(10),
        1 => plain(Kind::Requests, MIDDLING),
        2 => bulk(Kind::Download, MIDDLING),
        _ => bulk(Kind::Upload, MIDDLING),
    }
}
