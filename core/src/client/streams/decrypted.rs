//! Decrypted response packets (protocol.md 3.1).

use core::fmt;

use crate::wire::BodyForm;
use crate::wire::frame::Frames;
use crate::wire::packet::ResponseHeader;

/// A response packet that was decrypted and parsed.
#[derive(Clone, PartialEq, Eq)]
pub struct DecryptedPacket {
    pub(super) form: BodyForm,
    pub(in crate::client) header: ResponseHeader,
    pub(in crate::client) frames: Frames,
    /// Bytes of the packet, sealed.
    pub(super) len: usize,
}

impl DecryptedPacket {
    /// The form of the body that carried the packet.
    pub const fn form(&self) -> BodyForm {
        self.form
    }

    /// The packet without its seal.
    pub fn plaintext(&self) -> &[u8] {
        self.frames.packet()
    }

    /// The length of the packet with its seal, in bytes.
    #[expect(clippy::len_without_is_empty, reason = "a packet is never empty")]
    pub const fn len(&self) -> usize {
        self.len
    }
}

impl fmt::Debug for DecryptedPacket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DecryptedPacket({} bytes)", self.len)
    }
}
