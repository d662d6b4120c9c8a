//! What a driver may hand in, and when. Nothing here changes anything.

use crate::error::Misuse;
use crate::id::UpstreamId;
use crate::node::Node;
use crate::node::event::{NodeEvent, UpstreamEvent};
use crate::node::sessions::session::{Session, Source};
use crate::node::upstreams::{State, WriteQueue};
use crate::target::FlowKind;

/// The largest UDP payload that a length field can name.
pub(super) const MAX_DATAGRAM: usize = 65_535;

impl Node {
    /// Whether the contract allows `event` now.
    pub(super) fn check(&self, event: &NodeEvent) -> Result<(), Misuse> {
        match event {
            NodeEvent::Request { request, .. } if self.last_request.is_some_and(|last| *request <= last) => {
                Err(Misuse::RequestIdReused(*request))
            }
            NodeEvent::RequestGone { request } if self.last_request.is_none_or(|last| *request > last) => {
                Err(Misuse::UnknownRequest(*request))
            }
            NodeEvent::Upstream { upstream, event } => self.check_upstream(*upstream, event),
            NodeEvent::Request { .. }
            | NodeEvent::RequestGone { .. }
            | NodeEvent::Timeout
            | NodeEvent::Close => Ok(()),
        }
    }

    fn check_upstream(&self, upstream: UpstreamId, event: &UpstreamEvent) -> Result<(), Misuse> {
        if upstream.number() >= self.opened.issued() {
            return Err(Misuse::UnknownUpstream(upstream));
        }
        match self.upstreams.get(&upstream).map(|upstream| &upstream.state) {
            None => Ok(()),
            Some(State::Connecting(_)) => check_connecting(event),
            Some(State::Lingering(uplink)) => check_lingering(uplink, event),
            Some(State::Open(session)) => check_open(session, event),
            Some(State::Stream(at)) => self.stream_of(*at).map_or(Ok(()), |stream| stream.check(event)),
        }
    }
}

pub(super) const fn check_connecting(event: &UpstreamEvent) -> Result<(), Misuse> {
    match event {
        UpstreamEvent::Opened | UpstreamEvent::Failed(_) => Ok(()),
        UpstreamEvent::Data(_) => Err(Misuse::CreditExceeded),
        UpstreamEvent::Written(_) => Err(Misuse::WrittenTooMuch),
        UpstreamEvent::Datagram(_) | UpstreamEvent::Fin | UpstreamEvent::Reset => Err(Misuse::WrongKind),
    }
}

const fn check_lingering(uplink: &WriteQueue, event: &UpstreamEvent) -> Result<(), Misuse> {
    match event {
        UpstreamEvent::Opened | UpstreamEvent::Failed(_) | UpstreamEvent::Datagram(_) => {
            Err(Misuse::WrongKind)
        }
        UpstreamEvent::Written(bytes) if *bytes > uplink.unwritten() => Err(Misuse::WrittenTooMuch),
        UpstreamEvent::Data(_) | UpstreamEvent::Fin | UpstreamEvent::Reset | UpstreamEvent::Written(_) => {
            Ok(())
        }
    }
}

fn check_open(session: &Session, event: &UpstreamEvent) -> Result<(), Misuse> {
    let kind = session.kind();
    match event {
        UpstreamEvent::Opened | UpstreamEvent::Failed(_) => Err(Misuse::WrongKind),
        // Nothing follows a reset, but what the driver had under way may.
        _ if session.source == Source::Reset => Ok(()),
        UpstreamEvent::Datagram(bytes) if bytes.len() > MAX_DATAGRAM => Err(Misuse::DatagramTooLarge),
        UpstreamEvent::Datagram(_) if kind == FlowKind::Tcp => Err(Misuse::WrongKind),
        UpstreamEvent::Data(_) | UpstreamEvent::Written(_) if kind == FlowKind::Udp => Err(Misuse::WrongKind),
        UpstreamEvent::Data(_) | UpstreamEvent::Datagram(_) | UpstreamEvent::Fin
            if session.source == Source::Finished =>
        {
            Err(Misuse::AfterFin)
        }
        UpstreamEvent::Data(bytes) if bytes.len() > session.credit.promised() => Err(Misuse::CreditExceeded),
        UpstreamEvent::Written(bytes) if *bytes > session.uplink.unwritten() => Err(Misuse::WrittenTooMuch),
        UpstreamEvent::Data(_)
        | UpstreamEvent::Datagram(_)
        | UpstreamEvent::Fin
        | UpstreamEvent::Reset
        | UpstreamEvent::Written(_) => Ok(()),
    }
}
