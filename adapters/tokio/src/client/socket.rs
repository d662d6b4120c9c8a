//! UDP flows of the program.

use std::io;

use bytes::Bytes;
use seqlane::EndReason;

use super::flow::Flow;
use super::messages::FlowAction;

/// One UDP flow to a target, opened by [`Client::connect_udp`](super::Client::connect_udp).
///
/// Datagrams may be lost, doubled and reordered, as with any UDP socket. A flow that is idle for the configured time
/// (120 s by default) ends. Dropping it ends it.
#[derive(Debug)]
pub struct FlowSocket {
    flow: Flow,
    end: Option<EndReason>,
}

/// The largest datagram that the protocol carries.
const LARGEST_DATAGRAM: usize = 65_535;

impl FlowSocket {
    pub(super) const fn new(flow: Flow) -> Self {
        Self { flow, end: None }
    }

    /// Sends one datagram of at most 65 535 bytes.
    ///
    /// # Errors
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for a larger one. The end of the flow shows in
    /// [`recv`](Self::recv).
    pub async fn send(&self, datagram: &[u8]) -> io::Result<()> {
        if datagram.len() > LARGEST_DATAGRAM {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a datagram has at most 65535 bytes"));
        }
        self.flow.handle.send(Bytes::copy_from_slice(datagram)).await;
        Ok(())
    }

    /// Waits for the next datagram. Dropping the future loses none.
    ///
    /// # Errors
    /// [`NotConnected`](io::ErrorKind::NotConnected) when the flow has ended, with the reason.
    pub async fn recv(&mut self) -> io::Result<Bytes> {
        loop {
            if let Some(why) = self.end {
                return Err(io::Error::new(io::ErrorKind::NotConnected, why.to_string()));
            }
            match self.flow.next().await {
                FlowAction::Deliver(datagram) => {
                    self.flow.handle.written(datagram.len());
                    return Ok(datagram);
                }
                FlowAction::Ended(why) => self.end = Some(why),
                FlowAction::Opened | FlowAction::Credit(_) | FlowAction::Fin => {}
            }
        }
    }
}
