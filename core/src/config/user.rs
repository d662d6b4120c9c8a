//! Options of a user of a node (protocol.md 3.1 Keys).

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use core::fmt;

use super::{MAX_SECRET, MIN_SECRET};
use crate::secret::Secret;

/// The user of the node's own secret, and of levels 0 and 1 (protocol.md 3).
pub(crate) const DEFAULT_USER: &str = "default";

/// Users of a node: an id of nobody costs a MAC for each of them.
const MAX_USERS: usize = 10_000;

/// Bytes of a name, which stands in logs.
const MAX_NAME: usize = 64;

/// A user: somebody with a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UserOptions {
    /// The name, for logs and counters: 1 to 64 bytes without control characters, and no other user's.
    pub name: Box<str>,
    /// The secret, which no other user has: 16 to 1024 bytes.
    pub secret: Secret,
    /// Streams at a time, if that is less than the node allows anybody.
    pub max_streams: Option<u32>,
    /// Connections at a time, if that is less than the node allows anybody. A client has one.
    pub max_clients: Option<usize>,
}

impl UserOptions {
    /// A user without limits.
    pub fn new(name: impl Into<Box<str>>, secret: Secret) -> Self {
        Self { name: name.into(), secret, max_streams: None, max_clients: None }
    }

    /// What is wrong with the user by itself, at a node of this key.
    fn problem(&self, key: &Secret) -> Option<&'static str> {
        if !(1..=MAX_NAME).contains(&self.name.len()) || self.name.chars().any(char::is_control) {
            Some("a name must have 1 to 64 bytes, and no control characters")
        } else if !(MIN_SECRET..=MAX_SECRET).contains(&self.secret.reveal().len()) {
            Some("the secret must have 16 to 1024 bytes; `seqlane keygen` makes one")
        } else if self.secret == *key {
            Some("the secret must not be the node's key, which relays know; `seqlane keygen` makes another")
        } else if self.max_streams == Some(0) || self.max_clients == Some(0) {
            Some("max_streams and max_clients must be at least 1; remove a user who shall do nothing")
        } else {
            None
        }
    }
}

/// A user that a node cannot have, from [`NodeOptions::check_users`](crate::NodeOptions::check_users).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UserError {
    /// The name of the user, as it was given.
    pub user: Box<str>,
    /// What is wrong, and what to do.
    pub reason: &'static str,
    /// The name of an earlier user with the same secret, if that is what is wrong.
    pub other: Option<Box<str>>,
}

impl fmt::Display for UserError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "user {:?}: {}", self.user, self.reason)?;
        self.other.as_ref().map_or(Ok(()), |other| write!(f, " (the other one is {other:?})"))
    }
}

impl core::error::Error for UserError {}

/// Whether these can be the users of a node of this key, with the secret of the user `default` if there is one.
pub(super) fn check_users(
    users: &[UserOptions],
    key: &Secret,
    default: Option<&Secret>,
) -> Result<(), UserError> {
    let mut names = BTreeMap::new();
    let mut secrets = BTreeMap::new();
    if let Some(secret) = default {
        names.insert(DEFAULT_USER, ());
        secrets.insert(secret.reveal(), DEFAULT_USER);
    }
    for user in users {
        let name = &*user.name;
        let known = names.insert(name, ()).is_some();
        let other = secrets.insert(user.secret.reveal(), name);
        let reason = user.problem(key).or(if known && default.is_some() && name == DEFAULT_USER {
            Some("this is the user of the node's own secret: choose another name, or leave that secret out")
        } else if known {
            Some("another user has this name: choose a name for each")
        } else if other.is_some() {
            Some("another user has this secret: make one for each, by `seqlane keygen`")
        } else if names.len() > MAX_USERS {
            Some("there are more than 10000 users: split them over several nodes")
        } else {
            None
        });
        if let Some(reason) = reason {
            let other = other.filter(|_| reason.starts_with("another user has this secret"));
            return Err(UserError { user: name.into(), reason, other: other.map(Into::into) });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::{String, ToString};
    use alloc::vec;
    use alloc::vec::Vec;

    use crate::{Level, NodeOptions, Secret, UserOptions};

    fn user(name: &str, secret: &str) -> UserOptions {
        UserOptions::new(name, Secret::new(secret))
    }

    fn error(users: Vec<UserOptions>) -> String {
        let options =
            NodeOptions::new(Secret::new("the key of the node")).secret(Secret::new("secret of default"));
        let error = options.check_users(&users).unwrap_err();
        assert_eq!(options.users(users).validate().unwrap_err().reason, error.reason);
        error.to_string()
    }

    #[test]
    fn users_that_a_node_cannot_have_are_named_and_their_secrets_are_not() {
        let laptop = || user("laptop", "the secret of a laptop");
        let mut idle = user("idle", "the secret of idle");
        idle.max_streams = Some(0);
        for (users, words) in [
            (vec![user("", "the secret of a laptop")], "user \"\": a name must have"),
            (vec![user("a\nb", "the secret of a laptop")], "user \"a\\nb\": a name must have"),
            (
                vec![user("laptop", "fifteen letters")],
                "user \"laptop\": the secret must have 16 to 1024 bytes",
            ),
            (
                vec![user("laptop", "the key of the node")],
                "user \"laptop\": the secret must not be the node's key",
            ),
            (
                vec![laptop(), user("laptop", "another secret of it")],
                "user \"laptop\": another user has this name",
            ),
            (vec![laptop(), user("phone", "the secret of a laptop")], "(the other one is \"laptop\")"),
            (vec![user("phone", "secret of default")], "(the other one is \"default\")"),
            (vec![user("default", "the secret of a laptop")], "this is the user of the node's own secret"),
            (vec![idle], "user \"idle\": max_streams and max_clients must be at least 1"),
        ] {
            let error = error(users);
            assert!(error.contains(words) && !error.contains("the secret of a laptop"), "{error}");
        }
        let many =
            (0..10_001).map(|number| user(&format!("user {number}"), &format!("the secret of {number:06}")));
        assert!(error(many.collect()).contains("more than 10000 users"));
    }

    #[test]
    fn with_users_the_lowest_level_is_2_unless_it_is_set() {
        let options =
            NodeOptions::new(Secret::new("key")).users(vec![user("laptop", "the secret of a laptop")]);
        let lowest = |options: NodeOptions| options.validate().unwrap().options().min_level;
        assert_eq!(lowest(options.clone()), Some(Level::Streams));
        assert_eq!(lowest(options.min_level(Level::Legacy)), Some(Level::Legacy));
    }
}
