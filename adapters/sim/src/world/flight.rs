//! Calls on their way through the network.

use std::time::Duration;

use bytes::Bytes;
use seqlane::{BodyForm, ExchangeFailure, ExchangeId};

use crate::oracle::Request;

/// One copy of a request, on its way up or down.
#[derive(Clone, Debug)]
pub(super) struct Flight {
    pub(super) client: usize,
    pub(super) exchange: ExchangeId,
    pub(super) relay: usize,
    /// The node that it was led to: the relay may lead elsewhere by the time of the answer.
    pub(super) node: usize,
    pub(super) key: u64,
    pub(super) copy: u8,
    pub(super) form: BodyForm,
    pub(super) body: Bytes,
    /// What it is about.
    pub(super) request: Request,
    pub(super) up: Duration,
    pub(super) down: Duration,
    /// Its result; none on the way up.
    pub(super) answer: Option<Answer>,
    /// Whether the relay gives this copy's answer to the client.
    pub(super) heard: bool,
    /// Whether its answer fills the client's link, and never comes.
    pub(super) lost: bool,
    /// Whether it holds a place at its relay.
    pub(super) seated: bool,
}

/// The number of a copy that is an old request, which came once more.
const STRAY: u8 = 2;

/// The result of a call.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    Reply(Bytes),
    Failed(ExchangeFailure),
}

impl Flight {
    /// A copy of an old request. Its answer goes nowhere.
    pub(super) fn stray(&self, form: BodyForm, body: Bytes, request: Request) -> Self {
        Self { form, body, request, copy: STRAY, answer: None, heard: false, seated: false, ..self.clone() }
    }

    /// Whether it is a copy of an old request.
    pub(super) const fn is_stray(&self) -> bool {
        self.copy == STRAY
    }
}

impl Answer {
    /// Whether the client cannot know that the node had nothing.
    pub(super) const fn loses(&self) -> bool {
        !matches!(
            self,
            Self::Failed(
                ExchangeFailure::NotSent | ExchangeFailure::Refused { .. } | ExchangeFailure::TooLarge
            )
        )
    }
}
