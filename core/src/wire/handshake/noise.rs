//! Noise_NNpsk0_25519_ChaChaPoly_SHA256 (Noise revision 34), as far as two messages need it (protocol.md 3.1 Handshake).

use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::{ChaCha20Poly1305, KeyInit, Nonce, Tag};
use hkdf::Hkdf;
use sha2::{Digest, Sha256};
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use crate::wire::handshake::keys::Key;
use crate::wire::seal::{NotOpened, TAG_LEN};

/// The state of a handshake: the hash of what was said, the chaining key, and the key of the next message.
#[derive(Clone)]
pub(super) struct Noise {
    hash: Key,
    chain: Key,
    key: Key,
}

impl Noise {
    /// A handshake of the ends that share `psk`, with what both know in `prologue`.
    pub(super) fn new(psk: &Key, prologue: [&[u8]; 3]) -> Self {
        let name: Key = Zeroizing::new(Sha256::digest(b"Noise_NNpsk0_25519_ChaChaPoly_SHA256").into());
        let mut noise = Self { hash: name.clone(), chain: name, key: Key::default() };
        noise.mix_hash(&prologue);
        let [chain, hashed, key] = noise.derive(psk.as_slice());
        noise.mix_hash(&[hashed.as_slice()]);
        (noise.chain, noise.key) = (chain, key);
        noise
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
    pub(super) fn mix_shared(&mut self, own: &StaticSecret, theirs: &PublicKey) -> Result<(), NotOpened> {
        let shared = own.diffie_hellman(theirs);
        if !shared.was_contributory() {
            return Err(NotOpened);
        }
        self.mix_key(shared.as_bytes());
        Ok(())
    }

    /// Seals the payload of a message where it lies. A key seals one message.
    pub(super) fn seal(&mut self, payload: &mut [u8]) -> [u8; TAG_LEN] {
        let hash = self.hash.clone();
        let tag =
            self.cipher().encrypt_inout_detached(&Nonce::default(), hash.as_slice(), (&mut *payload).into());
        // The cipher refuses nothing below 256 GiB.
        let tag = tag.map_or([0; TAG_LEN], Into::into);
        self.mix_hash(&[payload, &tag]);
        tag
    }

    /// Opens the payload of a message where it lies.
    pub(super) fn open(&mut self, payload: &mut [u8], tag: [u8; TAG_LEN]) -> Result<(), NotOpened> {
        let before = self.hash.clone();
        self.mix_hash(&[payload, &tag]);
        self.cipher()
            .decrypt_inout_detached(&Nonce::default(), before.as_slice(), payload.into(), &Tag::from(tag))
            .map_err(|_| NotOpened)
    }

    /// The keys of the packets that follow: up, and down.
    pub(super) fn split(self) -> (Key, Key) {
        let [up, down] = self.derive(&[]);
        (up, down)
    }

    fn cipher(&self) -> ChaCha20Poly1305 {
        ChaCha20Poly1305::new(&(*self.key).into())
    }

    fn mix_hash(&mut self, parts: &[&[u8]]) {
        let mut digest = Sha256::new_with_prefix(self.hash.as_slice());
        parts.iter().for_each(|part| digest.update(part));
        *self.hash = digest.finalize().into();
    }

    fn mix_key(&mut self, input: &[u8]) {
        [self.chain, self.key] = self.derive(input);
    }

    /// `HKDFn(chain, input)`.
    fn derive<const N: usize>(&self, input: &[u8]) -> [Key; N] {
        let mut bytes = Zeroizing::new([[0; 32]; N]);
        // At most three blocks of the hash: an output that HKDF can always give.
        let _ = Hkdf::<Sha256>::new(Some(self.chain.as_slice()), input).expand(&[], bytes.as_flattened_mut());
        bytes.map(Zeroizing::new)
    }
}
