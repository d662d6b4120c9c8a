//! Counters of users, by name (protocol.md 3.1 Keys).

use alloc::collections::BTreeMap;
use alloc::sync::Arc;

use crate::config::UserOptions;
use crate::config::user::DEFAULT_USER;
use crate::stats::UserStats;

/// What each user has done. Whoever leaves takes the counters along; a user with a new secret keeps them.
#[derive(Clone, Debug, Default)]
pub(super) struct Accounts(BTreeMap<Arc<str>, UserStats>);

impl Accounts {
    /// These are the users now.
    pub(super) fn replace(&mut self, users: &[UserOptions]) {
        let mut before = core::mem::take(&mut self.0);
        for user in users {
            let (name, stats) = before
                .remove_entry(&*user.name)
                .unwrap_or_else(|| (Arc::from(&*user.name), UserStats::default()));
            self.0.insert(name, stats);
        }
    }

    /// Whether there is a user of this name.
    pub(super) fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The user of levels 0 and 1.
    pub(super) fn default_user(&self) -> Arc<str> {
        self.name(DEFAULT_USER)
    }

    /// A name, which its user's streams share.
    pub(super) fn name(&self, name: &str) -> Arc<str> {
        self.0.get_key_value(name).map_or_else(|| Arc::from(name), |(name, _)| Arc::clone(name))
    }

    /// Adds to a counter of a user, while there is that user.
    pub(super) fn count(&mut self, name: &str, counter: fn(&mut UserStats) -> &mut u64, more: usize) {
        if let Some(stats) = self.0.get_mut(name) {
            let counter = counter(stats);
            *counter = counter.saturating_add(u64::try_from(more).unwrap_or(u64::MAX));
        }
    }

    /// The users in the order of their names.
    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &UserStats)> {
        self.0.iter().map(|(name, stats)| (&**name, stats))
    }
}
