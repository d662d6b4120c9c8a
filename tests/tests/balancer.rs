//! Three nodes behind HAProxy, with the configuration of `deploy/`.
//!
//! Without HAProxy this test passes and says that it was skipped.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use seqlane::Level;
use seqlane_tests::deadline::soon;
use seqlane_tests::harness::{FREE_PORT, Origin, Pattern, dial, echo, push, take};
use seqlane_tokio::{Client, Node, Relay, StandInRelay};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

const KEY: &str = "the key of the nodes";
const SECRET: &str = "a secret that no relay knows";
const CLIENTS: usize = 8;

/// HAProxy; killed when dropped.
struct Balancer {
    url: String,
    _process: Child,
}

impl Balancer {
    /// Starts it before three nodes; none without HAProxy.
    async fn start(nodes: &[Node; 3]) -> Option<Self> {
        // HAProxy cannot say which free port it took.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/haproxy.cfg");
        let mut command = Command::new("haproxy");
        command.arg("-db").arg("-f").arg(config).env("SEQLANE_LISTEN", format!("127.0.0.1:{port}"));
        for (place, node) in (1..).zip(nodes) {
            command.env(format!("SEQLANE_NODE_{place}"), node.local_addr().unwrap().to_string());
        }
        let process = match command.stdin(Stdio::null()).kill_on_drop(true).spawn() {
            Ok(process) => process,
            Err(error) => {
                eprintln!("skipped: this test needs HAProxy ({error})");
                return None;
            }
        };
        soon(async {
            while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_err() {
                tokio::task::yield_now().await;
            }
        })
        .await;
        Some(Self { url: format!("http://127.0.0.1:{port}/"), _process: process })
    }
}

async fn node() -> Node {
    let node = Node::builder(KEY).secret(SECRET).allow_private(true).listen(FREE_PORT);
    node.start().await.expect("a node")
}

/// How a client reaches the balancer.
#[derive(Clone, Copy)]
enum Way {
    Batches,
    Packets,
    /// Through a relay that forwards batches.
    Relay,
}

/// A client, and the relay before the balancer if it has one.
async fn client(balancer: &Balancer, way: Way) -> (Client, Option<StandInRelay>) {
    let (relay, stand_in) = match way {
        Way::Batches => (Relay::direct(balancer.url.as_str(), KEY), None),
        Way::Packets => (Relay::direct(balancer.url.as_str(), KEY).binary(true), None),
        Way::Relay => {
            let relay = StandInRelay::builder(&balancer.url, "client", KEY).start().await.expect("a relay");
            (Relay::new(relay.url(), "client"), Some(relay))
        }
    };
    let client = Client::builder().secret(SECRET).max_level(Level::Streams).relay(relay).socks(FREE_PORT);
    (client.start().await.expect("a client"), stand_in)
}

/// How many clients each node has.
async fn clients_of(nodes: &[Option<Node>]) -> Vec<u64> {
    let mut counts = Vec::new();
    for node in nodes.iter().flatten() {
        counts.push(node.stats().await.stats.clients);
    }
    counts
}

#[tokio::test(flavor = "multi_thread")]
async fn each_client_stays_on_one_node_and_only_those_of_a_node_that_dies_notice() {
    let nodes = [node().await, node().await, node().await];
    let Some(balancer) = Balancer::start(&nodes).await else { return };
    let mut nodes = nodes.map(Some);
    let origin = Origin::echo().await;
    let mut flows = Vec::new();
    let ways = [Way::Batches, Way::Packets, Way::Relay];
    for place in 0..CLIENTS {
        let (client, relay) = client(&balancer, ways[place % ways.len()]).await;
        let mut flow = dial::socks(client.local_addr().unwrap(), origin.address()).await.expect("a flow");
        assert_eq!(echo(&mut flow, b"hello").await.unwrap(), b"hello");
        flows.push((client, relay, flow));
    }
    // Bodies of more than 64 KiB, of which the balancer sees the beginning alone.
    for (_, _, flow) in &mut flows {
        let pattern = Pattern::new(7);
        let (mut read, mut write) = flow.split();
        let (sent, got) = tokio::join!(push(&mut write, pattern, 1 << 20), take(&mut read, pattern, 1 << 20));
        sent.unwrap();
        got.unwrap();
    }
    let counts = clients_of(&nodes).await;
    assert_eq!(counts.iter().sum::<u64>(), CLIENTS as u64, "one connection a client: {counts:?}");
    println!("clients of each node: {counts:?}");

    let victim = counts.iter().position(|count| *count > 0).expect("a node with a client");
    let died = Instant::now();
    drop(nodes[victim].take());
    let mut lost = 0;
    for (place, (client, _, flow)) in flows.iter_mut().enumerate() {
        match echo(flow, b"still there").await {
            Ok(bytes) => {
                assert_eq!(bytes, b"still there");
                continue;
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "no end in order"),
        }
        lost += 1;
        let reopened = soon(async {
            loop {
                if let Ok(mut flow) = dial::socks(client.local_addr().unwrap(), origin.address()).await
                    && echo(&mut flow, b"again").await.is_ok_and(|bytes| bytes == b"again")
                {
                    return died.elapsed();
                }
            }
        })
        .await;
        println!("client {place}: new flows work {:.2} s after its node died", reopened.as_secs_f64());
        assert!(reopened < Duration::from_secs(10), "{reopened:?}");
    }
    assert_eq!(lost, counts[victim], "those of the other nodes notice nothing");
}
