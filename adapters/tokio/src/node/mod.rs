//! A node: an HTTP server for relays and clients, with real sockets behind it.
//!
//! ```text
//!               service            driver              upstream
//!  HTTP ──▶ body, gzip, route ──▶ seqlane::Node ──▶ resolve, guard, connect ──▶ TCP, UDP
//! ```

mod connect;
mod driver;
mod guard;
mod inbox;
mod notices;
mod options;
mod resolve;
mod service;
mod upstream;
mod zops;

use std::net::SocketAddr;
use std::sync::Arc;

use seqlane::{Node, NodeConfig, NodeNotice, NodeOptions, NodeStats};
use tokio::net::TcpListener;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::task::JoinHandle;
use tracing::info;

pub use options::NodeBuilder;

use self::driver::{Driver, INPUT_QUEUE, Input, Parts};
use self::guard::Guard;
use self::inbox::Inbox;
use self::resolve::Resolver;
use self::service::{Intake, NodeService};
use crate::clock::Clock;
use crate::http::body::BodyRoom;
use crate::http::server::{ConnectionLimits, HttpServer};
use crate::record::{self, Finished, Taped};
use crate::start::StartError;

/// Notices kept for a listener that falls behind; it is told how many of the oldest it has missed.
const NOTICE_QUEUE: usize = 1024;

/// A running node. Dropping it cuts every connection; [`shutdown`](Self::shutdown) ends it in order.
///
/// ```
/// use seqlane::{NodeOptions, Secret};
/// use seqlane_tokio::{NodeServer, StartError};
///
/// # async fn run() -> Result<(), StartError> {
/// let options = NodeOptions::new(Secret::new("correct horse"));
/// let node = NodeServer::builder(options).listen(([127, 0, 0, 1], 0).into()).start().await?;
/// println!("listening on {}", node.local_addr());
/// node.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct NodeServer {
    http: HttpServer,
    inputs: mpsc::Sender<Input>,
    notices: broadcast::Sender<NodeNotice>,
    driver: Task,
    drain: std::time::Duration,
    recording: Option<Finished>,
}

/// What a node is doing at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NodeSnapshot {
    /// The machine's counters.
    pub stats: NodeStats,
    /// Payload bytes that the machine keeps.
    pub buffered_bytes: usize,
    /// Requests that wait for their answer.
    pub held_requests: usize,
    /// Upstream sockets, those that are being opened included.
    pub upstreams: usize,
    /// Open HTTP connections.
    pub connections: usize,
}

impl NodeServer {
    /// A node with these options for its machine.
    pub fn builder(options: NodeOptions) -> NodeBuilder {
        NodeBuilder::new(options)
    }

    async fn start(builder: NodeBuilder) -> Result<Self, StartError> {
        builder.check()?;
        let config = builder.machine.clone().validate()?;
        let seed = match builder.seed {
            Some(seed) => seed,
            None => random_seed()?,
        };
        let address = builder.listen;
        let listen = |error| StartError::Listen { address, error };
        let listener = TcpListener::bind(address).await.map_err(listen)?;

        let recording = builder.record.as_ref();
        let recording =
            recording.map(|path| record::start(path, builder.machine.clone(), seed)).transpose()?;
        let (tape, recording) = recording.unzip();
        let (inputs, queue) = mpsc::channel(INPUT_QUEUE);
        let (gone, gone_queue) = mpsc::unbounded_channel();
        let notices = broadcast::Sender::new(NOTICE_QUEUE);
        let intake = intake(&builder, &config, Inbox::new(inputs.clone(), gone));
        let clock = Clock::start();
        let parts = Parts {
            clock,
            inputs: queue,
            reports: inputs.clone(),
            gone: gone_queue,
            notices: notices.clone(),
            resolver: Arc::new(Resolver::new(Guard::new(builder.allow_private))),
            flush: config.options().write_deadline,
        };
        let now = clock.now();
        let driver = Driver::new(Taped::new(Node::new(config, seed, now), tape, now), parts);
        let service = NodeService(Arc::new(intake));
        let http = HttpServer::start(listener, connection_limits(&builder), service).map_err(listen)?;
        let driver = Task(tokio::spawn(driver.run()));
        info!(address = %http.local_addr(), "node started");
        Ok(Self { http, inputs, notices, driver, drain: builder.drain, recording })
    }

    /// The address that the node listens on, with its real port.
    pub const fn local_addr(&self) -> SocketAddr {
        self.http.local_addr()
    }

    /// What the machine tells observers, from now on. A listener that falls more than 1024 notices behind
    /// misses the oldest.
    pub fn events(&self) -> broadcast::Receiver<NodeNotice> {
        self.notices.subscribe()
    }

    /// What the node is doing now.
    pub async fn stats(&self) -> NodeSnapshot {
        let (asker, snapshot) = oneshot::channel();
        // The driver ends with the server, so it is there to answer.
        drop(self.inputs.send(Input::Snapshot(asker)).await);
        NodeSnapshot { connections: self.http.connections(), ..snapshot.await.unwrap_or_default() }
    }

    /// Ends in order: takes no more connections, answers every held request, lets upstreams write what they
    /// were given; then returns. Each wait is bounded by [`NodeBuilder::drain`].
    pub async fn shutdown(self) {
        let Self { http, inputs, notices: _, driver, drain, recording } = self;
        // A driver that has ended already needs no telling.
        drop(inputs.send(Input::Close).await);
        http.shutdown(drain).await;
        drop(inputs.send(Input::Stop(drain)).await);
        driver.finished().await;
        if let Some(recording) = recording {
            recording.wait().await;
        }
        info!("node stopped");
    }
}

fn intake(builder: &NodeBuilder, config: &NodeConfig, inbox: Inbox) -> Intake {
    Intake {
        inbox,
        room: BodyRoom::new(builder.max_pending_bodies),
        max_body: config.options().max_body,
        body_deadline: builder.body_deadline,
    }
}

fn connection_limits(builder: &NodeBuilder) -> ConnectionLimits {
    ConnectionLimits {
        max_connections: builder.max_connections,
        header_deadline: builder.header_deadline,
        idle_deadline: builder.idle_deadline,
        linger: builder.idle_deadline,
    }
}

fn random_seed() -> Result<[u8; 32], StartError> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(StartError::Random)?;
    Ok(seed)
}

/// A task that does not outlive its owner.
#[derive(Debug)]
struct Task(JoinHandle<()>);

impl Task {
    async fn finished(mut self) {
        if let Err(error) = (&mut self.0).await {
            tracing::error!(%error, "the node's driver failed");
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}
