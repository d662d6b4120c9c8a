//! A node, relays and a client, joined.

use std::net::SocketAddr;

use seqlane::{ClientOptions, Level, NodeOptions};
use seqlane_tokio::client::ClientBuilder;
use seqlane_tokio::node::NodeBuilder;
use seqlane_tokio::relay::RelayBuilder;
use seqlane_tokio::{Client, Node, Relay, StandInRelay};
use tokio::net::TcpStream;

use super::{Notices, OldNode, dial};
use crate::deadline::soon;

/// The key between clients and relays.
pub const CLIENT_KEY: &str = "client key";

/// The secret of client and node, which no relay knows.
pub const SECRET: &str = "known to both ends";

/// The key between relays and the node.
pub const NODE_KEY: &str = "node key";

/// A free port of loopback.
pub const FREE_PORT: &str = "127.0.0.1:0";

type Tune<T> = Box<dyn FnOnce(T) -> T + Send>;

/// Settings of a [`Harness`]. By default: a node, one relay without faults, a client with every default.
#[must_use = "a builder does nothing until it is started"]
pub struct HarnessBuilder {
    node_options: Tune<NodeOptions>,
    node: Tune<NodeBuilder>,
    relays: Vec<RelayPlan>,
    client_options: Tune<ClientOptions>,
    calls: fn(Relay) -> Relay,
    client: Tune<ClientBuilder>,
    client_key: &'static str,
    old_node: Option<usize>,
    is_direct: bool,
    level: Option<Level>,
    is_binary: bool,
}

struct RelayPlan {
    tune: Tune<RelayBuilder>,
    node_key: &'static str,
}

/// A running system. Its parts are public, so that a test can look at them and take them down.
#[derive(Debug)]
pub struct Harness {
    /// The node.
    pub node: Node,
    /// The relays; none when the client speaks to the node itself.
    pub relays: Vec<StandInRelay>,
    /// The client.
    pub client: Client,
    _old_node: Option<OldNode>,
}

fn same<T>(value: T) -> T {
    value
}

impl HarnessBuilder {
    /// Changes the options of the node's machine.
    pub fn node_options(mut self, tune: impl FnOnce(&mut NodeOptions) + Send + 'static) -> Self {
        self.node_options = Box::new(|mut options| {
            tune(&mut options);
            options
        });
        self
    }

    /// Changes the node's server.
    pub fn node(mut self, tune: impl FnOnce(NodeBuilder) -> NodeBuilder + Send + 'static) -> Self {
        self.node = Box::new(tune);
        self
    }

    /// Another relay; the first call replaces the default one.
    pub fn relay(mut self, tune: impl FnOnce(RelayBuilder) -> RelayBuilder + Send + 'static) -> Self {
        self.relays.push(RelayPlan { tune: Box::new(tune), node_key: NODE_KEY });
        self
    }

    /// Another relay, with a key that the node rejects.
    pub fn relay_with_wrong_key(mut self) -> Self {
        self.relays.push(RelayPlan { tune: Box::new(same), node_key: "another key" });
        self
    }

    /// The client calls the node directly.
    pub fn direct(mut self) -> Self {
        self.is_direct = true;
        self
    }

    /// Changes the options of the client's machine.
    pub fn client_options(mut self, tune: impl FnOnce(&mut ClientOptions) + Send + 'static) -> Self {
        self.client_options = Box::new(|mut options| {
            tune(&mut options);
            options
        });
        self
    }

    /// Changes how the client calls its relays, or the node.
    pub fn calls(mut self, tune: fn(Relay) -> Relay) -> Self {
        self.calls = tune;
        self
    }

    /// Changes the client.
    pub fn client(mut self, tune: impl FnOnce(ClientBuilder) -> ClientBuilder + Send + 'static) -> Self {
        self.client = Box::new(tune);
        self
    }

    /// The client has this key instead of the right one.
    pub fn client_key(mut self, key: &'static str) -> Self {
        self.client_key = key;
        self
    }

    /// The node accepts bodies of at most this many bytes, as deployed nodes do.
    pub fn old_node(mut self, max_body: usize) -> Self {
        self.old_node = Some(max_body);
        self
    }

    /// The highest level of client and node.
    pub fn level(mut self, level: Level) -> Self {
        self.level = Some(level);
        self
    }

    /// Packets are sent raw, through relays that forward them.
    pub fn binary(mut self) -> Self {
        self.is_binary = true;
        self
    }

    /// Starts everything.
    ///
    /// # Panics
    /// When something does not start.
    pub async fn start(mut self) -> Harness {
        let level = self.level.unwrap_or(Level::Sequenced);
        let node = Node::builder(NODE_KEY)
            .secret(SECRET)
            .max_level(level)
            .min_level(Level::Legacy)
            .options(self.node_options);
        let node = (self.node)(node.allow_private(true).listen(FREE_PORT));
        let node = node.start().await.expect("a node");
        let mut node_url = node_url(&node);
        let mut old_node = None;
        if let Some(limit) = self.old_node {
            let before = OldNode::before(node_url, limit).await;
            node_url = before.url();
            old_node = Some(before);
        }
        if self.relays.is_empty() && !self.is_direct {
            self.relays.push(RelayPlan { tune: Box::new(same), node_key: NODE_KEY });
        }
        let mut relays = Vec::new();
        for plan in self.relays {
            let relay = StandInRelay::builder(&node_url, CLIENT_KEY, plan.node_key).binary(self.is_binary);
            relays.push((plan.tune)(relay).start().await.expect("a relay"));
        }
        let to_call: Vec<Relay> = if self.is_direct {
            vec![Relay::direct(node_url, NODE_KEY)]
        } else {
            relays.iter().map(|relay| Relay::new(relay.url(), self.client_key)).collect()
        };
        let mut client = Client::builder()
            .secret(SECRET)
            .max_level(level)
            .min_level(Level::Legacy)
            .options(self.client_options);
        for relay in to_call {
            client = client.relay((self.calls)(relay.binary(self.is_binary)));
        }
        let client = (self.client)(client.socks(FREE_PORT)).start().await.expect("a client");
        Harness { node, relays, client, _old_node: old_node }
    }
}

impl Harness {
    /// A builder of a harness.
    pub fn builder() -> HarnessBuilder {
        HarnessBuilder {
            node_options: Box::new(same),
            node: Box::new(same),
            relays: Vec::new(),
            client_options: Box::new(same),
            calls: same,
            client: Box::new(same),
            client_key: CLIENT_KEY,
            old_node: None,
            is_direct: false,
            level: None,
            is_binary: false,
        }
    }

    /// A node, one relay and a client, without faults and latency.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// The address for applications.
    pub fn proxy(&self) -> SocketAddr {
        self.client.local_addr().expect("a client with a port")
    }

    /// A connection to a target through SOCKS5.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn connect(&self, target: SocketAddr) -> TcpStream {
        soon(dial::socks(self.proxy(), target)).await.expect("an open flow")
    }

    /// Notices of the client from now on.
    pub fn notices(&self) -> Notices {
        Notices::new(self.client.notices())
    }

    /// The URL of the node.
    pub fn node_url(&self) -> String {
        node_url(&self.node)
    }
}

/// The URL of a node that listens.
///
/// # Panics
/// When it does not listen.
pub fn node_url(node: &Node) -> String {
    format!("http://{}", node.local_addr().expect("a node with a port"))
}
