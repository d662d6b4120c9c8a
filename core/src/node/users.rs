//! Users of a node: whose secret an id shows, and what each may do (protocol.md 3.1 Keys).

use alloc::vec::Vec;

use crate::config::{NodeOptions, UserOptions};
use crate::secret::Secret;
use crate::wire::handshake::{MakeKeys, SecretKeys};
use crate::wire::packet::ClientId;

/// A user, by the place among all that ever were: no other one has it later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct UserId(usize);

/// A user.
#[derive(Clone, Debug)]
pub(super) struct User {
    options: UserOptions,
    keys: SecretKeys,
}

/// All users, and whether there are none.
#[derive(Clone, Debug)]
pub(super) struct Users {
    make_keys: MakeKeys,
    /// Those that were removed or changed are none any more.
    users: Vec<Option<User>>,
    /// What clients without a secret have, if that is not let in.
    open: Option<SecretKeys>,
}

impl Users {
    /// The users of these options: those that are named, the one with the secret, or the one without any.
    pub(super) fn new(config: &NodeOptions, make_keys: MakeKeys) -> Self {
        let mut users = Self { make_keys, users: Vec::new(), open: None };
        users.replace(config.everybody());
        users
    }

    /// Other users take their place. Those that are the same as before stay who they are; returns the others.
    pub(super) fn replace(&mut self, users: Vec<UserOptions>) -> Vec<UserId> {
        let is_open = users.iter().all(|user| user.secret.is_empty());
        self.open = (!is_open).then(|| (self.make_keys)(&Secret::unset()));
        let mut gone = Vec::new();
        for (place, slot) in self.users.iter_mut().enumerate() {
            if slot.as_ref().is_some_and(|known| !users.contains(&known.options)) {
                *slot = None;
                gone.push(UserId(place));
            }
        }
        for options in users {
            if !self.users.iter().flatten().any(|known| known.options == options) {
                let keys = (self.make_keys)(&options.secret);
                self.users.push(Some(User { options, keys }));
            }
        }
        gone
    }

    pub(super) fn get(&self, id: UserId) -> Option<&User> {
        self.users.get(id.0)?.as_ref()
    }

    /// The user whose secret an id shows. Costs a MAC for each user.
    pub(super) fn find(&self, client: ClientId) -> Option<UserId> {
        let fits = |user: &Option<User>| user.as_ref().is_some_and(|user| user.keys.fits(client));
        self.users.iter().position(fits).map(UserId)
    }

    /// The keys of clients without a secret, at a node that lets none of them in, if an id shows that.
    pub(super) fn open_keys(&self, client: ClientId) -> Option<&SecretKeys> {
        self.open.as_ref().filter(|keys| keys.fits(client))
    }
}

impl User {
    /// The name.
    pub(super) fn name(&self) -> &str {
        &self.options.name
    }

    /// The most streams of a connection.
    pub(super) fn max_streams(&self) -> u32 {
        self.options.max_streams.unwrap_or(u32::MAX)
    }

    /// The most connections.
    pub(super) fn max_clients(&self) -> usize {
        self.options.max_clients.unwrap_or(usize::MAX)
    }

    pub(super) const fn keys(&self) -> &SecretKeys {
        &self.keys
    }
}
