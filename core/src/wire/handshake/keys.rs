//! Keys of a secret, and the ids of its clients (protocol.md 3.1 Keys).

use core::fmt;

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::secret::Secret;
use crate::wire::client_id::ClientId;
use crate::wire::direction::Direction;

/// 32 bytes that are overwritten when they are dropped.
pub(crate) type Key = Zeroizing<[u8; 32]>;

/// Bytes of an id that are random; the others are their MAC.
const RANDOM: usize = 8;

/// The keys that follow from a secret. Making them costs three hashes, checking an id one: so whoever serves many users
/// makes the keys of each once.
#[derive(Clone)]
pub struct SecretKeys {
    psk: Key,
    id: Hmac<Sha256>,
    notice: NoticeKey,
    hides: bool,
}

impl SecretKeys {
    /// The keys of `secret`. The empty secret is the open one: it protects from nothing.
    pub fn new(secret: &Secret) -> Self {
        let secret = Hkdf::<Sha256>::new(None, secret.reveal().as_bytes());
        let key = |info: &[u8]| {
            let mut key = Key::default();
            // A single block of the hash is an output that HKDF can always give.
            let _ = secret.expand(info, key.as_mut());
            key
        };
        // A key shorter than a block of the hash is filled up with zeros (RFC 2104).
        let mut block = Zeroizing::new([0; 64]);
        block.iter_mut().zip(key(b"seqlane v3 id").iter()).for_each(|(place, byte)| *place = *byte);
        let id = Hmac::new(&(*block).into());
        Self { psk: key(b"seqlane v3 psk"), id, notice: NoticeKey(key(b"seqlane v3 notice")), hides: true }
    }

    /// The keys of a secret in models: ids are those of the secret, and what is sealed under them stays readable.
    #[cfg(any(test, feature = "model"))]
    pub fn null(secret: &Secret) -> Self {
        Self { hides: false, ..Self::new(secret) }
    }

    /// Whether they are those of a model.
    #[cfg(any(test, feature = "model"))]
    pub(crate) const fn is_null(&self) -> bool {
        !self.hides
    }

    /// Whether seals under these keys hide anything.
    pub(super) const fn hides(&self) -> bool {
        self.hides
    }

    /// The id of a client whose random part is `random`.
    pub fn client_id(&self, random: [u8; RANDOM]) -> ClientId {
        let mut id = [0; 16];
        let bytes = random.into_iter().chain(self.mac(&random));
        id.iter_mut().zip(bytes).for_each(|(place, byte)| *place = byte);
        ClientId(id)
    }

    /// Whether `id` is of a client that has the secret, in constant time.
    pub fn fits(&self, id: ClientId) -> bool {
        let ClientId(bytes) = id;
        let Some((random, mac)) = bytes.split_first_chunk::<RANDOM>() else { return false };
        self.mac(random).ct_eq(mac).into()
    }

    fn mac(&self, random: &[u8; RANDOM]) -> [u8; RANDOM] {
        let mac = self.id.clone().chain_update(random).finalize().into_bytes();
        let mut short = [0; RANDOM];
        short.iter_mut().zip(mac).for_each(|(place, byte)| *place = byte);
        short
    }

    pub(super) const fn psk(&self) -> &Key {
        &self.psk
    }

    /// The key of notices.
    pub const fn notice(&self) -> &NoticeKey {
        &self.notice
    }
}

impl fmt::Debug for SecretKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKeys(..)")
    }
}

/// The key that seals notices to the clients of a secret.
#[derive(Clone)]
pub struct NoticeKey(Key);

impl NoticeKey {
    pub(super) const fn get(&self) -> &Key {
        &self.0
    }
}

impl fmt::Debug for NoticeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NoticeKey(..)")
    }
}

/// The keys of one connection, which its handshake made.
#[derive(Clone)]
pub struct ConnectionKeys {
    client: ClientId,
    /// Up, and down; none in models.
    keys: Option<[Key; 2]>,
    /// In models, which handshake made them.
    session: u64,
}

impl ConnectionKeys {
    pub(super) const fn new(client: ClientId, keys: Option<[Key; 2]>) -> Self {
        Self { client, keys, session: 0 }
    }

    /// These keys, made by this handshake.
    pub(super) fn of_session(self, session: u64) -> Self {
        Self { session, ..self }
    }

    /// Which handshake made them, in models.
    pub(crate) const fn session(&self) -> u64 {
        self.session
    }

    /// Made-up keys of a model.
    #[cfg(all(test, feature = "model"))]
    pub(crate) fn null_of_test(client: ClientId, session: u64) -> Self {
        Self::new(client, None).of_session(session)
    }

    /// Made-up keys.
    #[cfg(test)]
    pub(crate) fn of_test(client: ClientId, up: [u8; 32], down: [u8; 32]) -> Self {
        Self::new(client, Some([up.into(), down.into()]))
    }

    /// None at all, in models.
    #[cfg(any(test, feature = "model"))]
    pub(crate) const fn null(client: ClientId) -> Self {
        Self::new(client, None)
    }

    /// The id of the connection's client.
    pub const fn client(&self) -> ClientId {
        self.client
    }

    /// The key of packets that go this way; none in models.
    pub(crate) fn of(&self, way: Direction) -> Option<&Key> {
        let [up, down] = self.keys.as_ref()?;
        Some(match way {
            Direction::Up => up,
            Direction::Down => down,
        })
    }
}

impl fmt::Debug for ConnectionKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConnectionKeys({:?})", self.client)
    }
}
