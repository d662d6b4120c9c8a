//! Packets under way, as the table of calls keeps them (protocol.md 3.2).

use core::time::Duration;

use crate::wire::BodyForm;
use crate::wire::number::ExchangeNumber;
use crate::wire::packet::ClientId;

/// Which packet a call carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::client) struct PacketCall {
    pub(super) client: ClientId,
    pub(super) number: ExchangeNumber,
    /// Without an epoch.
    pub(super) hello: bool,
    pub(super) form: BodyForm,
    pub(super) hold: Duration,
}

impl PacketCall {
    /// What the packet travels in.
    pub(in crate::client) const fn form(&self) -> BodyForm {
        self.form
    }
}
