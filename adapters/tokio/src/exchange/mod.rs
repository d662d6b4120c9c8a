//! Exchanges: one HTTP request with its response, carried to a relay over HTTP/1.1 or HTTP/2.
//!
//! ```text
//!  body ─▶ TrackedBody ─▶ pooled connection ─▶ relay
//!              │ last chunk taken?              │ 200: the body, inflated
//!              ▼                                │ 3xx: GET the new location, at most 5 times
//!          SendTracker ─▶ NotSent or Unknown    │ 403, 429, 503: Refused    413: TooLarge
//!                                               ▼ anything else: Garbage
//! ```
//!
//! Failures are classified here, because levels 0 and 1 depend on it: a call that is [`NotSent`] is sent again, one
//! that is [`Unknown`] ends sessions. So `NotSent` is reported only where it is proven.
//!
//! [`NotSent`]: seqlane::ExchangeFailure::NotSent
//! [`Unknown`]: seqlane::ExchangeFailure::Unknown

mod connector;
mod destination;
mod exchanger;
mod http_carrier;
mod redirect;
mod reply;
mod send_tracker;
mod status;
mod tls;
mod trace;
mod tracked_stream;
mod url;

pub use destination::{Destination, InvalidHeaderKey};
pub use exchanger::Exchanger;
pub(crate) use http_carrier::HttpCarrier;
pub use tls::{BadCertificates, TlsRoots};
pub use trace::Trace;
pub use url::{BadRelayUrl, RelayUrl};
