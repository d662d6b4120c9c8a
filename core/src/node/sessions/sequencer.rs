//! The order of a session's ops (protocol.md 2.4 rules 1 and 2).

use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use bytes::Bytes;

use crate::config::NodeOptions;
use crate::id::RequestId;
use crate::node::requests::Part;
use crate::reorder::{Rejected, ReorderLimits, ReorderQueue};
use crate::seq::Seq;
use crate::time::Instant;

/// An op that came and has not run yet.
#[derive(Clone, Hash)]
pub(super) struct QueuedOp {
    /// Where it is answered.
    pub(super) op: Part,
    /// Its number in the session; none at level 0.
    pub(super) seq: Option<Seq>,
    /// What it writes when it runs. One that could not be read, with the reason, uses up its number all the same.
    pub(super) payload: Result<Bytes, &'static str>,
    /// When it came.
    pub(super) arrived: Instant,
}

impl QueuedOp {
    /// Bytes that wait with it.
    pub(super) fn bytes(&self) -> usize {
        self.payload.as_ref().map_or(0, Bytes::len)
    }
}

/// The payload is left out.
impl fmt::Debug for QueuedOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueuedOp")
            .field("op", &self.op)
            .field("seq", &self.seq)
            .field("payload", &self.payload.as_ref().map(Bytes::len))
            .field("arrived", &self.arrived)
            .finish()
    }
}

/// The order of a session's ops.
///
/// Sequenced ops wait in the reorder queue until they are expected. One at a time runs; the next one may
/// as soon as it is answered. An op of level 0 runs when it comes. Only when the upstream takes nothing does
/// one of them wait, and a second one is refused.
#[derive(Clone, Debug, Hash)]
pub(super) struct OpSequencer {
    queue: ReorderQueue<QueuedOp>,
    running: Option<Part>,
    /// The level 0 op that waits for the write queue.
    unsequenced: Option<QueuedOp>,
}

impl OpSequencer {
    pub(super) fn new(config: &NodeOptions) -> Self {
        let limits =
            ReorderLimits { items: config.tuning.seq_queue_ops, bytes: config.tuning.seq_queue_bytes };
        Self { queue: ReorderQueue::new(limits), running: None, unsequenced: None }
    }

    /// Queues a sequenced op.
    pub(super) fn admit(&mut self, seq: Seq, op: QueuedOp) -> Result<(), Rejected<QueuedOp>> {
        let bytes = op.bytes();
        self.queue.insert(seq, op, bytes)
    }

    /// Queues an op of level 0 behind the write queue, unless another waits there.
    pub(super) fn block(&mut self, op: QueuedOp) -> Result<(), QueuedOp> {
        match self.unsequenced {
            Some(_) => Err(op),
            None => {
                self.unsequenced = Some(op);
                Ok(())
            }
        }
    }

    /// Takes the op that runs next, if one may: one that writes only when `may_write`.
    pub(super) fn next(&mut self, may_write: bool) -> Option<QueuedOp> {
        if may_write && let Some(op) = self.unsequenced.take() {
            return Some(op);
        }
        let writes = self.head().is_some_and(|op| op.bytes() > 0);
        if self.running.is_some() || (writes && !may_write) {
            return None;
        }
        self.queue.pop()
    }

    /// A sequenced op runs from now until it is [finished](Self::finish).
    pub(super) const fn run(&mut self, op: Part) {
        self.running = Some(op);
    }

    /// The op was answered, or is not waited for any more; if it was the one that ran, the turn passes.
    pub(super) fn finish(&mut self, op: Part) {
        self.running.take_if(|running| *running == op);
    }

    /// Takes a queued op back; its number stays free for another copy.
    pub(super) fn withdraw(&mut self, op: Part, seq: Option<Seq>) {
        match seq {
            Some(seq) => drop(self.queue.remove(seq)),
            None => drop(self.unsequenced.take_if(|waiting| waiting.op == op)),
        }
    }

    /// The op that runs.
    pub(super) const fn running(&self) -> Option<Part> {
        self.running
    }

    /// The number that is expected next.
    pub(super) const fn expected(&self) -> Seq {
        self.queue.expected()
    }

    /// The request of an op that waits behind the running one; another request than `own` if there is one.
    pub(super) fn successor(&self, own: RequestId) -> Option<RequestId> {
        let mut requests = self.queue.iter().map(|(_, op)| op.op.request);
        let first = requests.next()?;
        Some(core::iter::once(first).chain(requests).find(|request| *request != own).unwrap_or(first))
    }

    /// When the first queued op has waited too long for an op that has not come.
    pub(super) fn gap_deadline(&self, wait: Duration) -> Option<Instant> {
        self.gaps().map(|op| op.arrived.saturating_add(wait)).min()
    }

    /// Takes the ops that have waited too long for an op that has not come.
    pub(super) fn overdue(&mut self, wait: Duration, now: Instant) -> Vec<QueuedOp> {
        let overdue = self.gaps().filter(|op| op.arrived.saturating_add(wait) <= now);
        let overdue: Vec<Seq> = overdue.filter_map(|op| op.seq).collect();
        overdue.into_iter().filter_map(|seq| self.queue.remove(seq)).collect()
    }

    /// Takes every queued op: the session is over.
    pub(super) fn take_all(&mut self) -> Vec<QueuedOp> {
        let queued: Vec<Seq> = self.queue.iter().map(|(seq, _)| seq).collect();
        let queued = queued.into_iter().filter_map(|seq| self.queue.remove(seq));
        self.unsequenced.take().into_iter().chain(queued).collect()
    }

    /// Whether no op runs or waits.
    pub(super) fn is_idle(&self) -> bool {
        self.running.is_none() && self.unsequenced.is_none() && self.queue.is_empty()
    }

    /// Payload bytes that wait.
    pub(super) fn bytes(&self) -> usize {
        self.queue.bytes().saturating_add(self.unsequenced.as_ref().map_or(0, QueuedOp::bytes))
    }

    fn head(&self) -> Option<&QueuedOp> {
        self.queue.is_ready().then(|| self.queue.iter().next()).flatten().map(|(_, op)| op)
    }

    /// The queued ops, if they wait for one that has not come: not while the expected one waits for the
    /// upstream, nor while one runs.
    fn gaps(&self) -> impl Iterator<Item = &QueuedOp> {
        let missing = self.running.is_none() && !self.queue.is_ready();
        self.queue.iter().map(|(_, op)| op).filter(move |_| missing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::NodeOptions;
    use crate::secret::Secret;

    const WAIT: Duration = Duration::from_micros(30);

    fn at(micros: u64) -> Instant {
        Instant::from_micros(micros)
    }

    fn sequencer() -> OpSequencer {
        OpSequencer::new(&NodeOptions::new(Secret::new("k")))
    }

    fn op(seq: u64, payload: &'static [u8], arrived: u64) -> QueuedOp {
        QueuedOp {
            op: Part { request: RequestId::new(seq), index: 0 },
            seq: Some(Seq::new(seq)),
            payload: Ok(Bytes::from_static(payload)),
            arrived: at(arrived),
        }
    }

    fn admit(sequencer: &mut OpSequencer, seq: u64, payload: &'static [u8], arrived: u64) {
        sequencer.admit(Seq::new(seq), op(seq, payload, arrived)).unwrap();
    }

    fn next(sequencer: &mut OpSequencer, may_write: bool) -> Option<u64> {
        let next = sequencer.next(may_write)?;
        sequencer.run(next.op);
        next.seq.map(Seq::number)
    }

    #[test]
    fn one_op_runs_at_a_time_in_order() {
        let mut sequencer = sequencer();
        admit(&mut sequencer, 1, b"", 0);
        assert_eq!(next(&mut sequencer, true), None);
        admit(&mut sequencer, 0, b"", 0);
        assert_eq!(next(&mut sequencer, true), Some(0));
        assert_eq!(next(&mut sequencer, true), None);
        sequencer.finish(op(0, b"", 0).op);
        assert_eq!(next(&mut sequencer, true), Some(1));
    }

    #[test]
    fn a_poll_runs_although_the_upstream_takes_nothing_and_a_payload_does_not() {
        let mut sequencer = sequencer();
        admit(&mut sequencer, 0, b"", 0);
        admit(&mut sequencer, 1, b"x", 0);
        assert_eq!(next(&mut sequencer, false), Some(0));
        sequencer.finish(op(0, b"", 0).op);
        assert_eq!(next(&mut sequencer, false), None);
        assert_eq!(sequencer.gap_deadline(WAIT), None, "the expected op is there");
        assert_eq!(next(&mut sequencer, true), Some(1));
    }

    #[test]
    fn an_op_waits_for_missing_ones_from_its_arrival_on() {
        let mut sequencer = sequencer();
        admit(&mut sequencer, 2, b"", 5);
        assert_eq!(sequencer.gap_deadline(WAIT), Some(at(35)));
        admit(&mut sequencer, 0, b"", 20);
        next(&mut sequencer, true);
        assert_eq!(sequencer.gap_deadline(WAIT), None, "one runs");
        sequencer.finish(op(0, b"", 0).op);
        assert_eq!(sequencer.gap_deadline(WAIT), Some(at(35)));
        assert!(sequencer.overdue(WAIT, at(34)).is_empty());
        assert_eq!(sequencer.overdue(WAIT, at(35)).len(), 1);
        assert_eq!(sequencer.expected(), Seq::new(1), "a timeout does not pass the turn");
        assert!(sequencer.is_idle());
    }

    #[test]
    fn one_op_of_level_0_may_wait_for_the_upstream() {
        let mut sequencer = sequencer();
        let legacy = |request| QueuedOp { seq: None, ..op(request, b"abc", 0) };
        sequencer.block(legacy(1)).unwrap();
        assert!(sequencer.block(legacy(2)).is_err());
        assert_eq!(sequencer.bytes(), 3);
        assert!(sequencer.next(false).is_none());
        assert_eq!(sequencer.next(true).unwrap().op.request, RequestId::new(1));
    }
}
