//! Carriers: how a client's calls reach a relay.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;

use bytes::Bytes;
use seqlane::{BodyForm, ExchangeFailure};
use tokio::time::Instant;

/// Carries calls to one relay: one request body there, one answer body back.
///
/// Calls run at the same time, so a carrier may reorder them. [`Relay::new`](crate::Relay::new) and
/// [`Relay::direct`](crate::Relay::direct) carry calls over HTTP; implement this trait to use any other medium that
/// takes a request and gives a response, and pass it to [`Relay::over`](crate::Relay::over).
///
/// `examples/folder_carrier.rs` carries calls as files in a folder.
pub trait Carrier: Send + Sync + 'static {
    /// Carries one call, until [`Call::deadline`] at the latest.
    ///
    /// # Errors
    /// [`CallError`] says what is known of the request. Levels 0 and 1 depend on it: a call that fails with
    /// [`NotSent`](ExchangeFailure::NotSent) or [`Refused`](ExchangeFailure::Refused) is sent again, so these two are
    /// for requests that the node cannot have executed. When in doubt, say [`Unknown`](ExchangeFailure::Unknown).
    fn call(&self, call: Call) -> impl Future<Output = Result<Bytes, CallError>> + Send;
}

/// A request to carry.
pub struct Call {
    body: Bytes,
    form: BodyForm,
    deadline: Instant,
    on_answering: Option<Box<dyn FnOnce() + Send>>,
}

impl Call {
    /// A call with this body. Clients make calls themselves; this is for tests of carriers.
    pub fn new(body: Bytes, form: BodyForm, deadline: Instant) -> Self {
        Self { body, form, deadline, on_answering: None }
    }

    /// The same call, which reports the begin of its answer to `report`.
    pub(crate) fn reporting(self, report: impl FnOnce() + Send + 'static) -> Self {
        Self { on_answering: Some(Box::new(report)), ..self }
    }

    /// The request body. Cheap to clone.
    pub const fn body(&self) -> &Bytes {
        &self.body
    }

    /// What the body is. A carrier to a relay without [`binary`](crate::Relay::binary) gets
    /// [`Json`](BodyForm::Json) alone.
    pub const fn form(&self) -> BodyForm {
        self.form
    }

    /// When to give up.
    pub const fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Tells the client that the answer has begun to arrive. Optional: it keeps a slow answer from being taken for a
    /// lost one.
    pub fn answering(&mut self) {
        if let Some(report) = self.on_answering.take() {
            report();
        }
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("body_len", &self.body.len())
            .field("form", &self.form)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

/// Why a call brought no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallError {
    failure: ExchangeFailure,
    reason: String,
}

impl CallError {
    /// A failure, with a reason for the log that continues "relay ...", such as "refused the call: HTTP 429".
    pub fn new(failure: ExchangeFailure, reason: impl Into<String>) -> Self {
        Self { failure, reason: reason.into() }
    }

    /// What is known of the request.
    pub const fn failure(&self) -> ExchangeFailure {
        self.failure
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for CallError {}

impl From<ExchangeFailure> for CallError {
    fn from(failure: ExchangeFailure) -> Self {
        Self::new(failure, failure.to_string())
    }
}

/// An I/O error does not show whether the node executed the request.
impl From<io::Error> for CallError {
    fn from(error: io::Error) -> Self {
        Self::new(ExchangeFailure::Unknown, error.to_string())
    }
}

/// A [`Carrier`] behind a pointer, so that one client can have several kinds.
pub(crate) trait AnyCarrier: Send + Sync {
    fn call(&self, call: Call) -> Pin<Box<dyn Future<Output = Result<Bytes, CallError>> + Send + '_>>;
}

impl<C: Carrier> AnyCarrier for C {
    fn call(&self, call: Call) -> Pin<Box<dyn Future<Output = Result<Bytes, CallError>> + Send + '_>> {
        Box::pin(Carrier::call(self, call))
    }
}
