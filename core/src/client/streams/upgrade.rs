//! Flows that open: they become streams where there is a connection.

use crate::client::context::Context;
use crate::client::event::LocalEvent;
use crate::client::sessions::session::Start;
use crate::client::streams::handshake::{StreamFlow, Streams};
use crate::client::streams::stream::LocalStream;
use crate::id::FlowId;
use crate::timer::TimerSlot;

impl Streams {
    /// A flow whose open is due becomes a stream. There is a connection.
    pub(in crate::client) fn take_over(&mut self, id: FlowId, start: Start, context: &mut Context) {
        let now = context.now();
        let (config, out) = context.parts();
        let Some(connection) = self.connection_mut() else { return };
        let Start { target, flow, bytes, finished, credit } = start;
        let mut stream = LocalStream::open(id, target, flow, credit, connection.shared.grants(), config, now);
        for piece in bytes {
            stream.begin_with(piece, config);
        }
        if finished {
            // It was not finished before: it is new.
            let _ = stream.on_local(LocalEvent::Fin, now, config);
        }
        let number = connection.insert(stream, now);
        connection.grant(number, out);
        self.flows.insert(id, StreamFlow { number, timer: TimerSlot::default() });
        self.refresh(id, context);
    }
}
