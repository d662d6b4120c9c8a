//! Calls of a check to one relay.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use seqlane::wire::{Op, Reply, Sid, encode_request};
use seqlane::{Form, Secret, Seq};
use seqlane_tokio::exchange::{Destination, Exchanger, Trace};

use super::diagnosis;

/// A relay to call.
pub(super) struct RelayCalls {
    pub(super) exchanger: Exchanger,
    pub(super) batches: Destination,
    /// The address for raw packets, if there is one.
    pub(super) packets: Option<Destination>,
    pub(super) form: Form,
    pub(super) key: Secret,
    /// The secret of level 2.
    pub(super) secret: Secret,
    /// Whether flows are sealed or refused.
    pub(super) sealed: bool,
    /// The longest time of a call, beyond its hold.
    pub(super) timeout: Duration,
    pub(super) made: AtomicU64,
}

impl RelayCalls {
    /// The number of calls so far.
    pub(super) fn made(&self) -> u64 {
        self.made.load(Ordering::Relaxed)
    }

    /// Polls a session for at most `longest`. Returns whether the node answered, and after what time.
    pub(super) async fn poll_for(&self, sid: Sid, longest: Duration) -> (bool, Duration) {
        let op = Op::Data { sid, seq: Some(Seq::default()), payload: Bytes::new() };
        let (replies, _, took) = self.call_for(&[op], longest).await;
        (replies.is_ok(), took)
    }

    /// The answer to a raw packet that may be held for this long.
    pub(super) async fn call_binary(&self, packet: Bytes, hold: Duration) -> Result<Bytes, String> {
        let to = self.packets.as_ref().ok_or("has no address for raw packets")?;
        self.made.fetch_add(1, Ordering::Relaxed);
        let deadline = tokio::time::Instant::now() + self.timeout + hold;
        let (answer, trace) = self.exchanger.trace(to, packet, deadline, || {}).await;
        answer.map_err(|failure| trace.explain(failure))
    }

    /// The reply to an op.
    pub(super) async fn ask(&self, op: Op) -> Result<Reply, String> {
        self.ask_held(op, Duration::ZERO).await
    }

    /// The reply to an op that may be held for this long.
    pub(super) async fn ask_held(&self, op: Op, hold: Duration) -> Result<Reply, String> {
        let (replies, _, _) = self.call_for(&[op], self.timeout + hold).await;
        replies?.into_iter().next().ok_or_else(|| "returned an answer without a reply".to_owned())
    }

    /// The replies to a batch of ops, and the duration of the call.
    pub(super) async fn call(&self, ops: &[Op]) -> (Result<Vec<Reply>, String>, Trace, Duration) {
        self.call_for(ops, self.timeout).await
    }

    async fn call_for(&self, ops: &[Op], timeout: Duration) -> (Result<Vec<Reply>, String>, Trace, Duration) {
        self.made.fetch_add(1, Ordering::Relaxed);
        let body = encode_request(self.form, &self.key, ops.iter());
        let started = Instant::now();
        let deadline = tokio::time::Instant::now() + timeout;
        let (answer, trace) = self.exchanger.trace(&self.batches, body, deadline, || {}).await;
        let took = started.elapsed();
        (diagnosis::replies(self.form, ops.len(), answer, &trace), trace, took)
    }
}
