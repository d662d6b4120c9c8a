//! Head of a recording: which machine was recorded, and what it was made of.

use std::borrow::Cow;

use seqlane::{Instant, Secret, UserOptions};
use serde::{Deserialize, Serialize};

use crate::error::Problem;
use crate::machine::{Machine, Secrets};
use crate::mask::Mask;
use crate::stand_in;

/// The longest head: a thousand relays take less than half of it.
pub(crate) const MAX_LEN: usize = 1024 * 1024;

/// One line of JSON.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Head<'a, O> {
    pub(crate) machine: Cow<'a, str>,
    /// The version of the crate that wrote it.
    pub(crate) program: Cow<'a, str>,
    /// The part of the seed that makes names; it says nothing of the rest.
    pub(crate) names: [u8; 32],
    /// When the machine was made, in microseconds.
    pub(crate) start: u64,
    /// The lengths of the keys' stand-ins.
    keys: Vec<usize>,
    /// The number of the secret.
    secret: Option<usize>,
    users: Vec<User>,
    options: O,
}

/// A user of a node.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct User {
    name: Box<str>,
    /// The number of the secret.
    secret: usize,
    max_streams: Option<u32>,
    max_clients: Option<usize>,
}

impl User {
    fn new(user: &UserOptions, mask: &mut Mask) -> Self {
        let UserOptions { name, secret, max_streams, max_clients, .. } = user.clone();
        Self { name, secret: mask.number(&secret), max_streams, max_clients }
    }

    fn options(self) -> UserOptions {
        let mut options = UserOptions::new(self.name, stand_in::of_secret(self.secret));
        (options.max_streams, options.max_clients) = (self.max_streams, self.max_clients);
        options
    }
}

/// The part of a head that tells how to read the rest.
#[derive(Deserialize)]
pub(crate) struct Kind<'a> {
    pub(crate) machine: Cow<'a, str>,
}

impl<O> Head<'_, O> {
    /// The options, with stand-ins for the keys and the secret.
    pub(crate) fn options<M: Machine<Options = O>>(self) -> Result<O, Problem> {
        let bounded = |len: usize| {
            let fits = len <= stand_in::MAX_LEN;
            fits.then_some(len).ok_or_else(|| Problem::Head("a key is too long".into()))
        };
        let keys = self.keys.into_iter().map(|len| bounded(len).map(stand_in::with_len));
        let keys = keys.collect::<Result<Vec<Secret>, _>>()?;
        // Secrets are numbered in this order.
        let numbers = self.secret.into_iter().chain(self.users.iter().map(|user| user.secret));
        if !numbers.eq(1..=self.users.len() + usize::from(self.secret.is_some())) {
            return Err(Problem::Head("the secrets are not numbered in order".into()));
        }
        let users = self.users.into_iter().map(User::options).collect();
        let secrets = Secrets { keys, secret: self.secret.map(stand_in::of_secret), users };
        M::with_secrets(self.options, secrets)
            .ok_or_else(|| Problem::Head("the number of keys does not fit the options".into()))
    }
}

/// Appends the head, and the end of its line.
pub(crate) fn write<M: Machine>(
    options: &M::Options,
    names: [u8; 32],
    start: Instant,
    mask: &mut Mask,
    out: &mut Vec<u8>,
) {
    let Secrets { keys, secret, users } = M::secrets(options);
    let head = Head {
        machine: M::NAME.into(),
        program: env!("CARGO_PKG_VERSION").into(),
        names,
        start: start.as_micros(),
        keys: keys.iter().map(stand_in::written_len).collect(),
        secret: secret.as_ref().map(|secret| mask.number(secret)),
        users: users.iter().map(|user| User::new(user, mask)).collect(),
        options,
    };
    serde_json::to_writer(&mut *out, &head).expect("options are numbers and names, which JSON can hold");
    out.push(b'\n');
}

/// Reads a head.
pub(crate) fn read<'a, T: Deserialize<'a>>(line: &'a [u8]) -> Result<T, Problem> {
    serde_json::from_slice(line).map_err(|error| Problem::Head(error.to_string().into()))
}
