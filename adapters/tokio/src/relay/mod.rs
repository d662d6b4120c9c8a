//! A local stand-in for a hosted relay script, with seeded faults: for trials, measurements and tests.

mod bandwidth;
mod builder;
mod counters;
mod fault_rng;
mod faults;
mod fetch;
mod one_time;
mod reply;
mod script;
mod service;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tracing::info;

pub use builder::RelayBuilder;
pub use counters::RelayCounters;

use self::service::RelayState;
use crate::http::server::HttpServer;

/// The longest wait of [`StandInRelay::shutdown`] for calls under way.
const DRAIN: Duration = Duration::from_secs(10);

/// A running relay: takes the relay form on any path and answers as hosted scripts do.
///
/// When the node cannot be reached, callers get the same HTML page with status 200 as callers with a wrong key: a hosted
/// script ends with an exception there, and its host shows a page. Dropping the relay cuts every connection.
///
/// ```no_run
/// use std::time::Duration;
/// use seqlane_tokio::{StandInRelay, StartError};
///
/// # async fn run() -> Result<(), StartError> {
/// let relay = StandInRelay::builder("http://127.0.0.1:8080", "client key", "node key")
///     .delay(Duration::from_millis(300))
///     .jitter(Duration::from_millis(100))
///     .lose_reply(0.01)
///     .start()
///     .await?;
/// println!("post to {}", relay.url());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct StandInRelay {
    http: HttpServer,
    relay: Handle,
}

impl StandInRelay {
    /// The address that the relay listens on, with its real port.
    pub const fn local_addr(&self) -> SocketAddr {
        self.http.local_addr()
    }

    /// The address for clients, in the shape that hosted scripts have.
    pub fn url(&self) -> String {
        format!("http://{}/macros/s/stand-in/exec", self.local_addr())
    }

    /// The number of accepted calls.
    pub fn calls(&self) -> u64 {
        self.counters().calls
    }

    /// The relay's counters.
    pub fn counters(&self) -> RelayCounters {
        self.relay.0.counters.read()
    }

    /// Takes no more calls and waits up to 10 s for those under way.
    pub async fn shutdown(self) {
        self.http.shutdown(DRAIN).await;
        info!("relay stopped");
    }
}

/// The relay's state, without a debug form.
struct Handle(Arc<RelayState>);

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.counters.fmt(f)
    }
}
