//! The node: answers relays and clients over HTTP, and opens the targets of their flows.
//!
//! ```text
//!                service                  driver               upstream
//!  HTTP ──▶ route, body, gzip ──▶ Node machine, actions ──▶ connector ──▶ target
//! ```

mod access;
mod builder;
mod connect;
mod connector;
mod driver;
mod guard;
mod log;
mod messages;
mod requests;
mod resolve;
mod service;
mod sockets;
mod upstream;
mod user;
mod zops;

use std::net::SocketAddr;
use std::time::Duration;

use seqlane::{NodeNotice, NodeOptions, UserError};
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;
use tracing::{error, info};

pub use access::{Access, BadPattern};
pub use builder::NodeBuilder;
pub use connector::{Connector, Upstream};
pub use messages::NodeSnapshot;
pub use service::NodeService;
pub use sockets::Sockets;
pub use user::User;

use self::messages::Input;
use self::user::Rules;
use crate::http::server::HttpServer;
use crate::record::Finished;

/// A running node. Dropping it cuts every connection; [`shutdown`](Self::shutdown) ends it in order.
///
/// ```
/// use seqlane_tokio::{Node, StartError};
///
/// # async fn run() -> Result<(), StartError> {
/// let node = Node::builder("node key").secret("correct horse battery staple").listen("127.0.0.1:0").start().await?;
/// println!("listening on {:?}", node.local_addr());
/// node.shutdown().await;
/// # Ok(())
/// # }
/// ```
///
/// Without `listen` no port is opened: [`service`](Self::service) is for an HTTP server that is there already.
#[derive(Debug)]
pub struct Node {
    http: Option<HttpServer>,
    service: NodeService,
    options: NodeOptions,
    inputs: mpsc::Sender<Input>,
    notices: broadcast::Sender<NodeNotice>,
    driver: AbortOnDropHandle<()>,
    drain: Duration,
    recording: Option<Finished>,
}

impl Node {
    /// The address that the node listens on, with its real port; none without [`listen`](NodeBuilder::listen).
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.http.as_ref().map(HttpServer::local_addr)
    }

    /// The node as a service, to be mounted in an HTTP server of your own.
    pub fn service(&self) -> NodeService {
        self.service.clone()
    }

    /// The machine's notices from now on. An observer that falls more than 1024 behind misses the oldest.
    pub fn notices(&self) -> broadcast::Receiver<NodeNotice> {
        self.notices.subscribe()
    }

    /// The state of the node.
    pub async fn stats(&self) -> NodeSnapshot {
        let (asker, snapshot) = oneshot::channel();
        // The driver lives as long as the node, so it is there to answer.
        drop(self.inputs.send(Input::Snapshot(asker)).await);
        let connections = self.http.as_ref().map_or(0, HttpServer::connections);
        NodeSnapshot { connections, ..snapshot.await.unwrap_or_default() }
    }

    /// Gives the node other users than it has. The user `default` of its secret stays. Flows of a user who is not among
    /// them, or has another secret, other limits or other rules, are reset, and the client is told why; others go on.
    ///
    /// # Errors
    /// [`UserError`] says which user the node cannot have; nothing has changed then.
    pub async fn set_users(&self, users: Vec<User>) -> Result<(), UserError> {
        let (users, rules) = Rules::split(users);
        self.options.check_users(&users)?;
        // The driver lives as long as the node.
        drop(self.inputs.send(Input::Users(users, rules)).await);
        Ok(())
    }

    /// Stops in order: tells the clients of level 2 to open no new flows here and gives those that are open half of
    /// [`NodeBuilder::drain`] to end by themselves; then takes no more connections, answers every held request, lets
    /// upstreams write their queues. Each of these waits is bounded by [`NodeBuilder::drain`]. Requests that still come to the
    /// [`service`](Self::service) are answered with status 503.
    pub async fn shutdown(self) {
        let Self { http, service: _, options: _, inputs, notices: _, driver, drain, recording } = self;
        let (drained, is_drained) = oneshot::channel();
        // A driver that has ended already needs no telling.
        drop(inputs.send(Input::Drain(drained)).await);
        let _ = timeout(drain / 2, is_drained).await;
        drop(inputs.send(Input::Close).await);
        if let Some(http) = http {
            http.shutdown(drain).await;
        }
        drop(inputs.send(Input::Stop(drain)).await);
        if let Err(error) = driver.await {
            error!(%error, "the node's driver failed; this is a bug");
        }
        if let Some(recording) = recording {
            recording.wait().await;
        }
        info!("node stopped");
    }
}
