//! A node whose targets are functions: a name leads into the program, and no socket is opened for it.

use std::error::Error;

use seqlane::{ConnectFailure, FlowKind, Target};
use seqlane_tokio::node::{Connector, Upstream};
use seqlane_tokio::{Client, Node, Relay};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, DuplexStream};

/// Opens `shout.internal` and nothing else.
struct Functions;

impl Connector for Functions {
    async fn connect(&self, target: Target, kind: FlowKind) -> Result<Upstream, ConnectFailure> {
        match (target.host(), kind) {
            ("shout.internal", FlowKind::Tcp) => {
                let (near, far) = tokio::io::duplex(64 * 1024);
                tokio::spawn(shout(far));
                Ok(Upstream::stream(near))
            }
            _ => Err(ConnectFailure::NoSuchName),
        }
    }
}

/// The target: it sends every line back in upper case.
async fn shout(mut flow: DuplexStream) -> std::io::Result<()> {
    let (reader, mut writer) = tokio::io::split(&mut flow);
    let mut lines = BufReader::new(reader).lines();
    while let Some(line) = lines.next_line().await? {
        writer.write_all(format!("{}\n", line.to_uppercase()).as_bytes()).await?;
    }
    writer.shutdown().await
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let node = Node::builder("key").connector(Functions).listen("127.0.0.1:0").start().await?;
    let url = format!("http://{}", node.local_addr().ok_or("not listening")?);
    let client = Client::builder().relay(Relay::direct(url, "key")).start().await?;

    let mut flow = client.connect("shout.internal:1").await?;
    flow.write_all(b"hello\n").await?;
    flow.shutdown().await?;
    let mut answer = String::new();
    flow.read_to_string(&mut answer).await?;
    print!("{answer}");

    client.shutdown().await;
    node.shutdown().await;
    if answer == "HELLO\n" { Ok(()) } else { Err("another answer came".into()) }
}

#[test]
fn the_example_runs() {
    main().unwrap();
}
