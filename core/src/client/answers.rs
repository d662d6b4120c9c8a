//! Answers to calls, unwrapped alike for batches and packets (protocol.md 1.3).

use alloc::boxed::Box;
use alloc::vec::Vec;

use bytes::Bytes;

use crate::client::action::ClientNotice;
use crate::client::calls::{CallFacts, CallOutcome, Payload};
use crate::client::context::Context;
use crate::client::event::ExchangeFailure;
use crate::client::streams::decrypted::DecryptedPacket;
use crate::id::RelayId;
use crate::wire::{self, AnswerError, BodyForm, Limits, Reply};

/// How a call ended, as the driver tells it.
#[derive(Debug)]
pub(super) enum CallEnd {
    /// HTTP status 200 with this body.
    Body(Bytes),
    /// A packet that is decrypted already.
    Decrypted(Box<DecryptedPacket>),
    Failed(ExchangeFailure),
    /// The driver did not say anything for longer than the call may take.
    Overdue,
}

impl CallEnd {
    /// What the end of a call with this payload means.
    pub(super) fn read(self, call: &CallFacts, payload: &Payload, context: &mut Context) -> CallOutcome {
        match (self, payload) {
            (Self::Body(body), Payload::Packet(packet)) if packet.form() == BodyForm::Packet => {
                CallOutcome::Sealed(body)
            }
            (Self::Body(body), payload) => match read_replies(&body, payload.ops(), call.relay, context) {
                Ok(replies) => CallOutcome::Replies(replies),
                Err(why) => CallOutcome::Failed(why),
            },
            (Self::Decrypted(packet), Payload::Packet(_)) => CallOutcome::Decrypted(packet),
            // A call without a packet has no answer with one.
            (Self::Decrypted(_), Payload::Batch(_)) => CallOutcome::Failed(ExchangeFailure::Garbage),
            (Self::Failed(why), _) => CallOutcome::Failed(why),
            (Self::Overdue, _) => CallOutcome::Overdue,
        }
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
    match wire::decode_answer(body, ops, limits) {
        Ok(replies) => Ok(replies),
        Err(AnswerError::Envelope(text)) => Err(on_envelope_error(relay, &text, context)),
        Err(AnswerError::TooLarge | AnswerError::NotAnAnswer | AnswerError::WrongLength { .. }) => {
            Err(ExchangeFailure::Garbage)
        }
    }
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
