//! A node, relays and a client, joined on loopback.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use seqlane::{Balance, ClientNotice, ClientOptions, Level, NodeOptions, RelayOptions, Secret};
use seqlane_tokio::exchange::RelayUrl;
use seqlane_tokio::{NodeServer, ProxyClient, StandInRelay};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::TryRecvError;

use super::trial::Direction;
use crate::cli::failure::Failure;

/// Keys that guard nothing: everything listens on loopback, and only for as long as a trial takes.
const CLIENT_KEY: &str = "demo client";
const NODE_KEY: &str = "demo node";
const SECRET: &str = "demo secret";

/// What the relays are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    /// One relay that takes no time.
    Direct,
    /// One relay as far away as a good hosted one.
    Slow,
    /// Two relays in turn, one much slower: what is sent later arrives earlier.
    Reordering,
    /// One relay that loses requests and replies.
    Losing,
}

impl Condition {
    pub(super) const ALL: [Self; 4] = [Self::Direct, Self::Slow, Self::Reordering, Self::Losing];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Direct => "no delay",
            Self::Slow => "300 ms ± 100 ms",
            Self::Reordering => "reordering, 20 ms and 150 ms",
            Self::Losing => "50 ms, losing 3 % each way",
        }
    }

    /// Delay and jitter of each relay.
    const fn relays(self) -> &'static [(Duration, Duration)] {
        const DIRECT: &[(Duration, Duration)] = &[(Duration::ZERO, Duration::ZERO)];
        const SLOW: &[(Duration, Duration)] = &[(Duration::from_millis(300), Duration::from_millis(100))];
        const REORDERING: &[(Duration, Duration)] =
            &[(Duration::from_millis(20), Duration::ZERO), (Duration::from_millis(150), Duration::ZERO)];
        const LOSING: &[(Duration, Duration)] = &[(Duration::from_millis(50), Duration::ZERO)];
        match self {
            Self::Direct => DIRECT,
            Self::Slow => SLOW,
            Self::Reordering => REORDERING,
            Self::Losing => LOSING,
        }
    }

    /// How often a request is lost, and how often a reply.
    const fn loss(self) -> f64 {
        match self {
            Self::Losing => 0.03,
            Self::Direct | Self::Slow | Self::Reordering => 0.0,
        }
    }

    /// What moves through such relays.
    pub(super) const fn directions(self) -> &'static [Direction] {
        match self {
            Self::Losing => &[Direction::Crowd],
            Self::Direct | Self::Slow | Self::Reordering => {
                &[Direction::Download, Direction::Upload, Direction::Ping]
            }
        }
    }

    /// Whether flows may be cut here: below level 2, every call that is lost cuts those in it.
    pub(super) fn may_cut(self, level: Level) -> bool {
        self.loss() > 0.0 && level < Level::Streams
    }

    /// The mean delay of a call, if there is any.
    pub(super) fn round_trip(self) -> Option<Duration> {
        let relays = self.relays();
        let total: Duration = relays.iter().map(|(delay, _)| *delay).sum();
        let count = u32::try_from(relays.len()).unwrap_or(u32::MAX);
        (!total.is_zero()).then(|| total / count)
    }
}

/// Everything between the application and the origin.
pub(super) struct Rig {
    node: NodeServer,
    relays: Vec<StandInRelay>,
    client: ProxyClient,
    notices: broadcast::Receiver<ClientNotice>,
}

impl Rig {
    pub(super) async fn start(level: Level, condition: Condition, seed: u64) -> Result<Self, Failure> {
        let secret = Some(Secret::new(SECRET));
        let options = NodeOptions::new(Secret::new(NODE_KEY)).max_level(level).secret(secret);
        // The origin is on loopback.
        let node = NodeServer::builder(options).allow_private(true).drain(Duration::ZERO).start().await?;
        let node_url = format!("http://{}", node.local_addr());
        let mut relays = Vec::new();
        for (delay, jitter) in condition.relays() {
            let relay = StandInRelay::builder(&node_url, CLIENT_KEY, NODE_KEY);
            let relay = relay.delay(*delay).jitter(*jitter).seed(seed);
            let relay = relay.lose_request(condition.loss()).lose_reply(condition.loss());
            relays.push(relay.start().await?);
        }
        let urls: Vec<RelayUrl> = relays.iter().filter_map(|relay| relay.url().parse().ok()).collect();
        let options = ClientOptions::new(vec![RelayOptions::new(Secret::new(CLIENT_KEY)); urls.len()])
            .max_level(level)
            .secret(Some(Secret::new(SECRET)))
            .balance(Balance::RoundRobin);
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let client = ProxyClient::builder(options, urls).listen(listen).shutdown_grace(Duration::ZERO);
        let client = client.start().await?;
        let notices = client.events();
        Ok(Self { node, relays, client, notices })
    }

    /// Where applications find the proxy.
    pub(super) const fn proxy(&self) -> SocketAddr {
        self.client.local_addr()
    }

    /// Calls that the relays have taken on so far.
    pub(super) fn calls(&self) -> u64 {
        self.relays.iter().map(StandInRelay::calls).sum()
    }

    /// A level other than `level` that a flow has had since this was last asked.
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
