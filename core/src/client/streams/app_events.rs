//! What applications and time do to streams.

use crate::client::action::EndReason;
use crate::client::context::{Context, TimerOwner};
use crate::client::event::LocalEvent;
use crate::client::streams::Streams;
use crate::error::Misuse;
use crate::id::FlowId;
use crate::target::FlowKind;
use crate::timer::TimerKind;

impl Streams {
    /// Something happened on the socket of a stream's application.
    pub(in crate::client) fn on_local(
        &mut self,
        id: FlowId,
        event: LocalEvent,
        context: &mut Context,
    ) -> Result<(), Misuse> {
        if event == LocalEvent::Reset {
            self.end(id, EndReason::Local, context);
            return Ok(());
        }
        let now = context.now();
        let Some(number) = self.flows.get(&id).map(|flow| flow.number) else { return Ok(()) };
        let Some(connection) = self.connection_mut() else { return Ok(()) };
        let gone = event == LocalEvent::Fin
            && connection.shared.stream(number).is_some_and(|stream| stream.kind() == FlowKind::Udp);
        let (config, out) = context.parts();
        connection.on_local(number, event, now, config, out)?;
        if gone {
            self.end(id, EndReason::Local, context);
        }
        self.sweep(context);
        Ok(())
    }

    /// Sets the timer of a flow.
    pub(super) fn refresh(&mut self, id: FlowId, context: &mut Context) {
        let Some(number) = self.flows.get(&id).map(|flow| flow.number) else { return };
        let stream = self.connection().and_then(|connection| connection.shared.stream(number));
        let deadline = stream.and_then(|stream| stream.deadline(context.config()));
        let deadline = deadline.map(|at| (at, TimerKind::Poll));
        if let Some(flow) = self.flows.get_mut(&id) {
            context.set_timer(&mut flow.timer, TimerOwner::Flow(id), deadline);
        }
    }

    /// The timer of a stream has come; since it was set, its deadline may have moved.
    pub(super) fn on_flow_timeout(&mut self, id: FlowId, context: &mut Context) {
        let Some(number) = self.flows.get(&id).map(|flow| flow.number) else { return };
        let stream = self.connection().and_then(|connection| connection.shared.stream(number));
        let over =
            stream.and_then(|stream| stream.deadline(context.config())).is_some_and(|at| at <= context.now());
        if over {
            let udp = stream.is_some_and(|stream| stream.kind() == FlowKind::Udp);
            self.end(id, if udp { EndReason::Idle } else { EndReason::NoRelay }, context);
        } else {
            self.refresh(id, context);
        }
    }

    /// Ends a flow: its stream leaves the connection.
    pub(in crate::client) fn end(&mut self, id: FlowId, why: EndReason, context: &mut Context) {
        let Some(mut flow) = self.flows.remove(&id) else { return };
        context.set_timer(&mut flow.timer, TimerOwner::Flow(id), None);
        let now = context.now();
        let (_, out) = context.parts();
        let connection = self.connection_mut();
        let target = connection.and_then(|connection| connection.remove(flow.number, why, now, out));
        context.ended(id, target.as_ref(), why);
    }

    /// Ends the flows whose streams are over.
    pub(super) fn sweep(&mut self, context: &mut Context) {
        while let Some(connection) = self.connection_mut()
            && !connection.ended.is_empty()
        {
            for (id, why) in core::mem::take(&mut connection.ended) {
                self.end(id, why, context);
            }
        }
    }

    /// Gives credit to streams that got none while the uplink pool had no room.
    pub(in crate::client) fn feed(&mut self, context: &mut Context) {
        let (_, out) = context.parts();
        if let Some(connection) = self.connection_mut() {
            connection.feed(out);
        }
    }
}
