//! A node of the deployed generation, as far as its body limit goes.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::http_client::HttpClient;

/// Stands before a node and answers 413 to bodies above a limit, as the servers of deployed nodes do.
#[derive(Debug)]
pub(super) struct OldNode {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl OldNode {
    /// A limit of `max_body` bytes before the node at `url`.
    ///
    /// # Panics
    /// When there is no port.
    pub(super) async fn before(url: String, max_body: usize) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let http = HttpClient::http1();
        let task = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (http, url) = (http.clone(), url.clone());
                tokio::spawn(async move {
                    let service = service_fn(|request| {
                        let (http, url) = (http.clone(), url.clone());
                        async move { Ok::<_, Infallible>(answer(request, &http, &url, max_body).await) }
                    });
                    // Connections that break are the other side's affair.
                    let _ = auto::Builder::new(TokioExecutor::new())
                        .serve_connection(TokioIo::new(socket), service)
                        .await;
                });
            }
        });
        Self { address, task }
    }

    /// Its address.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for OldNode {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(
    request: Request<Incoming>,
    http: &HttpClient,
    url: &str,
    max_body: usize,
) -> Response<Full<Bytes>> {
    let url = format!("{url}{}", request.uri().path());
    let announced = request.body().size_hint().lower();
    let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    if announced.max(body.len() as u64) > max_body as u64 {
        return status(
            StatusCode::PAYLOAD_TOO_LARGE,
            "Failed to buffer the request body: length limit exceeded",
        );
    }
    let headers = [(CONTENT_TYPE.as_str(), "application/json")];
    match http.send(http::Method::POST, &url, &headers, body).await {
        Ok(answer) => {
            let mut response = Response::new(Full::new(answer.body));
            *response.status_mut() = answer.status;
            response
        }
        Err(_) => status(StatusCode::BAD_GATEWAY, ""),
    }
}

fn status(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    response
}
