//! Upstreams of levels 0 and 1 by their state, and sessions by their id.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use core::fmt;

use bytes::Bytes;

use crate::error::Misuse;
use crate::id::UpstreamId;
use crate::node::context::{Context, Owner};
use crate::node::event::UpstreamEvent;
use crate::node::requests::Part;
use crate::node::sessions::session::Session;
use crate::node::socket::{WriteQueue, check_connecting};
use crate::target::{FlowKind, Target};
use crate::time::Instant;
use crate::timer::{TimerKind, TimerSlot};
use crate::wire::Sid;

/// The upstreams of levels 0 and 1.
#[derive(Clone, Debug, Default)]
pub(super) struct SessionTable {
    upstreams: BTreeMap<UpstreamId, UpstreamEntry>,
    sids: BTreeMap<Sid, UpstreamId>,
}

#[derive(Clone, Debug)]
struct UpstreamEntry {
    state: UpstreamState,
    timer: TimerSlot,
}

/// The state of an upstream.
///
/// ```text
///  OpenUpstream ─▶ Connecting ─Opened─▶ Open ─the session ends, bytes unwritten─▶ Lingering ─▶ gone
///                      │                  └─the session ends, all written────────────────────▶ gone
///                      └─Failed, deadline, caller gone───────────────────────────────────────▶ gone
/// ```
#[derive(Clone, Debug)]
pub(super) enum UpstreamState {
    /// The driver tries to open it.
    Connecting(Connect),
    /// It is open.
    Open(Box<Session>),
    /// Its session has ended; what was handed out is still being written.
    Lingering(WriteQueue),
}

/// An attempt to open an upstream.
#[derive(Clone, Debug)]
pub(super) struct Connect {
    /// The op that asked for it.
    pub(super) op: Part,
    pub(super) target: Target,
    pub(super) opening: Opening,
    /// When the node gives up.
    pub(super) deadline: Instant,
}

/// What the op wanted beside the upstream.
#[derive(Clone)]
pub(super) enum Opening {
    /// Nothing: it is answered as soon as the upstream is open.
    Plain,
    /// To write these first bytes, and the answer to them.
    FirstBytes(Bytes),
    /// UDP: to send this first datagram, if there is one, and the answer to it.
    Udp(Bytes),
}

impl Opening {
    pub(super) const fn kind(&self) -> FlowKind {
        match self {
            Self::Plain | Self::FirstBytes(_) => FlowKind::Tcp,
            Self::Udp(_) => FlowKind::Udp,
        }
    }

    /// The error reply's text, with the reason.
    pub(super) fn failure(&self, why: &str) -> alloc::string::String {
        let what = match self {
            Self::Plain | Self::FirstBytes(_) => "connect failed",
            Self::Udp(_) => "udp connect failed",
        };
        alloc::format!("{what}: {why}")
    }

    /// Payload bytes that wait for the upstream.
    const fn bytes(&self) -> usize {
        match self {
            Self::Plain => 0,
            Self::FirstBytes(bytes) | Self::Udp(bytes) => bytes.len(),
        }
    }
}

/// The payload is left out.
impl fmt::Debug for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} with {} bytes", self.kind(), self.bytes())
    }
}

impl SessionTable {
    /// Adds an upstream, or changes the state of one, and sets its timer.
    pub(super) fn insert(&mut self, upstream: UpstreamId, state: UpstreamState, cx: &mut Context) {
        if let UpstreamState::Open(session) = &state {
            self.sids.insert(session.sid(), upstream);
        }
        self.upstreams.insert(upstream, UpstreamEntry { state, timer: TimerSlot::default() });
        self.arm(upstream, cx);
    }

    /// Takes an upstream out, with its timer.
    pub(super) fn remove(&mut self, upstream: UpstreamId, cx: &mut Context) -> Option<UpstreamState> {
        let mut entry = self.upstreams.remove(&upstream)?;
        cx.set_timer(&mut entry.timer, Owner::Upstream(upstream), None);
        if let UpstreamState::Open(session) = &entry.state {
            self.sids.remove(&session.sid());
        }
        Some(entry.state)
    }

    /// Sets the timer of an upstream.
    pub(super) fn arm(&mut self, upstream: UpstreamId, cx: &mut Context) {
        if let Some(UpstreamEntry { state, timer }) = self.upstreams.get_mut(&upstream) {
            let deadline = match state {
                UpstreamState::Connecting(connect) => Some((connect.deadline, TimerKind::Connect)),
                UpstreamState::Open(session) => session.deadline(cx.config()),
                UpstreamState::Lingering(uplink) => {
                    uplink.deadline(cx.config()).map(|at| (at, TimerKind::Write))
                }
            };
            cx.set_timer(timer, Owner::Upstream(upstream), deadline);
        }
    }

    pub(super) fn state(&self, upstream: UpstreamId) -> Option<&UpstreamState> {
        self.upstreams.get(&upstream).map(|entry| &entry.state)
    }

    pub(super) fn state_mut(&mut self, upstream: UpstreamId) -> Option<&mut UpstreamState> {
        self.upstreams.get_mut(&upstream).map(|entry| &mut entry.state)
    }

    /// The session of an upstream that is open.
    pub(super) fn session(&self, upstream: UpstreamId) -> Option<&Session> {
        match self.state(upstream)? {
            UpstreamState::Open(session) => Some(session),
            UpstreamState::Connecting(_) | UpstreamState::Lingering(_) => None,
        }
    }

    /// The session of an upstream that is open.
    pub(super) fn session_mut(&mut self, upstream: UpstreamId) -> Option<&mut Session> {
        match self.state_mut(upstream)? {
            UpstreamState::Open(session) => Some(session),
            UpstreamState::Connecting(_) | UpstreamState::Lingering(_) => None,
        }
    }

    /// The session with this id.
    pub(super) fn find(&self, sid: &Sid) -> Option<UpstreamId> {
        self.sids.get(sid).copied()
    }

    /// The oldest upstream.
    pub(super) fn first(&self) -> Option<UpstreamId> {
        self.upstreams.first_key_value().map(|(upstream, _)| *upstream)
    }

    /// The upstreams, for a fingerprint.
    #[cfg(feature = "model")]
    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = &UpstreamState> {
        self.upstreams.values().map(|entry| &entry.state)
    }

    /// Payload bytes that are kept for all of them. Visits every upstream.
    pub(super) fn buffered_bytes(&self) -> usize {
        let bytes = self.upstreams.values().map(|entry| match &entry.state {
            UpstreamState::Connecting(connect) => connect.opening.bytes(),
            UpstreamState::Open(session) => session.buffered(),
            UpstreamState::Lingering(uplink) => uplink.unwritten(),
        });
        bytes.fold(0, usize::saturating_add)
    }

    /// Whether the contract allows an event of an upstream now.
    pub(super) fn check(&self, upstream: UpstreamId, event: &UpstreamEvent) -> Result<(), Misuse> {
        match self.state(upstream) {
            None => Ok(()),
            Some(UpstreamState::Connecting(_)) => check_connecting(event),
            Some(UpstreamState::Open(session)) => session.check(event),
            Some(UpstreamState::Lingering(uplink)) => uplink.check(event),
        }
    }
}
