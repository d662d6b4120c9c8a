//! What an exchange met on its way, for those who look for a fault.

use std::error::Error;

use http::header::CONTENT_ENCODING;
use http::{Response, StatusCode, Version};
use seqlane::ExchangeFailure;

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
    /// What a failure of this exchange means, in words that continue "the relay ...".
    pub fn explain(&self, failure: ExchangeFailure) -> String {
        let status = self.status.map_or_else(|| "no status".to_owned(), |status| format!("HTTP {status}"));
        match failure {
            ExchangeFailure::NotSent => {
                let why = self.connect_error.as_deref();
                format!("cannot be reached: {}", why.unwrap_or("the connection was not made in time"))
            }
            ExchangeFailure::Unknown if self.status.is_none() => {
                "took the request and did not answer: the connection broke, or time ran out".to_owned()
            }
            ExchangeFailure::Unknown => "began to answer and did not finish".to_owned(),
            ExchangeFailure::Refused { .. } => {
                format!("refuses the call ({status}): it has too many, or its quota is used up")
            }
            ExchangeFailure::TooLarge => "refuses a request of this size (413)".to_owned(),
            ExchangeFailure::Garbage if self.status == Some(StatusCode::OK) => {
                "answers with a web page, or with JSON that is cut or no answer: a wrong key, or an error of \
                 its host"
                    .to_owned()
            }
            ExchangeFailure::Garbage => format!("{status}, which is no answer: a wrong URL, or a wrong key"),
        }
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_is_explained() {
        let answered = |status| Trace { status: Some(status), ..Trace::default() };
        for (trace, failure, words) in [
            (Trace::default(), ExchangeFailure::NotSent, "not made in time"),
            (Trace::default(), ExchangeFailure::Unknown, "did not answer"),
            (answered(StatusCode::OK), ExchangeFailure::Unknown, "did not finish"),
            (
                answered(StatusCode::TOO_MANY_REQUESTS),
                ExchangeFailure::Refused { retry_after: None },
                "429 Too Many Requests): it has too many, or its quota",
            ),
            (answered(StatusCode::PAYLOAD_TOO_LARGE), ExchangeFailure::TooLarge, "413"),
            (answered(StatusCode::OK), ExchangeFailure::Garbage, "wrong key"),
            (answered(StatusCode::NOT_FOUND), ExchangeFailure::Garbage, "HTTP 404 Not Found"),
        ] {
            let text = trace.explain(failure);
            assert!(text.contains(words), "{text}");
        }
        let refused = Trace { connect_error: Some("Connection refused".to_owned()), ..Trace::default() };
        assert_eq!(refused.explain(ExchangeFailure::NotSent), "cannot be reached: Connection refused");
    }
}
