//! A node, relays and a client, joined.

use std::net::SocketAddr;

use seqlane::{ClientOptions, Form, Level, NodeOptions, RelayOptions, Secret};
use seqlane_tokio::node::NodeBuilder;
use seqlane_tokio::proxy::ProxyClientBuilder;
use seqlane_tokio::relay::RelayBuilder;
use seqlane_tokio::{NodeServer, ProxyClient, StandInRelay};
use tokio::net::TcpStream;

use super::{Notices, OldNode, dial};
use crate::deadline::soon;

/// The key between clients and relays.
pub const CLIENT_KEY: &str = "client key";

/// What client and node share and no relay knows.
pub const SECRET: &str = "client and node";

/// The key between relays and the node.
pub const NODE_KEY: &str = "node key";

type Tune<T> = Box<dyn FnOnce(T) -> T + Send>;

/// How a [`Rig`] is to be. By default: a node, one relay without faults, a client with every default.
#[must_use = "a builder does nothing until it is started"]
pub struct RigBuilder {
    node_options: Tune<NodeOptions>,
    node: Tune<NodeBuilder>,
    relays: Vec<RelayPlan>,
    client_options: Tune<ClientOptions>,
    client: Tune<ProxyClientBuilder>,
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
pub struct Rig {
    /// The node.
    pub node: NodeServer,
    /// The relays; none when the client speaks to the node itself.
    pub relays: Vec<StandInRelay>,
    /// The client.
    pub client: ProxyClient,
    _old_node: Option<OldNode>,
}

fn same<T>(value: T) -> T {
    value
}

impl RigBuilder {
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

    /// Another relay, which has a key that the node does not take.
    pub fn relay_with_wrong_key(mut self) -> Self {
        self.relays.push(RelayPlan { tune: Box::new(same), node_key: "another key" });
        self
    }

    /// The client speaks to the node with no relay between.
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

    /// Changes the client.
    pub fn client(
        mut self,
        tune: impl FnOnce(ProxyClientBuilder) -> ProxyClientBuilder + Send + 'static,
    ) -> Self {
        self.client = Box::new(tune);
        self
    }

    /// The client has this key instead of the right one.
    pub fn client_key(mut self, key: &'static str) -> Self {
        self.client_key = key;
        self
    }

    /// The node takes bodies of at most this many bytes, as deployed nodes do.
    pub fn old_node(mut self, max_body: usize) -> Self {
        self.old_node = Some(max_body);
        self
    }

    /// Client and node speak at most this level.
    pub fn level(mut self, level: Level) -> Self {
        self.level = Some(level);
        self
    }

    /// Packets go as they are, through relays that let them.
    pub fn binary(mut self) -> Self {
        self.is_binary = true;
        self
    }

    /// Starts everything.
    ///
    /// # Panics
    /// When something does not start.
    pub async fn start(mut self) -> Rig {
        let mut options = NodeOptions::new(Secret::new(NODE_KEY));
        options.max_level = self.level.unwrap_or(Level::Sequenced);
        options.secret = Some(Secret::new(SECRET));
        let node = NodeServer::builder((self.node_options)(options)).allow_private(true);
        let node = (self.node)(node).start().await.expect("a node");
        let mut node_url = format!("http://{}", node.local_addr());
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
        let (form, key, urls) = if self.is_direct {
            (Form::Node, NODE_KEY, vec![node_url])
        } else {
            (Form::Relay, self.client_key, relays.iter().map(StandInRelay::url).collect())
        };
        let binary = self.is_binary;
        let options = RelayOptions::new(Secret::new(key)).form(form).binary(binary);
        let mut options = ClientOptions::new(vec![options; urls.len()]);
        options.max_level = self.level.unwrap_or(Level::Sequenced);
        options.secret = Some(Secret::new(SECRET));
        let options = (self.client_options)(options);
        let urls = urls.iter().map(|url| url.parse().expect("an address")).collect();
        let client = ProxyClient::builder(options, urls).listen(([127, 0, 0, 1], 0).into());
        let client = (self.client)(client).start().await.expect("a client");
        Rig { node, relays, client, _old_node: old_node }
    }
}

impl Rig {
    /// A rig to be described.
    pub fn builder() -> RigBuilder {
        RigBuilder {
            node_options: Box::new(same),
            node: Box::new(same),
            relays: Vec::new(),
            client_options: Box::new(same),
            client: Box::new(same),
            client_key: CLIENT_KEY,
            old_node: None,
            is_direct: false,
            level: None,
            is_binary: false,
        }
    }

    /// A node, one relay, a client: nothing goes wrong, and nothing takes time.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// Where applications connect to.
    pub fn proxy(&self) -> SocketAddr {
        self.client.local_addr()
    }

    /// A connection to a target through SOCKS5.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn connect(&self, target: SocketAddr) -> TcpStream {
        soon(dial::socks(self.proxy(), target)).await.expect("an open flow")
    }

    /// What the client tells observers from now on.
    pub fn notices(&self) -> Notices {
        Notices::new(self.client.events())
    }

    /// The address of the node itself.
    pub fn node_url(&self) -> String {
        format!("http://{}", self.node.local_addr())
    }
}
