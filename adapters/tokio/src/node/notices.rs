//! What the machine tells observers: into the log, and to whoever listens.

use std::collections::BTreeMap;
use std::time::Duration;

use seqlane::{Instant, NodeNotice};
use tokio::sync::broadcast;
use tracing::{debug, info, warn};

/// A limit that keeps being reached is warned about this often.
const WARN_INTERVAL: Duration = Duration::from_secs(10);

/// Passes notices on.
pub(crate) struct Notices {
    listeners: broadcast::Sender<NodeNotice>,
    /// When each limit was last warned about; limits are named by the configuration, so there are few.
    warned: BTreeMap<&'static str, Instant>,
}

impl Notices {
    pub(crate) const fn new(listeners: broadcast::Sender<NodeNotice>) -> Self {
        Self { listeners, warned: BTreeMap::new() }
    }

    pub(crate) fn publish(&mut self, now: Instant, notice: NodeNotice) {
        self.log(now, &notice);
        // Nobody need listen.
        drop(self.listeners.send(notice));
    }

    fn log(&mut self, now: Instant, notice: &NodeNotice) {
        match notice {
            NodeNotice::SessionOpened { upstream, target, kind } => {
                info!(%upstream, %target, ?kind, "session opened");
            }
            NodeNotice::ConnectFailed { upstream, target, failure } => {
                info!(%upstream, %target, %failure, "connect failed");
            }
            NodeNotice::SessionEnded { upstream, why } => info!(%upstream, ?why, "session ended"),
            NodeNotice::Unauthorized { request } => info!(%request, "wrong key"),
            NodeNotice::BadRequest { request } => info!(%request, "unreadable request"),
            NodeNotice::DatagramsDropped { upstream, dropped } => {
                debug!(%upstream, dropped, "datagrams dropped: nobody fetches them");
            }
            NodeNotice::LimitReached { limit } => self.warn(now, limit),
            other => debug!(?other, "notice"),
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
