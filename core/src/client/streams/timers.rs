//! Time: what level 2 does when its timer comes, and when that is next.

use core::time::Duration;

use crate::client::context::{Context, TimerOwner};
use crate::client::relays::Relays;
use crate::client::streams::connection::NodeConnection;
use crate::client::streams::handshake::{State, Streams};
use crate::time::Instant;
use crate::timer::TimerKind;

impl Streams {
    /// One of this engine's deadlines has come.
    pub(in crate::client) fn on_timeout(
        &mut self,
        owner: TimerOwner,
        relays: &mut Relays,
        context: &mut Context,
    ) {
        match owner {
            TimerOwner::Flow(id) => self.on_flow_timeout(id, context),
            TimerOwner::Streams => {
                let now = context.now();
                if let State::Ready(connection) = &mut self.state {
                    connection.on_loss_timeout(relays, now);
                    if connection.forgotten_at(context.config()).is_some_and(|at| at <= now) {
                        self.on_forgotten(relays, context);
                    }
                }
                self.sweep(context);
                self.rearm(relays, context);
            }
            TimerOwner::Relay(_) | TimerOwner::Exchange(_) | TimerOwner::Coalesce | TimerOwner::Closes => {}
        }
    }

    /// Sets the timer to when level 2 wants to be woken.
    pub(in crate::client) fn rearm(&mut self, relays: &Relays, context: &mut Context) {
        let now = context.now();
        let mut due: Option<(Instant, TimerKind)> = None;
        let mut note = |at: Option<Instant>, timer| {
            if let Some(at) = at.filter(|at| *at > now) {
                due = Some(due.map_or((at, timer), |due| due.min((at, timer))));
            }
        };
        let sleeps = |connection: &&NodeConnection| planted!(OwesAsleep) && connection.shared.is_empty();
        let in_use =
            self.connection().filter(|connection| !sleeps(connection)).is_some_and(NodeConnection::is_in_use);
        for relay in relays.iter() {
            note(self.hello_at(relay).filter(|_| self.wanted || in_use), TimerKind::Hello);
            note(Some(relay.health().backoff_until()).filter(|_| in_use), TimerKind::Probe);
            note(relay.health().probe_at().filter(|_| in_use), TimerKind::Probe);
        }
        if let Some(connection) = self.connection().filter(|connection| !sleeps(connection)) {
            // What was measured since may have made something late already.
            let soon = now.saturating_add(Duration::from_micros(1));
            note(connection.next_loss(relays).map(|at| at.max(soon)), TimerKind::Late);
            note(connection.forgotten_at(context.config()).map(|at| at.max(soon)), TimerKind::IdleClient);
            note(connection.inputs(0, false, context.config(), now).bulk_at(), TimerKind::Coalesce);
        }
        context.set_timer(&mut self.timer, TimerOwner::Streams, due);
    }
}
