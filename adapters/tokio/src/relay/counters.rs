//! Counters of the relay.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Counters of a stand-in relay since its start.
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
    /// Accepted calls: all but those refused because of their number.
    calls,
    /// Calls refused because too many were under way.
    refused,
    /// Bytes of calls.
    uplink_bytes,
    /// Bytes of answers, before compression.
    downlink_bytes,
    /// Requests posted to the node.
    forwarded,
    /// Requests that the node did not answer.
    node_failures,
    /// Calls with a wrong key or a malformed request.
    rejected,
    /// Calls that were neither forwarded nor answered.
    lost_requests,
    /// Calls that were forwarded and not answered.
    lost_replies,
    /// Calls that were forwarded twice.
    duplicated,
    /// Answers that were truncated.
    truncated,
    /// Answers that were replaced by an HTML page.
    html,
    /// Calls answered with another status and not forwarded.
    statuses,
    /// Answers given by redirect.
    redirected,
}

/// One counter.
#[derive(Debug, Default)]
pub(super) struct Count(AtomicU64);

impl Count {
    /// Counts one more and returns the count before.
    pub(super) fn up(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn add(&self, amount: usize) {
        self.0.fetch_add(amount as u64, Ordering::Relaxed);
    }
}
