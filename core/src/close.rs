//! Close ordering inside one batch (protocol.md 2 rule 6).

use alloc::collections::BTreeSet;

/// The flows that the ops of one batch have named so far.
///
/// `[data, close]` writes and drains before it closes; `[close, data]` closes first, and the data op sees
/// the end. Both follow from one question: was the flow named before?
#[derive(Clone, Debug)]
pub(crate) struct CloseOrder<K> {
    named: BTreeSet<K>,
}

impl<K: Ord> CloseOrder<K> {
    pub(crate) const fn new() -> Self {
        Self { named: BTreeSet::new() }
    }

    /// An op other than `close` names `flow`.
    pub(crate) fn name(&mut self, flow: K) {
        self.named.insert(flow);
    }

    /// Whether a `close` op that names `flow` now takes effect after every drain of the batch: what earlier ops wrote goes
    /// out, and what came for them is answered. Otherwise it does at its place: later ops see the flow closed.
    pub(crate) fn waits_for_drains(&self, flow: &K) -> bool {
        self.named.contains(flow)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_close_after_an_op_of_its_flow_waits_for_the_drains() {
        let mut order = CloseOrder::new();
        order.name('a');
        assert!(order.waits_for_drains(&'a'));
    }

    #[test]
    fn a_close_before_the_ops_of_its_flow_is_done_at_once() {
        let mut order = CloseOrder::new();
        order.name('b');
        assert!(!order.waits_for_drains(&'a'));
        order.name('a');
        assert!(order.waits_for_drains(&'a'));
    }
}
