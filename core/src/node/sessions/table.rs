//! Upstreams of levels 0 and 1 by their state, and sessions by their id.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use core::fmt;
use core::hash::{Hash, Hasher};

use bytes::Bytes;

use crate::error::Misuse;
use crate::id::UpstreamId;
use crate::node::context::Context;
use crate::node::event::UpstreamEvent;
use crate::node::requests::Part;
use crate::node::sessions::session::Session;
use crate::node::socket::Socket;
use crate::wire::Sid;

/// The upstreams of levels 0 and 1.
#[derive(Clone, Debug, Default)]
pub(super) struct SessionTable {
    upstreams: BTreeMap<UpstreamId, UpstreamState>,
    sids: BTreeMap<Sid, UpstreamId>,
}

/// Ids are random: their order says nothing.
impl Hash for SessionTable {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.upstreams.hash(state);
    }
}

/// The state of an upstream.
///
/// ```text
///  OpenUpstream ─▶ Connecting ─Opened─▶ Open ─the session ends, bytes unwritten─▶ Lingering ─▶ gone
///                      │                  └─the session ends, all written────────────────────▶ gone
///                      └─Failed, deadline, caller gone───────────────────────────────────────▶ gone
/// ```
#[derive(Clone, Debug, Hash)]
pub(super) enum UpstreamState {
    /// The driver tries to open it.
    Connecting(Connect),
    /// It is open.
    Open(Box<Session>),
    /// Its session has ended; what was handed out is still being written.
    Lingering(Socket),
}

/// An attempt to open an upstream.
#[derive(Clone, Hash)]
pub(super) struct Connect {
    /// The op that asked for it.
    pub(super) op: Part,
    pub(super) socket: Socket,
    /// The first bytes, or the first datagram: the op wants the answer to it. Without, it is answered as soon as the
    /// upstream is open.
    pub(super) first: Option<Bytes>,
}

impl Connect {
    /// Payload bytes that wait for the upstream.
    fn bytes(&self) -> usize {
        self.first.as_ref().map_or(0, Bytes::len)
    }
}

/// The payload is left out.
impl fmt::Debug for Connect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} with {} bytes", self.socket, self.bytes())
    }
}

impl UpstreamState {
    fn socket(&self) -> &Socket {
        match self {
            Self::Connecting(connect) => &connect.socket,
            Self::Open(session) => session.socket(),
            Self::Lingering(socket) => socket,
        }
    }

    pub(super) fn socket_mut(&mut self) -> &mut Socket {
        match self {
            Self::Connecting(connect) => &mut connect.socket,
            Self::Open(session) => session.socket_mut(),
            Self::Lingering(socket) => socket,
        }
    }
}

impl SessionTable {
    /// Adds an upstream, or changes the state of one, and sets its timer.
    pub(super) fn insert(&mut self, state: UpstreamState, cx: &mut Context) {
        let upstream = state.socket().upstream();
        if let UpstreamState::Open(session) = &state {
            self.sids.insert(session.sid(), upstream);
        }
        self.upstreams.insert(upstream, state);
        self.arm(upstream, cx);
    }

    /// Takes an upstream out. Its timer stays set.
    pub(super) fn remove(&mut self, upstream: UpstreamId) -> Option<UpstreamState> {
        let state = self.upstreams.remove(&upstream)?;
        if let UpstreamState::Open(session) = &state {
            self.sids.remove(&session.sid());
        }
        Some(state)
    }

    /// Sets the timer of an upstream.
    pub(super) fn arm(&mut self, upstream: UpstreamId, cx: &mut Context) {
        if let Some(state) = self.upstreams.get_mut(&upstream) {
            let deadline = match state {
                UpstreamState::Open(session) => session.deadline(cx.config()),
                UpstreamState::Connecting(_) | UpstreamState::Lingering(_) => {
                    state.socket().deadline(false, cx.config())
                }
            };
            state.socket_mut().set_timer(deadline, cx);
        }
    }

    pub(super) fn state(&self, upstream: UpstreamId) -> Option<&UpstreamState> {
        self.upstreams.get(&upstream)
    }

    pub(super) fn state_mut(&mut self, upstream: UpstreamId) -> Option<&mut UpstreamState> {
        self.upstreams.get_mut(&upstream)
    }

    /// The session of an upstream that is open.
    pub(super) fn session(&self, upstream: UpstreamId) -> Option<&Session> {
        if let UpstreamState::Open(session) = self.state(upstream)? { Some(session) } else { None }
    }

    /// The session of an upstream that is open.
    pub(super) fn session_mut(&mut self, upstream: UpstreamId) -> Option<&mut Session> {
        if let UpstreamState::Open(session) = self.state_mut(upstream)? { Some(session) } else { None }
    }

    /// The session with this id.
    pub(super) fn find(&self, sid: &Sid) -> Option<UpstreamId> {
        self.sids.get(sid).copied()
    }

    /// The oldest upstream.
    pub(super) fn first(&self) -> Option<UpstreamId> {
        self.upstreams.first_key_value().map(|(upstream, _)| *upstream)
    }

    /// The sessions in the order of their upstreams, and what each expects.
    #[cfg(feature = "model")]
    pub(super) fn known(&self) -> impl Iterator<Item = (Sid, UpstreamId, crate::seq::Seq)> {
        let session =
            |upstream| self.session(upstream).map(|session| (session.sid(), upstream, session.expected()));
        self.upstreams.keys().copied().filter_map(session)
    }

    /// Payload bytes that are kept for all of them. Visits every upstream.
    pub(super) fn buffered_bytes(&self) -> usize {
        let bytes = self.upstreams.values().map(|state| match state {
            UpstreamState::Connecting(connect) => connect.bytes(),
            UpstreamState::Open(session) => session.buffered(),
            UpstreamState::Lingering(socket) => socket.unwritten(),
        });
        bytes.fold(0, usize::saturating_add)
    }

    /// Whether the contract allows an event of an upstream now.
    pub(super) fn check(&self, upstream: UpstreamId, event: &UpstreamEvent) -> Result<(), Misuse> {
        self.state(upstream).map_or(Ok(()), |state| state.socket().check(event))
    }
}
