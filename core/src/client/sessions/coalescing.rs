//! Coalescing of small writes (protocol.md 2.5 "Batches").

use crate::client::context::{Context, TimerOwner};
use crate::client::sessions::polls::Inputs;
use crate::time::Instant;
use crate::timer::{TimerKind, TimerSlot};

/// Whether payload that waits may go, and until when it waits for others.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct Coalescing {
    wait: Wait,
    timer: TimerSlot,
    /// Calls under way that carry payload.
    calls: usize,
}

/// ```text
///            payload, none in flight; or a full op
///        ┌──────────────────────────────────────────┐
///        │                                          ▼
///   Nothing ── payload, some in flight ──▶ Until ──▶ Over ── all sent ──▶ Nothing
///                                          time, or an answer
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum Wait {
    #[default]
    Nothing,
    Until(Instant),
    Over,
}

impl Coalescing {
    /// Whether payload may be sent now.
    pub(super) fn is_over(&self) -> bool {
        self.wait == Wait::Over
    }

    /// A flow has `bytes` of payload to send. They go at once when nothing is in flight or a whole op is there, and
    /// otherwise wait for others.
    pub(super) fn on_payload(&mut self, bytes: usize, inputs: Inputs, context: &mut Context) {
        let config = context.config();
        if self.calls == 0 || bytes >= config.tuning.max_op_payload {
            self.wait = Wait::Over;
        } else if self.wait == Wait::Nothing {
            self.wait = Wait::Until(inputs.now.saturating_add(inputs.coalescing_window(config)));
        }
        self.rearm(context);
    }

    /// No payload waits.
    pub(super) fn on_no_payload(&mut self, context: &mut Context) {
        self.wait = Wait::Nothing;
        self.rearm(context);
    }

    /// A call with payload goes out.
    pub(super) const fn on_call(&mut self) {
        self.calls = self.calls.saturating_add(1);
    }

    /// A call with payload has ended.
    pub(super) fn on_call_ended(&mut self, context: &mut Context) {
        self.calls = self.calls.saturating_sub(1);
        self.flush(context);
    }

    /// Payload that waits for others goes.
    pub(super) fn flush(&mut self, context: &mut Context) {
        if self.wait != Wait::Nothing {
            self.wait = Wait::Over;
        }
        self.rearm(context);
    }

    fn rearm(&mut self, context: &mut Context) {
        let until = if let Wait::Until(until) = self.wait { Some(until) } else { None };
        let deadline = until.map(|at| (at, TimerKind::Coalesce));
        context.set_timer(&mut self.timer, TimerOwner::Coalesce, deadline);
    }
}
