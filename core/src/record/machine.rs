//! What a recording needs to know of a machine.

use alloc::vec::Vec;
use core::fmt::Debug;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::entry::Told;
use super::error::Problem;
use super::mask::Mask;
use crate::config::ConfigError;
use crate::error::Misuse;
use crate::time::Instant;

/// A machine that can be recorded and replayed: [`Client`](crate::Client) and [`Node`](crate::Node).
pub trait Machine: Sized {
    /// What the head of a recording calls it.
    const NAME: &'static str;
    /// What it is made of.
    type Options: Clone + Debug + Serialize + DeserializeOwned;
    /// What it is told.
    type Event: Clone + Debug;
    /// What it wants done.
    type Action: Clone + Debug;

    /// A machine with these options.
    ///
    /// # Errors
    /// [`ConfigError`] names the first option that makes no sense.
    fn start(options: Self::Options, seed: [u8; 32], now: Instant) -> Result<Self, ConfigError>;

    /// Hands in an event.
    ///
    /// # Errors
    /// [`Misuse`] when the event breaks the contract.
    fn handle(&mut self, now: Instant, event: Self::Event) -> Result<(), Misuse>;

    /// Takes the next thing to be done.
    fn poll(&mut self) -> Self::Action;

    /// What covers the keys and the secret of these options.
    fn mask(options: &Self::Options) -> Mask;

    /// An action as it is recorded, and as it is compared.
    fn tell(action: &Self::Action, mask: &Mask) -> Told;

    /// How many bytes of payload an event holds on to.
    fn event_weight(event: &Self::Event) -> usize;

    /// How many bytes of payload an action holds on to.
    fn action_weight(action: &Self::Action) -> usize;

    /// Appends an event, keys and seals covered.
    fn write_event(event: &Self::Event, mask: &Mask, out: &mut Vec<u8>);

    /// Reads an event that [`write_event`](Self::write_event) wrote. Payloads are slices of `bytes`.
    ///
    /// # Errors
    /// [`Problem`] says which field is wrong.
    fn read_event(bytes: Bytes, mask: &Mask) -> Result<Self::Event, Problem>;
}
