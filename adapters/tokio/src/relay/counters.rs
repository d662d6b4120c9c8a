//! What a relay did, counted.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What a stand-in relay has done since it started.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct RelayCounters {
            $($(#[$doc])* pub $name: u64,)*
        }

        /// The counters while they count.
        #[derive(Debug, Default)]
        pub(super) struct Counting {
            $(pub(super) $name: Count,)*
        }

        impl Counting {
            pub(super) fn read(&self) -> RelayCounters {
                RelayCounters { $($name: self.$name.0.load(Ordering::Relaxed),)* }
            }
        }
    };
}

counters! {
    /// Calls that were taken on: all but those refused for their number.
    calls,
    /// Calls refused because as many as allowed were under way.
    refused,
    /// Bytes of calls.
    uplink_bytes,
    /// Bytes of answers, before compression.
    downlink_bytes,
    /// Requests posted to the node.
    forwarded,
    /// Requests that the node did not answer.
    node_failures,
    /// Calls with a wrong key or no JSON.
    strangers,
    /// Calls that were not passed on, and not answered.
    lost_requests,
    /// Calls that were passed on, and not answered.
    lost_replies,
    /// Calls that were passed on twice.
    duplicated,
    /// Answers that were cut.
    truncated,
    /// Answers that were replaced by a page.
    html,
    /// Calls answered with another status, and not passed on.
    statuses,
    /// Answers handed out by redirect.
    redirected,
}

/// One counter.
#[derive(Debug, Default)]
pub(super) struct Count(AtomicU64);

impl Count {
    /// Counts one more, and says how many there were before.
    pub(super) fn up(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn add(&self, amount: usize) {
        self.0.fetch_add(amount as u64, Ordering::Relaxed);
    }
}
