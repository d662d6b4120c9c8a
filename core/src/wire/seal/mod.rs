//! Seals: what keeps a packet from everybody but the two ends of its connection (protocol.md 3.1).
//!
//! `04 | id (16) | nonce (24) | ciphertext | tag (16)`: XChaCha20-Poly1305 with the first 17 bytes as associated data,
//! under a key for each direction that the [handshake](super::handshake) of the connection made.
//!
//! Sealing and opening happen in place, in the buffer that was written or received.
//!
//! A model of the protocol gains nothing from secrecy and pays for it in every step: the feature `model` has a seal
//! that hides nothing, which only constructors of that feature use.

use alloc::vec::Vec;
use core::fmt;

use bytes::{Bytes, BytesMut};
use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::{KeyInit, Tag, XChaCha20Poly1305, XNonce};

use crate::id::{Generated, IdGenerator, first};
use crate::wire::client_id::ClientId;
use crate::wire::direction::Direction;
use crate::wire::handshake::ConnectionKeys;

pub(in crate::wire) mod null;

/// The first byte of a packet.
pub const PACKET: u8 = 4;

/// The length of a nonce.
pub const NONCE_LEN: usize = 24;

/// First byte and id: what is authenticated beside the ciphertext.
const CLEAR_LEN: usize = 1 + 16;

/// What stands before the ciphertext: first byte, id and nonce.
pub const HEAD_LEN: usize = CLEAR_LEN + NONCE_LEN;

/// The length of the authentication tag behind the ciphertext.
pub const TAG_LEN: usize = 16;

/// Shorter packets are padded to the next power of two, 128 bytes or more, so that their lengths say little.
const PADDED: usize = 4096;
const LEAST_PADDED: usize = 128;

/// First byte, id and nonce of a packet.
pub type Head = [u8; HEAD_LEN];

/// A number that is used for one packet alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nonce([u8; NONCE_LEN]);

impl Nonce {
    /// This nonce, for test vectors. Two packets under one key and one nonce reveal each other.
    pub const fn new(bytes: [u8; NONCE_LEN]) -> Self {
        Self(bytes)
    }

    pub(super) const fn into_bytes(self) -> [u8; NONCE_LEN] {
        self.0
    }
}

/// The first 24 bytes of SHA-256("seqlane nonce" | seed | n): the input fits one block of the hash, so a nonce costs one
/// compression.
impl Generated for Nonce {
    const LABEL: &'static [u8] = b"seqlane nonce";

    fn from_digest(digest: [u8; 32]) -> Self {
        Self(first(digest))
    }
}

/// An endless supply of nonces that look random to everybody without the seed.
///
/// Nonces of one seed, and of any number of seeds, meet with the chance that random ones have: 2^-96 after 2^48 packets.
///
/// **The seed must be secret and fresh**: who knows it tells the packets of one machine from those of others.
#[derive(Clone, Debug)]
pub struct Nonces(IdGenerator<Nonce>);

impl Nonces {
    /// The nonces of this seed.
    pub const fn new(seed: [u8; 32]) -> Self {
        Self(IdGenerator::new(seed))
    }

    /// The next one. 2^64 of them outlast any process.
    #[allow(clippy::should_implement_trait, reason = "it never ends, so an `Option` would be a lie")]
    pub fn next(&mut self) -> Nonce {
        self.0.generate()
    }
}

/// The packet does not open: it was made with another secret, for the other direction or another connection, or it is
/// damaged. More cannot be told, and more would only help whoever guesses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotOpened;

impl fmt::Display for NotOpened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the packet does not open; do client and node have the same secret?")
    }
}

impl core::error::Error for NotOpened {}

/// The seal of one direction of one connection.
#[derive(Clone)]
pub struct Seal {
    client: ClientId,
    cipher: Cipher,
}

#[derive(Clone)]
enum Cipher {
    Aead(XChaCha20Poly1305),
    /// Of the packets of one handshake, or of any.
    #[allow(dead_code, reason = "models alone make one")]
    Null {
        way: Direction,
        session: Option<u64>,
    },
}

impl Cipher {
    /// Seals `body` where it lies, and gives the tag.
    fn close(&self, head: &Head, body: &mut [u8]) -> [u8; TAG_LEN] {
        let (clear, nonce) = parts(head);
        match self {
            Self::Aead(aead) => {
                let tag = aead.encrypt_inout_detached(&XNonce::from(nonce), clear, body.into());
                // The cipher refuses nothing below 256 GiB.
                tag.map_or([0; TAG_LEN], Into::into)
            }
            Self::Null { way, session } => {
                null::of_session(null::tag(*way, head, body), session.unwrap_or_default())
            }
        }
    }

    /// Opens `body` where it lies, if the tag is the one that it was sealed with.
    fn open(&self, head: &Head, body: &mut [u8], tag: [u8; TAG_LEN]) -> Result<(), NotOpened> {
        let (clear, nonce) = parts(head);
        match self {
            Self::Aead(aead) => {
                let (nonce, tag) = (XNonce::from(nonce), Tag::from(tag));
                aead.decrypt_inout_detached(&nonce, clear, body.into(), &tag).map_err(|_| NotOpened)
            }
            Self::Null { way, session } => {
                let found = null::session(null::tag(*way, head, body), tag).ok_or(NotOpened)?;
                // A packet of no handshake is of any.
                let fits = found == 0 || session.is_none_or(|session| session == found);
                if fits { Ok(()) } else { Err(NotOpened) }
            }
        }
    }
}

/// What is authenticated of a head, and the nonce.
fn parts(head: &Head) -> (&[u8], [u8; NONCE_LEN]) {
    let (clear, nonce) = head.split_at(CLEAR_LEN);
    (clear, nonce.first_chunk().copied().unwrap_or_default())
}

impl Seal {
    /// The seal of packets that go this way over the connection with these keys.
    pub fn new(keys: &ConnectionKeys, way: Direction) -> Self {
        let cipher = match keys.of(way) {
            Some(key) => Cipher::Aead(XChaCha20Poly1305::new(&(**key).into())),
            None => Cipher::Null { way, session: Some(keys.session()) },
        };
        Self { client: keys.client(), cipher }
    }

    /// No seal at all: packets stay readable, and as long as they are; damage, and a packet of the other direction,
    /// are found by a checksum, which anybody can make. It opens the packets of the id whatever handshake was before them,
    /// and what it seals opens after any. Only for models of a network without enemies: no option leads here, and no build without the feature `model` can
    /// make one.
    #[cfg(any(test, feature = "model"))]
    pub const fn null(client: ClientId, way: Direction) -> Self {
        Self { client, cipher: Cipher::Null { way, session: None } }
    }

    /// What tells the handshake of this seal from others under its id, in models.
    #[cfg(any(test, feature = "model"))]
    pub const fn session(&self) -> Option<u64> {
        match self.cipher {
            Cipher::Null { session, .. } => session,
            Cipher::Aead(_) => None,
        }
    }

    /// The id of the connection.
    pub const fn client(&self) -> ClientId {
        self.client
    }

    /// What a packet begins with that is sealed with this nonce.
    pub(crate) fn head(&self, nonce: Nonce) -> Head {
        let mut head = [PACKET; HEAD_LEN];
        let rest = self.client.0.into_iter().chain(nonce.0);
        head.iter_mut().skip(1).zip(rest).for_each(|(place, byte)| *place = byte);
        head
    }

    /// Opens `packet`, and gives what lies under the seal. It is opened where it lies, unless somebody else
    /// holds the buffer too; then it is copied once.
    ///
    /// # Errors
    /// [`NotOpened`], whatever is wrong.
    pub fn open(&self, packet: Bytes) -> Result<Bytes, NotOpened> {
        let mut packet = packet.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
        let (head, body) = packet.split_first_chunk_mut::<HEAD_LEN>().ok_or(NotOpened)?;
        let (body, tag) = body.split_last_chunk_mut::<TAG_LEN>().ok_or(NotOpened)?;
        let len = body.len();
        if client_of(head) != Some(self.client) {
            return Err(NotOpened);
        }
        self.cipher.open(head, body, *tag)?;
        let packet = packet.freeze();
        let end = HEAD_LEN.saturating_add(len);
        Ok(packet.slice(HEAD_LEN..end))
    }
}

/// The id of a packet, if it may be one: it has its first byte, and room for a head, a tag and no more.
pub fn client_of(packet: &[u8]) -> Option<ClientId> {
    let head = packet.first_chunk::<HEAD_LEN>()?;
    let rest = head.strip_prefix(&[PACKET])?;
    rest.first_chunk().copied().map(ClientId)
}

/// What tells the handshake of a packet from others under its id, in models; none if the packet opens under none.
#[cfg(any(test, feature = "model"))]
pub fn session_of(packet: &[u8], way: Direction) -> Option<u64> {
    let (head, body) = packet.split_first_chunk::<HEAD_LEN>()?;
    let (body, tag) = body.split_last_chunk::<TAG_LEN>()?;
    null::session(null::tag(way, head, body), *tag)
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal(..)")
    }
}

/// A packet that is written and not yet sealed: room for the head, then the plaintext, with room for the tag. It is
/// written into the one buffer that is sealed and sent.
///
/// ```
/// use core::time::Duration;
/// use seqlane::Secret;
/// use seqlane::wire::direction::Direction;
/// use seqlane::wire::frame::Frame;
/// use seqlane::wire::handshake::{AnswerPayload, ClientHello, HelloPayload, NodeId, ReceivedHello, SecretKeys};
/// use seqlane::wire::number::{ExchangeNumber, StreamNumber};
/// use seqlane::wire::packet::{self, Grants, RequestHeader, ResponseRoom, Unsealed};
/// use seqlane::wire::seal::{Nonces, Seal};
///
/// // Both ends have the secret. The bytes that are equal here are random, and used once.
/// let keys = SecretKeys::new(&Secret::new("correct horse battery staple"));
/// let hello = ClientHello::new(&keys, keys.client_id([1; 8]), [2; 32], HelloPayload { token: None });
/// let received = ReceivedHello::open(&keys, &hello.packet())?;
/// let grants = Grants {
///     uplink_window: 256 << 10,
///     uplink_total: 64 << 20,
///     downlink_total: 64 << 20,
///     max_packet: 16 << 20,
///     max_hold: Duration::from_secs(50),
///     max_held: 32,
///     max_streams: 4096,
/// };
/// let (answer, at_node) = received.answer([3; 32], AnswerPayload { node: NodeId([4; 16]), grants })?;
/// let (_, at_client) = hello.read(&answer)?;
///
/// let header = RequestHeader {
///     exchange: ExchangeNumber::ZERO,
///     done: ExchangeNumber::ZERO,
///     hold: Duration::from_secs(25),
///     max_held: 1,
///     max_response: ResponseRoom::Bytes(512 * 1024),
///     total: 64 << 20,
///     confirm: None,
/// };
/// let frame = Frame::Data { stream: StreamNumber::ZERO, seq: seqlane::Seq::ZERO, fin: true, bytes: "GET /".into() };
/// let mut writer = Unsealed::request(&header, 4096);
/// writer.push(&frame);
/// let packet = writer.seal(&Seal::new(&at_client, Direction::Up), Nonces::new([5; 32]).next());
///
/// let plain = Seal::new(&at_node, Direction::Up).open(packet)?;
/// let (read, mut frames) = packet::decode_request(plain)?;
/// assert_eq!(read, header);
/// assert_eq!(frames.next(), Some(frame));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Hash)]
pub struct Unsealed(Vec<u8>);

impl Unsealed {
    /// An empty packet that takes `capacity` bytes, sealed, without another allocation.
    pub(super) fn with_capacity(capacity: usize) -> Self {
        let mut bytes = Vec::with_capacity(capacity.max(LEAST_PADDED));
        bytes.resize(HEAD_LEN, 0);
        Self(bytes)
    }

    /// The packet with this plaintext.
    pub fn of(plaintext: &[u8]) -> Self {
        let mut packet =
            Self::with_capacity(HEAD_LEN.saturating_add(plaintext.len()).saturating_add(TAG_LEN));
        packet.0.extend_from_slice(plaintext);
        packet
    }

    /// Where the plaintext is appended.
    pub(super) const fn out(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }

    /// The length of the packet once it is sealed as it is now.
    pub const fn sealed_len(&self) -> usize {
        let len = self.0.len().saturating_add(TAG_LEN);
        if len >= PADDED {
            len
        } else if len > LEAST_PADDED {
            len.next_power_of_two()
        } else {
            LEAST_PADDED
        }
    }

    /// What will lie under the seal, but for the padding.
    pub fn plaintext(&self) -> &[u8] {
        self.0.get(HEAD_LEN..).unwrap_or_default()
    }

    /// Seals the packet where it lies. `nonce` must never have been used with this seal.
    pub fn seal(mut self, seal: &Seal, nonce: Nonce) -> Bytes {
        let len = self.sealed_len();
        self.0.reserve(len.saturating_sub(self.0.len()));
        self.0.resize(len.saturating_sub(TAG_LEN), 0);
        let Some((place, body)) = self.0.split_first_chunk_mut::<HEAD_LEN>() else { return Bytes::new() };
        *place = seal.head(nonce);
        let tag = seal.cipher.close(place, body);
        self.0.extend_from_slice(&tag);
        self.0.into()
    }
}

impl fmt::Debug for Unsealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Unsealed({} bytes)", self.0.len())
    }
}
