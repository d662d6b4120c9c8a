//! Bytes between a local TCP socket and its flow.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::local_reader::LocalReader;
use crate::client::flow::Flow;
use crate::client::messages::FlowAction;

/// Written bytes that are reported together while more waits to be written: small beside any window.
const REPORT: usize = 256 * 1024;

/// An application that reads nothing for this long after its flow has ended does not get the rest.
const FLUSH_STALL: Duration = Duration::from_secs(60);

/// The time for which bytes of the application are discarded after an orderly end. Closing a socket with unread bytes
/// resets it, and the application could lose what was delivered.
const LINGER: Duration = Duration::from_secs(5);

/// While the client stops, an application that has finished and receives nothing for this long is not waited for: one
/// that has gone looks the same. It is more than the round trip of most relays.
const STOP_QUIET: Duration = Duration::from_secs(3);

/// Slices handed to the kernel in one write.
const SLICES: usize = 16;

/// Carries bytes both ways until the flow or the application ends. `credit` is the flow's credit so far, `early` holds
/// bytes that the application has sent already, `stop` is cancelled when the client stops.
pub(super) async fn bridge(
    socket: TcpStream,
    flow: Flow,
    credit: usize,
    early: Bytes,
    stop: &CancellationToken,
) {
    let mut bridge = Bridge {
        socket,
        flow,
        reader: LocalReader::new(early),
        reading: true,
        credit,
        downlink: Downlink::default(),
        unreported: 0,
        active: Instant::now(),
        stage: Stage::Open,
    };
    // An error comes from the application's socket. Dropping the flow resets it at the machine.
    let _ = bridge.run(stop).await;
}

struct Bridge {
    socket: TcpStream,
    flow: Flow,
    reader: LocalReader,
    /// Whether the application may still send.
    reading: bool,
    credit: usize,
    downlink: Downlink,
    unreported: usize,
    /// The time of the last delivery, or of the application's end.
    active: Instant,
    stage: Stage,
}

/// The downlink half of the local socket.
///
/// ```text
///   Open ── Fin ──▶ Draining ── everything written ──▶ Shut ── Ended ──▶ Finished
///    │                  │                               │
///    └──────────────────┴── reset, failed, abandoned ───┴──▶ (reset)
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Open,
    Draining,
    Shut,
    Finished,
}

impl Bridge {
    async fn run(&mut self, stop: &CancellationToken) -> io::Result<()> {
        self.socket.set_nodelay(true)?;
        loop {
            if self.stage == Stage::Draining && self.downlink.is_empty() {
                self.socket.shutdown().await?;
                self.stage = Stage::Shut;
            }
            tokio::select! {
                action = self.flow.next() => {
                    let mut next = Some(action);
                    while let Some(action) = next {
                        if let FlowAction::Ended(why) = action {
                            return if why.is_orderly() { self.finish().await } else { Ok(()) };
                        }
                        self.on_action(action);
                        next = self.flow.try_next();
                    }
                    self.write()?;
                }
                writable = self.socket.writable(), if !self.downlink.is_empty() => {
                    writable?;
                    self.write()?;
                }
                readable = self.reader.ready(&self.socket), if self.reading && self.credit > 0 => {
                    readable?;
                    self.read().await?;
                }
                () = quiet(stop, self.active), if !self.reading && self.stage == Stage::Open => return Ok(()),
            }
        }
    }

    fn on_action(&mut self, action: FlowAction) {
        match action {
            FlowAction::Credit(bytes) => self.credit = self.credit.saturating_add(bytes),
            FlowAction::Deliver(bytes) => {
                self.active = Instant::now();
                self.downlink.push(bytes);
            }
            FlowAction::Fin if self.stage == Stage::Open => self.stage = Stage::Draining,
            FlowAction::Fin | FlowAction::Opened | FlowAction::Ended(_) => {}
        }
    }

    /// Writes as much as the socket takes now.
    fn write(&mut self) -> io::Result<()> {
        while !self.downlink.is_empty() {
            match self.downlink.write_to(&self.socket) {
                Ok(written) => self.unreported += written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        if self.unreported > 0 && (self.downlink.is_empty() || self.unreported >= REPORT) {
            self.flow.handle.written(std::mem::take(&mut self.unreported));
        }
        Ok(())
    }

    async fn read(&mut self) -> io::Result<()> {
        let Some(bytes) = self.reader.read(&self.socket, self.credit)? else { return Ok(()) };
        if bytes.is_empty() {
            self.reading = false;
            self.active = Instant::now();
            self.flow.handle.finish().await;
        } else {
            self.credit -= bytes.len();
            self.flow.handle.send(bytes).await;
        }
        Ok(())
    }

    /// After an orderly end: the application gets every byte, and then the end.
    async fn finish(&mut self) -> io::Result<()> {
        while !self.downlink.is_empty() {
            timeout(FLUSH_STALL, self.socket.writable()).await.map_err(|_| io::ErrorKind::TimedOut)??;
            self.write()?;
        }
        if self.stage != Stage::Shut {
            self.socket.shutdown().await?;
        }
        self.stage = Stage::Finished;
        // The flow has ended, whether the application closes in time or not.
        let _ = timeout(LINGER, discard(&self.socket)).await;
        Ok(())
    }
}

impl Drop for Bridge {
    /// Resets the application's socket unless the flow finished, so that no reset looks like an end.
    fn drop(&mut self) {
        if self.stage != Stage::Finished {
            // A socket that rejects the option has failed already.
            let _ = self.socket.set_zero_linger();
        }
    }
}

/// Waits for the stop, and then until the flow was quiet for [`STOP_QUIET`].
async fn quiet(stop: &CancellationToken, active: Instant) {
    stop.cancelled().await;
    sleep_until(active + STOP_QUIET).await;
}

/// Reads until the other side has ended.
async fn discard(socket: &TcpStream) -> io::Result<()> {
    let mut unwanted = [0; 4096];
    loop {
        socket.readable().await?;
        match socket.try_read(&mut unwanted) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

/// Delivered chunks that are not written to the application yet.
#[derive(Debug, Default)]
struct Downlink(VecDeque<Bytes>);

impl Downlink {
    fn push(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.0.push_back(bytes);
        }
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn write_to(&mut self, socket: &TcpStream) -> io::Result<usize> {
        let mut slices = [IoSlice::new(&[]); SLICES];
        for (slice, chunk) in slices.iter_mut().zip(&self.0) {
            *slice = IoSlice::new(chunk);
        }
        let count = self.0.len().min(SLICES);
        let written = socket.try_write_vectored(&slices[..count])?;
        self.advance(written);
        Ok(written)
    }

    fn advance(&mut self, mut written: usize) {
        while let Some(first) = self.0.front_mut() {
            if written < first.len() {
                first.advance(written);
                return;
            }
            written -= first.len();
            self.0.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_taken_off_the_front() {
        let mut downlink = Downlink::default();
        for chunk in ["ab", "", "cde", "f"] {
            downlink.push(Bytes::from_static(chunk.as_bytes()));
        }
        downlink.advance(3);
        assert_eq!(downlink.0, ["de", "f"]);
        downlink.advance(3);
        assert!(downlink.is_empty());
    }
}
