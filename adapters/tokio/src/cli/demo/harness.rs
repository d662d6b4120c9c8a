//! The system under test: a node, relays and a client on loopback.

use std::net::SocketAddr;
use std::time::Duration;

use seqlane::{Balance, ClientNotice, Level};
use seqlane_tokio::{Client, Node, Relay, StandInRelay};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::TryRecvError;

use super::conditions::Condition;
use crate::cli::failure::Failure;

/// Keys without value: everything listens on loopback, and only during a trial.
const CLIENT_KEY: &str = "demo client";
const NODE_KEY: &str = "demo node";
const SECRET: &str = "secret of the demo";

/// Everything between the application and the origin.
pub(super) struct Harness {
    node: Node,
    relays: Vec<StandInRelay>,
    client: Client,
    proxy: SocketAddr,
    notices: broadcast::Receiver<ClientNotice>,
}

impl Harness {
    pub(super) async fn start(level: Level, condition: Condition, seed: u64) -> Result<Self, Failure> {
        // The origin is on loopback.
        let node = Node::builder(NODE_KEY)
            .secret(SECRET)
            .max_level(level)
            .min_level(level)
            .allow_private(true)
            .listen(FREE_PORT)
            .drain(Duration::ZERO)
            .start()
            .await?;
        let node_url = format!("http://{}", address(node.local_addr())?);
        let mut relays = Vec::new();
        for (delay, jitter) in condition.relays() {
            let relay = StandInRelay::builder(&node_url, CLIENT_KEY, NODE_KEY);
            let relay = relay.delay(*delay).jitter(*jitter).seed(seed);
            let relay = relay.lose_request(condition.loss()).lose_reply(condition.loss());
            relays.push(relay.start().await?);
        }
        let mut client = Client::builder()
            .secret(SECRET)
            .max_level(level)
            .min_level(level)
            .options(|options| options.balance(Balance::RoundRobin));
        for relay in &relays {
            client = client.relay(Relay::new(relay.url(), CLIENT_KEY));
        }
        let client = client.socks(FREE_PORT).drain(Duration::ZERO).start().await?;
        let proxy = address(client.local_addr())?;
        let notices = client.notices();
        Ok(Self { node, relays, client, proxy, notices })
    }

    /// The address of the proxy.
    pub(super) const fn proxy(&self) -> SocketAddr {
        self.proxy
    }

    /// Calls that the relays have accepted so far.
    pub(super) fn calls(&self) -> u64 {
        self.relays.iter().map(StandInRelay::calls).sum()
    }

    /// A level other than `level` that a flow had since the last call of this function.
    pub(super) fn other_level(&mut self, level: Level) -> Option<Level> {
        loop {
            match self.notices.try_recv() {
                Ok(ClientNotice::Connected { level: other, .. }) if other != level => return Some(other),
                Ok(_) | Err(TryRecvError::Lagged(_)) => {}
                Err(TryRecvError::Empty | TryRecvError::Closed) => return None,
            }
        }
    }

    pub(super) async fn stop(self) {
        self.client.shutdown().await;
        self.node.shutdown().await;
        for relay in self.relays {
            relay.shutdown().await;
        }
    }
}

/// A free port of loopback.
const FREE_PORT: &str = "127.0.0.1:0";

fn address(listening: Option<SocketAddr>) -> Result<SocketAddr, Failure> {
    listening.ok_or_else(|| Failure::Failed("a part of the demo is not listening".to_owned()))
}
