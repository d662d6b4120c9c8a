//! A node and a client in one program, with no relay between: a flow is opened, written, read and finished.

use seqlane_tokio::{Client, Node, Relay};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // The target: it sends back what it receives.
    let echo = TcpListener::bind("127.0.0.1:0").await?;
    let target = echo.local_addr()?;
    tokio::spawn(async move {
        let (mut reader, mut writer) = echo.accept().await?.0.into_split();
        tokio::io::copy(&mut reader, &mut writer).await
    });

    // The target is on loopback, so the node must allow it.
    let node = Node::builder("correct horse").listen("127.0.0.1:0").allow_private(true).start().await?;
    let url = format!("http://{}", node.local_addr().ok_or("not listening")?);

    // `Relay::new` is for a relay script. With `socks`, applications could use the client as a proxy.
    let client = Client::builder().relay(Relay::direct(url, "correct horse")).start().await?;
    let mut flow = client.connect(target).await?;
    flow.write_all(b"hello").await?;
    flow.shutdown().await?;
    let mut answer = String::new();
    flow.read_to_string(&mut answer).await?;
    println!("{answer} came back after {} calls", client.stats().await.calls);

    client.shutdown().await;
    node.shutdown().await;
    Ok(())
}

#[test]
fn the_example_runs() {
    main().unwrap();
}
