//! Flows over files: a client writes its calls into a folder, and a node answers them there. Any medium that takes a
//! request and gives a response can be a relay in this way.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use seqlane_tokio::node::NodeService;
use seqlane_tokio::{Call, CallError, Carrier, Client, Node, Relay};
use tokio::fs;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout_at};
use tower_service::Service;

/// The time between two looks into the folder.
const INTERVAL: Duration = Duration::from_millis(5);

/// Puts calls into a folder as `N.call`, and waits for `N.answer`.
struct FolderCarrier {
    folder: PathBuf,
    next: AtomicU64,
}

impl Carrier for FolderCarrier {
    async fn call(&self, call: Call) -> Result<Bytes, CallError> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let answer = self.folder.join(format!("{number}.answer"));
        put(&self.folder.join(format!("{number}.call")), call.body()).await?;
        let answered = timeout_at(call.deadline(), async {
            loop {
                match take(&answer).await {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => sleep(INTERVAL).await,
                    taken => break taken,
                }
            }
        });
        // An error does not show whether the node saw the call, which is what `?` makes of it.
        Ok(answered.await.map_err(io::Error::from)??)
    }
}

/// The far end: hands every call in the folder to the node, and puts the answer beside it.
async fn answer_calls(folder: PathBuf, node: NodeService) -> io::Result<()> {
    loop {
        let mut files = fs::read_dir(&folder).await?;
        while let Some(file) = files.next_entry().await? {
            let path = file.path();
            if path.extension().is_some_and(|extension| extension == "call") {
                let (body, mut node) = (take(&path).await?, node.clone());
                // A task each, because the node holds calls until there is something to answer.
                tokio::spawn(async move {
                    let request =
                        Request::post("/tunnel/batch").body(Full::new(body)).map_err(io::Error::other)?;
                    let Ok(response) = node.call(request).await;
                    let answer = response.into_body().collect().await.map_err(io::Error::other)?;
                    put(&path.with_extension("answer"), &answer.to_bytes()).await
                });
            }
        }
        sleep(INTERVAL).await;
    }
}

/// Writes a file so that it is there whole or not at all.
async fn put(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let partial = path.with_extension("partial");
    fs::write(&partial, bytes).await?;
    fs::rename(partial, path).await
}

/// Reads a file and removes it.
async fn take(path: &Path) -> io::Result<Bytes> {
    let bytes = fs::read(path).await?;
    fs::remove_file(path).await?;
    Ok(bytes.into())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::temp_dir().join(format!("seqlane-folder-{}", std::process::id()));
    fs::create_dir_all(&folder).await?;
    let node = Node::builder("key").allow_private(true).start().await?;
    let answering = tokio::spawn(answer_calls(folder.clone(), node.service()));
    let carrier = FolderCarrier { folder: folder.clone(), next: AtomicU64::new(0) };
    let client = Client::builder().relay(Relay::over(carrier, "key")).start().await?;

    let target = TcpListener::bind("127.0.0.1:0").await?;
    let address = target.local_addr()?;
    tokio::spawn(async move { target.accept().await?.0.write_all(b"hello").await });
    let mut answer = String::new();
    client.connect(address).await?.read_to_string(&mut answer).await?;
    println!("{answer}, in {} files", client.stats().await.calls);

    client.shutdown().await;
    node.shutdown().await;
    answering.abort();
    fs::remove_dir_all(&folder).await?;
    if answer == "hello" { Ok(()) } else { Err("another answer came".into()) }
}

#[test]
fn the_example_runs() {
    main().unwrap();
}
