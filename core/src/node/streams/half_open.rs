//! Half-open connections: a hello was answered, and no packet has come (protocol.md 3.1 Node).

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use core::hash::{Hash, Hasher};
use core::time::Duration;

use bytes::Bytes;

use crate::id::Counter;
use crate::node::streams::admission::RATE;
use crate::node::users::UserId;
use crate::time::Instant;
use crate::wire::handshake::{ConnectionKeys, HANDSHAKE_LEN};
use crate::wire::packet::{ClientId, Grants};

/// How long a half-open connection lives, and how long a hello is answered again.
pub(super) const LIFETIME: Duration = Duration::from_secs(60);

/// The most of a user, and of the node.
const MOST_OF_USER: usize = 1024;
const MOST: usize = 4096;

/// A hello with its answer.
#[derive(Clone, Debug)]
pub(super) struct Handshake {
    hello: Box<[u8; HANDSHAKE_LEN]>,
    answer: Bytes,
    at: Instant,
}

impl Handshake {
    pub(super) fn new(hello: [u8; HANDSHAKE_LEN], answer: Bytes, at: Instant) -> Self {
        Self { hello: Box::new(hello), answer, at }
    }

    /// The answer to a hello, if it is this one.
    pub(super) fn answer(&self, hello: &[u8], now: Instant) -> Option<Bytes> {
        (now < self.ends_at() && *self.hello == *hello).then(|| self.answer.clone())
    }

    /// When it is forgotten.
    pub(super) fn ends_at(&self) -> Instant {
        self.at.saturating_add(LIFETIME)
    }
}

/// A connection whose client has not been heard since its hello. It holds no window, no share of a total and no place.
#[derive(Clone, Debug)]
pub(super) struct HalfOpen {
    pub(super) user: UserId,
    pub(super) keys: ConnectionKeys,
    pub(super) grants: Grants,
    pub(super) handshake: Handshake,
}

/// All half-open connections.
#[derive(Clone, Debug, Default)]
pub(super) struct HalfOpens {
    table: BTreeMap<ClientId, (u64, HalfOpen)>,
    /// By their numbers, the oldest first; and those of each user.
    order: BTreeMap<u64, ClientId>,
    of_user: BTreeMap<UserId, BTreeSet<u64>>,
    numbers: Counter,
    /// When the last hellos of each user were let in.
    recent: BTreeMap<UserId, VecDeque<Instant>>,
}

/// Ids are random: they count in the order in which they came.
impl Hash for HalfOpens {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for client in self.order.values() {
            let at = self.table.get(client).map(|(_, half)| half.handshake.at);
            (client, at).hash(state);
        }
    }
}

impl HalfOpens {
    pub(super) fn get(&self, client: ClientId) -> Option<&HalfOpen> {
        self.table.get(&client).map(|(_, half)| half)
    }

    /// All, the oldest first.
    #[cfg(feature = "model")]
    pub(super) fn iter(&self) -> impl Iterator<Item = (ClientId, &HalfOpen)> {
        self.order.values().filter_map(|client| Some((*client, self.get(*client)?)))
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    pub(super) fn len_of(&self, user: UserId) -> usize {
        self.of_user.get(&user).map_or(0, BTreeSet::len)
    }

    /// Hellos of a user that were let in within the last second.
    pub(super) fn recent(&self, user: UserId, now: Instant) -> usize {
        const WHILE: Duration = Duration::from_secs(1);
        let recent = |at: &&Instant| now.saturating_since(**at) < WHILE;
        self.recent.get(&user).map_or(0, |times| times.iter().filter(recent).count())
    }

    /// A hello was let in. Beyond the bounds, the oldest of its user, or of the user with most, gives way.
    pub(super) fn insert(&mut self, client: ClientId, half: HalfOpen, now: Instant) {
        let times = self.recent.entry(half.user).or_default();
        times.push_back(now);
        if times.len() > RATE {
            times.pop_front();
        }
        if self.len_of(half.user) >= MOST_OF_USER {
            self.evict(half.user);
        }
        if self.table.len() >= MOST {
            let most = self.of_user.iter().max_by_key(|(_, numbers)| numbers.len());
            if let Some((user, _)) = most.map(|(user, numbers)| (*user, numbers.len())) {
                self.evict(user);
            }
        }
        let number = self.numbers.next();
        self.order.insert(number, client);
        self.of_user.entry(half.user).or_default().insert(number);
        self.table.insert(client, (number, half));
    }

    fn evict(&mut self, user: UserId) {
        let oldest = self.of_user.get(&user).and_then(BTreeSet::first).copied();
        if let Some(client) = oldest.and_then(|number| self.order.get(&number).copied()) {
            self.remove(client);
        }
    }

    pub(super) fn remove(&mut self, client: ClientId) -> Option<HalfOpen> {
        let (number, half) = self.table.remove(&client)?;
        self.order.remove(&number);
        if let Some(numbers) = self.of_user.get_mut(&half.user) {
            numbers.remove(&number);
            if numbers.is_empty() {
                self.of_user.remove(&half.user);
            }
        }
        Some(half)
    }

    /// A user is none any more.
    pub(super) fn forget_user(&mut self, user: UserId) {
        while self.len_of(user) > 0 {
            self.evict(user);
        }
        self.recent.remove(&user);
    }

    /// Those that are too old are erased.
    pub(super) fn expire(&mut self, now: Instant) {
        while let Some(at) = self.expires_at().filter(|at| *at <= now)
            && let Some((_, client)) = self.order.first_key_value()
        {
            let _ = at;
            self.remove(*client);
        }
    }

    /// When the oldest is too old.
    pub(super) fn expires_at(&self) -> Option<Instant> {
        let (_, client) = self.order.first_key_value()?;
        self.get(*client).map(|half| half.handshake.ends_at())
    }
}
