//! Decrypted response packets (protocol.md 3.1).

use core::fmt;

use crate::wire::BodyForm;
use crate::wire::frame::Frames;
use crate::wire::handshake::{AnswerPayload, Notice};
use crate::wire::packet::ResponseHeader;

/// A response packet, the answer to a hello, or a notice, that was decrypted and parsed.
#[derive(Clone, PartialEq, Eq)]
pub struct DecryptedPacket {
    pub(super) form: BodyForm,
    pub(super) content: Content,
    /// Bytes of the packet, sealed.
    pub(super) len: usize,
}

/// What lay under the seal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// A response.
    Response(ResponseHeader, Frames),
    /// A notice in the place of one.
    Notice(Notice),
    /// The answer to a hello.
    Answer(AnswerPayload),
}

impl DecryptedPacket {
    /// The form of the body that carried the packet.
    pub const fn form(&self) -> BodyForm {
        self.form
    }

    /// The response without its seal and its padding; nothing for a notice, and for the answer to a hello.
    pub fn plaintext(&self) -> &[u8] {
        match &self.content {
            Content::Response(_, frames) => frames.packet(),
            Content::Notice(_) | Content::Answer(_) => &[],
        }
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
