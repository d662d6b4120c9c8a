//! A TCP connection that counts what was written to it.

use std::io::{self, IoSlice, Read};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use hyper_util::client::legacy::connect::{Connected, Connection};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

/// A TCP stream with two guarantees for the HTTP layer above it:
///
///  1. A read asks the kernel, not the readiness that the runtime has cached. A FIN of the relay that has arrived is
///     seen before a request is written, even when the runtime has not polled its sockets since.
///  2. Nothing is written once the relay has ended the connection. So bytes that were not written by then are never
///     sent ([`Traffic`]).
#[derive(Debug)]
pub(super) struct TrackedStream {
    tcp: TcpStream,
    traffic: Traffic,
}

/// Counts the bytes of a [`TrackedStream`]. Clones count the same stream.
#[derive(Clone, Debug, Default)]
pub(super) struct Traffic(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    written: AtomicU64,
    over: CancellationToken,
}

impl Traffic {
    /// Bytes handed to the kernel so far.
    pub(super) fn written(&self) -> u64 {
        self.0.written.load(Ordering::Acquire)
    }

    /// Whether the connection has ended, so that `written` is final.
    pub(super) fn is_over(&self) -> bool {
        self.0.over.is_cancelled()
    }

    /// Waits until the connection has ended.
    pub(super) async fn over(&self) {
        self.0.over.cancelled().await;
    }

    fn end(&self) {
        self.0.over.cancel();
    }
}

impl TrackedStream {
    pub(super) fn new(tcp: TcpStream) -> Self {
        Self { tcp, traffic: Traffic::default() }
    }

    /// Reads from the kernel, whatever readiness the runtime has cached.
    fn read_kernel(&self, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        // Room for the last bytes of a closing relay: a TLS alert, or an error response.
        let mut last_bytes = [0; 1024];
        let room = last_bytes.len().min(buffer.remaining());
        match (&*SockRef::from(&self.tcp)).read(&mut last_bytes[..room]) {
            Ok(read) => {
                buffer.put_slice(&last_bytes[..read]);
                Poll::Ready(Ok(()))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    fn count(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &written {
            Poll::Ready(Ok(bytes)) => {
                self.traffic.0.written.fetch_add(*bytes as u64, Ordering::AcqRel);
            }
            Poll::Ready(Err(_)) => self.traffic.end(),
            Poll::Pending => {}
        }
        written
    }

    fn check_open(&self) -> io::Result<()> {
        if self.traffic.is_over() { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(()) }
    }
}

impl Drop for TrackedStream {
    fn drop(&mut self) {
        self.traffic.end();
    }
}

impl AsyncRead for TrackedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let (before, room) = (buffer.filled().len(), buffer.remaining());
        // The waker is registered by the first call, so that `Pending` from the second is safe to return.
        let mut read = Pin::new(&mut self.tcp).poll_read(context, buffer);
        if read.is_pending() {
            read = self.read_kernel(buffer);
        }
        let read = ready!(read);
        if read.is_err() || (room > 0 && buffer.filled().len() == before) {
            self.traffic.end();
        }
        Poll::Ready(read)
    }
}

impl AsyncWrite for TrackedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check_open()?;
        let written = Pin::new(&mut self.tcp).poll_write(context, bytes);
        self.count(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check_open()?;
        let written = Pin::new(&mut self.tcp).poll_write_vectored(context, slices);
        self.count(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(context)
    }
}

impl Connection for TrackedStream {
    fn connected(&self) -> Connected {
        Connected::new().extra(self.traffic.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    async fn pair() -> (TrackedStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (TrackedStream::new(near), listener.accept().await.unwrap().0)
    }

    #[tokio::test]
    async fn what_is_written_counts() {
        let (mut stream, mut relay) = pair().await;
        stream.write_all(b"hello").await.unwrap();
        assert_eq!(stream.traffic.written(), 5);
        assert!(!stream.traffic.is_over());
        let mut read = [0; 5];
        relay.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"hello");
    }

    #[tokio::test]
    async fn nothing_is_sent_after_the_relay_has_ended_the_connection() {
        let (mut stream, relay) = pair().await;
        drop(relay);
        assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0);
        assert!(stream.traffic.is_over());
        assert_eq!(stream.write(b"late").await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        assert_eq!(stream.traffic.written(), 0);
    }

    #[tokio::test]
    async fn an_end_that_the_runtime_has_not_seen_yet_is_read() {
        let (mut stream, relay) = pair().await;
        // The runtime learns here that there is nothing to read, and gets no turn to learn more.
        assert!(read_is_pending(&mut stream));
        drop(relay);
        assert!(!read_is_pending(&mut stream));
        assert!(stream.traffic.is_over());
    }

    fn read_is_pending(stream: &mut TrackedStream) -> bool {
        let mut context = Context::from_waker(std::task::Waker::noop());
        let mut bytes = [0; 8];
        Pin::new(stream).poll_read(&mut context, &mut ReadBuf::new(&mut bytes)).is_pending()
    }
}
