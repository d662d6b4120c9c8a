//! A value that must reach the peer, however many packets are lost on the way (protocol.md 3.2 rule 5).

use crate::wire::number::ExchangeNumber;

/// Delivery of one value: an ACK, a WINDOW, an OPEN, an OPENED, a RESET. Only the last packet that carried it counts: an
/// older one may have carried another value.
///
/// ```text
///           queue             send_in(x)              acked(x)
///  Clear ───────────▶ Queued ────────────▶ InFlight(x) ───────▶ Clear
///                       ▲                   │      │ ▲
///                       └─ queue, lost(x) ──┘      └─┘ send_in(y): InFlight(y)
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Pending {
    /// The peer has it, or there is nothing to send.
    #[default]
    Clear,
    /// It must be sent.
    Queued,
    /// The packet of this exchange carries it.
    InFlight(ExchangeNumber),
}

impl Pending {
    /// There is a new value to send.
    pub(crate) const fn queue(&mut self) {
        *self = Self::Queued;
    }

    /// The value goes into the packet of this exchange.
    pub(crate) const fn send_in(&mut self, exchange: ExchangeNumber) {
        *self = Self::InFlight(exchange);
    }

    /// The packet may be lost.
    pub(crate) fn lost(&mut self, exchange: ExchangeNumber) {
        if *self == Self::InFlight(exchange) {
            *self = Self::Queued;
        }
    }

    /// The packet has arrived.
    pub(crate) fn acked(&mut self, exchange: ExchangeNumber) {
        if *self == Self::InFlight(exchange) {
            *self = Self::Clear;
        }
    }

    /// Whether the value belongs into the next packet.
    pub(crate) const fn is_queued(self) -> bool {
        matches!(self, Self::Queued)
    }

    /// Whether the peer has the value.
    pub(crate) const fn is_clear(self) -> bool {
        matches!(self, Self::Clear)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const X: ExchangeNumber = ExchangeNumber::new(3);
    const Y: ExchangeNumber = ExchangeNumber::new(4);

    #[test]
    fn every_state_takes_every_event() {
        use Pending::{Clear, InFlight, Queued};
        type Event = (&'static str, fn(&mut Pending));
        let events: [Event; 6] = [
            ("queue", |pending| pending.queue()),
            ("send y", |pending| pending.send_in(Y)),
            ("lost x", |pending| pending.lost(X)),
            ("lost y", |pending| pending.lost(Y)),
            ("acked x", |pending| pending.acked(X)),
            ("acked y", |pending| pending.acked(Y)),
        ];
        let matrix = [
            (Clear, [Queued, InFlight(Y), Clear, Clear, Clear, Clear]),
            (Queued, [Queued, InFlight(Y), Queued, Queued, Queued, Queued]),
            (InFlight(X), [Queued, InFlight(Y), Queued, InFlight(X), Clear, InFlight(X)]),
        ];
        for (before, after) in matrix {
            for ((name, event), after) in events.iter().zip(after) {
                let mut pending = before;
                event(&mut pending);
                assert_eq!(pending, after, "{before:?}, {name}");
            }
        }
    }
}
