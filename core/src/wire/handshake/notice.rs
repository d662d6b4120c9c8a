//! Notices: what a node says, sealed, to who has no connection (protocol.md 3.1 Notice).

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;
use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::{KeyInit, Tag, XChaCha20Poly1305, XNonce};

use crate::wire::cursor::Cursor;
use crate::wire::handshake::hello::HELLO;
use crate::wire::handshake::keys::NoticeKey;
use crate::wire::handshake::payload::{HANDSHAKE_LEN, NodeId, Token};
use crate::wire::seal::{HEAD_LEN, Head, NONCE_LEN, Nonce, NotOpened, PACKET, TAG_LEN};
use crate::wire::varint;

/// The first byte of a notice.
pub const NOTICE: u8 = 5;

/// The longest text of a notice.
pub const MAX_TEXT: usize = 128;

/// What a node says to who has no connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// What it is about.
    pub kind: NoticeKind,
    /// Which node says so.
    pub node: NodeId,
    /// How long to wait before the next hello.
    pub wait: Duration,
    /// What the next hello shall bring.
    pub token: Option<Token>,
    /// More, for people; at most [`MAX_TEXT`] bytes.
    pub text: Box<str>,
}

/// What a notice is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NoticeKind {
    /// The node has no connection of this id. The only answer to a packet.
    Unknown,
    /// There is no place, or a token is wanted.
    Busy,
    /// The node is about to stop.
    Draining,
    /// The user may not, for now.
    NotAllowed,
}

impl NoticeKind {
    const TABLE: [(Self, u64); 4] =
        [(Self::Unknown, 1), (Self::Busy, 2), (Self::Draining, 3), (Self::NotAllowed, 4)];

    /// Whether it can answer a request with this first byte.
    const fn answers(self, first: u8) -> bool {
        matches!(
            (self, first),
            (Self::Unknown, PACKET) | (Self::Busy | Self::Draining | Self::NotAllowed, HELLO)
        )
    }
}

impl Notice {
    /// Seals the notice as the answer to the request that begins with `answered`; none if it can answer no such request.
    /// `nonce` must never have been used with this key.
    pub fn seal(&self, key: &NoticeKey, answered: &Head, nonce: Nonce) -> Option<Bytes> {
        let (first, rest) = answered.split_first()?;
        let client = rest.first_chunk::<16>()?;
        if !self.kind.answers(*first) {
            return None;
        }
        let mut packet = Vec::with_capacity(HANDSHAKE_LEN);
        packet.push(NOTICE);
        packet.extend_from_slice(client);
        let nonce = nonce.into_bytes();
        packet.extend_from_slice(&nonce);
        self.encode(&mut packet);
        packet.resize(HANDSHAKE_LEN.saturating_sub(TAG_LEN), 0);
        let (head, body) = packet.split_first_chunk_mut::<HEAD_LEN>()?;
        let cipher = XChaCha20Poly1305::new(&(**key.get()).into());
        let tag = cipher
            .encrypt_inout_detached(&XNonce::from(nonce), &associated(head, answered), body.into())
            .ok()?;
        packet.extend_from_slice(&tag);
        Some(packet.into())
    }

    /// Opens the notice that answers the request that begins with `answered`.
    ///
    /// # Errors
    /// [`NotOpened`], whatever is wrong.
    pub fn open(key: &NoticeKey, answered: &Head, notice: &[u8]) -> Result<Self, NotOpened> {
        let mut notice: [u8; HANDSHAKE_LEN] = notice.try_into().map_err(|_| NotOpened)?;
        let (head, body) = notice.split_first_chunk_mut::<HEAD_LEN>().ok_or(NotOpened)?;
        let (body, tag) = body.split_last_chunk_mut::<TAG_LEN>().ok_or(NotOpened)?;
        let nonce = head.last_chunk::<NONCE_LEN>().ok_or(NotOpened)?;
        if head.first() != Some(&NOTICE) || head.get(1..17) != answered.get(1..17) {
            return Err(NotOpened);
        }
        let cipher = XChaCha20Poly1305::new(&(**key.get()).into());
        let (nonce, tag) = (XNonce::from(*nonce), Tag::from(*tag));
        let opened =
            cipher.decrypt_inout_detached(&nonce, &associated(head, answered), (&mut *body).into(), &tag);
        opened.map_err(|_| NotOpened)?;
        let read = Self::decode(&Bytes::copy_from_slice(body)).ok_or(NotOpened)?;
        if answered.first().is_some_and(|first| read.kind.answers(*first)) {
            Ok(read)
        } else {
            Err(NotOpened)
        }
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let number =
            NoticeKind::TABLE.iter().find(|(kind, _)| *kind == self.kind).map_or(0, |(_, number)| *number);
        varint::encode(number, out);
        out.extend_from_slice(&self.node.0);
        varint::encode(u64::try_from(self.wait.as_millis()).unwrap_or(u64::MAX), out);
        out.extend_from_slice(&self.token.map_or([0; 16], |Token(bytes)| bytes));
        let text = self.text.get(..self.text.floor_char_boundary(MAX_TEXT)).unwrap_or_default();
        varint::encode(text.len().try_into().unwrap_or_default(), out);
        out.extend_from_slice(text.as_bytes());
    }

    pub(crate) fn decode(body: &Bytes) -> Option<Self> {
        let mut cursor = Cursor::new(body, 0);
        let number = cursor.varint("a kind").ok()?;
        let (kind, _) = NoticeKind::TABLE.into_iter().find(|(_, known)| *known == number)?;
        let node = NodeId(cursor.array("a node").ok()?);
        let wait = Duration::from_millis(cursor.varint("a wait").ok()?);
        let token: [u8; 16] = cursor.array("a token").ok()?;
        let text = cursor.text(MAX_TEXT, "a text").ok()?;
        let token = (token != [0; 16]).then_some(Token(token));
        Some(Self { kind, node, wait, token, text: String::from(text).into() })
    }
}

/// The associated data: the notice's first byte and id, then what of the request it answers.
fn associated(head: &Head, answered: &Head) -> [u8; 17 + HEAD_LEN] {
    let mut data = [0; 17 + HEAD_LEN];
    let bytes = head.iter().take(17).chain(answered);
    data.iter_mut().zip(bytes).for_each(|(place, byte)| *place = *byte);
    data
}
