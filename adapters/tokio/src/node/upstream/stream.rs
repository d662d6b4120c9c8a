//! An open TCP upstream: reads within its credit, writes in order.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::pin;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use seqlane::{Shut, UpstreamEvent};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf};
use tokio::net::TcpStream;
use tokio::net::tcp;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;

use super::reports::Reports;
use crate::node::connector::ByteStream;

/// The sizes of a read: an idle flow starts small, a busy one grows to what a socket buffer gives at once.
const MIN_READ: usize = 4 * 1024;
const MAX_READ: usize = 256 * 1024;

/// Queued writes that go to the socket in one call.
const GATHER: usize = 32;

/// After an orderly close, the time for which a peer that still sends is read from and ignored: closing on unread
/// bytes would reset the connection, and the peer could lose what was written to it last.
const LINGER: Duration = Duration::from_secs(2);

/// An entry of the write queue.
#[derive(Debug)]
pub(super) enum Write {
    Bytes(Bytes),
    Fin,
}

/// Carries the bytes of a socket until the upstream is shut or fails.
pub(super) async fn carry_tcp(
    mut socket: TcpStream,
    mut queue: WriteQueue,
    credit: &Semaphore,
    shutting: oneshot::Receiver<Shut>,
    reports: &Reports,
    flush: Duration,
) {
    let (mut reader, mut writer) = socket.split();
    let how = carry(&mut reader, &mut writer, &mut queue, credit, shutting, reports, flush).await;
    if how == Shut::Reset {
        // An error leaves nothing to reset.
        let _ = socket.set_zero_linger();
    }
}

/// Carries the bytes of any other stream, which is reset by dropping it.
pub(super) async fn carry_any(
    stream: Box<dyn ByteStream>,
    mut queue: WriteQueue,
    credit: &Semaphore,
    shutting: oneshot::Receiver<Shut>,
    reports: &Reports,
    flush: Duration,
) {
    let (mut reader, mut writer) = tokio::io::split(stream);
    carry(&mut reader, &mut writer, &mut queue, credit, shutting, reports, flush).await;
}

/// Carries bytes until the upstream is shut or fails. Returns how the stream is to be dropped.
async fn carry<R: Source, W: AsyncWrite + Unpin>(
    reader: &mut R,
    writer: &mut W,
    queue: &mut WriteQueue,
    credit: &Semaphore,
    shutting: oneshot::Receiver<Shut>,
    reports: &Reports,
    flush: Duration,
) -> Shut {
    match run(reader, writer, queue, credit, shutting, reports).await {
        Shut::Close => close(reader, writer, queue, reports, flush).await,
        Shut::Reset => Shut::Reset,
    }
}

/// How the reading side ended.
enum ReadEnd {
    Fin,
    Reset,
}

/// Runs both directions until the driver shuts the upstream, or it fails, which is reported.
async fn run<R: Source, W: AsyncWrite + Unpin>(
    reader: &mut R,
    writer: &mut W,
    queue: &mut WriteQueue,
    credit: &Semaphore,
    mut shutting: oneshot::Receiver<Shut>,
    reports: &Reports,
) -> Shut {
    let mut reading = pin!(read(reader, credit, reports));
    let mut writing = pin!(queue.write(writer, reports));
    let (mut read_open, mut write_open) = (true, true);
    loop {
        tokio::select! {
            how = &mut shutting => return how.unwrap_or(Shut::Reset),
            end = &mut reading, if read_open => match end {
                ReadEnd::Fin => read_open = false,
                ReadEnd::Reset => break,
            },
            written = &mut writing, if write_open => match written {
                // The driver has dropped the queue, and `shutting` has the reason.
                Ok(()) => write_open = false,
                Err(_) => break,
            },
        }
    }
    reports.send(UpstreamEvent::Reset).await;
    Shut::Reset
}

/// A stream that can be read.
trait Source: AsyncRead + Unpin + Send {
    /// Waits until there is something to read, where that can be known without a buffer: idle flows are many.
    fn ready(&mut self) -> impl Future<Output = io::Result<()>> + Send;
}

impl Source for tcp::ReadHalf<'_> {
    async fn ready(&mut self) -> io::Result<()> {
        self.readable().await
    }
}

impl<S: ByteStream> Source for ReadHalf<S> {
    async fn ready(&mut self) -> io::Result<()> {
        Ok(())
    }
}

async fn read<R: Source>(reader: &mut R, credit: &Semaphore, reports: &Reports) -> ReadEnd {
    let mut size = MIN_READ;
    loop {
        // Credit is only looked at here, and used up when it is known how much was read.
        match credit.acquire().await {
            Ok(_unused) => {}
            Err(_) => return ReadEnd::Reset,
        }
        if reader.ready().await.is_err() {
            return ReadEnd::Reset;
        }
        let room = credit.available_permits().min(size);
        let mut buffer = BytesMut::with_capacity(room);
        let len = match reader.read_buf(&mut (&mut buffer).limit(room)).await {
            Ok(0) => {
                reports.send(UpstreamEvent::Fin).await;
                return ReadEnd::Fin;
            }
            Ok(len) => len,
            Err(_) => return ReadEnd::Reset,
        };
        credit.forget_permits(len);
        size = next_size(size, len);
        // A small read must not keep a large buffer alive.
        let bytes = if len < room / 2 { Bytes::copy_from_slice(&buffer) } else { buffer.freeze() };
        reports.send(UpstreamEvent::Data(bytes)).await;
    }
}

/// The size of the read after one of `size` that gave `len`.
fn next_size(size: usize, len: usize) -> usize {
    if len >= size {
        (size * 2).min(MAX_READ)
    } else if len < size / 4 {
        (size / 2).max(MIN_READ)
    } else {
        size
    }
}

/// Writes what is queued, ends the sending side, and gives the peer a moment to do the same.
async fn close<R: Source, W: AsyncWrite + Unpin>(
    reader: &mut R,
    writer: &mut W,
    queue: &mut WriteQueue,
    reports: &Reports,
    flush: Duration,
) -> Shut {
    let peer_ended = {
        let mut flushing = pin!(timeout(flush, queue.write(writer, reports)));
        // The peer may accept no bytes before it has sent its own.
        let mut discarding = pin!(discard(reader));
        let mut peer_ended = false;
        loop {
            tokio::select! {
                flushed = &mut flushing => match flushed {
                    Ok(Ok(())) => break peer_ended,
                    Ok(Err(_)) | Err(_) => return Shut::Reset,
                },
                () = &mut discarding, if !peer_ended => peer_ended = true,
            }
        }
    };
    if writer.shutdown().await.is_ok() && !peer_ended {
        let _ = timeout(LINGER, discard(reader)).await;
    }
    Shut::Close
}

/// Reads until the peer has ended.
async fn discard<R: Source>(reader: &mut R) {
    let mut unwanted = BytesMut::new();
    while reader.ready().await.is_ok() {
        unwanted.clear();
        unwanted.reserve(MIN_READ);
        match reader.read_buf(&mut (&mut unwanted).limit(MIN_READ)).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
}

/// Bytes to be written, in order. What was taken out of the channel survives a cancelled [`write`](Self::write).
pub(super) struct WriteQueue {
    channel: mpsc::UnboundedReceiver<Write>,
    pending: VecDeque<Bytes>,
    /// Whether the sending side ends behind what is pending.
    fin: bool,
}

impl WriteQueue {
    pub(super) const fn new(channel: mpsc::UnboundedReceiver<Write>) -> Self {
        Self { channel, pending: VecDeque::new(), fin: false }
    }

    /// Writes everything that is and will be queued, until the driver lets go of the queue.
    async fn write<W: AsyncWrite + Unpin>(&mut self, writer: &mut W, reports: &Reports) -> io::Result<()> {
        loop {
            while !self.pending.is_empty() {
                match self.write_some(writer).await? {
                    0 => return Err(io::ErrorKind::WriteZero.into()),
                    len => reports.send(UpstreamEvent::Written(len)).await,
                }
            }
            // Writers other than sockets may buffer.
            writer.flush().await?;
            if std::mem::take(&mut self.fin) {
                writer.shutdown().await?;
            }
            match self.channel.recv().await {
                Some(write) => self.push(write),
                None => return Ok(()),
            }
            while self.pending.len() < GATHER {
                let Ok(write) = self.channel.try_recv() else { break };
                self.push(write);
            }
        }
    }

    fn push(&mut self, write: Write) {
        match write {
            Write::Bytes(bytes) => self.pending.extend((!bytes.is_empty()).then_some(bytes)),
            Write::Fin => self.fin = true,
        }
    }

    async fn write_some<W: AsyncWrite + Unpin>(&mut self, writer: &mut W) -> io::Result<usize> {
        let mut slices = [IoSlice::new(&[]); GATHER];
        let count = self.pending.len().min(GATHER);
        for (slice, bytes) in slices.iter_mut().zip(&self.pending) {
            *slice = IoSlice::new(bytes);
        }
        let written = writer.write_vectored(&slices[..count]).await?;
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
    use tokio::net::TcpListener;

    use super::*;
    use crate::node::messages::Input;

    /// An upstream over this stream, from the side of its driver.
    struct Carried {
        writes: mpsc::UnboundedSender<Write>,
        shut: oneshot::Sender<Shut>,
        inputs: mpsc::Receiver<Input>,
    }

    impl Carried {
        fn start<F>(carry: impl FnOnce(WriteQueue, Semaphore, oneshot::Receiver<Shut>, Reports) -> F) -> Self
        where
            F: Future<Output = ()> + Send + 'static,
        {
            let (writes, queue) = mpsc::unbounded_channel();
            let (sender, inputs) = mpsc::channel(16);
            let (shut, shutting) = oneshot::channel();
            let reports = Reports::new(UpstreamId::new(0), sender);
            tokio::spawn(carry(WriteQueue::new(queue), Semaphore::new(100), shutting, reports));
            Self { writes, shut, inputs }
        }

        fn over_tcp(socket: TcpStream) -> Self {
            Self::start(|queue, credit, shutting, reports| async move {
                carry_tcp(socket, queue, &credit, shutting, &reports, Duration::from_secs(5)).await;
            })
        }

        fn over_any(stream: impl ByteStream + 'static) -> Self {
            Self::start(|queue, credit, shutting, reports| async move {
                let stream = Box::new(stream);
                carry_any(stream, queue, &credit, shutting, &reports, Duration::from_secs(5)).await;
            })
        }

        async fn data(&mut self) -> Bytes {
            loop {
                match self.inputs.recv().await {
                    Some(Input::Upstream { event: UpstreamEvent::Data(bytes), .. }) => return bytes,
                    Some(_) => {}
                    None => panic!("the upstream has ended"),
                }
            }
        }
    }

    /// Asks over the upstream, half-closes, and gets the answer.
    async fn half_close(mut carried: Carried, mut peer: impl ByteStream) {
        carried.writes.send(Write::Bytes(Bytes::from_static(b"question"))).unwrap();
        carried.writes.send(Write::Fin).unwrap();
        let mut question = Vec::new();
        peer.read_to_end(&mut question).await.unwrap();
        assert_eq!(question, b"question");
        peer.write_all(b"answer").await.unwrap();
        assert_eq!(carried.data().await, "answer");
        carried.shut.send(Shut::Close).unwrap();
        drop(carried.writes);
        drop(peer);
        while carried.inputs.recv().await.is_some() {}
    }

    async fn sockets() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (near, listener.accept().await.unwrap().0)
    }

    #[tokio::test]
    async fn a_half_close_comes_after_the_bytes_and_leaves_the_other_direction_open() {
        let (near, peer) = sockets().await;
        half_close(Carried::over_tcp(near), peer).await;
        let (near, peer) = tokio::io::duplex(64);
        half_close(Carried::over_any(near), peer).await;
    }

    #[tokio::test]
    async fn a_reset_is_no_end_at_the_target() {
        let (near, mut peer) = sockets().await;
        let carried = Carried::over_tcp(near);
        carried.shut.send(Shut::Reset).unwrap();
        drop(carried.writes);
        let read = peer.read(&mut [0; 8]).await;
        assert_eq!(read.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    }
}
