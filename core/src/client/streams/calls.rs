//! Calls of level 2: hellos, and packets under their seal (protocol.md 1.1, 3.1, 3.2).

use alloc::sync::Arc;
use core::time::Duration;

use bytes::Bytes;

use crate::client::calls::{NewCall, PacketCall, PacketKind, Payload};
use crate::client::context::Context;
use crate::client::relays::Relays;
use crate::client::streams::connection::NodeConnection;
use crate::client::streams::connections::ConnectionKey;
use crate::client::streams::decryptor::Decryptor;
use crate::id::RelayId;
use crate::wire::number::ExchangeNumber;
use crate::wire::packet::{ClientId, RequestHeader};
use crate::wire::seal::{Nonce, Unsealed};
use crate::wire::{Body, BodyForm, Sealing};

/// A larger request, and the answer to it, counts as bulk.
pub(super) const BULK: usize = 128 * 1024;

/// What a call may take beyond its hold before nobody waits for it any more.
const CALL_MARGIN: Duration = Duration::from_secs(15);

/// A packet of a connection on its way out.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) relay: RelayId,
    pub(super) exchange: ExchangeNumber,
    pub(super) hold: Duration,
    pub(super) packet: Unsealed,
}

impl Outgoing {
    /// A packet without frames.
    pub(super) fn header_only(relay: RelayId, header: RequestHeader) -> Self {
        let RequestHeader { exchange, hold, .. } = header;
        Self { relay, exchange, hold, packet: Unsealed::request(&header, 0) }
    }
}

/// The call for a packet of a connection; `nonce` is used for it alone.
pub(super) fn exchange(
    outgoing: Outgoing,
    (key, connection): (ConnectionKey, &NodeConnection),
    nonce: Nonce,
    relays: &Relays,
    context: &Context,
) -> Option<NewCall> {
    let Outgoing { relay, exchange: number, hold, packet } = outgoing;
    let via = relays.get(relay)?;
    let form = via.packet_form();
    let sealing = Sealing::new(packet, connection.up(), nonce);
    let opener = Arc::clone(connection.opener());
    let decryptor = Decryptor::new(opener, sealing.head(), form, context.config().tuning.max_reply_body);
    let body = sealing.into_body(via.wrapping(form));
    let kind = PacketKind::Exchange { connection: key, number, decryptor };
    Some(call(relay, body, PacketCall { kind, form, hold }, context))
}

/// The call for a hello. Every node understands one in JSON, if only to refuse it.
pub(super) fn hello(
    relay: RelayId,
    (client, packet): (ClientId, Bytes),
    relays: &Relays,
    context: &Context,
) -> Option<NewCall> {
    let form = BodyForm::Json;
    let body = relays.get(relay)?.wrapping(form).wrap(packet).into();
    let packet = PacketCall { kind: PacketKind::Hello(client), form, hold: Duration::ZERO };
    Some(call(relay, body, packet, context))
}

fn call(relay: RelayId, body: Body, packet: PacketCall, context: &Context) -> NewCall {
    let latest = context.now().saturating_add(packet.hold).saturating_add(context.config().request_timeout);
    let deadline = latest.saturating_add(CALL_MARGIN);
    let overdue = deadline.saturating_add(CALL_MARGIN);
    NewCall { relay, body, form: packet.form, deadline, overdue, payload: Payload::Packet(packet) }
}
