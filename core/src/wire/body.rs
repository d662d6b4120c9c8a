//! Bodies that need not be ready when they are decided on.
//!
//! Sealing and base64 take time with every byte, and a machine has better things to do: it gives the packet away
//! together with everything that sealing it takes. Whichever thread makes the bytes, and whenever, they are the same.

use alloc::boxed::Box;
use core::fmt;
use core::hash::{Hash, Hasher};

use bytes::Bytes;

use crate::secret::Secret;
use crate::wire::base64::encoded_len;
use crate::wire::envelope::{Form, encode_answer, encode_request, encode_single_answer};
use crate::wire::op::Op;
use crate::wire::packet::ClientId;
use crate::wire::reply::ReplyParts;
use crate::wire::seal::{Head, Nonce, Seal, Unsealed};

/// The body of a call, or of the answer to one. Get the bytes with [`into_bytes`](Self::into_bytes), on any thread.
#[derive(Clone)]
pub struct Body(Content);

#[derive(Clone)]
enum Content {
    Ready(Bytes),
    /// In a box, so that a body is no larger than its bytes would be.
    Pending(Box<(Sealing, Wrapping)>),
}

/// A packet with everything that sealing it takes.
#[derive(Clone)]
pub(crate) struct Sealing {
    packet: Unsealed,
    seal: Seal,
    nonce: Nonce,
}

/// What answers a packet of level 2.
#[derive(Clone, Debug, Hash)]
pub(crate) enum PacketBody {
    /// An answer to a hello, or a notice.
    Ready(Bytes),
    /// A response.
    Sealing(Sealing),
}

impl PacketBody {
    /// A body that has it.
    pub(crate) fn into_body(self, wrapping: Wrapping) -> Body {
        match self {
            Self::Ready(packet) => wrapping.wrap(packet).into(),
            Self::Sealing(sealing) => sealing.into_body(wrapping),
        }
    }

    /// The packet.
    pub(crate) fn into_packet(self) -> Bytes {
        match self {
            Self::Ready(packet) => packet,
            Self::Sealing(sealing) => sealing.into_packet(),
        }
    }
}

impl Sealing {
    /// `nonce` must never have been used with this seal.
    pub(crate) fn new(packet: Unsealed, seal: &Seal, nonce: Nonce) -> Self {
        Self { packet, seal: seal.clone(), nonce }
    }

    /// What the packet begins with.
    pub(crate) fn head(&self) -> Head {
        self.seal.head(self.nonce)
    }

    /// The sealed packet.
    pub(crate) fn into_packet(self) -> Bytes {
        self.packet.seal(&self.seal, self.nonce)
    }

    /// A body that has the sealed packet.
    pub(crate) fn into_body(self, wrapping: Wrapping) -> Body {
        Body(Content::Pending(Box::new((self, wrapping))))
    }
}

impl Hash for Sealing {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.packet.hash(state);
    }
}

impl fmt::Debug for Sealing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealing({} bytes)", self.packet.sealed_len())
    }
}

/// What a sealed packet travels in.
#[derive(Clone)]
pub(crate) enum Wrapping {
    /// Nothing.
    Raw,
    /// A batch whose only op it is, with the key of a relay or node.
    Request(Form, Secret),
    /// The answer to a batch, whose only reply it is.
    Answer,
    /// The answer to a single op.
    Reply,
}

impl Wrapping {
    /// The length of a body with a packet of `packet` bytes.
    pub(crate) fn len(&self, packet: usize) -> usize {
        // Three bytes of packet are four of base64.
        const SAMPLE: Bytes = Bytes::from_static(&[0; 3]);
        match self {
            Self::Raw => packet,
            Self::Request(..) | Self::Answer | Self::Reply => {
                self.wrap(SAMPLE).len().saturating_sub(encoded_len(3)).saturating_add(encoded_len(packet))
            }
        }
    }

    /// A packet in it.
    pub(crate) fn wrap(&self, packet: Bytes) -> Bytes {
        match self {
            Self::Raw => packet,
            Self::Request(form, key) => encode_request(*form, key, core::iter::once(&Op::Streams { packet })),
            Self::Answer => encode_answer(&[reply(&[packet])]),
            Self::Reply => encode_single_answer(&reply(&[packet])),
        }
    }
}

fn reply(data: &[Bytes]) -> ReplyParts<'_> {
    ReplyParts { data, ..ReplyParts::default() }
}

impl Body {
    /// How many bytes there will be.
    pub fn len(&self) -> usize {
        match &self.0 {
            Content::Ready(bytes) => bytes.len(),
            Content::Pending(pending) => pending.1.len(pending.0.packet.sealed_len()),
        }
    }

    /// Whether there will be none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether it is a packet of level 2, which [`into_bytes`](Self::into_bytes) has to seal and encode. Everything
    /// else is ready.
    pub const fn is_packet(&self) -> bool {
        matches!(self.0, Content::Pending(_))
    }

    /// The plaintext of a packet that is not sealed yet, and the id of its connection.
    pub fn plaintext(&self) -> Option<(ClientId, &[u8])> {
        match &self.0 {
            Content::Ready(_) => None,
            Content::Pending(pending) => Some((pending.0.seal.client(), pending.0.packet.plaintext())),
        }
    }

    /// The bytes: sealed and encoded now, unless they are ready. Takes a few milliseconds for a packet of some MiB.
    pub fn into_bytes(self) -> Bytes {
        match self.0 {
            Content::Ready(bytes) => bytes,
            Content::Pending(pending) => {
                let (sealing, wrapping) = *pending;
                wrapping.wrap(sealing.into_packet())
            }
        }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self(Content::Ready(bytes))
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({} bytes)", self.len())
    }
}

/// What the body of a call is (protocol.md 1 and 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BodyForm {
    /// A batch as JSON: to the relay's address, or to `/tunnel/batch` of a node.
    Json,
    /// A packet as it is, `application/octet-stream`, with the relay's key as bearer token: to the relay's address, or
    /// to `/tunnel/streams` of a node. The body of an answer with status 200 is a packet too.
    Packet,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// For tests, which compare whole actions: bodies are equal when their bytes are, which seals them.
    impl PartialEq for Body {
        fn eq(&self, other: &Self) -> bool {
            self.clone().into_bytes() == other.clone().into_bytes()
        }
    }

    impl Eq for Body {}
    use crate::wire::direction::Direction;
    use crate::wire::frame::Frame;
    use crate::wire::handshake::ConnectionKeys;
    use crate::wire::number::StreamNumber;

    fn packet(payload: usize) -> Unsealed {
        let mut packet = Unsealed::with_capacity(0);
        let bytes = Bytes::from(alloc::vec![7; payload]);
        Frame::Datagram { stream: StreamNumber::ZERO, bytes }.encode(packet.out());
        packet
    }

    fn body(payload: usize, wrapping: Wrapping) -> Body {
        let keys = ConnectionKeys::of_test(ClientId([1; 16]), [2; 32], [3; 32]);
        let seal = Seal::new(&keys, Direction::Up);
        Sealing::new(packet(payload), &seal, Nonce::new([1; 24])).into_body(wrapping)
    }

    fn wrappings() -> [Wrapping; 5] {
        let request = |form| Wrapping::Request(form, Secret::new("a \"quoted\" key"));
        [Wrapping::Raw, Wrapping::Answer, Wrapping::Reply, request(Form::Relay), request(Form::Node)]
    }

    #[test]
    fn a_body_foretells_its_length() {
        for wrapping in wrappings() {
            for payload in [0, 1, 2, 3, 100, 5_000] {
                let body = body(payload, wrapping.clone());
                assert!(body.is_packet());
                assert_eq!(body.len(), body.clone().into_bytes().len());
            }
        }
    }

    #[test]
    fn a_body_is_the_same_whenever_and_however_often_it_is_made() {
        for wrapping in wrappings() {
            let (first, again) = (body(10, wrapping.clone()), body(10, wrapping));
            let ready = Body::from(again.clone().into_bytes());
            assert!(!ready.is_packet());
            assert_eq!(first, again);
            assert_eq!(first, ready);
        }
    }

    #[test]
    fn a_debug_print_shows_the_length_alone() {
        let text = alloc::format!("{:?}", body(0, Wrapping::Raw));
        assert_eq!(text, alloc::format!("Body({} bytes)", body(0, Wrapping::Raw).len()));
    }
}
