//! Parts that a program replaces: carriers, connectors, and a node without a listener. No test here opens a socket.

use std::time::Duration;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use seqlane::{BodyForm, ClientNotice, ConnectFailure, ExchangeFailure, FlowKind, Level, OpenMode, Target};
use seqlane_tests::deadline::soon;
use seqlane_tests::harness::Notices;
use seqlane_tokio::node::{Connector, NodeService, Upstream};
use seqlane_tokio::{Call, CallError, Carrier, Client, ConnectError, Node, Relay};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tower_service::Service;

/// Targets inside the program.
struct Functions;

impl Connector for Functions {
    async fn connect(&self, target: Target, kind: FlowKind) -> Result<Upstream, ConnectFailure> {
        match (target.host(), kind) {
            ("echo", FlowKind::Tcp) => {
                let (near, far) = tokio::io::duplex(1024);
                tokio::spawn(async move {
                    let (mut reader, mut writer) = tokio::io::split(far);
                    tokio::io::copy(&mut reader, &mut writer).await?;
                    writer.shutdown().await
                });
                Ok(Upstream::stream(near))
            }
            ("echo", FlowKind::Udp) => {
                let (to_target, mut received) = mpsc::channel::<Bytes>(16);
                let (sending, from_target) = mpsc::channel(16);
                tokio::spawn(async move {
                    while let Some(datagram) = received.recv().await {
                        let _ = sending.send(datagram).await;
                    }
                });
                Ok(Upstream::datagrams(to_target, from_target))
            }
            // A stream for a flow of datagrams, and the other way round.
            ("wrong", FlowKind::Udp) => Ok(Upstream::stream(tokio::io::duplex(1).0)),
            ("wrong", FlowKind::Tcp) => Ok(Upstream::datagrams(mpsc::channel(1).0, mpsc::channel(1).1)),
            _ => Err(ConnectFailure::NoSuchName),
        }
    }
}

/// Hands calls to a node in the same program.
struct InProcess(NodeService);

impl Carrier for InProcess {
    async fn call(&self, mut call: Call) -> Result<Bytes, CallError> {
        let request = match call.form() {
            BodyForm::Json => Request::post("/tunnel/batch"),
            BodyForm::Packet => Request::post("/tunnel/streams").header(AUTHORIZATION, "Bearer key"),
        };
        let request = request.body(Full::new(call.body().clone())).expect("a request");
        let response = answer(&self.0, request).await;
        call.answering();
        assert_eq!(response.status(), StatusCode::OK);
        Ok(body(response).await)
    }
}

async fn answer(service: &NodeService, request: Request<Full<Bytes>>) -> Response<Full<Bytes>> {
    let Ok(response) = service.clone().call(request).await;
    response
}

async fn body(response: Response<Full<Bytes>>) -> Bytes {
    let Ok(collected) = response.into_body().collect().await;
    collected.to_bytes()
}

async fn node() -> Node {
    Node::builder("key").connector(Functions).start().await.unwrap()
}

async fn client(node: &Node, level: Level, binary: bool) -> Client {
    let relay = Relay::over(InProcess(node.service()), "key").binary(binary);
    let client = Client::builder().relay(relay).max_level(level);
    client.options(|options| options.open(OpenMode::Confirmed)).start().await.unwrap()
}

#[tokio::test]
async fn flows_go_over_any_carrier_at_every_level() {
    for (level, binary) in
        [(Level::Legacy, false), (Level::Sequenced, false), (Level::Streams, false), (Level::Streams, true)]
    {
        let node = node().await;
        let client = client(&node, level, binary).await;
        let mut notices = Notices::new(client.notices());
        let mut flow = soon(client.connect("echo:7")).await.unwrap();
        let is_connected = |notice: &ClientNotice| matches!(notice, ClientNotice::Connected { .. });
        let connected = notices.wait_for(is_connected).await;
        assert!(matches!(connected, ClientNotice::Connected { level: reached, .. } if reached == level));
        let bytes: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
        let (mut reader, mut writer) = tokio::io::split(&mut flow);
        let mut received = vec![0; bytes.len()];
        let (sent, read) =
            tokio::join!(soon(writer.write_all(&bytes)), soon(reader.read_exact(&mut received)));
        sent.unwrap();
        read.unwrap();
        assert!(received == bytes);
        drop(flow);
        soon(client.shutdown()).await;
        soon(node.shutdown()).await;
    }
}

#[tokio::test]
async fn a_half_close_reaches_a_target_inside_the_program_and_its_end_comes_back() {
    let node = node().await;
    let client = client(&node, Level::Streams, true).await;
    let mut flow = soon(client.connect("echo:7")).await.unwrap();
    flow.write_all(b"question").await.unwrap();
    flow.shutdown().await.unwrap();
    let mut received = Vec::new();
    soon(flow.read_to_end(&mut received)).await.unwrap();
    assert_eq!(received, b"question");
}

#[tokio::test]
async fn datagrams_reach_a_target_inside_the_program() {
    let node = node().await;
    let client = client(&node, Level::Streams, false).await;
    let mut flow = soon(client.connect_udp("echo:7")).await.unwrap();
    for datagram in [&b"first"[..], b"", &[7; 1200]] {
        flow.send(datagram).await.unwrap();
        assert_eq!(soon(flow.recv()).await.unwrap(), datagram);
    }
}

#[tokio::test]
async fn the_failure_of_a_connector_is_the_reason_of_the_client() {
    let node = node().await;
    let client = client(&node, Level::Streams, false).await;
    let error = soon(client.connect("nowhere:1")).await.unwrap_err();
    let no_such_name = seqlane::EndReason::ConnectFailed(ConnectFailure::NoSuchName);
    assert_eq!(error, ConnectError::Ended(no_such_name));
}

#[tokio::test]
async fn an_upstream_of_the_wrong_kind_resets_its_flow() {
    let node = node().await;
    let client = client(&node, Level::Streams, false).await;
    if let Ok(mut flow) = soon(client.connect("wrong:1")).await {
        assert!(soon(flow.read(&mut [0; 8])).await.is_err());
    }
    if let Ok(mut flow) = soon(client.connect_udp("wrong:1")).await {
        assert!(soon(flow.recv()).await.is_err());
    }
}

/// Never answers, and ignores the deadline.
struct Silent;

impl Carrier for Silent {
    async fn call(&self, _: Call) -> Result<Bytes, CallError> {
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_carrier_that_ignores_the_deadline_is_cut_off() {
    let client = Client::builder().relay(Relay::over(Silent, "key")).max_level(Level::Legacy);
    let client = client.start().await.unwrap();
    let mut notices = client.notices();
    let _flow = client.connect("echo:7").await.unwrap();
    let failed = async {
        loop {
            if let ClientNotice::ExchangeFailed { why, .. } = notices.recv().await.unwrap() {
                return why;
            }
        }
    };
    let why = tokio::time::timeout(Duration::from_secs(600), failed).await.unwrap();
    assert_eq!(why, ExchangeFailure::Unknown);
}

/// Fails with an error that says nothing of the request.
struct Broken;

impl Carrier for Broken {
    async fn call(&self, _: Call) -> Result<Bytes, CallError> {
        Err(std::io::Error::other("the medium is gone"))?
    }
}

#[tokio::test]
async fn an_input_or_output_error_of_a_carrier_is_an_unknown_outcome() {
    let client = Client::builder().relay(Relay::over(Broken, "key")).max_level(Level::Legacy);
    let client = client.start().await.unwrap();
    let mut notices = Notices::new(client.notices());
    let mut flow = soon(client.connect("echo:7")).await.unwrap();
    assert!(soon(flow.read(&mut [0; 8])).await.is_err());
    let unknown = |notice: &ClientNotice| {
        matches!(notice, ClientNotice::ExchangeFailed { why: ExchangeFailure::Unknown, .. })
    };
    notices.wait_for(unknown).await;
}

#[tokio::test]
async fn a_mounted_node_answers_below_its_path_alone() {
    let node = node().await;
    assert_eq!(node.local_addr(), None);
    let service = node.service().under("/hidden/");
    for (path, status) in
        [("/hidden/health", 200), ("/health", 404), ("/hidden", 404), ("/hiddenhealth", 404)]
    {
        let request = Request::get(path).body(Full::default()).unwrap();
        assert_eq!(answer(&service, request).await.status(), status, "{path}");
    }
    let batch = || Request::post("/hidden/tunnel/batch").body(Full::from(r#"{"k":"key","ops":[]}"#)).unwrap();
    let answered = answer(&service, batch()).await;
    assert_eq!((answered.status().as_u16(), &*body(answered).await), (200, &br#"{"r":[]}"#[..]));
    node.shutdown().await;
    assert_eq!(answer(&service, batch()).await.status(), StatusCode::SERVICE_UNAVAILABLE);
}
