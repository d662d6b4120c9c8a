//! Hello and answer: two messages of 256 bytes that make the keys of a connection (protocol.md 3.1 Handshake).

use core::fmt;

use bytes::Bytes;
use x25519_dalek::PublicKey;

use crate::wire::client_id::ClientId;
use crate::wire::handshake::keys::{ConnectionKeys, SecretKeys};
use crate::wire::handshake::noise::{Ephemeral, Noise};
use crate::wire::handshake::payload::{AnswerPayload, HANDSHAKE_LEN, HelloPayload, PAYLOAD_LEN, Payload};
use crate::wire::seal::{NotOpened, TAG_LEN};

/// The first byte of hello and answer.
pub const HELLO: u8 = 3;

/// A message: first byte, id, ephemeral public key, payload, tag.
type Message = [u8; HANDSHAKE_LEN];

/// A hello that its client sent, and what it takes to read the answer.
#[derive(Clone)]
pub struct ClientHello {
    message: Message,
    noise: Noise,
    ephemeral: Ephemeral,
}

impl ClientHello {
    /// The one hello under the id `client`: id, `private` and payload belong together, and no other hello may have any of
    /// them.
    pub fn new(keys: &SecretKeys, client: ClientId, private: [u8; 32], payload: HelloPayload) -> Self {
        let mut noise = noise(keys, client);
        let ephemeral = noise.ephemeral(private);
        noise.mix_public(&ephemeral.public);
        let message = sealed(&mut noise, client, &ephemeral.public, payload.encode());
        Self { message, noise, ephemeral }
    }

    /// The hello as it goes out, every time.
    pub fn packet(&self) -> Bytes {
        Bytes::copy_from_slice(&self.message)
    }

    /// The id that it is for.
    pub fn client(&self) -> ClientId {
        parts(&self.message).map_or(ClientId([0; 16]), |(client, ..)| client)
    }

    /// Reads the answer to this hello.
    ///
    /// # Errors
    /// [`NotOpened`], whatever is wrong. The hello can still be answered then.
    pub fn read(&self, answer: &[u8]) -> Result<(AnswerPayload, ConnectionKeys), NotOpened> {
        let (client, public, mut payload, tag) = parts(answer)?;
        if parts(&self.message)?.0 != client {
            return Err(NotOpened);
        }
        let mut noise = self.noise.clone();
        noise.mix_public(&public);
        noise.mix_shared(&self.ephemeral, &public)?;
        noise.open(&mut payload, tag)?;
        let payload = AnswerPayload::decode(&payload).map_err(|_| NotOpened)?;
        Ok((payload, connection_keys(noise, client)))
    }
}

/// A hello that a node has opened.
pub struct ReceivedHello {
    client: ClientId,
    payload: HelloPayload,
    noise: Noise,
    public: PublicKey,
}

impl ReceivedHello {
    /// Opens a hello whose id fits the user of `keys`. No curve is computed yet.
    ///
    /// # Errors
    /// [`NotOpened`], whatever is wrong.
    pub fn open(keys: &SecretKeys, hello: &[u8]) -> Result<Self, NotOpened> {
        let (client, public, mut payload, tag) = parts(hello)?;
        let mut noise = noise(keys, client);
        noise.mix_public(&public);
        noise.open(&mut payload, tag)?;
        let payload = HelloPayload::decode(&payload).map_err(|_| NotOpened)?;
        Ok(Self { client, payload, noise, public })
    }

    /// The id that it is for.
    pub const fn client(&self) -> ClientId {
        self.client
    }

    /// What the client says.
    pub const fn payload(&self) -> HelloPayload {
        self.payload
    }

    /// Answers: the connection has these keys. `private` must be fresh.
    ///
    /// # Errors
    /// [`NotOpened`] if the client's key has small order.
    pub fn answer(
        self,
        private: [u8; 32],
        payload: AnswerPayload,
    ) -> Result<(Bytes, ConnectionKeys), NotOpened> {
        let Self { client, mut noise, public: theirs, .. } = self;
        let ephemeral = noise.ephemeral(private);
        noise.mix_public(&ephemeral.public);
        noise.mix_shared(&ephemeral, &theirs)?;
        let answer = sealed(&mut noise, client, &ephemeral.public, payload.encode());
        Ok((Bytes::copy_from_slice(&answer), connection_keys(noise, client)))
    }
}

/// The id of a hello, if it has the form of one.
pub fn client_of(hello: &[u8]) -> Option<ClientId> {
    parts(hello).ok().map(|(client, ..)| client)
}

fn noise(keys: &SecretKeys, client: ClientId) -> Noise {
    Noise::new(keys, [b"seqlane v3", &[HELLO], &client.0])
}

fn connection_keys(noise: Noise, client: ClientId) -> ConnectionKeys {
    let session = noise.session();
    ConnectionKeys::new(client, noise.split()).of_session(session)
}

fn sealed(noise: &mut Noise, client: ClientId, public: &PublicKey, mut payload: Payload) -> Message {
    let tag = noise.seal(&mut payload);
    let mut message = [HELLO; HANDSHAKE_LEN];
    let bytes = [HELLO].into_iter().chain(client.0).chain(*public.as_bytes()).chain(payload).chain(tag);
    message.iter_mut().zip(bytes).for_each(|(place, byte)| *place = byte);
    message
}

/// The parts of a message, if it has the form of one.
fn parts(message: &[u8]) -> Result<(ClientId, PublicKey, Payload, [u8; TAG_LEN]), NotOpened> {
    let message: &Message = message.try_into().map_err(|_| NotOpened)?;
    let rest = message.strip_prefix(&[HELLO]).ok_or(NotOpened)?;
    let (client, rest) = rest.split_first_chunk::<16>().ok_or(NotOpened)?;
    let (public, rest) = rest.split_first_chunk::<32>().ok_or(NotOpened)?;
    let (payload, rest) = rest.split_first_chunk::<PAYLOAD_LEN>().ok_or(NotOpened)?;
    let tag = rest.first_chunk::<TAG_LEN>().ok_or(NotOpened)?;
    Ok((ClientId(*client), PublicKey::from(*public), *payload, *tag))
}

impl fmt::Debug for ClientHello {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientHello(..)")
    }
}

impl fmt::Debug for ReceivedHello {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReceivedHello(..)")
    }
}
