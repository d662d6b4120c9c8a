//! Scripts: the traffic of an application and its upstream, and their misbehaviour.

use std::time::Duration;

use seqlane::{ConnectFailure, FlowKind};
use serde::{Deserialize, Serialize};

/// The kinds of conversations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A line, its echo, and again.
    Echo,
    /// A short request, a long answer.
    Download,
    /// A long request, a short answer.
    Upload,
    /// Requests and answers of middling size, with time to think between them.
    Requests,
    /// The upstream speaks first, then it is an echo.
    ServerFirst,
    /// The application finishes its half at once; the answer comes after.
    HalfClose,
    /// One side resets in the middle.
    Reset,
    /// The upstream sends as fast as it may, to an application that reads slowly.
    Flood,
    /// The upstream reads slowly.
    SlowReader,
    /// Datagrams, each echoed.
    UdpEcho,
    /// A line and its echo, silence for most of a minute, and another line.
    Quiet,
    /// A line, its echo, and then nothing for a day. For measuring; it outlasts every bound on progress.
    Idle,
}

impl Kind {
    /// Every kind that comes to an end by itself.
    pub const ALL: [Self; 11] = [
        Self::Echo,
        Self::Download,
        Self::Upload,
        Self::Requests,
        Self::ServerFirst,
        Self::HalfClose,
        Self::Reset,
        Self::Flood,
        Self::SlowReader,
        Self::UdpEcho,
        Self::Quiet,
    ];
}

/// One conversation: turns in which the application sends and the upstream answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Script {
    /// What kind it is.
    pub kind: Kind,
    /// How many turns.
    pub turns: u32,
    /// Bytes that the application sends in a turn.
    pub up: u64,
    /// Bytes that the upstream sends in a turn, once it has all that was sent before.
    pub down: u64,
    /// Bytes that the upstream sends as soon as it is open.
    pub greeting: u64,
    /// The largest single write of either side.
    pub write: usize,
    /// How long the application thinks before each turn but the first.
    pub think: Duration,
    /// Whether the application finishes its half as soon as it has sent everything.
    pub half_close: bool,
    /// Who resets, and after how many bytes received.
    pub reset: Option<(Side, u64)>,
    /// How long after its open the application gives up, whatever has come by then.
    pub gives_up: Option<Duration>,
    /// How the application reads.
    pub local_reads: Pace,
    /// How the upstream reads.
    pub upstream_reads: Pace,
    /// What happens when the node opens the upstream.
    pub opening: Opening,
    /// How long the upstream takes to answer; none: the seed decisions.
    pub answers_after: Option<Duration>,
    /// Bytes a second that come from the upstream; none: all at once.
    pub rate: Option<u64>,
}

/// Which end of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Side {
    /// The application.
    Local,
    /// The upstream.
    Upstream,
}

/// How fast a socket is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Pace {
    /// At once.
    AtOnce,
    /// Everything that is there, this long after it came.
    After(Duration),
    /// Not before the faults are over.
    Stalled,
}

/// What comes of an attempt to open the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Opening {
    /// It opens.
    Accept,
    /// It fails at once.
    Fail(#[serde(skip)] ConnectFailure),
    /// Nothing ever answers.
    Silence,
}

impl Script {
    /// A conversation of this kind with about `size` bytes.
    pub fn new(kind: Kind, size: u64) -> Self {
        let size = size.max(1);
        let plain = Self {
            kind,
            turns: 1,
            up: 16.min(size),
            down: 16.min(size),
            greeting: 0,
            write: 64 << 10,
            think: Duration::ZERO,
            half_close: false,
            reset: None,
            gives_up: None,
            local_reads: Pace::AtOnce,
            upstream_reads: Pace::AtOnce,
            opening: Opening::Accept,
            answers_after: None,
            rate: None,
        };
        let slowly = Pace::After(Duration::from_millis(700));
        match kind {
            Kind::Echo => {
                Self { turns: turns_of(size, 100), up: 100.min(size), down: 100.min(size), ..plain }
            }
            Kind::Download => Self { down: size, ..plain },
            Kind::Upload => Self { up: size, ..plain },
            Kind::Requests => Self {
                turns: turns_of(size, 5_000),
                up: 500.min(size),
                down: 4_500.min(size),
                think: Duration::from_millis(200),
                ..plain
            },
            Kind::ServerFirst => Self { turns: turns_of(size, 100), greeting: 40, ..plain },
            Kind::HalfClose => Self { up: size / 2 + 1, down: size / 2 + 1, half_close: true, ..plain },
            Kind::Reset => Self {
                up: size / 2 + 1,
                down: size / 2 + 1,
                reset: Some((if size.is_multiple_of(2) { Side::Local } else { Side::Upstream }, size / 4)),
                ..plain
            },
            Kind::Flood => Self { down: size.saturating_mul(4), local_reads: slowly, ..plain },
            Kind::SlowReader => Self { up: size, upstream_reads: slowly, ..plain },
            Kind::UdpEcho => Self { turns: turns_of(size, 120), up: 120, down: 120, ..plain },
            Kind::Quiet => Self { turns: 2, think: Duration::from_secs(50), ..plain },
            Kind::Idle => Self { turns: 2, think: Duration::from_secs(24 * 60 * 60), ..plain },
        }
    }

    /// Whether this side resets the flow.
    pub fn is_reset_by(&self, side: Side) -> bool {
        self.reset.is_some_and(|(by, _)| by == side)
    }

    /// Whether its application ends the flow by itself.
    pub fn is_ended_locally(&self) -> bool {
        self.transport() == FlowKind::Udp || self.is_reset_by(Side::Local) || self.gives_up.is_some()
    }

    /// TCP or UDP.
    pub const fn transport(&self) -> FlowKind {
        match self.kind {
            Kind::UdpEcho => FlowKind::Udp,
            _ => FlowKind::Tcp,
        }
    }

    /// Everything that the application will send.
    pub const fn total_up(&self) -> u64 {
        self.up.saturating_mul(self.turns as u64)
    }

    /// Everything that the upstream will send.
    pub const fn total_down(&self) -> u64 {
        self.greeting.saturating_add(self.down.saturating_mul(self.turns as u64))
    }

    /// How many turns the application may have begun, once it has `received` bytes.
    pub const fn turns_open(&self, received: u64) -> u32 {
        if received < self.greeting {
            return 0;
        }
        let after = received - self.greeting;
        let answered = match after.checked_div(self.down) {
            Some(answered) => answered,
            None => self.turns as u64,
        };
        let open = answered.saturating_add(1);
        if open < self.turns as u64 { open as u32 } else { self.turns }
    }

    /// How many bytes the upstream may have sent, once it has `received` bytes.
    pub const fn down_due(&self, received: u64) -> u64 {
        let answered = match received.checked_div(self.up) {
            Some(answered) => answered,
            None => self.turns as u64,
        };
        let turns = if answered < self.turns as u64 { answered } else { self.turns as u64 };
        self.greeting + turns * self.down
    }
}

impl Script {
    /// How long an upstream of a limited rate takes for [`Self::slice`].
    pub const TICK: Duration = Duration::from_millis(5);

    /// Bytes that come from an upstream of a limited rate at a time.
    pub fn slice(&self) -> Option<u64> {
        let per_second = Duration::from_secs(1).as_millis() / Self::TICK.as_millis();
        self.rate.map(|rate| (rate / per_second as u64).max(1))
    }
}

fn turns_of(size: u64, turn: u64) -> u32 {
    u32::try_from(size.div_ceil(turn)).unwrap_or(u32::MAX).min(64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_alternate() {
        let script = Script { turns: 3, up: 10, down: 20, greeting: 5, ..Script::new(Kind::Echo, 1) };
        assert_eq!((script.turns_open(0), script.turns_open(5), script.turns_open(24)), (0, 1, 1));
        assert_eq!((script.turns_open(25), script.turns_open(65)), (2, 3));
        assert_eq!((script.down_due(0), script.down_due(9), script.down_due(10)), (5, 5, 25));
        assert_eq!((script.total_up(), script.total_down()), (30, 65));
    }

    #[test]
    fn every_kind_has_something_to_say_at_every_size() {
        for kind in Kind::ALL {
            for size in [0, 1, 2, 1000, 1 << 20] {
                let script = Script::new(kind, size);
                assert!(script.total_up() > 0 && script.total_down() > 0, "{script:?}");
            }
        }
    }
}
