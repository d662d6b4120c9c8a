//! Observations of an exchange, for diagnosis.

use std::error::Error;

use http::header::CONTENT_ENCODING;
use http::{Response, StatusCode, Version};
use seqlane::ExchangeFailure;

/// What was observed of an exchange, whatever its outcome. From [`Exchanger::trace`](super::Exchanger::trace).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Trace {
    /// The error of name resolution, TCP or TLS, if there was no connection.
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
    /// The meaning of a failure of this exchange, in words that continue "relay ...".
    pub fn explain(&self, failure: ExchangeFailure) -> String {
        let status = self.status.map_or_else(|| "no status".to_owned(), |status| format!("HTTP {status}"));
        match failure {
            ExchangeFailure::NotSent => {
                let why = self.connect_error.as_deref();
                format!("cannot be reached: {}", why.unwrap_or("no connection in time"))
            }
            ExchangeFailure::Unknown if self.status.is_none() => {
                "did not answer the request: the connection broke, or the deadline passed".to_owned()
            }
            ExchangeFailure::Unknown => "did not finish its answer: the connection broke, or the deadline passed".to_owned(),
            ExchangeFailure::Refused { .. } => {
                format!("refused the call ({status}): too many calls, or its quota is used up")
            }
            ExchangeFailure::TooLarge => "refused a request of this size (413)".to_owned(),
            ExchangeFailure::Garbage if self.status == Some(StatusCode::OK) => {
                "returned a web page, or JSON that is cut or not an answer: the key is wrong, or the relay's host \
                 reports an error"
                    .to_owned()
            }
            ExchangeFailure::Garbage => format!("returned {status}: the URL or the key is wrong"),
        }
    }

    pub(super) fn record<B>(&mut self, response: &Response<B>) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_is_explained() {
        let answered = |status| Trace { status: Some(status), ..Trace::default() };
        for (trace, failure, words) in [
            (Trace::default(), ExchangeFailure::NotSent, "no connection in time"),
            (Trace::default(), ExchangeFailure::Unknown, "did not answer"),
            (answered(StatusCode::OK), ExchangeFailure::Unknown, "did not finish"),
            (
                answered(StatusCode::TOO_MANY_REQUESTS),
                ExchangeFailure::Refused { retry_after: None },
                "429 Too Many Requests): too many calls, or its quota",
            ),
            (answered(StatusCode::PAYLOAD_TOO_LARGE), ExchangeFailure::TooLarge, "413"),
            (answered(StatusCode::OK), ExchangeFailure::Garbage, "the key is wrong"),
            (answered(StatusCode::NOT_FOUND), ExchangeFailure::Garbage, "HTTP 404 Not Found"),
        ] {
            let text = trace.explain(failure);
            assert!(text.contains(words), "{text}");
        }
        let refused = Trace { connect_error: Some("Connection refused".to_owned()), ..Trace::default() };
        assert_eq!(refused.explain(ExchangeFailure::NotSent), "cannot be reached: Connection refused");
    }
}
