//! The head of a recording: which machine, and what it was made of.

use alloc::borrow::Cow;
use alloc::string::ToString;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::error::Problem;
use super::machine::Machine;
use crate::time::Instant;

/// The longest head: a thousand relays are less than half of it.
pub(super) const MAX_LEN: usize = 1024 * 1024;

/// One line of JSON.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Head<'a, O> {
    pub(super) machine: Cow<'a, str>,
    /// The version of the crate that wrote it.
    pub(super) program: Cow<'a, str>,
    pub(super) seed: [u8; 32],
    /// When the machine was made, in microseconds.
    pub(super) start: u64,
    pub(super) options: O,
}

/// As much of a head as tells how to read the rest.
#[derive(Deserialize)]
pub(super) struct Kind<'a> {
    pub(super) machine: Cow<'a, str>,
}

/// Appends the head, and the end of its line.
pub(super) fn write<M: Machine>(options: &M::Options, seed: [u8; 32], start: Instant, out: &mut Vec<u8>) {
    let program = env!("CARGO_PKG_VERSION").into();
    let head = Head { machine: M::NAME.into(), program, seed, start: start.as_micros(), options };
    // Options are numbers and names, of which every one can be written.
    out.extend_from_slice(&serde_json::to_vec(&head).unwrap_or_default());
    out.push(b'\n');
}

/// Reads a head.
pub(super) fn read<'a, T: Deserialize<'a>>(line: &'a [u8]) -> Result<T, Problem> {
    serde_json::from_slice(line).map_err(|error| Problem::Head(error.to_string().into()))
}
