//! A connected TCP upstream: reads within its credit, writes in order, ends as it is told.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::pin::pin;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use seqlane::{Shut, UpstreamEvent};
use socket2::SockRef;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::oneshot::error::TryRecvError;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;

use super::Events;

/// The sizes of a read: a quiet flow starts small, a busy one grows to what a socket buffer gives at once.
const SMALLEST_READ: usize = 4 * 1024;
const LARGEST_READ: usize = 256 * 1024;

/// Queued writes that go to the socket in one call.
const GATHER: usize = 32;

/// After an orderly close, how long a peer that still sends is read from and ignored: closing on unread
/// bytes would reset the connection, and the peer could lose what was written to it last.
const LINGER: Duration = Duration::from_secs(2);

/// Bytes to be written, in order. What was taken out of the channel survives a cancelled [`write`](Self::write).
pub(super) struct WriteQueue {
    channel: mpsc::UnboundedReceiver<Bytes>,
    pending: VecDeque<Bytes>,
}

/// How the reading side ended.
enum ReadEnd {
    Fin,
    Reset,
}

/// Carries bytes until the upstream is shut or fails.
pub(super) async fn carry(
    mut stream: TcpStream,
    mut queue: WriteQueue,
    credit: &Semaphore,
    shutting: oneshot::Receiver<Shut>,
    events: &Events,
    flush: Duration,
) {
    match live(&stream, &mut queue, credit, shutting, events).await {
        Shut::Close => close(&mut stream, queue, events, flush).await,
        Shut::Reset => {
            // An error leaves nothing to reset.
            let _ = stream.set_zero_linger();
        }
    }
}

/// Runs both directions until the driver shuts the upstream, or it fails and the driver is told.
async fn live(
    stream: &TcpStream,
    queue: &mut WriteQueue,
    credit: &Semaphore,
    mut shutting: oneshot::Receiver<Shut>,
    events: &Events,
) -> Shut {
    let mut reading = pin!(read(stream, credit, events));
    let mut writing = pin!(queue.write(stream, events));
    let (mut read_open, mut write_open) = (true, true);
    loop {
        tokio::select! {
            how = &mut shutting => return how.unwrap_or(Shut::Reset),
            end = &mut reading, if read_open => match end {
                ReadEnd::Fin => read_open = false,
                ReadEnd::Reset => break,
            },
            written = &mut writing, if write_open => match written {
                Ok(()) => {
                    write_open = false;
                    // Whoever shuts the upstream says so before it lets go of the queue.
                    match shutting.try_recv() {
                        Ok(how) => return how,
                        Err(TryRecvError::Closed) => return Shut::Reset,
                        Err(TryRecvError::Empty) => {}
                    }
                    if SockRef::from(stream).shutdown(Shutdown::Write).is_err() {
                        break;
                    }
                }
                Err(_) => break,
            },
        }
    }
    events.report(UpstreamEvent::Reset).await;
    Shut::Reset
}

async fn read(stream: &TcpStream, credit: &Semaphore, events: &Events) -> ReadEnd {
    let mut size = SMALLEST_READ;
    loop {
        // Credit is only looked at here, and used up when it is known how much was read.
        match credit.acquire().await {
            Ok(_unused) => {}
            Err(_) => return ReadEnd::Reset,
        }
        // Waiting costs no buffer: quiet flows are many.
        if stream.readable().await.is_err() {
            return ReadEnd::Reset;
        }
        let room = credit.available_permits().min(size);
        let mut buffer = BytesMut::with_capacity(room);
        let len = match stream.try_read_buf(&mut (&mut buffer).limit(room)) {
            Ok(0) => {
                events.report(UpstreamEvent::Fin).await;
                return ReadEnd::Fin;
            }
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(_) => return ReadEnd::Reset,
        };
        credit.forget_permits(len);
        size = next_size(size, len);
        // A small read must not keep a large buffer alive.
        let bytes = if len < room / 2 { Bytes::copy_from_slice(&buffer) } else { buffer.freeze() };
        events.report(UpstreamEvent::Data(bytes)).await;
    }
}

/// The size of the read after one of `size` that gave `len`.
fn next_size(size: usize, len: usize) -> usize {
    if len >= size {
        (size * 2).min(LARGEST_READ)
    } else if len < size / 4 {
        (size / 2).max(SMALLEST_READ)
    } else {
        size
    }
}

/// Writes what is queued, ends the sending side, and gives the peer a moment to do the same.
async fn close(stream: &mut TcpStream, mut queue: WriteQueue, events: &Events, flush: Duration) {
    let peer_ended = {
        let stream = &*stream;
        let mut flushing = pin!(timeout(flush, queue.write(stream, events)));
        // The peer may take no bytes before it has sent its own.
        let mut discarding = pin!(discard(stream));
        let mut peer_ended = false;
        loop {
            tokio::select! {
                flushed = &mut flushing => match flushed {
                    Ok(Ok(())) => break peer_ended,
                    Ok(Err(_)) | Err(_) => {
                        let _ = stream.set_zero_linger();
                        return;
                    }
                },
                () = &mut discarding, if !peer_ended => peer_ended = true,
            }
        }
    };
    if stream.shutdown().await.is_ok() && !peer_ended {
        let _ = timeout(LINGER, discard(stream)).await;
    }
}

/// Reads until the peer has ended.
async fn discard(stream: &TcpStream) {
    let mut unwanted = BytesMut::new();
    while stream.readable().await.is_ok() {
        unwanted.clear();
        unwanted.reserve(SMALLEST_READ);
        match stream.try_read_buf(&mut (&mut unwanted).limit(SMALLEST_READ)) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}

impl WriteQueue {
    pub(super) const fn new(channel: mpsc::UnboundedReceiver<Bytes>) -> Self {
        Self { channel, pending: VecDeque::new() }
    }

    /// Writes everything that is and will be queued, until the driver lets go of the queue.
    async fn write(&mut self, stream: &TcpStream, events: &Events) -> io::Result<()> {
        loop {
            while !self.pending.is_empty() {
                stream.writable().await?;
                match self.write_some(stream) {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(len) => events.report(UpstreamEvent::Written(len)).await,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error),
                }
            }
            match self.channel.recv().await {
                Some(bytes) => self.pending.extend((!bytes.is_empty()).then_some(bytes)),
                None => return Ok(()),
            }
            while self.pending.len() < GATHER {
                let Ok(bytes) = self.channel.try_recv() else { break };
                self.pending.extend((!bytes.is_empty()).then_some(bytes));
            }
        }
    }

    fn write_some(&mut self, stream: &TcpStream) -> io::Result<usize> {
        let mut slices = [IoSlice::new(&[]); GATHER];
        for (slice, bytes) in slices.iter_mut().zip(&self.pending) {
            *slice = IoSlice::new(bytes);
        }
        let written = stream.try_write_vectored(&slices)?;
        let mut left = written;
        while let Some(first) = self.pending.front_mut().filter(|_| left > 0) {
            let taken = left.min(first.len());
            first.advance(taken);
            left -= taken;
            if first.is_empty() {
                self.pending.pop_front();
            }
        }
        Ok(written)
    }
}

#[cfg(test)]
mod tests {
    use seqlane::UpstreamId;
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    use super::super::super::driver::Input;
    use super::*;

    #[tokio::test]
    async fn a_half_close_comes_after_the_bytes_and_leaves_the_other_direction_open() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut peer, _) = listener.accept().await.unwrap();
        let (writes, queue) = mpsc::unbounded_channel();
        let (inputs, mut events) = mpsc::channel(16);
        let (shut, shutting) = oneshot::channel();
        let carrying = tokio::spawn(async move {
            let (credit, events) = (Semaphore::new(100), Events::new(UpstreamId::new(0), inputs));
            let queue = WriteQueue::new(queue);
            carry(stream, queue, &credit, shutting, &events, Duration::from_secs(5)).await;
        });

        writes.send(Bytes::from_static(b"question")).unwrap();
        drop(writes);
        let mut question = Vec::new();
        peer.read_to_end(&mut question).await.unwrap();
        assert_eq!(question, b"question");
        peer.write_all(b"answer").await.unwrap();
        let answer = loop {
            if let Some(Input::Upstream { event: UpstreamEvent::Data(bytes), .. }) = events.recv().await {
                break bytes;
            }
        };
        assert_eq!(answer, "answer");
        shut.send(Shut::Close).unwrap();
        drop(peer);
        carrying.await.unwrap();
    }
}
