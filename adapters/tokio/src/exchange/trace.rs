//! What an exchange met on its way, for those who look for a fault.

use std::error::Error;

use http::header::CONTENT_ENCODING;
use http::{Response, StatusCode, Version};

/// What was seen of an exchange, whatever came of it. From [`Exchanger::trace`](super::Exchanger::trace).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Trace {
    /// Why no connection came about: what the resolver, TCP or TLS said.
    pub connect_error: Option<String>,
    /// The version of HTTP that the relay speaks.
    pub version: Option<Version>,
    /// The status of the last answer.
    pub status: Option<StatusCode>,
    /// Redirects that were followed.
    pub redirects: usize,
    /// Whether the last answer was compressed.
    pub gzip: bool,
}

impl Trace {
    pub(super) fn saw<B>(&mut self, response: &Response<B>) {
        self.version = Some(response.version());
        self.status = Some(response.status());
        self.gzip = response.headers().contains_key(CONTENT_ENCODING);
    }

    /// Keeps the causes of a failed connect, innermost last; a cause that repeats the one before it once.
    pub(super) fn failed_to_connect(&mut self, error: &dyn Error) {
        let mut text = String::new();
        let mut cause = error.source();
        while let Some(error) = cause {
            let this = error.to_string();
            if !text.ends_with(&this) {
                if !text.is_empty() {
                    text.push_str(": ");
                }
                text.push_str(&this);
            }
            cause = error.source();
        }
        self.connect_error = Some(text);
    }
}
