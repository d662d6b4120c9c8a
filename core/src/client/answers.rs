//! Answers to calls, unwrapped alike for batches and packets (protocol.md 1.3).

use alloc::vec::Vec;

use crate::client::action::ClientNotice;
use crate::client::calls::{CallFacts, CallOutcome, Payload};
use crate::client::context::Context;
use crate::client::event::ExchangeFailure;
use crate::id::RelayId;
use crate::wire::{self, AnswerError, BodyForm, Limits, Reply};

/// Reads the body of an answer in JSON. An answer that is a packet stays sealed.
pub(super) fn read(
    outcome: CallOutcome,
    call: &CallFacts,
    payload: &Payload,
    context: &mut Context,
) -> CallOutcome {
    match (outcome, payload) {
        (CallOutcome::Body(body), Payload::Packet(packet)) if packet.form == BodyForm::Packet => {
            CallOutcome::Body(body)
        }
        (CallOutcome::Body(body), payload) => read_replies(&body, payload.ops(), call.relay, context)
            .map_or_else(CallOutcome::Failed, CallOutcome::Replies),
        // A call without a packet has no answer with one.
        (CallOutcome::Decrypted(_), Payload::Batch(_)) => CallOutcome::Failed(ExchangeFailure::Garbage),
        (outcome, _) => outcome,
    }
}

/// The replies of an answer through `relay` to a call with `ops` ops, one for each.
fn read_replies(
    body: &[u8],
    ops: usize,
    relay: RelayId,
    context: &mut Context,
) -> Result<Vec<Reply>, ExchangeFailure> {
    let limits = Limits { max_body: context.config().tuning.max_reply_body, max_ops: ops };
    wire::decode_answer(body, ops, limits).map_err(|error| match error {
        AnswerError::Envelope(text) => on_envelope_error(relay, &text, context),
        AnswerError::TooLarge | AnswerError::NotAnAnswer | AnswerError::WrongLength { .. } => {
            ExchangeFailure::Garbage
        }
    })
}

/// `{"e": text}`: what it says of the relay, and of the ops.
fn on_envelope_error(relay: RelayId, text: &str, context: &mut Context) -> ExchangeFailure {
    let text = text.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if says(&["http 413", "too large"]) {
        return ExchangeFailure::TooLarge;
    }
    if says(&["quota", "too many times", "rate limit", "http 429", "http 403"]) {
        return ExchangeFailure::Refused { retry_after: None };
    }
    // A relay that cannot get past the node's key is answered 404 by it.
    if says(&["unauthorized", "http 404"]) {
        context.notice(ClientNotice::Unauthorized { relay });
    }
    ExchangeFailure::Garbage
}
