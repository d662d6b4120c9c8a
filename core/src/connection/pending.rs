//! Facts that the peer must come to know, however many exchanges are lost on the way (protocol.md 3.2 rule 5).

use crate::wire::number::ExchangeNumber;

/// One fact: an ACK, a WINDOW, an OPENED, a RESET. Only the newest carrier counts: what an older one carried may
/// have been another value.
///
/// ```text
///            owe              carry(x)              arrived(x)
///  Settled ───────▶ Due ──────────────────▶ Carried(x) ───────▶ Settled
///                    ▲                       │      │ ▲
///                    └── owe, lost(x) ───────┘      └─┘ carry(y): Carried(y)
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Owed {
    /// The peer knows, or there is nothing to know.
    #[default]
    Settled,
    /// The peer must be told.
    Due,
    /// This exchange tells it.
    Carried(ExchangeNumber),
}

impl Owed {
    /// There is something new to know.
    pub(crate) const fn owe(&mut self) {
        *self = Self::Due;
    }

    /// The fact goes into this exchange.
    pub(crate) const fn carry(&mut self, by: ExchangeNumber) {
        *self = Self::Carried(by);
    }

    /// The exchange may be lost.
    pub(crate) fn lost(&mut self, by: ExchangeNumber) {
        if *self == Self::Carried(by) {
            *self = Self::Due;
        }
    }

    /// The exchange has arrived.
    pub(crate) fn arrived(&mut self, by: ExchangeNumber) {
        if *self == Self::Carried(by) {
            *self = Self::Settled;
        }
    }

    /// Whether the fact should go into the next packet.
    pub(crate) const fn is_due(self) -> bool {
        matches!(self, Self::Due)
    }

    /// Whether the peer knows.
    pub(crate) const fn is_settled(self) -> bool {
        matches!(self, Self::Settled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const X: ExchangeNumber = ExchangeNumber::new(3);
    const Y: ExchangeNumber = ExchangeNumber::new(4);

    #[test]
    fn every_state_takes_every_event() {
        use Owed::{Carried, Due, Settled};
        type Event = (&'static str, fn(&mut Owed));
        let events: [Event; 6] = [
            ("owe", |owed| owed.owe()),
            ("carry y", |owed| owed.carry(Y)),
            ("lost x", |owed| owed.lost(X)),
            ("lost y", |owed| owed.lost(Y)),
            ("arrived x", |owed| owed.arrived(X)),
            ("arrived y", |owed| owed.arrived(Y)),
        ];
        let matrix = [
            (Settled, [Due, Carried(Y), Settled, Settled, Settled, Settled]),
            (Due, [Due, Carried(Y), Due, Due, Due, Due]),
            (Carried(X), [Due, Carried(Y), Due, Carried(X), Settled, Carried(X)]),
        ];
        for (before, after) in matrix {
            for ((name, event), after) in events.iter().zip(after) {
                let mut owed = before;
                event(&mut owed);
                assert_eq!(owed, after, "{before:?}, {name}");
            }
        }
    }
}
