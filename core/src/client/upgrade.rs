//! Upgrade of flows that open to streams, where there is a connection of level 2 (protocol.md 3.1).

use crate::client::action::EndReason;
use crate::client::context::Context;
use crate::client::flows::{Carrier, Flows};
use crate::client::relays::Relays;
use crate::client::sessions::Sessions;
use crate::client::streams::{Availability, Streams};

/// Flows whose open is due become streams where there is a connection, and wait where there may be one soon. Where level 2
/// is the lowest, they wait as long as any relay may lead to a node that has it, and end where none does.
pub(super) fn upgrade(
    flows: &mut Flows,
    sessions: &mut Sessions,
    streams: &mut Streams,
    relays: &mut Relays,
    context: &mut Context,
) {
    streams.set_wanted(false);
    if !sessions.has_opens() {
        return;
    }
    streams.renew(relays, context);
    while let Availability::Ready(connection) = streams.availability(context.now(), relays)
        && let Some((id, start)) = sessions.hand_over(context)
    {
        flows.set(id, Carrier::Streams);
        streams.take_over(id, connection, start, context);
    }
    let availability = streams.availability(context.now(), relays);
    let sealed_only = context.config().is_sealed_only();
    if sealed_only && !relays.may_reach_node() {
        sessions.end_opens(EndReason::LevelTooLow, context);
    } else if sealed_only || availability == Availability::Undecided {
        streams.set_wanted(sessions.has_live_opens());
    }
}

/// Whether flows that did not become streams may open as sessions now: not while they can be streams soon.
pub(super) fn may_open(streams: &Streams, relays: &Relays, context: &Context) -> bool {
    streams.availability(context.now(), relays) != Availability::Undecided
}
