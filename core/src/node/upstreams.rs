//! One upstream of the node, from the attempt to open it to its last written byte.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use core::fmt;
use core::ops::{Deref, DerefMut};

use bytes::Bytes;

use crate::config::NodeOptions;
#[cfg(feature = "model")]
use crate::fingerprint::Fingerprint;
use crate::id::UpstreamId;
use crate::node::sessions::batch::OpRef;
use crate::node::sessions::session::Session;
use crate::node::streams::StreamRef;
use crate::target::{FlowKind, Target};
use crate::time::Instant;
use crate::timer::TimerSlot;

/// Every upstream that has not ended.
#[derive(Clone, Debug, Default)]
pub(super) struct Upstreams(BTreeMap<UpstreamId, Upstream>);

impl Upstreams {
    /// The session of an upstream that is open.
    pub(super) fn session(&self, upstream: UpstreamId) -> Option<&Session> {
        match &self.get(&upstream)?.state {
            State::Open(session) => Some(session),
            State::Connecting(_) | State::Lingering(_) | State::Stream(_) => None,
        }
    }

    /// The stream that an upstream belongs to.
    pub(super) fn stream(&self, upstream: UpstreamId) -> Option<StreamRef> {
        match &self.get(&upstream)?.state {
            State::Stream(at) => Some(*at),
            State::Connecting(_) | State::Open(_) | State::Lingering(_) => None,
        }
    }

    /// The session of an upstream that is open.
    pub(super) fn session_mut(&mut self, upstream: UpstreamId) -> Option<&mut Session> {
        match &mut self.get_mut(&upstream)?.state {
            State::Open(session) => Some(session),
            State::Connecting(_) | State::Lingering(_) | State::Stream(_) => None,
        }
    }
}

impl Deref for Upstreams {
    type Target = BTreeMap<UpstreamId, Upstream>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for Upstreams {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

/// An upstream with its deadline.
#[derive(Clone, Debug)]
pub(super) struct Upstream {
    pub(super) state: State,
    pub(super) timer: TimerSlot,
}

/// What an upstream is at.
///
/// ```text
///  OpenUpstream ─▶ Connecting ─Opened─▶ Open ─the session ends, bytes unwritten─▶ Lingering ─▶ gone
///                      │                  └─the session ends, all written────────────────────▶ gone
///                      └─Failed, deadline, caller gone───────────────────────────────────────▶ gone
///  OpenUpstream ─▶ Stream ─the stream ends─▶ gone
/// ```
#[derive(Clone, Debug)]
pub(super) enum State {
    /// The driver tries to open it.
    Connecting(Connect),
    /// It is open, and a session of the client's.
    Open(Box<Session>),
    /// Its session has ended; what was handed out is still being written.
    Lingering(WriteQueue),
    /// It is a stream's, which knows everything else of it (level 2).
    Stream(StreamRef),
}

impl Upstream {
    pub(super) fn new(state: State) -> Self {
        Self { state, timer: TimerSlot::default() }
    }
}

/// An attempt to open an upstream.
#[derive(Clone, Debug)]
pub(super) struct Connect {
    /// The op that asked for it.
    pub(super) op: OpRef,
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

    /// What stands before the reason in the error reply.
    pub(super) const fn failure(&self) -> &'static str {
        match self {
            Self::Plain | Self::FirstBytes(_) => "connect failed",
            Self::Udp(_) => "udp connect failed",
        }
    }

    /// Payload bytes that wait for the upstream.
    pub(super) const fn bytes(&self) -> usize {
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

/// Bytes handed out to be written, and not yet reported written.
#[derive(Clone, Debug)]
pub(super) struct WriteQueue {
    unwritten: usize,
    /// When the upstream last took bytes, or had nothing to take.
    progressed: Instant,
}

impl WriteQueue {
    pub(super) const fn new(now: Instant) -> Self {
        Self { unwritten: 0, progressed: now }
    }

    /// `bytes` more were handed out.
    pub(super) const fn push(&mut self, bytes: usize, now: Instant) {
        if self.unwritten == 0 {
            self.progressed = now;
        }
        self.unwritten = self.unwritten.saturating_add(bytes);
    }

    /// The driver wrote `bytes` of them.
    pub(super) const fn written(&mut self, bytes: usize, now: Instant) {
        self.unwritten = self.unwritten.saturating_sub(bytes);
        if bytes > 0 {
            self.progressed = now;
        }
    }

    /// Nothing will be written any more.
    pub(super) const fn clear(&mut self) {
        self.unwritten = 0;
    }

    /// The queue's part of a state's fingerprint. While it is empty, no time matters.
    #[cfg(feature = "model")]
    pub(super) fn fingerprint(&self, print: &mut Fingerprint<'_>) {
        print.value(self.unwritten);
        if self.unwritten > 0 {
            print.time(self.progressed);
        }
    }

    pub(super) const fn unwritten(&self) -> usize {
        self.unwritten
    }

    /// When the upstream has taken nothing for too long.
    pub(super) fn deadline(&self, config: &NodeOptions) -> Option<Instant> {
        (self.unwritten > 0).then(|| self.progressed.saturating_add(config.write_deadline))
    }
}
