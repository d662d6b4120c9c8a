//! Relays behind TLS, as every hosted relay is.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use seqlane::{ClientNotice, ExchangeFailure};
use seqlane_tests::certificate::certified;
use seqlane_tests::deadline::soon;
use seqlane_tests::harness::{CLIENT_KEY, FREE_PORT, Harness, Origin, Pattern, dial, push, take};
use seqlane_tokio::client::ClientBuilder;
use seqlane_tokio::{Client, Relay};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;

use crate::MIB;

/// What stands before a relay and ends its TLS; it ends with the value.
struct Front {
    address: SocketAddr,
    authority: File,
    negotiated: mpsc::UnboundedReceiver<Option<Vec<u8>>>,
    task: AbortHandle,
}

impl Front {
    /// Before the relay at `relay`, offering these versions of HTTP.
    async fn before(relay: SocketAddr, alpn: &[&str]) -> Self {
        let (config, authority) = certified(alpn);
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, negotiated) = mpsc::unbounded_channel();
        let serving = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (acceptor, tell) = (acceptor.clone(), tell.clone());
                tokio::spawn(async move {
                    let mut near = acceptor.accept(socket).await?;
                    // Nobody may be asking.
                    let _ = tell.send(near.get_ref().1.alpn_protocol().map(<[u8]>::to_vec));
                    let mut far = TcpStream::connect(relay).await?;
                    tokio::io::copy_bidirectional(&mut near, &mut far).await
                });
            }
        });
        let authority = File::new(&format!("authority-{}.pem", address.port()), &authority);
        Self { address, authority, negotiated, task: serving.abort_handle() }
    }

    /// A client that has this as its one relay.
    fn client(&self) -> ClientBuilder {
        let url = format!("https://localhost:{}/run", self.address.port());
        Client::builder().relay(Relay::new(url, CLIENT_KEY)).socks(FREE_PORT)
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A file that lives as long as this.
struct File(PathBuf);

impl File {
    fn new(name: &str, text: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::write(&path, text).unwrap();
        Self(path)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Flows through a relay that offers these versions of HTTP: the version that was spoken.
async fn flows_over(alpn: &[&str]) -> Vec<u8> {
    let harness = Harness::start().await;
    let mut front = Front::before(harness.relays[0].local_addr(), alpn).await;
    let client = front.client().ca_file(&front.authority.0).start().await.unwrap();
    let origin = Origin::echo().await;
    let socket = soon(dial::socks(client.local_addr().unwrap(), origin.address())).await.unwrap();
    let (mut read, mut write) = socket.into_split();
    let sent = tokio::spawn(async move {
        push(&mut write, Pattern::new(0), 4 * MIB).await.unwrap();
        write
    });
    take(&mut read, Pattern::new(0), 4 * MIB).await.unwrap();
    sent.await.unwrap();
    soon(front.negotiated.recv()).await.unwrap().unwrap()
}

#[tokio::test]
async fn flows_go_over_https_in_http_2_where_it_is_offered() {
    assert_eq!(flows_over(&["h2", "http/1.1"]).await, b"h2");
}

#[tokio::test]
async fn flows_go_over_https_in_http_1_1_where_nothing_newer_is_offered() {
    assert_eq!(flows_over(&["http/1.1"]).await, b"http/1.1");
}

#[tokio::test]
async fn a_relay_whose_certificate_nobody_vouches_for_gets_no_call() {
    let harness = Harness::start().await;
    let front = Front::before(harness.relays[0].local_addr(), &["h2"]).await;
    let client = front.client().start().await.unwrap();
    let mut events = client.notices();
    let origin = Origin::echo().await;
    let _socket = soon(dial::socks(client.local_addr().unwrap(), origin.address())).await.unwrap();
    let not_sent = |notice: &ClientNotice| {
        matches!(notice, ClientNotice::ExchangeFailed { why: ExchangeFailure::NotSent, .. })
    };
    while !not_sent(&soon(events.recv()).await.unwrap()) {}
    assert_eq!(harness.relays[0].calls(), 0);
}
