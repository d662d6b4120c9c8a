//! Connectors: how a node opens its targets.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use seqlane::{ConnectFailure, FlowKind, Target};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::mpsc;

use super::access::Access;

/// Opens targets for a node.
///
/// [`Sockets`](crate::node::Sockets) is the one that nodes have by default. Another one can serve targets inside the
/// program, route by name, or wrap it:
///
/// ```
/// use seqlane::{ConnectFailure, FlowKind, Target};
/// use seqlane_tokio::node::{Connector, Sockets, Upstream};
///
/// struct WebOnly(Sockets);
///
/// impl Connector for WebOnly {
///     async fn connect(&self, target: Target, kind: FlowKind) -> Result<Upstream, ConnectFailure> {
///         match target.port() {
///             80 | 443 => self.0.connect(target, kind).await,
///             _ => Err(ConnectFailure::NotAllowed),
///         }
///     }
/// }
/// ```
///
/// `examples/function_target.rs` has a target that is a function.
pub trait Connector: Send + Sync + 'static {
    /// Opens a target. The future is dropped when the flow has ended in the meantime.
    ///
    /// # Errors
    /// [`ConnectFailure`] is what the client learns.
    fn connect(
        &self,
        target: Target,
        kind: FlowKind,
    ) -> impl Future<Output = Result<Upstream, ConnectFailure>> + Send;

    /// Opens a target for a user with these access rules. By default they are compared with the host as it is named; a
    /// connector that resolves names, or wraps one that does, should have them compared with the addresses too.
    ///
    /// # Errors
    /// As with [`connect`](Self::connect); a target that the rules do not allow is [`ConnectFailure::NotAllowed`].
    fn connect_within(
        &self,
        target: Target,
        kind: FlowKind,
        access: &Access,
    ) -> impl Future<Output = Result<Upstream, ConnectFailure>> + Send {
        async move {
            if access.permits(&target, target.host().parse().ok()) {
                self.connect(target, kind).await
            } else {
                Err(ConnectFailure::NotAllowed)
            }
        }
    }
}

/// An open target, made by a [`Connector`].
pub struct Upstream(pub(super) Kind);

pub(super) enum Kind {
    Tcp(TcpStream),
    Udp(UdpSocket),
    Stream(Box<dyn ByteStream>),
    Datagrams(Datagrams),
}

/// Any stream of bytes.
pub(super) trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for S {}

/// Both directions of an in-process datagram target.
pub(super) struct Datagrams {
    pub(super) to_target: mpsc::Sender<Bytes>,
    pub(super) from_target: mpsc::Receiver<Bytes>,
}

impl Upstream {
    /// A stream of bytes, for a TCP flow. An error of the stream, or its drop without an end, resets the flow; when
    /// the flow is reset, the stream is dropped without a shutdown.
    pub fn stream(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        Self(Kind::Stream(Box::new(stream)))
    }

    /// A pair of channels, for a UDP flow. A datagram is dropped when `to_target` is full. The flow ends when the far
    /// end of `from_target` is dropped.
    pub const fn datagrams(to_target: mpsc::Sender<Bytes>, from_target: mpsc::Receiver<Bytes>) -> Self {
        Self(Kind::Datagrams(Datagrams { to_target, from_target }))
    }
}

/// A connected socket, for a TCP flow.
impl From<TcpStream> for Upstream {
    fn from(stream: TcpStream) -> Self {
        Self(Kind::Tcp(stream))
    }
}

/// A socket that is connected to its target, for a UDP flow.
impl From<UdpSocket> for Upstream {
    fn from(socket: UdpSocket) -> Self {
        Self(Kind::Udp(socket))
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Kind::Tcp(_) => "Upstream::Tcp",
            Kind::Udp(_) => "Upstream::Udp",
            Kind::Stream(_) => "Upstream::Stream",
            Kind::Datagrams(_) => "Upstream::Datagrams",
        })
    }
}

/// A [`Connector`] behind a pointer.
pub(super) trait AnyConnector: Send + Sync {
    fn connect<'a>(
        &'a self,
        target: Target,
        kind: FlowKind,
        access: &'a Access,
    ) -> Pin<Box<dyn Future<Output = Result<Upstream, ConnectFailure>> + Send + 'a>>;
}

impl<C: Connector> AnyConnector for C {
    fn connect<'a>(
        &'a self,
        target: Target,
        kind: FlowKind,
        access: &'a Access,
    ) -> Pin<Box<dyn Future<Output = Result<Upstream, ConnectFailure>> + Send + 'a>> {
        Box::pin(self.connect_within(target, kind, access))
    }
}

/// How an upstream is opened.
pub(super) struct Dial {
    pub(super) connector: Arc<dyn AnyConnector>,
    /// What its user may open.
    pub(super) access: Arc<Access>,
}

impl Dial {
    pub(super) async fn connect(&self, target: Target, kind: FlowKind) -> Result<Upstream, ConnectFailure> {
        self.connector.connect(target, kind, &self.access).await
    }
}
