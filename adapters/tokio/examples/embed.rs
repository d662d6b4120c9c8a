//! A node and a client in one program, with no relay between: a flow is opened, written, read and finished.

use std::error::Error;

use seqlane::{ClientOptions, Form, NodeOptions, RelayOptions, Secret, Target};
use seqlane_tokio::{NodeServer, ProxyClient};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // The target: it sends back what it gets.
    let echo = TcpListener::bind("127.0.0.1:0").await?;
    let target = Target::new("127.0.0.1", echo.local_addr()?.port())?;
    tokio::spawn(async move {
        let (mut socket, _) = echo.accept().await?;
        let (mut reader, mut writer) = socket.split();
        tokio::io::copy(&mut reader, &mut writer).await
    });

    // The node listens on a free port of loopback. The target is on loopback too, so it must be allowed.
    let key = Secret::new("correct horse");
    let node = NodeServer::builder(NodeOptions::new(key.clone())).allow_private(true).start().await?;

    // The client calls the node itself. Its port for SOCKS5 and HTTP CONNECT is there too, and not used here.
    let hop = RelayOptions::new(key).form(Form::Node);
    let url = format!("http://{}", node.local_addr()).parse()?;
    let client = ProxyClient::builder(ClientOptions::new(vec![hop]), vec![url])
        .listen(([127, 0, 0, 1], 0).into())
        .start()
        .await?;

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
