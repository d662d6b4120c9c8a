//! Decrypted response packets (protocol.md 3.1).

use core::fmt;

use crate::wire::BodyForm;
use crate::wire::frame::Frames;
use crate::wire::packet::ResponseHeader;
#[cfg(feature = "record")]
use crate::wire::seal::{Nonce, Seal, Unsealed};
#[cfg(feature = "record")]
use crate::wire::{Body, Sealing, Wrapping};

/// A response packet that was decrypted and parsed.
#[derive(Clone, PartialEq, Eq)]
pub struct DecryptedPacket {
    pub(super) form: BodyForm,
    pub(in crate::client) header: ResponseHeader,
    pub(in crate::client) frames: Frames,
    /// Bytes of the packet, sealed.
    pub(crate) len: usize,
}

#[cfg(feature = "record")]
impl DecryptedPacket {
    /// A body that opens to the same.
    pub(crate) fn sealed_again(&self, seal: &Seal, nonce: Nonce) -> Body {
        let wrapping = match self.form {
            BodyForm::Packet => Wrapping::Raw,
            BodyForm::Json => Wrapping::Answer,
        };
        Sealing::new(Unsealed::of(self.frames.packet()), seal, nonce).into_body(wrapping)
    }
}

impl fmt::Debug for DecryptedPacket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DecryptedPacket({} bytes)", self.len)
    }
}
