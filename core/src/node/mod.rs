//! The node: a router between the driver and the engines of levels 0 and 1 ([sessions]) and 2 ([streams]).
//!
//! ```text
//!  Request ──▶ requests ─┬─ ops ────▶ sessions ─┐
//!                        └─ packets ▶ streams ──┤
//!  Upstream ─▶ upstreams ─ its carrier ▶ either ┤
//!  Timeout ──▶ timers ──── their owner ▶ either ┤
//!                                               ▼
//!  poll ◀── actions ◀───────────────────────── context
//! ```
//!
//! Both engines have the same few methods, and share the [context]. A packet beside other ops of one batch goes to its
//! engine by itself; [requests] keeps the reply until the batch is answered. A poll costs a constant.

mod accounts;
mod action;
mod context;
mod event;
mod packets;
mod requests;
mod sessions;
mod socket;
mod streams;
#[cfg(test)]
mod tests;
mod upstreams;
mod users;

use alloc::vec::Vec;

use bytes::Bytes;

pub use action::{ClientEnd, ClientFault, NodeAction, NodeNotice, Response, SessionEnd, Shut};
pub use event::{Endpoint, NodeEvent, UpstreamEvent};

use crate::config::{NodeConfig, UserOptions};
use crate::entropy::Entropy;
use crate::error::Misuse;
use crate::id::{RequestId, UpstreamId};
use crate::node::context::{Context, Owner};
use crate::node::packets::Packets;
use crate::node::requests::Part;
use crate::node::sessions::Sessions;
use crate::node::streams::Streams;
use crate::node::upstreams::Carrier;
use crate::node::users::Users;
use crate::stats::{NodeStats, UserStats};
use crate::time::Instant;
use crate::wire::handshake::{MakeKeys, SecretKeys};
use crate::wire::packet::ClientId;

/// The node: it takes the requests that relays forward, opens upstreams for them, and answers.
///
/// Events go in with [`handle`](Self::handle), actions come out of [`poll`](Self::poll). The contract:
///
/// - Events may come in any number before the actions are taken.
/// - What comes out depends on the events and the `now` values alone. Nothing appears because time passed:
///   hand in [`Timeout`](NodeEvent::Timeout). An older `now` counts as the newest one so far.
/// - [`Idle`](NodeAction::Idle) comes when and only when nothing else is queued. After `Timeout` at its `wake`,
///   the next `wake` is later.
/// - Every request is answered once, unless its caller has [gone](NodeEvent::RequestGone) before. Every session
///   that was opened ends with one [`SessionEnded`](NodeNotice::SessionEnded).
/// - What a peer does wrong is answered; what the caller does wrong is [`Misuse`], and changes nothing. An
///   event about an upstream or request that has ended is neither: it is ignored.
/// - Memory is bounded by the configuration, whatever the driver's pace.
///
/// ```
/// use seqlane::{Endpoint, Instant, Node, NodeAction, NodeEvent, NodeOptions, RequestId, Secret};
///
/// let config = NodeOptions::new(Secret::new("key")).validate()?;
/// let mut node = Node::new(config, [7; 32], Instant::ZERO);
/// node.handle(
///     Instant::from_micros(10),
///     NodeEvent::Request {
///         request: RequestId::new(0),
///         endpoint: Endpoint::Batch,
///         body: r#"{"k":"key","ops":[{"op":"close","sid":"x"}]}"#.into(),
///     },
/// )?;
/// let NodeAction::Respond { response, .. } = node.poll() else { panic!("answered at once") };
/// assert_eq!(response.body.into_bytes(), r#"{"r":[{"sid":"x","eof":true}]}"#);
/// assert!(matches!(node.poll(), NodeAction::Idle { wake: None }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Node {
    context: Context,
    sessions: Sessions,
    streams: Streams,
}

impl Node {
    /// A node.
    ///
    /// `seed` must be secret and fresh: 32 bytes of the operating system's randomness for each node. It makes
    /// session ids, the names of connections and the keys of handshakes: whoever guesses it can join sessions, and two nodes
    /// with one seed and one secret break the seal of level 2.
    pub fn new(config: NodeConfig, seed: [u8; 32], now: Instant) -> Self {
        Self::with_keys(config, Entropy::new(seed), now, SecretKeys::new)
    }

    /// A node for models, whose packets of level 2 stay readable ([`SecretKeys::null`]). `names` makes the same names as
    /// the seed that it is [of](crate::names_of_seed).
    #[cfg(any(test, feature = "model"))]
    pub fn unsealed(config: NodeConfig, names: [u8; 32], now: Instant) -> Self {
        Self::with_keys(config, Entropy::of_names(names), now, SecretKeys::null)
    }

    fn with_keys(config: NodeConfig, entropy: Entropy, now: Instant, make_keys: MakeKeys) -> Self {
        let config = config.into_options();
        let names = entropy.names();
        let mut draws = entropy.into_draws();
        let packets = Packets::new(*draws.draw());
        let sessions = Sessions::new(&config, names);
        let streams = Streams::new(Users::new(&config, make_keys), names, draws);
        Self { context: Context::new(config, packets, now), sessions, streams }
    }

    /// Hands in what happened.
    ///
    /// # Errors
    /// [`Misuse`] when the event breaks the contract; nothing has changed then.
    pub fn handle(&mut self, now: Instant, event: NodeEvent) -> Result<(), Misuse> {
        self.check(&event)?;
        self.context.advance(now);
        match event {
            NodeEvent::Request { request, endpoint, body } => self.on_request(request, &endpoint, body),
            NodeEvent::RequestGone { request } => self.on_request_gone(request),
            NodeEvent::Upstream { upstream, event } => self.on_upstream(upstream, event),
            NodeEvent::Timeout => self.on_timeout(),
            NodeEvent::Close => self.on_close(),
            NodeEvent::Drain => self.context.drain(),
            NodeEvent::Users(users) => self.on_users(users),
        }
        self.work();
        Ok(())
    }

    /// What lies under the seal of a hello or of a packet that would open now, and its id; for recordings. It is the payload
    /// of the hello, or header, frames and padding. Nothing is consumed.
    pub fn readable(&self, packet: &Bytes) -> Option<(ClientId, Bytes)> {
        self.streams.readable(packet, self.context.now())
    }

    /// Whether an id is of a connection, or of a client of a user.
    pub fn knows(&self, client: ClientId) -> bool {
        self.streams.knows(client)
    }

    /// Takes the next thing to do; [`Idle`](NodeAction::Idle) when there is none.
    #[must_use]
    pub fn poll(&mut self) -> NodeAction {
        self.context.next_action().unwrap_or_else(|| NodeAction::Idle { wake: self.context.wake() })
    }

    /// What the node has done so far.
    pub const fn stats(&self) -> &NodeStats {
        self.context.stats()
    }

    /// What each user has done, in the order of the names.
    pub fn user_stats(&self) -> impl ExactSizeIterator<Item = (&str, &UserStats)> {
        self.context.accounts().iter()
    }

    /// Payload bytes that the node keeps: what came from upstreams and was not fetched, what waits for its
    /// turn or for an upstream to open, and what was handed out and not reported written. Visits every
    /// upstream.
    pub fn buffered_bytes(&self) -> usize {
        self.sessions.buffered_bytes().saturating_add(self.streams.buffered_bytes())
    }

    /// Feeds everything that decides what the node will do to `hasher`, relative to `now`. All actions must have been
    /// [taken](Self::poll).
    ///
    /// Times count from `now`; requests, upstreams and session ids by their order; sequence numbers from the one
    /// that their session expects; statistics not at all. States with equal fingerprints behave alike.
    #[cfg(feature = "model")]
    pub fn fingerprint(&self, now: Instant, hasher: &mut impl core::hash::Hasher) {
        use core::hash::Hash;
        let mut print = crate::fingerprint::Fingerprint::new(now, hasher);
        for (sid, upstream, expected) in self.sessions.known() {
            print.session((sid, upstream), Some(expected));
        }
        (&self.streams, &self.context, &self.sessions).hash(&mut print);
    }

    /// The sessions that the node knows, in an order that the fingerprint determines: those that are open, and those that
    /// have ended, each with the number that it expects next.
    #[cfg(feature = "model")]
    pub fn known_sessions(&self) -> impl Iterator<Item = (crate::wire::Sid, crate::seq::Seq)> {
        self.sessions.known().map(|(sid, _, expected)| (sid, expected))
    }

    /// The ids of level 2 that the node knows, in an order that the fingerprint determines, each with
    /// [what tells](crate::wire::seal::session_of) which answer made its connection.
    #[cfg(feature = "model")]
    pub fn known_connections(&self) -> impl Iterator<Item = (ClientId, Option<u64>)> {
        self.streams.known()
    }

    /// Whether the contract allows `event` now.
    fn check(&self, event: &NodeEvent) -> Result<(), Misuse> {
        let (requests, upstreams) = (self.context.requests(), self.context.upstreams());
        match event {
            NodeEvent::Request { request, .. } if requests.has_come(*request) => {
                Err(Misuse::RequestIdReused(*request))
            }
            NodeEvent::RequestGone { request } if !requests.has_come(*request) => {
                Err(Misuse::UnknownRequest(*request))
            }
            NodeEvent::Upstream { upstream, .. } if !upstreams.was_opened(*upstream) => {
                Err(Misuse::UnknownUpstream(*upstream))
            }
            NodeEvent::Upstream { upstream, event } => match upstreams.carrier(*upstream) {
                Some(Carrier::Session) => self.sessions.check(*upstream, event),
                Some(Carrier::Stream(at)) => self.streams.check(at, event),
                None => Ok(()),
            },
            NodeEvent::Request { .. }
            | NodeEvent::RequestGone { .. }
            | NodeEvent::Timeout
            | NodeEvent::Close
            | NodeEvent::Drain
            | NodeEvent::Users(_) => Ok(()),
        }
    }

    fn on_request(&mut self, request: RequestId, endpoint: &Endpoint, body: Bytes) {
        let Self { context: cx, sessions, streams } = self;
        let Some(mut ops) = cx.accept(request, endpoint, body) else { return };
        let is_batch = !ops.is_packet();
        for (index, packet) in ops.take_packets() {
            streams.on_packet(cx, Part { request, index }, packet, is_batch);
        }
        if is_batch {
            sessions.on_request(cx, request, ops);
        }
        cx.queue_accepted(request);
    }

    fn on_request_gone(&mut self, request: RequestId) {
        let Self { context: cx, sessions, streams } = self;
        match cx.request_gone(request) {
            Some(at) => streams.on_request_gone(cx, request, at),
            None => sessions.on_request_gone(cx, request),
        }
    }

    fn on_upstream(&mut self, upstream: UpstreamId, event: UpstreamEvent) {
        let Self { context: cx, sessions, streams } = self;
        match cx.upstreams().carrier(upstream) {
            Some(Carrier::Session) => sessions.on_upstream(cx, upstream, event),
            Some(Carrier::Stream(at)) => streams.on_upstream(cx, at, event),
            None => {}
        }
    }

    /// Everything that is due. Each owner acts on its deadline, so that its next one is later.
    fn on_timeout(&mut self) {
        while let Some(owner) = self.context.next_due() {
            let Self { context: cx, sessions, streams } = self;
            match owner {
                Owner::Request(request) => cx.queue_request(request),
                Owner::Connection(connection) => streams.on_connection_deadline(cx, connection),
                Owner::Handshakes => streams.on_handshakes_deadline(cx),
                Owner::Upstream(upstream) => match cx.upstreams().carrier(upstream) {
                    Some(Carrier::Session) => sessions.on_upstream_deadline(cx, upstream),
                    Some(Carrier::Stream(at)) => streams.on_upstream_deadline(cx, at),
                    None => {}
                },
            }
            self.work();
        }
    }

    /// Other users take the place of those that there are.
    fn on_users(&mut self, users: Vec<UserOptions>) {
        let Self { context: cx, sessions, streams } = self;
        let everybody = cx.replace_users(users);
        streams.on_users(cx, everybody);
        if !cx.has_default_user() {
            sessions.close(cx, SessionEnd::UserGone);
        }
    }

    /// Answers every request and ends every session and stream. From now on the node refuses requests.
    fn on_close(&mut self) {
        let Self { context: cx, sessions, streams } = self;
        cx.close();
        streams.close(cx);
        sessions.close(cx, SessionEnd::NodeClosed);
    }

    /// Works the queue off. Every piece of work either moves something on or queues nothing new. Then upstreams that
    /// waited for credit get what there is.
    fn work(&mut self) {
        while let Some(work) = self.context.next_work() {
            let Self { context: cx, sessions, streams } = self;
            match work {
                Owner::Request(request) => {
                    cx.respond_packet(request);
                    sessions.respond(cx, request);
                }
                Owner::Connection(connection) => streams.respond(cx, connection),
                Owner::Handshakes => {}
                Owner::Upstream(upstream) => match cx.upstreams().carrier(upstream) {
                    Some(Carrier::Session) => sessions.advance(cx, upstream),
                    Some(Carrier::Stream(at)) => streams.advance(cx, at),
                    None => {}
                },
            }
            self.grant_blocked();
        }
    }

    /// Gives credit to upstreams that got none while the pool was empty, the oldest first.
    fn grant_blocked(&mut self) {
        let Self { context: cx, sessions, streams } = self;
        while let Some(upstream) = cx.next_blocked() {
            match cx.upstreams().carrier(upstream) {
                Some(Carrier::Session) => sessions.grant(cx, upstream),
                Some(Carrier::Stream(at)) => streams.grant(cx, at),
                None => {}
            }
        }
    }
}
