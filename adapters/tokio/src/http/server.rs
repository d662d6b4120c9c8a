//! An HTTP/1.1 and HTTP/2 (prior knowledge) server on one port, with deadlines for slow and idle peers.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};
use tracing::{debug, warn};

use super::answer::Answer;

/// Answers requests.
pub(crate) trait Service: Clone + Send + Sync + 'static {
    /// Answers a request, or closes the connection of its caller.
    fn call(&self, request: Request<Incoming>) -> impl Future<Output = Result<Answer, HangUp>> + Send;
}

/// Closes the caller's connection (HTTP/1.1) or resets its stream (HTTP/2) without an answer.
#[derive(Debug)]
pub(crate) struct HangUp;

impl std::fmt::Display for HangUp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("closed without an answer")
    }
}

impl std::error::Error for HangUp {}

/// Bounds on connections.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConnectionLimits {
    /// Connections at a time; beyond it they wait in the listener's backlog.
    pub(crate) max_connections: usize,
    /// The longest wait for the first request, and for the rest of a request's header.
    pub(crate) header_deadline: Duration,
    /// A connection without a request for this long is closed.
    pub(crate) idle_deadline: Duration,
    /// The longest time for a peer to fetch its last answer when its connection closes.
    pub(crate) linger: Duration,
}

/// The pause after a failed accept, which is usually caused by too many open files.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// HTTP/2 streams per connection, above the 50 or so calls that a busy client has out.
const MAX_STREAMS: u32 = 256;

/// HTTP/2 receive windows. A batch of 4 MiB then needs few window updates.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 4 << 20;

/// The interval of pings to a silent HTTP/2 peer, and the deadline of the answer.
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_DEADLINE: Duration = Duration::from_secs(20);

/// A running server. Dropping it closes every connection at once.
#[derive(Debug)]
pub(crate) struct HttpServer {
    local_addr: SocketAddr,
    stop: watch::Sender<bool>,
    open: Arc<Semaphore>,
    limits: ConnectionLimits,
    task: JoinHandle<()>,
}

impl HttpServer {
    /// Serves the connections of `listener`.
    pub(crate) fn start<S: Service>(
        listener: TcpListener,
        limits: ConnectionLimits,
        service: S,
    ) -> io::Result<Self> {
        let local_addr = listener.local_addr()?;
        let (stop, stopped) = watch::channel(false);
        let open = Arc::new(Semaphore::new(limits.max_connections));
        let task = tokio::spawn(accept(listener, limits, service, Arc::clone(&open), stopped));
        Ok(Self { local_addr, stop, open, limits, task })
    }

    pub(crate) const fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// The number of open connections.
    pub(crate) fn connections(&self) -> usize {
        self.limits.max_connections.saturating_sub(self.open.available_permits())
    }

    /// Takes no more connections and requests, and waits up to `drain` for the answers that are due.
    pub(crate) async fn shutdown(mut self, drain: Duration) {
        self.stop.send_replace(true);
        if tokio::time::timeout(drain, &mut self.task).await.is_err() {
            debug!("connections were still open after the drain and are cut");
        }
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept<S: Service>(
    listener: TcpListener,
    limits: ConnectionLimits,
    service: S,
    open: Arc<Semaphore>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            _ = stopped.wait_for(|stopped| *stopped) => break,
            accepted = accept_one(&listener, &open) => accepted,
        };
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok((stream, slot)) => {
                connections.spawn(serve(stream, slot, limits, service.clone(), stopped.clone()));
            }
            Err(error) => {
                warn!(%error, "cannot accept connections");
                tokio::time::sleep(ACCEPT_BACKOFF).await;
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// Waits for a free slot first, so that connections beyond the limit stay in the backlog.
async fn accept_one(
    listener: &TcpListener,
    open: &Arc<Semaphore>,
) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    if open.available_permits() == 0 {
        warn!(limit = "max_connections", "limit of connections reached; more wait");
    }
    drop(open.acquire().await.map_err(io::Error::other)?);
    let (stream, _) = listener.accept().await?;
    // No other task takes slots, so the free one is still free.
    let slot = Arc::clone(open).try_acquire_owned().map_err(io::Error::other)?;
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "cannot turn off Nagle's algorithm");
    }
    Ok((stream, slot))
}

async fn serve<S: Service>(
    stream: TcpStream,
    _slot: OwnedSemaphorePermit,
    limits: ConnectionLimits,
    service: S,
    mut stopped: watch::Receiver<bool>,
) {
    let in_flight = watch::Sender::new(0_usize);
    let idle = idle(in_flight.subscribe(), limits);
    let service = service_fn(|request| {
        let busy = Busy::new(in_flight.clone());
        let service = service.clone();
        async move {
            let answer = service.call(request).await;
            drop(busy);
            answer
        }
    });
    let builder = builder(limits);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        _ = stopped.wait_for(|stopped| *stopped) => None,
        () = idle => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            tokio::time::timeout(limits.linger, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        debug!(error = %error, "connection ended");
    }
}

fn builder(limits: ConnectionLimits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(limits.header_deadline);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_DEADLINE)
        .max_concurrent_streams(MAX_STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW);
    builder
}

/// Ends when a connection was idle for too long. The HTTP library has no such deadline before it knows the version, and
/// none for HTTP/2.
async fn idle(mut in_flight: watch::Receiver<usize>, limits: ConnectionLimits) {
    let mut deadline = limits.header_deadline;
    loop {
        let busy = *in_flight.borrow_and_update() > 0;
        let change = in_flight.changed();
        let changed = if busy { Ok(change.await) } else { tokio::time::timeout(deadline, change).await };
        if !matches!(changed, Ok(Ok(()))) {
            return;
        }
        deadline = limits.idle_deadline;
    }
}

/// Counts one request in flight until it is dropped.
struct Busy(watch::Sender<usize>);

impl Busy {
    fn new(in_flight: watch::Sender<usize>) -> Self {
        in_flight.send_modify(|count| *count = count.saturating_add(1));
        Self(in_flight)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count = count.saturating_sub(1));
    }
}
