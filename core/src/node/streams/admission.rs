//! Admission of hellos, a pure function of counts (protocol.md 3.1 Admission).

use core::time::Duration;

use crate::wire::handshake::NoticeKind;

/// Half-open connections of a user, and of the node, above which a hello needs a token.
const HALF_OPEN_OF_USER: usize = 256;
const HALF_OPEN: usize = 2048;

/// Hellos of a user that are let in within a second.
pub(super) const RATE: usize = 100;

/// The wait that a node asks for when it has no place, or is about to stop.
const NO_PLACE_WAIT: Duration = Duration::from_secs(30);
const DRAINING_WAIT: Duration = Duration::from_secs(5);
const QUOTA_WAIT: Duration = Duration::from_secs(600);

/// What decides about a hello that opened.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Applicant {
    pub(super) draining: bool,
    pub(super) over_quota: bool,
    /// Whether there is a place for a connection, or one that is given up for it.
    pub(super) has_place: bool,
    /// Whether it brings a token that is good.
    pub(super) has_token: bool,
    /// Half-open connections of the user, and of all.
    pub(super) half_open_of_user: usize,
    pub(super) half_open: usize,
    /// Hellos of the user that were let in within the last second.
    pub(super) recent: usize,
}

/// What becomes of a hello.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is answered.
    LetIn,
    /// It is refused; with `invited`, a token comes along.
    Refuse { kind: NoticeKind, wait: Duration, invited: bool },
}

impl Applicant {
    /// What becomes of the hello.
    pub(super) const fn verdict(&self) -> Verdict {
        if self.draining {
            return Verdict::Refuse { kind: NoticeKind::Draining, wait: DRAINING_WAIT, invited: false };
        }
        if self.over_quota {
            return Verdict::Refuse { kind: NoticeKind::NotAllowed, wait: QUOTA_WAIT, invited: false };
        }
        if !self.has_place {
            return Verdict::Refuse { kind: NoticeKind::Busy, wait: NO_PLACE_WAIT, invited: false };
        }
        if !self.has_token && (self.half_open_of_user >= HALF_OPEN_OF_USER || self.half_open >= HALF_OPEN) {
            return Verdict::Refuse { kind: NoticeKind::Busy, wait: Duration::ZERO, invited: true };
        }
        if self.recent >= RATE {
            return Verdict::Refuse { kind: NoticeKind::Busy, wait: Duration::from_secs(1), invited: true };
        }
        Verdict::LetIn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_admission() {
        use NoticeKind::{Busy, Draining, NotAllowed};
        let calm = Applicant { has_place: true, ..Applicant::default() };
        let refuse =
            |kind, seconds, invited| Verdict::Refuse { kind, wait: Duration::from_secs(seconds), invited };
        let table = [
            ("nothing is in the way", calm, Verdict::LetIn),
            ("draining", Applicant { draining: true, over_quota: true, ..calm }, refuse(Draining, 5, false)),
            (
                "over quota",
                Applicant { over_quota: true, has_place: false, ..calm },
                refuse(NotAllowed, 600, false),
            ),
            ("no place", Applicant { has_place: false, half_open: 9_999, ..calm }, refuse(Busy, 30, false)),
            ("255 of the user", Applicant { half_open_of_user: 255, ..calm }, Verdict::LetIn),
            (
                "256 of the user",
                Applicant { half_open_of_user: 256, recent: 100, ..calm },
                refuse(Busy, 0, true),
            ),
            ("2048 of all", Applicant { half_open: 2048, ..calm }, refuse(Busy, 0, true)),
            (
                "with a token",
                Applicant { half_open_of_user: 256, half_open: 2048, has_token: true, ..calm },
                Verdict::LetIn,
            ),
            (
                "100 within a second, with a token",
                Applicant { recent: 100, has_token: true, ..calm },
                refuse(Busy, 1, true),
            ),
        ];
        for (case, applicant, expected) in table {
            assert_eq!(applicant.verdict(), expected, "{case}");
        }
    }
}
