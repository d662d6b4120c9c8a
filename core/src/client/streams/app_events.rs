//! What applications and time do to streams, seen from the machine.

use crate::client::Client;
use crate::client::TimerOwner;
use crate::client::action::EndReason;
use crate::client::event::LocalEvent;
use crate::client::flows::Kind;
use crate::client::streams::Streams;
use crate::error::Misuse;
use crate::id::FlowId;
use crate::target::{FlowKind, Target};
use crate::time::Instant;
use crate::wire::number::StreamNumber;

impl Client {
    /// Something happened on the socket of a stream's application. `Reset` is handled before.
    pub(in crate::client) fn on_stream_local(
        &mut self,
        at: Instant,
        id: FlowId,
        number: StreamNumber,
        event: LocalEvent,
    ) -> Result<(), Misuse> {
        let Some(connection) = self.streams.as_mut().and_then(Streams::connection_mut) else { return Ok(()) };
        let gone = event == LocalEvent::Fin
            && connection
                .streams
                .get(&number)
                .is_some_and(|stream| stream.traffic.flow.kind() == FlowKind::Udp);
        connection.on_local(number, event, at, &self.config, &mut self.out)?;
        self.advance(at);
        if gone {
            self.end(id, EndReason::Local);
        }
        self.sweep();
        Ok(())
    }

    /// Sets the timer of a flow if it is a stream, and says whether it is one.
    pub(in crate::client) fn refresh_stream(&mut self, id: FlowId) -> bool {
        let Self { flows, streams, timers, config, .. } = self;
        let Some(flow) = flows.get_mut(&id) else { return false };
        let Kind::Stream(number) = flow.kind else { return false };
        let stream = streams
            .as_ref()
            .and_then(Streams::connection)
            .and_then(|connection| connection.streams.get(&number));
        let deadline = stream.and_then(|stream| stream.deadline(config));
        timers.set(&mut flow.timer, TimerOwner::Flow(id), deadline);
        true
    }

    /// The timer of a stream has come; since it was set, its deadline may have moved.
    pub(in crate::client) fn on_stream_timeout(&mut self, id: FlowId, number: StreamNumber) {
        let Some(connection) = self.streams.as_ref().and_then(Streams::connection) else { return };
        let stream = connection.streams.get(&number);
        let over = stream.and_then(|stream| stream.deadline(&self.config)).is_some_and(|at| at <= self.now);
        if over {
            let udp = stream.is_some_and(|stream| stream.traffic.flow.kind() == FlowKind::Udp);
            self.end(id, if udp { EndReason::Idle } else { EndReason::NoRelay });
        } else {
            self.refresh_stream(id);
        }
    }

    /// Takes a stream out of its connection; gives its target.
    pub(in crate::client) fn remove_stream(
        &mut self,
        number: StreamNumber,
        why: EndReason,
    ) -> Option<Target> {
        let connection = self.streams.as_mut()?.connection_mut()?;
        connection.remove(number, why, &mut self.out).map(|stream| stream.target)
    }
}
