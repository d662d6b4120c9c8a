//! Facts that the peer must come to know, however many exchanges are lost on the way (protocol.md 3.2 rule 5).

use crate::wire::number::ExchangeNumber;

/// One fact: an ACK, a WINDOW, an OPENED, a RESET. Only the newest carrier counts: what an older one carried may
/// have been another value.
///
/// ```text
///            owe              send_in(x)              arrived(x)
///  Clear ───────▶ Queued ──────────────────▶ InFlight(x) ───────▶ Clear
///                    ▲                       │      │ ▲
///                    └── owe, lost(x) ───────┘      └─┘ send_in(y): InFlight(y)
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Pending {
    /// The peer knows, or there is nothing to know.
    #[default]
    Clear,
    /// The peer must be told.
    Queued,
    /// This exchange tells it.
    InFlight(ExchangeNumber),
}

impl Pending {
    /// There is something new to know.
    pub(crate) const fn queue(&mut self) {
        *self = Self::Queued;
    }

    /// The fact goes into this exchange.
    pub(crate) const fn send_in(&mut self, by: ExchangeNumber) {
        *self = Self::InFlight(by);
    }

    /// The exchange may be lost.
    pub(crate) fn lost(&mut self, by: ExchangeNumber) {
        if *self == Self::InFlight(by) {
            *self = Self::Queued;
        }
    }

    /// The exchange has arrived.
    pub(crate) fn acked(&mut self, by: ExchangeNumber) {
        if *self == Self::InFlight(by) {
            *self = Self::Clear;
        }
    }

    /// Whether the fact should go into the next packet.
    pub(crate) const fn is_queued(self) -> bool {
        matches!(self, Self::Queued)
    }

    /// Whether the peer knows.
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
