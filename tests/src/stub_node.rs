//! A stub of a node: it records requests and gives a fixed answer.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// A node that gives every request the same answer.
#[derive(Debug)]
pub struct StubNode {
    address: SocketAddr,
    asked: mpsc::UnboundedReceiver<(String, Bytes)>,
    gate: Arc<tokio::sync::Semaphore>,
    answer: Arc<Mutex<(u16, Bytes)>>,
    task: JoinHandle<()>,
}

impl StubNode {
    /// A node that answers 200 with this body.
    ///
    /// # Panics
    /// When there is no port.
    pub async fn answering(body: impl Into<Bytes>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (tell, asked) = mpsc::unbounded_channel();
        let gate = Arc::new(tokio::sync::Semaphore::new(tokio::sync::Semaphore::MAX_PERMITS));
        let answer = Arc::new(Mutex::new((200, body.into())));
        let task = tokio::spawn(serve(listener, tell, Arc::clone(&gate), Arc::clone(&answer)));
        Self { address, asked, gate, answer, task }
    }

    /// The node's address.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Answers differently from now on.
    ///
    /// # Panics
    /// When a test task has panicked.
    pub fn set_answer(&self, status: u16, body: impl Into<Bytes>) {
        *self.answer.lock().expect("no panic") = (status, body.into());
    }

    /// Holds answers until [`open_gate`](Self::open_gate).
    pub fn close_gate(&self) {
        self.gate.forget_permits(tokio::sync::Semaphore::MAX_PERMITS);
    }

    /// Answers everybody again.
    pub fn open_gate(&self) {
        self.gate.add_permits(tokio::sync::Semaphore::MAX_PERMITS);
    }

    /// The path and body of the next request that arrives, or has arrived.
    pub async fn next_request(&mut self) -> (String, Bytes) {
        crate::deadline::soon(self.asked.recv()).await.expect("the stub runs")
    }

    /// Whether no request has arrived that was not looked at.
    pub fn is_unasked(&mut self) -> bool {
        self.asked.try_recv().is_err()
    }
}

impl Drop for StubNode {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    listener: TcpListener,
    tell: mpsc::UnboundedSender<(String, Bytes)>,
    gate: Arc<tokio::sync::Semaphore>,
    answer: Arc<Mutex<(u16, Bytes)>>,
) {
    while let Ok((stream, _)) = listener.accept().await {
        let (tell, gate, answer) = (tell.clone(), Arc::clone(&gate), Arc::clone(&answer));
        tokio::spawn(async move {
            let service = service_fn(|request: Request<Incoming>| {
                let (tell, gate, answer) = (tell.clone(), Arc::clone(&gate), Arc::clone(&answer));
                async move {
                    let path = request.uri().path().to_owned();
                    let body = request.into_body().collect().await.map(|body| body.to_bytes());
                    // Nobody may be looking any more.
                    let _ = tell.send((path, body.unwrap_or_default()));
                    let _open = gate.acquire().await;
                    let (status, body) = answer.lock().expect("no panic").clone();
                    let mut response = Response::new(Full::new(body));
                    *response.status_mut() = status.try_into().expect("a status");
                    Ok::<_, Infallible>(response)
                }
            });
            // Connections that break are the other side's affair.
            let _ = auto::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}
