//! Hellos of models, which anybody can read.

use std::sync::LazyLock;

use bytes::Bytes;
use seqlane::Secret;
use seqlane::wire::handshake::{ClientHello, ReceivedHello, SecretKeys};

/// Where the ephemeral key of a hello stands: behind its first byte and its id.
const EPHEMERAL: usize = 1 + 16;

/// The keys of both ends of a model: no secret is configured.
pub(crate) static KEYS: LazyLock<SecretKeys> = LazyLock::new(|| SecretKeys::null(&Secret::new("")));

/// A hello as its client has it, which can read the answer: in models the private key of a hello is the public one.
pub(crate) fn reread(hello: &Bytes) -> Option<ClientHello> {
    let received = ReceivedHello::open(&KEYS, hello).ok()?;
    let private = hello.get(EPHEMERAL..)?.first_chunk()?;
    Some(ClientHello::new(&KEYS, received.client(), *private, received.payload()))
}

#[cfg(test)]
mod tests {
    use seqlane::wire::handshake::HelloPayload;

    use super::*;

    #[test]
    fn a_hello_is_read_again_as_it_was_written() {
        let client = KEYS.client_id([1; 8]);
        let hello = ClientHello::new(&KEYS, client, [2; 32], HelloPayload { token: None }).packet();
        assert_eq!(reread(&hello).map(|again| again.packet()), Some(hello));
    }
}
