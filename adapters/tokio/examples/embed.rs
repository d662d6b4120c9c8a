//! A node and a client in one program, with no relay between: a flow is opened, written, read and finished.

use std::error::Error;

use seqlane_tokio::{Client, Node, Relay};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // The target: it sends back what it receives.
    let echo = TcpListener::bind("127.0.0.1:0").await?;
    let target = echo.local_addr()?;
    tokio::spawn(async move {
        let (mut socket, _) = echo.accept().await?;
        let (mut reader, mut writer) = socket.split();
        tokio::io::copy(&mut reader, &mut writer).await
    });

    // The node. The target is on loopback, so it must be allowed.
    let node = Node::builder("correct horse").listen("127.0.0.1:0").allow_private(true).start().await?;
    let url = format!("http://{}", node.local_addr().ok_or("not listening")?);

    // The client calls the node directly. `Relay::new` is for a relay script, and `socks` would open a proxy port.
    let client = Client::builder().relay(Relay::direct(url, "correct horse")).start().await?;

    let mut flow = client.connect(target).await?;
    flow.write_all(b"hello").await?;
    let mut answer = [0; 5];
    flow.read_exact(&mut answer).await?;
    println!("{} came back after {} calls", answer.escape_ascii(), client.stats().await.calls);

    drop(flow);
    client.shutdown().await;
    node.shutdown().await;
    Ok(())
}

#[test]
fn the_example_runs() {
    main().unwrap();
}
