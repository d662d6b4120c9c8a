//! Seals: what keeps a packet from everybody who does not know the secret (protocol.md 3.1).
//!
//! `version (1) | nonce (24) | ciphertext | tag (16)`: XChaCha20-Poly1305, with the version as associated
//! data, under a key for each direction that HKDF-SHA256 makes from the shared secret.
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
use hkdf::Hkdf;
use sha2::Sha256;

use crate::id::{Generated, IdGenerator, first};
use crate::secret::Secret;
use crate::wire::direction::Direction;

mod null;

/// The first byte of every packet of this version of the protocol.
pub const VERSION: u8 = 2;

/// The length of a nonce.
pub const NONCE_LEN: usize = 24;

/// What stands before the ciphertext: version and nonce.
pub const HEAD_LEN: usize = 1 + NONCE_LEN;

/// The length of the authentication tag behind the ciphertext.
pub const TAG_LEN: usize = 16;

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
/// **The seed must be secret and fresh**: 32 bytes from the operating system for every machine, as the
/// machines' own documentation asks. Two machines of one direction with the same seed and the same secret
/// use the same nonces, and then whoever sees both their packets can read and forge them.
#[derive(Clone, Debug)]
pub struct Nonces(IdGenerator<Nonce>);

impl Nonces {
    /// The nonces of this seed.
    pub const fn new(seed: [u8; 32]) -> Self {
        Self(IdGenerator::new(seed))
    }

    /// The next one. 2^64 of them outlast any process.
    #[expect(clippy::should_implement_trait, reason = "it never ends, so an `Option` would be a lie")]
    pub fn next(&mut self) -> Nonce {
        self.0.generate()
    }
}

/// The packet does not open: it was made with another secret, for the other direction or in another version,
/// or it is damaged. More cannot be told, and more would only help whoever guesses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotOpened;

impl fmt::Display for NotOpened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the packet does not open; do client and node have the same secret?")
    }
}

impl core::error::Error for NotOpened {}

/// How the seal of a direction is made from a secret: [`Seal::new`], but for models.
pub(crate) type MakeSeal = fn(&Secret, Direction) -> Seal;

/// The seal of one direction.
#[derive(Clone)]
pub struct Seal(Cipher);

#[derive(Clone)]
enum Cipher {
    Aead(XChaCha20Poly1305),
    #[allow(dead_code, reason = "models alone make one")]
    Null(Direction),
}

impl Cipher {
    /// Seals `body` where it lies, and gives the tag.
    fn close(&self, nonce: [u8; NONCE_LEN], body: &mut [u8]) -> [u8; TAG_LEN] {
        match self {
            Self::Aead(aead) => {
                let tag = aead.encrypt_inout_detached(&XNonce::from(nonce), &[VERSION], body.into());
                // The cipher refuses nothing below 256 GiB.
                tag.map_or([0; TAG_LEN], Into::into)
            }
            Self::Null(way) => null::tag(*way, &nonce, body),
        }
    }

    /// Opens `body` where it lies, if the tag is the one that it was sealed with.
    fn open(&self, nonce: [u8; NONCE_LEN], body: &mut [u8], tag: [u8; TAG_LEN]) -> Result<(), NotOpened> {
        match self {
            Self::Aead(aead) => {
                let (nonce, tag) = (XNonce::from(nonce), Tag::from(tag));
                aead.decrypt_inout_detached(&nonce, &[VERSION], body.into(), &tag).map_err(|_| NotOpened)
            }
            Self::Null(way) if null::tag(*way, &nonce, body) == tag => Ok(()),
            Self::Null(_) => Err(NotOpened),
        }
    }
}

impl Seal {
    /// The seal of packets that go this way, for those who share `secret`.
    ///
    /// The key is HKDF-SHA256 (RFC 5869) without salt, with the secret as its key material and
    /// `seqlane v2 up` or `seqlane v2 down` as its info.
    pub fn new(secret: &Secret, way: Direction) -> Self {
        Self(Cipher::Aead(XChaCha20Poly1305::new(&key(secret, way).into())))
    }

    /// No seal at all: packets stay readable, and as long as they are; damage, and a packet of the other direction,
    /// are found by a checksum, which anybody can make. Only for models of a network without enemies: no option
    /// leads here, and no build without the feature `model` can make one.
    #[cfg(any(test, feature = "model"))]
    pub const fn null(way: Direction) -> Self {
        Self(Cipher::Null(way))
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
        let [version, nonce @ ..] = head;
        if *version != VERSION {
            return Err(NotOpened);
        }
        self.0.open(*nonce, body, *tag)?;
        let packet = packet.freeze();
        let end = HEAD_LEN.saturating_add(len);
        Ok(packet.slice(HEAD_LEN..end))
    }
}

pub(super) fn key(secret: &Secret, way: Direction) -> [u8; 32] {
    let info: &[u8] = match way {
        Direction::Up => b"seqlane v2 up",
        Direction::Down => b"seqlane v2 down",
    };
    let mut key = [0; 32];
    // A single block of the hash is an output that HKDF can always give.
    let _ = Hkdf::<Sha256>::new(None, secret.reveal().as_bytes()).expand(info, &mut key);
    key
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
/// use seqlane::wire::number::{ExchangeNumber, StreamNumber};
/// use seqlane::wire::packet::{self, ClientId, Epoch, Unsealed, RequestHeader, ResponseRoom};
/// use seqlane::wire::seal::{Nonces, Seal};
///
/// let header = RequestHeader {
///     client: ClientId([7; 16]),
///     epoch: Some(Epoch([9; 16])),
///     exchange: ExchangeNumber::new(3),
///     done: ExchangeNumber::new(2),
///     hold: Duration::from_secs(25),
///     max_held: 1,
///     max_response: ResponseRoom::Bytes(512 * 1024),
///     total: 64 << 20,
///     confirm: None,
/// };
/// let frame = Frame::Opened { stream: StreamNumber::ZERO };
/// let frame = Frame::Data { stream: StreamNumber::ZERO, seq: seqlane::Seq::ZERO, fin: true, bytes: "GET /".into() };
/// let mut writer = Unsealed::request(&header, 4096);
/// writer.push(&frame);
///
/// let seal = Seal::new(&Secret::new("correct horse"), Direction::Up);
/// let packet = writer.seal(&seal, Nonces::new([1; 32]).next());
///
/// let (read, mut frames) = packet::decode_request(seal.open(packet)?)?;
/// assert_eq!(read, header);
/// assert_eq!(frames.next(), Some(frame));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Hash)]
pub struct Unsealed(Vec<u8>);

impl Unsealed {
    /// An empty packet that takes `capacity` bytes, sealed, without another allocation.
    pub(super) fn with_capacity(capacity: usize) -> Self {
        let mut bytes = Vec::with_capacity(capacity.max(HEAD_LEN));
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
        self.0.len().saturating_add(TAG_LEN)
    }

    /// What will lie under the seal.
    pub fn plaintext(&self) -> &[u8] {
        self.0.get(HEAD_LEN..).unwrap_or_default()
    }

    /// Seals the packet where it lies. `nonce` must never have been used with this seal.
    pub fn seal(mut self, seal: &Seal, nonce: Nonce) -> Bytes {
        let Some((head, body)) = self.0.split_first_chunk_mut::<HEAD_LEN>() else { return Bytes::new() };
        let tag = seal.0.close(nonce.0, body);
        let [version_place, nonce_place @ ..] = head;
        *version_place = VERSION;
        *nonce_place = nonce.0;
        self.0.extend_from_slice(&tag);
        self.0.into()
    }
}

impl fmt::Debug for Unsealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Unsealed({} bytes)", self.0.len())
    }
}
