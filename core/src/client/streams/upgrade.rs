//! Flows that open: they become streams where there is a connection, wait while that is not known, and stay sessions otherwise.

use crate::client::flows::{Flow, Kind};
use crate::client::sessions::session::Start;
use crate::client::streams::handshake::{Availability, Streams};
use crate::client::streams::stream::Stream;
use crate::client::{Client, LocalEvent};
use crate::id::FlowId;

impl Client {
    /// Flows whose open is due become streams, if there is a connection.
    pub(super) fn upgrade_flows(&mut self) {
        let Some(streams) = &mut self.streams else { return };
        streams.wanted = false;
        if self.ready.connects.is_empty() {
            return;
        }
        streams.renew(&mut self.relays, &self.config, self.now);
        match self.availability() {
            Some(Availability::Ready) => {
                while self.availability() == Some(Availability::Ready)
                    && let Some(id) = self.next_connect()
                {
                    self.upgrade(id);
                }
            }
            Some(Availability::Undecided) => {
                // Flows that are over are still in the queue.
                let waits = self.ready.connects.iter().any(|id| self.flows.contains_key(id));
                if let Some(streams) = &mut self.streams {
                    streams.wanted = waits;
                }
            }
            Some(Availability::Sessions) | None => {}
        }
    }

    /// What a flow finds that opens now.
    fn availability(&self) -> Option<Availability> {
        Some(self.streams.as_ref()?.availability(self.now, &self.relays))
    }

    /// Whether flows that open wait until it is known whether there is level 2.
    pub(in crate::client) fn is_undecided(&self) -> bool {
        self.availability() == Some(Availability::Undecided)
    }

    fn upgrade(&mut self, id: FlowId) {
        let Self { streams, flows, config, now, out, .. } = self;
        let Some(connection) = streams.as_mut().and_then(Streams::connection_mut) else { return };
        let Some(Flow { kind, .. }) = flows.get_mut(&id) else { return };
        let Some(start) = kind.start() else { return };
        let Start { target, flow, bytes, finished, credit } = start;
        let mut stream = Stream::new(id, target, flow, credit, &connection.grants, config, *now);
        for piece in bytes {
            stream.begin_with(piece, config);
        }
        if finished {
            // It was not finished before: it is new.
            let _ = stream.on_local(LocalEvent::Fin, *now, config);
        }
        let number = connection.insert(stream, *now);
        *kind = Kind::Stream(number);
        connection.grant(number, out);
        self.refresh(id);
    }
}
