//! Users of a node: their options in the machine, and what they may open.

use std::collections::HashMap;
use std::sync::Arc;

use seqlane::{Secret, UserOptions};

use super::access::Access;

/// A user of a [`Node`](crate::Node).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct User {
    /// Name, secret and limits.
    pub options: UserOptions,
    /// The targets that the user may open.
    pub access: Access,
}

impl User {
    /// A user without limits, who may open everything that the node does.
    pub fn new(name: impl Into<Box<str>>, secret: impl Into<Secret>) -> Self {
        UserOptions::new(name, secret.into()).into()
    }

    /// Sets the targets that the user may open.
    #[must_use]
    pub fn access(mut self, access: Access) -> Self {
        self.access = access;
        self
    }
}

impl From<UserOptions> for User {
    fn from(options: UserOptions) -> Self {
        Self { options, access: Access::default() }
    }
}

/// The user of the node's own secret, who has no rules.
const DEFAULT: &str = "default";

/// The access rules of all users, by name; empty if nobody has any.
#[derive(Clone, Debug, Default)]
pub(super) struct Rules(HashMap<Box<str>, Arc<Access>>);

impl Rules {
    /// Parts users into what the machine knows of them, and the rules.
    pub(super) fn split(users: Vec<User>) -> (Vec<UserOptions>, Self) {
        let mut rules = HashMap::new();
        let options = users.into_iter().map(|User { options, access }| {
            rules.insert(options.name.clone(), Arc::new(access));
            options
        });
        let options = options.collect();
        (options, Self(rules))
    }

    /// The rules of a user. Whoever has just been removed opens nothing more.
    pub(super) fn of(&self, user: &str) -> Arc<Access> {
        match self.0.get(user) {
            Some(access) => Arc::clone(access),
            None if self.0.is_empty() || user == DEFAULT => Arc::default(),
            None => Arc::new(Access::nothing()),
        }
    }
}
