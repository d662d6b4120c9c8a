//! State that the router shares with both engines: time, actions, credit, timers and the work queue.

use alloc::collections::{BTreeSet, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::hash::{Hash, Hasher};

use bytes::Bytes;

use crate::config::user::DEFAULT_USER;
use crate::config::{NodeOptions, UserOptions};
use crate::credit::Pool;
use crate::id::{RequestId, UpstreamId};
use crate::node::accounts::Accounts;
use crate::node::action::{NodeAction, NodeNotice, Response, Shut};
use crate::node::event::Endpoint;
use crate::node::packets::Packets;
use crate::node::requests::{ExchangeRef, Ops, PacketError, PacketReply, Part, Refusal, Requests, Terms};
use crate::node::upstreams::{Carrier, ConnectionId, Upstreams};
use crate::stats::{NodeStats, UserStats};
use crate::target::{FlowKind, Target};
use crate::time::Instant;
use crate::timer::{TimerKind, TimerQueue, TimerSlot, Wake};
use crate::wire::PacketBody;
use crate::wire::packet::Unsealed;
use crate::wire::seal::{Nonce, Seal};

/// What an engine is given beside an event.
///
/// An engine changes its own state, and asks for everything else by the methods of the context. The router drains what
/// they leave behind: work, due timers, upstreams that wait for credit, actions.
#[derive(Clone, Debug)]
pub(super) struct Context {
    config: NodeOptions,
    now: Instant,
    /// Whether [`NodeEvent::Drain`](crate::NodeEvent::Drain) has come: no new connections, no new streams.
    draining: bool,
    /// Whether [`NodeEvent::Close`](crate::NodeEvent::Close) has come: every request is answered with an error.
    closed: bool,
    requests: Requests,
    packets: Packets,
    upstreams: Upstreams,
    /// Downlink bytes that all sessions and streams may keep.
    pool: Pool,
    /// Upstreams that the pool had no credit for.
    blocked: BTreeSet<UpstreamId>,
    timers: TimerQueue<(Owner, TimerKind)>,
    work: VecDeque<Owner>,
    actions: VecDeque<NodeAction>,
    stats: NodeStats,
    accounts: Accounts,
}

/// Of a node whose work is done, and whose actions are taken.
impl Hash for Context {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.draining, self.closed, &self.requests, &self.upstreams, &self.pool, &self.blocked).hash(state);
    }
}

/// What a deadline belongs to; or what has changed, and is looked at before the event is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Owner {
    /// Whether the request can be answered.
    Request(RequestId),
    /// Whether an op of the upstream can run, whether its reader gets credit, and when its deadline is.
    Upstream(UpstreamId),
    /// Whether a held request of the client can be answered.
    Connection(ConnectionId),
    /// Whether a half-open or ended connection is too old.
    Handshakes,
}

/// Dropped datagrams are reported the first time, and then each time that this many more are gone.
const DROPS_PER_NOTICE: u64 = 100;

impl Context {
    pub(super) fn new(config: NodeOptions, packets: Packets, now: Instant) -> Self {
        let mut accounts = Accounts::default();
        accounts.replace(&config.everybody());
        Self {
            now,
            draining: false,
            closed: false,
            requests: Requests::default(),
            packets,
            upstreams: Upstreams::default(),
            pool: Pool::new(config.total_buffer),
            blocked: BTreeSet::new(),
            timers: TimerQueue::new(),
            work: VecDeque::new(),
            actions: VecDeque::new(),
            stats: NodeStats::default(),
            accounts,
            config,
        }
    }

    pub(super) const fn config(&self) -> &NodeOptions {
        &self.config
    }

    pub(super) const fn now(&self) -> Instant {
        self.now
    }

    /// Moves time on. An older time counts as the newest one so far.
    pub(super) fn advance(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }

    pub(super) const fn is_closed(&self) -> bool {
        self.closed
    }

    pub(super) const fn close(&mut self) {
        self.closed = true;
    }

    /// Whether the node is about to stop, or has stopped.
    pub(super) const fn is_draining(&self) -> bool {
        self.draining || self.closed
    }

    pub(super) const fn drain(&mut self) {
        self.draining = true;
    }

    pub(super) const fn stats(&self) -> &NodeStats {
        &self.stats
    }

    pub(super) const fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    /// Whether levels 0 and 1 have a user.
    pub(super) fn has_default_user(&self) -> bool {
        self.accounts.contains(DEFAULT_USER)
    }

    /// Other users take the place of those of the configuration. Returns everybody who has a secret now.
    pub(super) fn replace_users(&mut self, users: Vec<UserOptions>) -> Vec<UserOptions> {
        self.config.users = users;
        let everybody = self.config.named_users();
        self.accounts.replace(&everybody);
        everybody
    }

    /// Adds to a counter of a user.
    pub(super) fn count_user(&mut self, user: &str, counter: fn(&mut UserStats) -> &mut u64, more: usize) {
        self.accounts.count(user, counter, more);
    }

    /// Counts payload bytes that are answered to a user.
    pub(super) fn count_downlink(&mut self, user: &str, bytes: usize) {
        self.count(|stats| &mut stats.downlink_bytes, bytes);
        self.count_user(user, |stats| &mut stats.downlink_bytes, bytes);
    }

    /// Adds to a counter.
    pub(super) fn count(&mut self, counter: fn(&mut NodeStats) -> &mut u64, more: usize) {
        let counter = counter(&mut self.stats);
        *counter = counter.saturating_add(u64::try_from(more).unwrap_or(u64::MAX));
    }
}

/// Actions.
impl Context {
    /// The next action; none while there is nothing to do.
    pub(super) fn next_action(&mut self) -> Option<NodeAction> {
        self.actions.pop_front()
    }

    pub(super) fn notice(&mut self, notice: NodeNotice) {
        self.actions.push_back(NodeAction::Event(notice));
    }

    /// Counts dropped datagrams of an upstream, of which there were `before` and are `dropped` now.
    pub(super) fn datagrams_dropped(&mut self, upstream: UpstreamId, before: u64, dropped: u64) {
        let more = usize::try_from(dropped.saturating_sub(before)).unwrap_or(usize::MAX);
        self.count(|stats| &mut stats.datagrams_dropped, more);
        if dropped > before && (before == 0 || before / DROPS_PER_NOTICE < dropped / DROPS_PER_NOTICE) {
            self.notice(NodeNotice::DatagramsDropped { upstream, dropped });
        }
    }

    pub(super) fn write(&mut self, upstream: UpstreamId, user: &str, bytes: Bytes) {
        self.count(|stats| &mut stats.uplink_bytes, bytes.len());
        self.count_user(user, |stats| &mut stats.uplink_bytes, bytes.len());
        self.actions.push_back(NodeAction::WriteUpstream { upstream, bytes });
    }

    pub(super) fn finish(&mut self, upstream: UpstreamId) {
        self.actions.push_back(NodeAction::FinishUpstream { upstream });
    }

    pub(super) fn shut(&mut self, upstream: UpstreamId, how: Shut) {
        self.actions.push_back(NodeAction::ShutUpstream { upstream, how });
    }
}

/// Requests.
impl Context {
    pub(super) const fn requests(&self) -> &Requests {
        &self.requests
    }

    /// Takes the ops of a request; one that is refused is answered.
    pub(super) fn accept(&mut self, request: RequestId, endpoint: &Endpoint, body: Bytes) -> Option<Ops> {
        self.count(|stats| &mut stats.requests, 1);
        let terms = Terms { closed: self.is_closed(), has_default: self.has_default_user() };
        match self.requests.accept(request, endpoint, body, &self.config, terms) {
            Ok(content) => {
                self.count(|stats| &mut stats.ops, content.ops.len());
                Some(content)
            }
            Err(refusal) => {
                self.refuse(request, endpoint, &refusal);
                None
            }
        }
    }

    fn refuse(&mut self, request: RequestId, endpoint: &Endpoint, refusal: &Refusal) {
        match refusal {
            Refusal::Unreadable(_) => self.notice(NodeNotice::BadRequest { request }),
            Refusal::WrongKey => {
                self.count(|stats| &mut stats.unauthorized, 1);
                self.notice(NodeNotice::Unauthorized { request });
            }
            Refusal::Busy => self.notice(NodeNotice::LimitReached { limit: "max_requests" }),
            Refusal::Closed => {}
        }
        let response = refusal.response(endpoint.into(), self.config.diagnostic);
        self.respond(request, response);
    }

    /// Answers a request, which is held no longer.
    pub(super) fn respond(&mut self, request: RequestId, response: Response) {
        self.requests.remove(request);
        self.count(|stats| &mut stats.responses, 1);
        self.actions.push_back(NodeAction::Respond { request, response });
    }

    /// The caller of a request has gone: the exchange that held it, if one did.
    pub(super) fn request_gone(&mut self, request: RequestId) -> Option<ExchangeRef> {
        let exchange = self.requests.exchange(request);
        let held = self.requests.remove(request);
        self.count(|stats| &mut stats.requests_gone, usize::from(held));
        exchange
    }

    /// The exchange of a lone packet is held.
    pub(super) fn hold_exchange(&mut self, part: Part, exchange: ExchangeRef) {
        self.requests.hold_exchange(part, exchange);
    }

    /// Answers a packet by one under this seal.
    pub(super) fn reply_packet(&mut self, part: Part, writer: Unsealed, seal: &Seal) {
        let packet = self.packets.seal(writer, seal);
        self.reply(part, Ok(PacketBody::Sealing(packet)));
    }

    /// Answers a packet by an answer to a hello, or by a notice.
    pub(super) fn reply_ready(&mut self, part: Part, packet: Bytes) {
        self.reply(part, Ok(PacketBody::Ready(packet)));
    }

    /// A nonce that was not used before.
    pub(super) fn nonce(&mut self) -> Nonce {
        self.packets.nonce()
    }

    /// Answers a packet by an error.
    pub(super) fn refuse_packet(&mut self, part: Part, error: PacketError) {
        self.reply(part, Err(error));
    }

    fn reply(&mut self, part: Part, reply: PacketReply) {
        let failed = usize::from(reply.is_err());
        if self.requests.reply(part, reply) {
            self.count(|stats| &mut stats.failed_ops, failed);
            self.queue_request(part.request);
        }
    }

    /// The reply to a packet that came beside other ops.
    pub(super) fn take_packet_reply(&mut self, part: Part) -> Option<PacketReply> {
        self.requests.take_reply(part)
    }

    /// Answers a request that consists of one packet, if its reply is known.
    pub(super) fn respond_packet(&mut self, request: RequestId) {
        if let Some(response) = self.requests.packet_response(request) {
            self.respond(request, response);
        }
    }
}

/// Upstreams.
impl Context {
    pub(super) const fn upstreams(&self) -> &Upstreams {
        &self.upstreams
    }

    /// Opens an upstream; none if there are as many as the node allows.
    pub(super) fn open_upstream(
        &mut self,
        carrier: Carrier,
        user: &Arc<str>,
        target: Target,
        kind: FlowKind,
    ) -> Option<UpstreamId> {
        let upstream = self.upstreams.open(carrier, self.config.max_sessions)?;
        let deadline = self.now.saturating_add(self.config.connect_deadline);
        let user = Arc::clone(user);
        self.actions.push_back(NodeAction::OpenUpstream { upstream, target, kind, user, deadline });
        Some(upstream)
    }

    /// An upstream has ended.
    pub(super) fn remove_upstream(&mut self, upstream: UpstreamId) {
        self.upstreams.remove(upstream);
        self.blocked.remove(&upstream);
    }

    /// The reader of an upstream waits for no credit any more.
    pub(super) fn unblock(&mut self, upstream: UpstreamId) {
        self.blocked.remove(&upstream);
    }

    /// Credit for downlink bytes.
    pub(super) const fn pool(&mut self) -> &mut Pool {
        &mut self.pool
    }

    /// Allows the reader of an upstream to hand in `bytes` more.
    pub(super) fn credit(&mut self, upstream: UpstreamId, bytes: usize) {
        if bytes > 0 {
            self.actions.push_back(NodeAction::Credit { upstream, bytes });
        }
    }

    /// The pool had no credit for an upstream: it gets some as soon as there is any.
    pub(super) fn block(&mut self, upstream: UpstreamId) {
        self.blocked.insert(upstream);
    }

    /// The oldest upstream that waits for credit, while there is any.
    pub(super) fn next_blocked(&mut self) -> Option<UpstreamId> {
        if self.pool.has_room() { self.blocked.pop_first() } else { None }
    }
}

/// Work and timers.
impl Context {
    /// A request may be ready to be answered.
    pub(super) fn queue_request(&mut self, request: RequestId) {
        if self.requests.queue(request) {
            self.work.push_back(Owner::Request(request));
        }
    }

    /// All parts of a request have been looked at.
    pub(super) fn queue_accepted(&mut self, request: RequestId) {
        self.work.push_back(Owner::Request(request));
    }

    /// An upstream's session or stream has changed.
    pub(super) fn queue_upstream(&mut self, upstream: UpstreamId) {
        let work = Owner::Upstream(upstream);
        if self.work.back() != Some(&work) {
            self.work.push_back(work);
        }
    }

    /// A client of level 2 may have something to answer; the caller sees to it that it is queued once.
    pub(super) fn queue_connection(&mut self, connection: ConnectionId) {
        self.work.push_back(Owner::Connection(connection));
    }

    pub(super) fn next_work(&mut self) -> Option<Owner> {
        let work = self.work.pop_front();
        if let Some(Owner::Request(request)) = work {
            self.requests.unqueue(request);
        }
        work
    }

    /// Sets, moves or clears a deadline.
    pub(super) fn set_timer(
        &mut self,
        slot: &mut TimerSlot,
        owner: Owner,
        deadline: Option<(Instant, TimerKind)>,
    ) {
        let kind = deadline.map_or(TimerKind::Hold, |(_, kind)| kind);
        self.timers.set(slot, (owner, kind), deadline.map(|(at, _)| at));
    }

    /// Whose deadline has passed first.
    pub(super) fn next_due(&self) -> Option<Owner> {
        let (at, (owner, _)) = self.timers.first()?;
        (at <= self.now).then_some(owner)
    }

    /// The next deadline.
    pub(super) fn wake(&self) -> Option<Wake> {
        let (at, (_, timer)) = self.timers.first()?;
        Some(Wake { at, timer })
    }
}
