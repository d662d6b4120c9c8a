//! Answers that are opened beside the client, for recordings: nothing happens to the client.

use alloc::vec::Vec;

use bytes::Bytes;

use crate::client::calls::{PacketCall, PacketKind};
use crate::client::streams::Streams;
use crate::client::streams::decrypted::{Content, DecryptedPacket};
use crate::client::streams::decryptor::unwrapped;
use crate::config::ClientOptions;
use crate::id::RelayId;
use crate::wire::handshake::{AnswerPayload, Notice};
use crate::wire::{BodyForm, packet, varint};

/// Kinds of content in the encoding.
const RESPONSE: u64 = 0;
const NOTICE: u64 = 1;
const ANSWER: u64 = 2;

impl Streams {
    /// What the answer to a call with this packet, through `relay`, is under its seal.
    pub(in crate::client) fn opened(
        &self,
        relay: RelayId,
        call: &PacketCall,
        body: &Bytes,
        config: &ClientOptions,
    ) -> Option<DecryptedPacket> {
        match &call.kind {
            PacketKind::Exchange { decryptor, .. } => decryptor.read(body),
            PacketKind::Hello(client) => {
                let sealed = match call.form {
                    BodyForm::Packet => body.clone(),
                    BodyForm::Json => unwrapped(body, config.tuning.max_reply_body)?,
                };
                let content = self.hellos.read(relay, *client, &sealed)?;
                Some(DecryptedPacket { form: call.form, content, len: sealed.len() })
            }
        }
    }
}

impl DecryptedPacket {
    /// Appends the packet for a recording.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let form = match self.form {
            BodyForm::Json => 0,
            BodyForm::Packet => 1,
        };
        let kind = match &self.content {
            Content::Response(..) => RESPONSE,
            Content::Notice(_) => NOTICE,
            Content::Answer(_) => ANSWER,
        };
        for number in [form, u64::try_from(self.len).unwrap_or(u64::MAX), kind] {
            varint::encode(number, out);
        }
        match &self.content {
            Content::Response(_, frames) => out.extend_from_slice(frames.packet()),
            Content::Notice(notice) => notice.encode(out),
            Content::Answer(answer) => out.extend_from_slice(&answer.encode()),
        }
    }

    /// Reads what [`encode`](Self::encode) wrote, to the end of `bytes`.
    pub fn decode(bytes: Bytes) -> Option<Self> {
        let mut rest = bytes;
        let mut number = || {
            let (number, len) = varint::decode(&rest)?;
            rest = rest.slice(len..);
            Some(number)
        };
        let form = match number()? {
            0 => BodyForm::Json,
            1 => BodyForm::Packet,
            _ => return None,
        };
        let (len, kind) = (usize::try_from(number()?).ok()?, number()?);
        let content = match kind {
            RESPONSE => {
                let (header, frames) = packet::decode_response(rest).ok()?;
                Content::Response(header, frames)
            }
            NOTICE => Content::Notice(Notice::decode(&rest)?),
            ANSWER => Content::Answer(AnswerPayload::decode(rest.as_ref().try_into().ok()?).ok()?),
            _ => return None,
        };
        Some(Self { form, content, len })
    }
}
