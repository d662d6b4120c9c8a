//! HTTP exchanges over pooled connections.

use std::time::Duration;

use bytes::Bytes;
use http::header::ACCEPT_ENCODING;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use hyper::body::Incoming;
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use seqlane::ExchangeFailure;
use tokio::time::{Instant, timeout_at};
use tracing::debug;

use super::connector::RelayConnector;

use super::destination::Destination;
use super::redirect::{self, MAX_REDIRECTS};
use super::send_tracker::{SendTracker, TrackedBody, was_refused_unprocessed};
use super::tls::{BadCertificates, TlsRoots};
use super::trace::Trace;
use super::{reply, status};

/// Carries exchanges to relays over pooled connections. Cheap to clone; clones share the pool.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use seqlane_tokio::exchange::{Exchanger, TlsRoots};
/// use tokio::time::Instant;
///
/// let exchanger = Exchanger::new(&TlsRoots::default(), 64 * 1024 * 1024)?;
/// let relay = "https://relay.example/run".parse()?;
/// let deadline = Instant::now() + Duration::from_secs(30);
/// match exchanger.exchange(&relay, "{}".into(), deadline).await {
///     Ok(body) => println!("{} bytes", body.len()),
///     Err(why) => println!("{why}"),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Exchanger {
    client: Client<RelayConnector, TrackedBody>,
    max_reply: usize,
}

impl Exchanger {
    /// An exchanger that trusts `roots` and takes answers of up to `max_reply` bytes, before and after they
    /// are inflated.
    ///
    /// # Errors
    /// [`BadCertificates`] when the roots cannot be used.
    pub fn new(roots: &TlsRoots, max_reply: usize) -> Result<Self, BadCertificates> {
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(POOL_IDLE)
            .pool_max_idle_per_host(POOL_CONNECTIONS)
            .http2_initial_stream_window_size(H2_STREAM_WINDOW)
            .http2_initial_connection_window_size(H2_CONNECTION_WINDOW)
            .http2_keep_alive_interval(H2_PING)
            .http2_keep_alive_timeout(H2_PING_TIMEOUT)
            .http2_keep_alive_while_idle(true)
            .build(RelayConnector::new(roots.client_config()?));
        Ok(Self { client, max_reply })
    }

    /// Posts a batch to `relay` and returns the body of its answer, inflated; whatever happens, by `deadline`.
    ///
    /// # Errors
    /// [`ExchangeFailure`] says what is known of the request. `NotSent` and `Refused` are returned only when
    /// the node cannot have executed it.
    pub async fn exchange(
        &self,
        relay: &Uri,
        body: Bytes,
        deadline: Instant,
    ) -> Result<Bytes, ExchangeFailure> {
        self.trace(&Destination::of_batches(relay.clone()), body, deadline, || {}).await.0
    }

    /// Does what [`exchange`](Self::exchange) does, with a body of either form, and returns what was observed.
    /// `answering` is called when the head of an answer with status 200 has arrived, and its body begins.
    pub async fn trace(
        &self,
        to: &Destination,
        body: Bytes,
        deadline: Instant,
        answering: impl FnOnce() + Send,
    ) -> (Result<Bytes, ExchangeFailure>, Trace) {
        let mut trace = Trace::default();
        let outcome = match self.attempt(to, body, deadline, &mut trace).await {
            Ok(first) => {
                let receiving = self.receive(to.uri(), first, &mut trace, answering);
                timeout_at(deadline, receiving).await.unwrap_or(Err(ExchangeFailure::Unknown))
            }
            Err(failure) => Err(failure),
        };
        (outcome, trace)
    }

    /// The relay's first answer.
    async fn attempt(
        &self,
        to: &Destination,
        body: Bytes,
        deadline: Instant,
        trace: &mut Trace,
    ) -> Result<Response<Incoming>, ExchangeFailure> {
        for _ in 0..ATTEMPTS {
            let (tracked, tracker) = TrackedBody::new(body.clone());
            let mut request = request(Method::POST, to.uri(), to.headers().clone(), tracked);
            tracker.watch(&mut request);
            let responded = tokio::select! {
                biased;
                responded = timeout_at(deadline, self.client.request(request)) => responded,
                () = tracker.stranded() => continue,
            };
            match responded {
                Ok(Ok(response)) => return Ok(response),
                Ok(Err(error)) => match classify(&error, &tracker, trace) {
                    Some(failure) => return Err(failure),
                    None => debug!(host = to.uri().host(), "sending again over another connection"),
                },
                Err(_) if tracker.recall() => return Err(ExchangeFailure::NotSent),
                Err(_) => return Err(ExchangeFailure::Unknown),
            }
        }
        Err(ExchangeFailure::NotSent)
    }

    /// The answer, after redirects. The relay has the request: nothing below can be `NotSent`, and only its first
    /// answer can be a refusal.
    async fn receive(
        &self,
        relay: &Uri,
        first: Response<Incoming>,
        trace: &mut Trace,
        answering: impl FnOnce(),
    ) -> Result<Bytes, ExchangeFailure> {
        trace.record(&first);
        if first.status() != StatusCode::OK && !redirect::is_redirect(first.status()) {
            let failure = status::failure(first.status(), first.headers());
            debug!(host = relay.host(), status = first.status().as_u16(), "call not answered");
            reply::discard(first.into_body()).await;
            return Err(failure);
        }
        let mut uri = relay.clone();
        let mut response = first;
        for _ in 0..MAX_REDIRECTS {
            if !redirect::is_redirect(response.status()) {
                break;
            }
            uri = redirect::target(&uri, &response).ok_or(ExchangeFailure::Garbage)?;
            reply::discard(response.into_body()).await;
            trace.redirects += 1;
            response = self.fetch(&uri).await?;
            trace.record(&response);
        }
        if response.status() == StatusCode::OK {
            answering();
            reply::read(response, self.max_reply).await
        } else {
            Err(ExchangeFailure::Garbage)
        }
    }

    /// GET of an answer, repeated once when the connection breaks: a GET may be repeated.
    async fn fetch(&self, uri: &Uri) -> Result<Response<Incoming>, ExchangeFailure> {
        for _ in 0..ATTEMPTS {
            match self.client.request(get(uri)).await {
                Ok(response) => return Ok(response),
                Err(error) => debug!(host = uri.host(), ?error, "fetching the answer failed"),
            }
        }
        Err(ExchangeFailure::Unknown)
    }
}

/// The failure of a request; `None` when it was provably not sent and another connection may succeed.
fn classify(error: &legacy::Error, tracker: &SendTracker, trace: &mut Trace) -> Option<ExchangeFailure> {
    debug!(?error, "request failed");
    if error.is_connect() {
        trace.failed_to_connect(error);
        return Some(ExchangeFailure::NotSent);
    }
    let unsent = tracker.recall() || was_refused_unprocessed(error);
    (!unsent).then_some(ExchangeFailure::Unknown)
}

fn get(uri: &Uri) -> Request<TrackedBody> {
    let headers = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static("gzip"))]);
    request(Method::GET, uri, headers, TrackedBody::empty())
}

fn request(method: Method, uri: &Uri, headers: HeaderMap, body: TrackedBody) -> Request<TrackedBody> {
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = uri.clone();
    *request.headers_mut() = headers;
    request
}

/// Attempts: the second goes over another connection.
const ATTEMPTS: usize = 2;

/// Idle connections are closed after this time, before relays do it: deployed front ends close after 30 s and more.
const POOL_IDLE: Duration = Duration::from_secs(20);

/// Idle HTTP/1.1 connections kept per relay: more than a relay has calls in flight by default, so that a
/// burst of answers closes none, and a bound on file descriptors.
const POOL_CONNECTIONS: usize = 64;

/// HTTP/2 flow control must not throttle an answer to less than a window a round trip: 16 MiB is the most
/// that one op can bring.
const H2_STREAM_WINDOW: u32 = 16 * 1024 * 1024;

/// All answers of one connection together: twice the bytes of the largest batch.
const H2_CONNECTION_WINDOW: u32 = 64 * 1024 * 1024;

/// A dead HTTP/2 connection is noticed between batches, after an interval and a timeout.
const H2_PING: Duration = Duration::from_secs(15);
const H2_PING_TIMEOUT: Duration = Duration::from_secs(10);
