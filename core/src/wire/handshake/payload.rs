//! Payloads of hello and answer, as long as each other (protocol.md 3.1 Handshake).

use alloc::vec::Vec;
use core::fmt;
use core::hash::{Hash, Hasher};

use bytes::Bytes;

use crate::relative;
use crate::wire::cursor::{Cursor, PacketError};
use crate::wire::packet::Grants;
use crate::wire::seal::TAG_LEN;
use crate::wire::varint;

/// The length of hello, answer and notice.
pub const HANDSHAKE_LEN: usize = 256;

/// The length of a payload: its fields, and zeros behind them.
pub(crate) const PAYLOAD_LEN: usize = HANDSHAKE_LEN - 1 - 16 - 32 - TAG_LEN;

/// A payload as it is sealed.
pub(crate) type Payload = [u8; PAYLOAD_LEN];

/// What a node gives to who shall come again, and gets back in the next hello. It is opaque to clients.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Token(pub [u8; 16]);

/// A token lets in whoever has it.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// A start of a node: 16 random bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeId(pub [u8; 16]);

impl Hash for NodeId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        relative::hash_name(relative::NODE, &self.0, state);
    }
}

/// What a client says when a connection begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HelloPayload {
    /// What the node gave in its last `busy`.
    pub token: Option<Token>,
}

impl HelloPayload {
    pub(crate) fn encode(self) -> Payload {
        let mut fields = Vec::with_capacity(PAYLOAD_LEN);
        fields.extend_from_slice(&self.token.map_or([0; 16], |Token(bytes)| bytes));
        varint::encode(FEATURES, &mut fields);
        padded(&fields)
    }

    pub(super) fn decode(payload: &Payload) -> Result<Self, PacketError> {
        let payload = Bytes::copy_from_slice(payload);
        let mut cursor = Cursor::new(&payload, 0);
        let token = cursor.array("a token")?;
        cursor.varint("features")?;
        Ok(Self { token: (token != [0; 16]).then_some(Token(token)) })
    }
}

/// What a node says when it lets a client in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnswerPayload {
    /// Which node it is.
    pub node: NodeId,
    /// What it grants.
    pub grants: Grants,
}

impl AnswerPayload {
    pub(crate) fn encode(self) -> Payload {
        let mut fields = Vec::with_capacity(PAYLOAD_LEN);
        fields.extend_from_slice(&self.node.0);
        varint::encode(FEATURES, &mut fields);
        self.grants.encode(&mut fields);
        padded(&fields)
    }

    pub(crate) fn decode(payload: &Payload) -> Result<Self, PacketError> {
        let payload = Bytes::copy_from_slice(payload);
        let mut cursor = Cursor::new(&payload, 0);
        let node = NodeId(cursor.array("a node")?);
        cursor.varint("features")?;
        Ok(Self { node, grants: Grants::decode(&mut cursor)? })
    }
}

/// No feature has a meaning yet. A reader ignores those that it does not know.
const FEATURES: u64 = 0;

/// The fields, and zeros behind them.
fn padded(fields: &[u8]) -> Payload {
    let mut payload = [0; PAYLOAD_LEN];
    payload.iter_mut().zip(fields).for_each(|(place, byte)| *place = *byte);
    payload
}
