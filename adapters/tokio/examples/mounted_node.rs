//! A node inside an HTTP server that is there already: it answers below one path, and opens no port of its own.

use std::convert::Infallible;
use std::error::Error;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use seqlane_tokio::node::NodeService;
use seqlane_tokio::{Client, Node, Relay};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tower_service::Service;

/// The path of the node.
const MOUNT: &str = "/hidden";

/// The server: the node below its path, the program's own pages everywhere else.
async fn answer(
    mut node: NodeService,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    if request.uri().path().starts_with(MOUNT) {
        node.call(request).await
    } else {
        Ok(Response::new(Full::from("an ordinary page\n")))
    }
}

async fn serve(listener: TcpListener, node: NodeService) {
    while let Ok((socket, _)) = listener.accept().await {
        let node = node.clone();
        let service = service_fn(move |request| answer(node.clone(), request));
        tokio::spawn(async move {
            let connections = auto::Builder::new(TokioExecutor::new());
            let _ = connections.serve_connection(TokioIo::new(socket), service).await;
        });
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let node = Node::builder("key").allow_private(true).start().await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}{MOUNT}/tunnel/batch", listener.local_addr()?);
    let serving = tokio::spawn(serve(listener, node.service().under(MOUNT)));

    // A target, and a client that calls the node through the server.
    let target = TcpListener::bind("127.0.0.1:0").await?;
    let address = target.local_addr()?;
    tokio::spawn(async move { target.accept().await?.0.write_all(b"hello").await });
    let client = Client::builder().relay(Relay::direct(url, "key")).start().await?;
    let mut answer = String::new();
    client.connect(address).await?.read_to_string(&mut answer).await?;
    println!("{answer}");

    client.shutdown().await;
    node.shutdown().await;
    serving.abort();
    if answer == "hello" { Ok(()) } else { Err("another answer came".into()) }
}

#[test]
fn the_example_runs() {
    main().unwrap();
}
