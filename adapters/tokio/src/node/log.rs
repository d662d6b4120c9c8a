//! The node's log: sessions at `info`, requests at `debug`, and limits as warnings at intervals.

use std::collections::BTreeMap;
use std::time::Duration;

use seqlane::{Instant, NodeNotice, UserStats};
use tracing::{debug, info, warn};

/// A limit that keeps being reached is warned about this often.
const WARN_INTERVAL: Duration = Duration::from_secs(10);

/// Writes the log of one node.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// The last warning about each limit. Limits are named by the configuration, so there are few.
    warned: BTreeMap<&'static str, Instant>,
}

impl Log {
    /// The machine gives a notice.
    pub(super) fn notice(&mut self, now: Instant, notice: &NodeNotice) {
        match notice {
            NodeNotice::SessionOpened { upstream, target, kind } => {
                info!(%upstream, %target, ?kind, "session opened");
            }
            NodeNotice::ConnectFailed { upstream, target, failure } => {
                info!(%upstream, %target, %failure, "connect failed");
            }
            NodeNotice::SessionEnded { upstream, why } => info!(%upstream, ?why, "session ended"),
            NodeNotice::Unauthorized { request } => info!(%request, "request rejected: wrong key"),
            NodeNotice::BadRequest { request } => info!(%request, "request rejected: malformed"),
            NodeNotice::DatagramsDropped { upstream, dropped } => {
                debug!(%upstream, dropped, "datagrams dropped: the client does not fetch them");
            }
            NodeNotice::ClientJoined { client, user } => info!(?client, %user, "client connected"),
            NodeNotice::ClientEnded { client, why } => info!(?client, %why, "client gone"),
            NodeNotice::BadPacket { request } => {
                info!(%request, "packet rejected: it does not open. Do the clients have the node's --secret?");
            }
            NodeNotice::LimitReached { limit } => self.warn(now, limit),
            other => debug!(notice = ?other, "notice"),
        }
    }

    fn warn(&mut self, now: Instant, limit: &'static str) {
        let recent = self.warned.get(limit).is_some_and(|last| now.saturating_since(*last) < WARN_INTERVAL);
        if !recent {
            self.warned.insert(limit, now);
            warn!(limit, "limit reached");
        }
    }
}

/// What a user has done, when the node stops or the user is removed.
pub(super) fn user(name: &str, stats: &UserStats) {
    let UserStats { opened, uplink_bytes, downlink_bytes, refused, .. } = stats;
    if *opened > 0 || *refused > 0 {
        info!(user = name, opened, uplink_bytes, downlink_bytes, refused, "user's total");
    }
}
