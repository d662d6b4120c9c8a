//! Diagnosis of answers and failures.

use bytes::Bytes;
use http::StatusCode;
use seqlane::wire::{AnswerError, Limits, Reply, decode_answer};
use seqlane::{ExchangeFailure, Form};
use seqlane_tokio::exchange::Trace;

/// The replies in an answer to `ops` ops, or a description of the problem.
pub(super) fn replies(
    form: Form,
    ops: usize,
    answer: Result<Bytes, ExchangeFailure>,
    trace: &Trace,
) -> Result<Vec<Reply>, String> {
    let body = answer.map_err(|failure| failed_exchange(form, failure, trace))?;
    let limits = Limits { max_body: body.len(), max_ops: ops };
    match decode_answer(&body, ops, limits) {
        Ok(replies) if is_unauthorized(&replies) => Err(match form {
            Form::Relay => "the relay works, but its node rejects the relay's key".to_owned(),
            Form::Node => "the node rejects this key".to_owned(),
        }),
        Ok(replies) => Ok(replies),
        Err(error) => Err(bad_answer(form, &error, &body)),
    }
}

/// A node's answer to a wrong key when it is set to diagnose: one reply, whatever was asked.
fn is_unauthorized(replies: &[Reply]) -> bool {
    replies.first().is_some_and(|reply| reply.error.as_deref() == Some("unauthorized"))
}

fn failed_exchange(form: Form, failure: ExchangeFailure, trace: &Trace) -> String {
    match (failure, trace.status, form) {
        (ExchangeFailure::Garbage, Some(StatusCode::NOT_FOUND), Form::Node) => {
            "HTTP 404: the key is not the node's, or the URL is not a node's".to_owned()
        }
        (ExchangeFailure::Garbage, Some(StatusCode::NOT_FOUND), Form::Relay) => {
            "HTTP 404: the URL is not a relay's (or it is a node's: see --node)".to_owned()
        }
        (ExchangeFailure::NotSent, _, _) => with_hint(trace.explain(failure)),
        _ => trace.explain(failure),
    }
}

/// The problem of an unreachable relay, with a hint.
fn with_hint(mut problem: String) -> String {
    if problem.contains("certificate") {
        problem.push_str("; if the relay has a private certificate authority, set it with --ca");
    } else if problem.contains("corrupt message") || problem.contains("InvalidContentType") {
        problem.push_str("; the relay may speak http:// instead of https://");
    }
    problem
}

fn bad_answer(form: Form, error: &AnswerError, body: &[u8]) -> String {
    match error {
        AnswerError::Envelope(text) => reported(form, text),
        AnswerError::NotAnAnswer if is_page(body) => match form {
            Form::Relay => {
                "returned a web page: the key is not the relay's, the relay cannot reach its node, \
                            or its host reports an error"
                    .to_owned()
            }
            Form::Node => "returned a web page: the URL is not a node's".to_owned(),
        },
        AnswerError::NotAnAnswer => "returned something other than JSON, or truncated JSON".to_owned(),
        AnswerError::TooLarge | AnswerError::WrongLength { .. } => format!("invalid answer: {error}"),
    }
}

/// The meaning of an error text of a relay. The texts are those of the deployed scripts.
fn reported(form: Form, text: &str) -> String {
    match (form, text) {
        (_, "unauthorized") => "the key is not the relay's (it reports `unauthorized`)".to_owned(),
        (Form::Relay, "tunnel batch HTTP 404") => {
            "the relay works, but its node returned HTTP 404: the relay's key is not the node's, or the relay has \
             a wrong address of the node"
                .to_owned()
        }
        (Form::Relay, "tunnel batch HTTP 413") => "its node refused a request of this size (413)".to_owned(),
        (Form::Relay, "tunnel batch HTTP 502" | "tunnel batch HTTP 503" | "tunnel batch HTTP 504") => {
            format!("relay returned {}: its node is unreachable", text.trim_start_matches("tunnel batch "))
        }
        _ => format!("reported an error: {text}"),
    }
}

fn is_page(body: &[u8]) -> bool {
    body.trim_ascii_start().first() == Some(&b'<')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_body(form: Form, body: &'static str) -> String {
        replies(form, 1, Ok(Bytes::from_static(body.as_bytes())), &Trace::default()).unwrap_err()
    }

    #[test]
    fn a_page_means_a_wrong_key_at_the_relay() {
        assert!(of_body(Form::Relay, " <!DOCTYPE html><html></html>").contains("the key is not the relay's"));
    }

    #[test]
    fn the_two_keys_are_told_apart() {
        assert!(of_body(Form::Relay, r#"{"e":"unauthorized"}"#).contains("the key is not the relay's"));
        assert!(
            of_body(Form::Relay, r#"{"e":"tunnel batch HTTP 404"}"#)
                .contains("relay's key is not the node's")
        );
        assert!(of_body(Form::Relay, r#"{"r":[{"e":"unauthorized"}]}"#).contains("rejects the relay's key"));
        assert!(of_body(Form::Node, r#"{"r":[{"e":"unauthorized"}]}"#).contains("rejects this key"));
    }

    #[test]
    fn other_errors_are_reported_as_they_are() {
        assert_eq!(
            of_body(Form::Relay, r#"{"e":"tunnel batch HTTP 500"}"#),
            "reported an error: tunnel batch HTTP 500"
        );
        assert!(of_body(Form::Relay, r#"{"r":[]}"#).contains("1 replies expected, 0 found"));
        assert!(of_body(Form::Relay, r#"{"r":[{"sid""#).contains("truncated"));
    }

    #[test]
    fn a_node_behind_a_gateway_is_unreachable() {
        assert_eq!(
            of_body(Form::Relay, r#"{"e":"tunnel batch HTTP 502"}"#),
            "relay returned HTTP 502: its node is unreachable"
        );
    }

    #[test]
    fn a_404_of_a_relay_differs_from_that_of_a_node() {
        let trace = |form| {
            let mut trace = Trace::default();
            trace.status = Some(StatusCode::NOT_FOUND);
            replies(form, 1, Err(ExchangeFailure::Garbage), &trace).unwrap_err()
        };
        assert!(trace(Form::Node).contains("the key is not the node's"));
        assert!(trace(Form::Relay).contains("see --node"));
    }

    #[test]
    fn an_untrusted_certificate_leads_to_the_flag_that_helps() {
        assert!(with_hint("invalid peer certificate: UnknownIssuer".to_owned()).contains("--ca"));
        assert!(!with_hint("Connection refused (os error 111)".to_owned()).contains("--ca"));
    }
}
