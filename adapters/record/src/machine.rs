//! Interface of the machines that can be recorded.

use std::fmt::Debug;

use bytes::Bytes;
use seqlane::{Body, ConfigError, Instant, Misuse, Secret, UserOptions};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::entry::RecordedAction;
use crate::error::Problem;
use crate::mask::Mask;
use crate::packets::random_part;

/// A machine that can be recorded and replayed: [`Client`](seqlane::Client) and [`Node`](seqlane::Node).
pub trait Machine: Sized {
    /// The name in the head of a recording.
    const NAME: &'static str;
    /// What it is made of.
    type Options: Clone + Debug + Serialize + DeserializeOwned;
    /// What it is given.
    type Event: Clone + Debug;
    /// What it returns.
    type Action: Clone + Debug;

    /// Checks options.
    ///
    /// # Errors
    /// [`ConfigError`] names the first invalid option.
    fn check(options: &Self::Options) -> Result<(), ConfigError>;

    /// A machine with these options for a replay: it makes the names of the recorded one, and its seals are those of models.
    ///
    /// # Errors
    /// [`ConfigError`] names the first invalid option.
    #[cfg(feature = "replay")]
    fn start(options: Self::Options, names: [u8; 32], now: Instant) -> Result<Self, ConfigError>;

    /// The event as it is recorded: what the machine can open lies open. To be called before the machine takes the event.
    fn opened(&self, event: Self::Event) -> Self::Event;

    /// Hands in an event.
    ///
    /// # Errors
    /// [`Misuse`] when the event breaks the contract.
    fn handle(&mut self, now: Instant, event: Self::Event) -> Result<(), Misuse>;

    /// Takes the next action.
    fn poll(&mut self) -> Self::Action;

    /// The keys and the secrets of these options.
    fn secrets(options: &Self::Options) -> Secrets;

    /// The options with these keys and secrets; none if the number of keys is wrong.
    fn with_secrets(options: Self::Options, secrets: Secrets) -> Option<Self::Options>;

    /// The mask over the keys and the secrets of these options.
    fn mask(options: &Self::Options) -> Mask {
        Mask::new(Self::secrets(options))
    }

    /// An action as it is recorded and compared. Of a packet that counts what lies under its seal.
    fn record_action(action: &Self::Action, mask: &Mask) -> RecordedAction {
        let mut masked = Vec::new();
        let bytes = match Self::payload(action) {
            Some(Payload::Body(body)) => {
                match body.plaintext() {
                    Some((client, plaintext)) => {
                        masked.extend_from_slice(&random_part(client).0);
                        masked.extend_from_slice(plaintext);
                    }
                    None => mask.apply_to_compare(&body.clone().into_bytes(), &mut masked),
                }
                Some(&masked[..])
            }
            Some(Payload::Bytes(bytes)) => Some(&bytes[..]),
            None => None,
        };
        RecordedAction::new(&Self::without_ids(action), bytes)
    }

    /// The action without the parts of ids that are made with secrets, to be printed.
    fn without_ids(action: &Self::Action) -> Self::Action {
        action.clone()
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

    /// Appends an event that was [opened](Self::opened), with keys, secrets and ids masked.
    fn write_event(event: &Self::Event, mask: &mut Mask, out: &mut Vec<u8>);

    /// Reads an event that [`write_event`](Self::write_event) wrote. Payloads are slices of `bytes`.
    ///
    /// # Errors
    /// [`Problem`] names the field that is wrong.
    fn read_event(bytes: Bytes, mask: &mut Mask) -> Result<Self::Event, Problem>;
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
    /// The secret of level 2, if there is one.
    pub secret: Option<Secret>,
    /// The users, who have secrets of their own.
    pub users: Vec<UserOptions>,
}
