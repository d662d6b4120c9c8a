//! The client: flows of this program and of local applications, carried to a node through relays.
//!
//! ```text
//!  application ── TCP, UDP ──▶ proxy ─┐ inputs          calls
//!                                     ├──────▶ driver ────────▶ carrier ══▶ relay
//!  program ──▶ FlowStream, FlowSocket ┘         │
//!                        ▲                      │
//!                        └── actions, a channel per flow
//! ```
//! The driver is the one task that owns the machine; it never waits for a socket. Every local connection and every
//! call has a task of its own.

mod builder;
mod driver;
pub(crate) mod flow;
mod log;
pub(crate) mod messages;
mod relay;
mod socket;
mod stream;

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use seqlane::{BadTarget, ClientNotice, ClientStats, EndReason, FlowKind, OpenError, Target};
use tokio::sync::{broadcast, oneshot};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::info;

pub use builder::ClientBuilder;
pub use relay::Relay;
pub use socket::FlowSocket;
pub use stream::FlowStream;

use self::flow::{Flow, Flows, NotOpened};
use self::messages::Input;
use crate::proxy::Proxy;
use crate::record::Finished;

/// The time that the node is given, after the machine was closed, to be told which flows have ended.
const CLOSE_DEADLINE: Duration = Duration::from_secs(2);

/// A running client: opens flows through relays to a node, for the program and, if wanted, for applications.
///
/// Dropping it ends everything at once; [`shutdown`](Self::shutdown) lets the flows of applications finish.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use seqlane_tokio::{Client, Relay};
///
/// let client = Client::builder()
///     .relay(Relay::new("https://a.example/run", "key of a"))
///     .relay(Relay::new("https://b.example/run", "key of b"))
///     .secret("correct horse battery staple")
///     .start()
///     .await?;
/// let flow = client.connect("example.org:443").await?;
/// # drop(flow);
/// client.shutdown().await;
/// # Ok(())
/// # }
/// ```
///
/// With `.socks("127.0.0.1:1080")`, applications can use it as a proxy.
#[derive(Debug)]
pub struct Client {
    flows: Flows,
    notices: broadcast::Sender<ClientNotice>,
    driver: AbortOnDropHandle<()>,
    proxy: Option<Proxy>,
    stop: CancellationToken,
    drain: Duration,
    recording: Option<Finished>,
}

impl Client {
    /// The address at which applications find the proxy, with its real port; none without
    /// [`socks`](ClientBuilder::socks).
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.proxy.as_ref().map(Proxy::local_addr)
    }

    /// The machine's notices from now on. An observer that falls more than 1024 behind misses the oldest.
    pub fn notices(&self) -> broadcast::Receiver<ClientNotice> {
        self.notices.subscribe()
    }

    /// The machine's counters.
    pub async fn stats(&self) -> ClientStats {
        let (answer, stats) = oneshot::channel();
        self.flows.tell(Input::Stats(answer)).await;
        // A driver that has stopped has counted nothing that anybody could ask for.
        stats.await.unwrap_or_default()
    }

    /// Opens a TCP flow, such as `client.connect("example.org:443")`.
    ///
    /// # Errors
    /// [`ConnectError`] when the flow cannot be opened. With optimistic opening, the default, a target that cannot
    /// be reached shows as a reset of the stream instead.
    pub async fn connect<T>(&self, target: T) -> Result<FlowStream, ConnectError>
    where
        T: TryInto<Target, Error: Into<BadTarget>>,
    {
        let (flow, credit) = self.open(target, FlowKind::Tcp).await?;
        Ok(FlowStream::new(flow, credit))
    }

    /// Opens a UDP flow, such as `client.connect_udp("192.0.2.1:53")`: a socket that is connected to the target.
    ///
    /// # Errors
    /// [`ConnectError`] when the flow cannot be opened.
    pub async fn connect_udp<T>(&self, target: T) -> Result<FlowSocket, ConnectError>
    where
        T: TryInto<Target, Error: Into<BadTarget>>,
    {
        let (flow, _) = self.open(target, FlowKind::Udp).await?;
        Ok(FlowSocket::new(flow))
    }

    async fn open<T>(&self, target: T, kind: FlowKind) -> Result<(Flow, usize), ConnectError>
    where
        T: TryInto<Target, Error: Into<BadTarget>>,
    {
        let target = target.try_into().map_err(|error| ConnectError::Target(error.into()))?;
        let mut flow = self.flows.open(target, kind).await.map_err(|error| match error {
            NotOpened::Refused(error) => ConnectError::Refused(error),
            NotOpened::Stopped => ConnectError::Ended(EndReason::ClientClosed),
        })?;
        let credit = flow.opened().await.map_err(ConnectError::Ended)?;
        Ok((flow, credit))
    }

    /// Stops in order: takes no more connections, lets the flows of applications finish for as long as
    /// [`drain`](ClientBuilder::drain) says, ends all others, and tells the node. An application that has finished
    /// and received nothing for 3 s is not waited for: most such applications have gone.
    pub async fn shutdown(self) {
        let Self { flows, notices: _, mut driver, mut proxy, stop, drain, recording } = self;
        stop.cancel();
        let drained = match &mut proxy {
            // Flows that take longer are ended by the machine, which resets their sockets.
            Some(proxy) => timeout(drain, proxy.finished()).await.is_ok(),
            None => true,
        };
        flows.tell(Input::Close).await;
        let closing = async {
            let _ = (&mut driver).await;
            if let Some(proxy) = proxy.as_mut().filter(|_| !drained) {
                proxy.finished().await;
            }
        };
        // What has not ended by then is dropped.
        let _ = timeout(CLOSE_DEADLINE, closing).await;
        drop(driver);
        if let Some(recording) = recording {
            recording.wait().await;
        }
        info!("client stopped");
    }
}

/// Why a flow was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectError {
    /// The target is not a host and a port.
    Target(BadTarget),
    /// The machine takes no more flows: it has as many as it may, or is being shut down.
    Refused(OpenError),
    /// The flow ended before it was open.
    Ended(EndReason),
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Target(error) => error.fmt(f),
            Self::Refused(error) => error.fmt(f),
            Self::Ended(why) => why.fmt(f),
        }
    }
}

impl std::error::Error for ConnectError {}
