//! What the flows of a client share while they work: actions to take, counters, and the uplink pool.

use alloc::collections::VecDeque;

use bytes::Bytes;

use crate::client::action::{ClientAction, ClientNotice};
use crate::credit::{Credit, Pool};
use crate::id::FlowId;
use crate::stats::ClientStats;

/// Where flows put what they want done.
#[derive(Clone, Debug)]
pub(super) struct Outbox {
    pub(super) actions: VecDeque<ClientAction>,
    pub(super) stats: ClientStats,
    pub(super) pool: Pool,
}

impl Outbox {
    pub(super) fn new(uplink_total: usize) -> Self {
        Self { actions: VecDeque::new(), stats: ClientStats::default(), pool: Pool::new(uplink_total) }
    }

    pub(super) fn deliver(&mut self, stream: FlowId, bytes: Bytes) {
        let len = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.stats.downlink_bytes = self.stats.downlink_bytes.saturating_add(len);
        self.actions.push_back(ClientAction::Deliver { flow: stream, bytes });
    }

    pub(super) fn grant(&mut self, stream: FlowId, credit: &mut Credit) {
        let bytes = credit.grant(&mut self.pool);
        if bytes > 0 {
            self.actions.push_back(ClientAction::Credit { flow: stream, bytes });
        }
    }

    pub(super) fn notice(&mut self, notice: impl Into<Option<ClientNotice>>) {
        self.actions.extend(notice.into().map(ClientAction::Event));
    }
}

/// Counts one more.
pub(super) const fn count(counter: &mut u64) {
    *counter = counter.saturating_add(1);
}
