//! Interface of the machines that can be recorded.

use std::fmt::Debug;

use bytes::Bytes;
use seqlane::wire::direction::Direction;
use seqlane::{Body, ConfigError, Instant, Misuse, Secret};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::entry::RecordedAction;
use crate::error::Problem;
use crate::mask::Mask;

/// A machine that can be recorded and replayed: [`Client`](seqlane::Client) and [`Node`](seqlane::Node).
pub trait Machine: Sized {
    /// The name in the head of a recording.
    const NAME: &'static str;
    /// The direction of the bodies in its actions.
    const SENDS: Direction;
    /// What it is made of.
    type Options: Clone + Debug + Serialize + DeserializeOwned;
    /// What it is given.
    type Event: Clone + Debug;
    /// What it returns.
    type Action: Clone + Debug;

    /// A machine with these options.
    ///
    /// # Errors
    /// [`ConfigError`] names the first invalid option.
    fn start(options: Self::Options, seed: [u8; 32], now: Instant) -> Result<Self, ConfigError>;

    /// Hands in an event.
    ///
    /// # Errors
    /// [`Misuse`] when the event breaks the contract.
    fn handle(&mut self, now: Instant, event: Self::Event) -> Result<(), Misuse>;

    /// Takes the next action.
    fn poll(&mut self) -> Self::Action;

    /// The keys and the secret of these options.
    fn secrets(options: &Self::Options) -> Secrets;

    /// The options with these keys and this secret; none if the number of keys is wrong.
    fn with_secrets(options: Self::Options, secrets: Secrets) -> Option<Self::Options>;

    /// The mask over the keys and the secret of these options.
    fn mask(options: &Self::Options) -> Mask {
        Mask::new(Self::secrets(options))
    }

    /// An action as it is recorded and compared.
    fn record_action(action: &Self::Action, mask: &Mask) -> RecordedAction {
        let mut masked = Vec::new();
        let bytes = match Self::payload(action) {
            Some(Payload::Body(body)) => {
                mask.apply(Self::SENDS, &body.clone().into_bytes(), &mut masked);
                Some(&masked[..])
            }
            Some(Payload::Bytes(bytes)) => Some(&bytes[..]),
            None => None,
        };
        RecordedAction::new(action, bytes)
    }

    /// The bytes of payload that an event holds on to.
    fn event_weight(event: &Self::Event) -> usize;

    /// The bytes of payload that an action holds on to.
    fn action_weight(action: &Self::Action) -> usize {
        match Self::payload(action) {
            Some(Payload::Body(body)) => body.len(),
            Some(Payload::Bytes(bytes)) => bytes.len(),
            None => 0,
        }
    }

    /// The payload that an action holds on to.
    fn payload(action: &Self::Action) -> Option<Payload<'_>>;

    /// Appends an event, with keys and seals masked.
    fn write_event(event: &Self::Event, mask: &Mask, out: &mut Vec<u8>);

    /// Reads an event that [`write_event`](Self::write_event) wrote. Payloads are slices of `bytes`.
    ///
    /// # Errors
    /// [`Problem`] names the field that is wrong.
    fn read_event(bytes: Bytes, mask: &Mask) -> Result<Self::Event, Problem>;
}

/// The payload of an action.
#[derive(Clone, Copy, Debug)]
pub enum Payload<'a> {
    /// The body of a call or of its answer.
    Body(&'a Body),
    /// Bytes of a flow.
    Bytes(&'a Bytes),
}

/// What a recording must not contain.
#[derive(Clone, Debug)]
pub struct Secrets {
    /// The keys: of each relay in order, or of the node.
    pub keys: Vec<Secret>,
    /// The secret of level 2, if it is not the first key.
    pub secret: Option<Secret>,
}
