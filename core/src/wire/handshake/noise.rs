//! Noise_NNpsk0_25519_ChaChaPoly_SHA256 (Noise revision 34), as far as two messages need it (protocol.md 3.1 Handshake).

use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::{ChaCha20Poly1305, KeyInit, Nonce, Tag};
use hkdf::Hkdf;
use sha2::{Digest, Sha256};
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use crate::wire::direction::Direction;
use crate::wire::handshake::keys::{Key, SecretKeys};
use crate::wire::seal::{NotOpened, TAG_LEN, null};

/// The state of a handshake.
#[derive(Clone)]
pub(super) enum Noise {
    /// The hash of what was said, the chaining key, and the key of the next message.
    Keyed { hash: Key, chain: Key, key: Key },
    /// A checksum over what was said, which hides nothing.
    #[allow(dead_code, reason = "models alone make one")]
    Null { sum: [u8; TAG_LEN] },
}

/// An ephemeral key, which one handshake uses.
#[derive(Clone)]
pub(super) struct Ephemeral {
    private: StaticSecret,
    pub(super) public: PublicKey,
}

impl Noise {
    /// A handshake of the ends that share these keys, with what both know in `prologue`.
    pub(super) fn new(keys: &SecretKeys, prologue: [&[u8]; 3]) -> Self {
        let mut noise = if keys.hides() {
            let name: Key = Zeroizing::new(Sha256::digest(b"Noise_NNpsk0_25519_ChaChaPoly_SHA256").into());
            Self::Keyed { hash: name.clone(), chain: name, key: Key::default() }
        } else {
            Self::Null { sum: [0; TAG_LEN] }
        };
        noise.mix_hash(&prologue);
        noise.mix_psk(keys.psk());
        noise
    }

    /// The ephemeral key of this end.
    pub(super) fn ephemeral(&self, private: [u8; 32]) -> Ephemeral {
        let public = match self {
            Self::Keyed { .. } => PublicKey::from(&StaticSecret::from(private)),
            Self::Null { .. } => PublicKey::from(private),
        };
        Ephemeral { private: StaticSecret::from(private), public }
    }

    /// The token `psk`.
    fn mix_psk(&mut self, psk: &Key) {
        if let Self::Keyed { chain, .. } = self {
            let [next, hashed, message] = derive(chain, psk.as_slice());
            self.mix_hash(&[hashed.as_slice()]);
            self.set_keys(next, message);
        }
    }

    /// The token `e`: an ephemeral public key is sent.
    pub(super) fn mix_public(&mut self, public: &PublicKey) {
        self.mix_hash(&[public.as_bytes()]);
        self.mix_key(public.as_bytes());
    }

    /// The token `ee`: both ephemeral keys are joined.
    ///
    /// # Errors
    /// [`NotOpened`] if the other's key has small order, so that anybody knows the result.
    pub(super) fn mix_shared(&mut self, own: &Ephemeral, theirs: &PublicKey) -> Result<(), NotOpened> {
        if let Self::Keyed { .. } = self {
            let shared = own.private.diffie_hellman(theirs);
            if !shared.was_contributory() {
                return Err(NotOpened);
            }
            self.mix_key(shared.as_bytes());
        }
        Ok(())
    }

    /// Seals the payload of a message where it lies. A key seals one message.
    pub(super) fn seal(&mut self, payload: &mut [u8]) -> [u8; TAG_LEN] {
        let tag = match self {
            Self::Keyed { hash, key, .. } => {
                let tag = cipher(key).encrypt_inout_detached(
                    &Nonce::default(),
                    hash.as_slice(),
                    (&mut *payload).into(),
                );
                // The cipher refuses nothing below 256 GiB.
                tag.map_or([0; TAG_LEN], Into::into)
            }
            Self::Null { sum } => null::tag(Direction::Up, sum, payload),
        };
        self.mix_hash(&[payload, &tag]);
        tag
    }

    /// Opens the payload of a message where it lies.
    ///
    /// # Errors
    /// [`NotOpened`] if the tag is not that of this payload.
    pub(super) fn open(&mut self, payload: &mut [u8], tag: [u8; TAG_LEN]) -> Result<(), NotOpened> {
        let before = self.clone();
        self.mix_hash(&[payload, &tag]);
        match before {
            Self::Keyed { hash, key, .. } => cipher(&key)
                .decrypt_inout_detached(&Nonce::default(), hash.as_slice(), payload.into(), &Tag::from(tag))
                .map_err(|_| NotOpened),
            Self::Null { sum } if null::tag(Direction::Up, &sum, payload) == tag => Ok(()),
            Self::Null { .. } => Err(NotOpened),
        }
    }

    /// The keys of the packets that follow, up and down; none in models.
    pub(super) fn split(self) -> Option<[Key; 2]> {
        match self {
            Self::Keyed { chain, .. } => Some(derive(&chain, &[])),
            Self::Null { .. } => None,
        }
    }

    /// A number of this handshake, by which models tell the packets of one from those of another under the same id: both
    /// ephemeral keys are in it, as they are in real keys.
    pub(super) fn session(&self) -> u64 {
        match self {
            Self::Keyed { .. } => 0,
            Self::Null { sum } => u64::from_le_bytes(sum.first_chunk().copied().unwrap_or_default()),
        }
    }

    fn mix_hash(&mut self, parts: &[&[u8]]) {
        match self {
            Self::Keyed { hash, .. } => {
                let mut digest = Sha256::new_with_prefix(hash.as_slice());
                parts.iter().for_each(|part| digest.update(part));
                **hash = digest.finalize().into();
            }
            Self::Null { sum } => parts.iter().for_each(|part| *sum = null::tag(Direction::Up, sum, part)),
        }
    }

    fn mix_key(&mut self, input: &[u8]) {
        if let Self::Keyed { chain, .. } = self {
            let [next, message] = derive(chain, input);
            self.set_keys(next, message);
        }
    }

    fn set_keys(&mut self, next: Key, message: Key) {
        if let Self::Keyed { chain, key, .. } = self {
            (*chain, *key) = (next, message);
        }
    }
}

fn cipher(key: &Key) -> ChaCha20Poly1305 {
    ChaCha20Poly1305::new(&(**key).into())
}

/// `HKDFn(chain, input)`.
fn derive<const N: usize>(chain: &Key, input: &[u8]) -> [Key; N] {
    let mut bytes = Zeroizing::new([[0; 32]; N]);
    // At most three blocks of the hash: an output that HKDF can always give.
    let _ = Hkdf::<Sha256>::new(Some(chain.as_slice()), input).expand(&[], bytes.as_flattened_mut());
    bytes.map(Zeroizing::new)
}
