//! Time: what level 2 does when its timer comes, and when that is next.

use core::time::Duration;

use crate::client::streams::connection::NodeConnection;
use crate::client::streams::handshake::{State, Streams};
use crate::client::{Client, TimerOwner};
use crate::time::Instant;
use crate::timer::TimerKind;

impl Client {
    /// Time has come for something of level 2.
    pub(in crate::client) fn on_streams_timeout(&mut self) {
        let now = self.now;
        if let Some(Streams { state: State::Ready(connection), .. }) = &mut self.streams {
            connection.on_time(&mut self.relays, now);
            if connection.forgotten_at(&self.config).is_some_and(|at| at <= now) {
                self.start_over();
            }
        }
        self.sweep();
        self.rearm_streams();
    }

    /// Reports the streams that have ended.
    pub(in crate::client) fn sweep(&mut self) {
        while let Some(connection) = self.streams.as_mut().and_then(Streams::connection_mut)
            && !connection.ended.is_empty()
        {
            for (id, why) in core::mem::take(&mut connection.ended) {
                self.end(id, why);
            }
        }
    }

    /// When level 2 wants to be woken.
    pub(in crate::client) fn rearm_streams(&mut self) {
        let now = self.now;
        let Self { streams: Some(streams), relays, timers, config, .. } = self else { return };
        let mut due: Option<(Instant, TimerKind)> = None;
        let mut note = |at: Option<Instant>, timer| {
            if let Some(at) = at.filter(|at| *at > now) {
                due = Some(due.map_or((at, timer), |due| due.min((at, timer))));
            }
        };
        let sleeps = |connection: &&NodeConnection| planted!(OwesAsleep) && connection.streams.is_empty();
        let in_use = streams
            .connection()
            .filter(|connection| !sleeps(connection))
            .is_some_and(NodeConnection::is_in_use);
        for relay in relays.iter() {
            note(streams.hello_at(relay).filter(|_| streams.wanted || in_use), TimerKind::Hello);
            note(Some(relay.health().backoff_until()).filter(|_| in_use), TimerKind::Probe);
            note(relay.health().probe_at().filter(|_| in_use), TimerKind::Probe);
        }
        if let Some(connection) = streams.connection().filter(|connection| !sleeps(connection)) {
            // What was measured since may have made something late already.
            let soon = now.saturating_add(Duration::from_micros(1));
            note(connection.next_loss(relays).map(|at| at.max(soon)), TimerKind::Late);
            note(connection.forgotten_at(config).map(|at| at.max(soon)), TimerKind::IdleClient);
            note(connection.bulk_at(), TimerKind::Coalesce);
        }
        streams.due = due.map_or(TimerKind::Hello, |(_, timer)| timer);
        timers.set(&mut streams.timer, TimerOwner::Streams, due.map(|(at, _)| at));
    }
}
