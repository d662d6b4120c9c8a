//! A small HTTP server with scripted answers, which records requests.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use seqlane_tests::certificate::certified;
use seqlane_tokio::exchange::{Exchanger, TlsRoots};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

pub(crate) type Asked = Request<Bytes>;
pub(crate) type Answer = Response<Full<Bytes>>;

/// A running server; it ends with the value.
pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    scheme: &'static str,
    asked: Arc<Mutex<Vec<Asked>>>,
    connections: Arc<AtomicUsize>,
    hang_up: watch::Sender<usize>,
    closed: watch::Receiver<usize>,
    serving: AbortHandle,
}

impl Relay {
    /// Serves plain HTTP.
    pub(crate) async fn plain<A>(answer: impl Fn(Asked) -> A + Clone + Send + Sync + 'static) -> Self
    where
        A: Future<Output = Answer> + Send + 'static,
    {
        Self::serve("http", None, answer).await
    }

    /// Serves HTTPS with a certificate for `localhost`, offering these versions of HTTP; also returns the
    /// authority that signed it.
    pub(crate) async fn tls<A>(
        alpn: &[&str],
        answer: impl Fn(Asked) -> A + Clone + Send + Sync + 'static,
    ) -> (Self, TlsRoots)
    where
        A: Future<Output = Answer> + Send + 'static,
    {
        let (config, authority) = certified(alpn);
        let roots = TlsRoots::with_pem(authority.as_bytes()).unwrap();
        (Self::serve("https", Some(TlsAcceptor::from(Arc::new(config))), answer).await, roots)
    }

    async fn serve<A>(
        scheme: &'static str,
        tls: Option<TlsAcceptor>,
        answer: impl Fn(Asked) -> A + Clone + Send + Sync + 'static,
    ) -> Self
    where
        A: Future<Output = Answer> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let connections = Arc::new(AtomicUsize::new(0));
        let (hang_up, hung_up) = watch::channel(0);
        let (closing, closed) = watch::channel(0);
        let (log, count) = (asked.clone(), connections.clone());
        let serving = tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                // A close returns when its FIN has arrived, so that no test races with the kernel.
                SockRef::from(&socket).set_linger(Some(Duration::from_secs(10))).unwrap();
                count.fetch_add(1, Ordering::SeqCst);
                let (tls, log, answer) = (tls.clone(), log.clone(), answer.clone());
                let (mut hung_up, closing) = (hung_up.clone(), closing.clone());
                hung_up.mark_unchanged();
                tokio::spawn(async move {
                    tokio::select! {
                        () = async {
                            match tls {
                                None => connection(socket, log, answer).await,
                                Some(tls) => {
                                    if let Ok(socket) = tls.accept(socket).await {
                                        connection(socket, log, answer).await;
                                    }
                                }
                            }
                        } => {}
                        _ = hung_up.changed() => {}
                    }
                    closing.send_modify(|closed| *closed += 1);
                });
            }
        })
        .abort_handle();
        Self { address, scheme, asked, connections, hang_up, closed, serving }
    }

    pub(crate) fn url(&self, path: &str) -> Uri {
        let host = if self.scheme == "https" { "localhost" } else { "127.0.0.1" };
        format!("{}://{host}:{}{path}", self.scheme, self.address.port()).parse().unwrap()
    }

    /// What was asked so far, in order.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// Connections accepted so far.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Closes every open connection, and returns when the other ends' kernels know.
    pub(crate) async fn hang_up(&mut self) {
        self.hang_up.send_modify(|times| *times += 1);
        let all = self.connections();
        within(self.closed.wait_for(|closed| *closed == all)).await.unwrap();
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn connection<S, A>(
    socket: S,
    log: Arc<Mutex<Vec<Asked>>>,
    answer: impl Fn(Asked) -> A + Clone + Send + Sync + 'static,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    A: Future<Output = Answer> + Send + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let (log, answer) = (log.clone(), answer.clone());
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
            let asked = Request::from_parts(head, body);
            log.lock().unwrap().push(asked.clone());
            Ok::<_, Infallible>(answer(asked).await)
        }
    });
    // How a connection ends is seen at the other end.
    let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(socket), service).await;
}

/// An exchanger with a small limit on answers: 1 MiB.
pub(crate) fn exchanger() -> Exchanger {
    exchanger_trusting(&TlsRoots::default())
}

pub(crate) fn exchanger_trusting(roots: &TlsRoots) -> Exchanger {
    Exchanger::new(roots, 1024 * 1024).unwrap()
}

/// A deadline that only a hung test meets.
pub(crate) fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

/// Waits, but never for ever.
pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("nothing happened for 20 s")
}

pub(crate) fn text(body: impl Into<Bytes>) -> Answer {
    Response::new(Full::new(body.into()))
}

pub(crate) fn status(status: u16) -> http::response::Builder {
    Response::builder().status(status)
}

pub(crate) fn empty(builder: http::response::Builder) -> Answer {
    builder.body(Full::default()).unwrap()
}
