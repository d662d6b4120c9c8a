//! Exchanges: one HTTP request with its response, carried to a relay over HTTP/1.1 or HTTP/2.
//!
//! ```text
//!  body ─▶ Parcel ─▶ pooled connection ─▶ relay
//!              │ last piece taken?            │ 200: the body, inflated
//!              ▼                              │ 3xx: GET the new place, at most 5 times
//!          Departure ─▶ NotSent or Unknown    │ 403, 429, 503: Refused    413: TooLarge
//!                                             ▼ anything else: Garbage
//! ```
//!
//! What a failure means is decided here, because levels 0 and 1 depend on it: what is [`NotSent`] is sent
//! again, what is [`Unknown`] ends sessions. So `NotSent` is never a guess: it is proven.
//!
//! [`NotSent`]: seqlane::ExchangeFailure::NotSent
//! [`Unknown`]: seqlane::ExchangeFailure::Unknown

mod connector;
mod departure;
mod destination;
mod exchanger;
mod link;
mod redirect;
mod reply;
mod status;
mod tls;
mod trace;
mod url;

pub use destination::{Destination, UnfitKey};
pub use exchanger::Exchanger;
pub use tls::{BadCertificates, TlsRoots};
pub use trace::Trace;
pub use url::{BadRelayUrl, RelayUrl};
