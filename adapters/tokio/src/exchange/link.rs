//! A TCP connection to a relay that knows what left through it.

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

/// A TCP stream with two properties that its HTTP layer relies on without knowing:
///
///  1. A read asks the kernel, not the runtime's memory of it. A relay's FIN that has arrived is seen before
///     a request is written, even when the runtime has not looked at its sockets since.
///  2. Nothing is written once the relay has ended the connection. So what was not written by then never
///     leaves ([`Traffic`]).
#[derive(Debug)]
pub(super) struct Link {
    tcp: TcpStream,
    traffic: Traffic,
}

/// What has left through a [`Link`]. Clones watch the same link.
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

    /// Whether the link has ended, so that `written` is final.
    pub(super) fn is_over(&self) -> bool {
        self.0.over.is_cancelled()
    }

    /// Waits until the link has ended.
    pub(super) async fn over(&self) {
        self.0.over.cancelled().await;
    }

    fn end(&self) {
        self.0.over.cancel();
    }
}

impl Link {
    pub(super) fn new(tcp: TcpStream) -> Self {
        Self { tcp, traffic: Traffic::default() }
    }

    /// Reads past the runtime's memory of what is readable.
    fn read_kernel(&self, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        // Room for what a closing relay still says: a TLS alert, an answer that it was idle for too long.
        let mut last_words = [0; 1024];
        let room = last_words.len().min(buffer.remaining());
        match (&*SockRef::from(&self.tcp)).read(&mut last_words[..room]) {
            Ok(read) => {
                buffer.put_slice(&last_words[..read]);
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

impl Drop for Link {
    fn drop(&mut self) {
        self.traffic.end();
    }
}

impl AsyncRead for Link {
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

impl AsyncWrite for Link {
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

impl Connection for Link {
    fn connected(&self) -> Connected {
        Connected::new().extra(self.traffic.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    async fn pair() -> (Link, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (Link::new(near), listener.accept().await.unwrap().0)
    }

    #[tokio::test]
    async fn what_is_written_counts() {
        let (mut link, mut relay) = pair().await;
        link.write_all(b"hello").await.unwrap();
        assert_eq!(link.traffic.written(), 5);
        assert!(!link.traffic.is_over());
        let mut read = [0; 5];
        relay.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"hello");
    }

    #[tokio::test]
    async fn nothing_leaves_after_the_relay_has_ended_the_connection() {
        let (mut link, relay) = pair().await;
        drop(relay);
        assert_eq!(link.read(&mut [0; 8]).await.unwrap(), 0);
        assert!(link.traffic.is_over());
        assert_eq!(link.write(b"late").await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        assert_eq!(link.traffic.written(), 0);
    }

    #[tokio::test]
    async fn an_end_that_the_runtime_has_not_seen_yet_is_read() {
        let (mut link, relay) = pair().await;
        // The runtime learns here that there is nothing to read, and gets no turn to learn more.
        assert!(read_is_pending(&mut link));
        drop(relay);
        assert!(!read_is_pending(&mut link));
        assert!(link.traffic.is_over());
    }

    fn read_is_pending(link: &mut Link) -> bool {
        let mut context = Context::from_waker(std::task::Waker::noop());
        let mut bytes = [0; 8];
        Pin::new(link).poll_read(&mut context, &mut ReadBuf::new(&mut bytes)).is_pending()
    }
}
