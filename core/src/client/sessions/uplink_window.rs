//! The uplink window of one session: payload bytes that may be unanswered (protocol.md 2.5 "Pace").

use core::time::Duration;

/// The first window: an upstream of 35 KB/s takes it in half a minute.
const FIRST: usize = 1024 * 1024;
/// A session may always have this much unanswered: two reads of a socket.
const LEAST: usize = 64 * 1024;
/// An answer is slow when it takes this long beyond three times the quickest one.
const LATENESS_ALLOWED: Duration = Duration::from_secs(3);

/// A window that follows the rate of the upstream.
///
/// A node drops an op that waits half a minute for its turn (protocol.md 2.4 rule 2), and the session ends with it. So no
/// more is sent ahead than the upstream has shown to take: a whole window that was answered quickly doubles it, slow
/// answers in a row halve it. A single slow answer is due to the relay: a slow upstream makes all answers slow, since ops
/// wait for each other.
///
/// ```text
///   1 MiB ── a window answered quickly: doubled ──▶ the configured most
///         ── a slow answer after a slow one: halved ──▶ 64 KiB
/// ```
#[derive(Clone, Debug, Hash)]
pub(super) struct UplinkWindow {
    window: usize,
    /// Bytes answered quickly since the window last changed.
    quick: usize,
    quickest: Option<Duration>,
    /// Whether the last answer was slow.
    slow: bool,
    unanswered: usize,
}

impl UplinkWindow {
    pub(super) const fn new() -> Self {
        Self { window: FIRST, quick: 0, quickest: None, slow: false, unanswered: 0 }
    }

    /// How many bytes the next op may have, of a session with `depth` ops in flight at most: its share of the
    /// window, and nothing when the window is full.
    pub(super) fn room(&self, depth: usize) -> usize {
        let share = self.window.checked_div(depth).unwrap_or(self.window).max(LEAST);
        self.window.saturating_sub(self.unanswered).min(share)
    }

    /// An op with `bytes` goes out.
    pub(super) const fn on_sent(&mut self, bytes: usize) {
        self.unanswered = self.unanswered.saturating_add(bytes);
    }

    /// An op with `bytes` has come back, in whatever way.
    pub(super) const fn on_ended(&mut self, bytes: usize) {
        self.unanswered = self.unanswered.saturating_sub(bytes);
    }

    /// An op with `bytes` was answered after `elapsed`; at most `most` shall be unanswered.
    pub(super) fn on_answer(&mut self, bytes: usize, elapsed: Duration, most: usize) {
        let quickest = self.quickest.map_or(elapsed, |quickest| quickest.min(elapsed));
        self.quickest = Some(quickest);
        if elapsed > quickest.saturating_mul(3).saturating_add(LATENESS_ALLOWED) {
            if self.slow {
                self.window = (self.window / 2).max(LEAST);
            }
            self.slow = true;
            self.quick = 0;
            return;
        }
        self.slow = false;
        self.quick = self.quick.saturating_add(bytes);
        if self.quick >= self.window {
            self.window = self.window.saturating_mul(2).min(most.max(LEAST));
            self.quick = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: usize = 8 << 20;
    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_window_that_is_answered_quickly_doubles_up_to_the_most() {
        let mut uplink = UplinkWindow::new();
        for window in [1, 2, 4, 8, 8] {
            assert_eq!(uplink.window, window << 20);
            for _ in 0..16 {
                uplink.on_answer(uplink.window / 16, SECOND, MOST);
            }
        }
    }

    #[test]
    fn slow_answers_in_a_row_halve_it_down_to_the_least() {
        let mut uplink = UplinkWindow::new();
        uplink.on_answer(1, SECOND, MOST);
        uplink.on_answer(1, SECOND * 7, MOST);
        assert_eq!(uplink.window, FIRST, "one is the relay's");
        uplink.on_answer(1, SECOND * 7, MOST);
        assert_eq!(uplink.window, FIRST / 2);
        for _ in 0..20 {
            uplink.on_answer(1, SECOND * 7, MOST);
        }
        assert_eq!(uplink.window, LEAST);
    }

    #[test]
    fn what_is_unanswered_takes_room_until_it_comes_back() {
        let mut uplink = UplinkWindow::new();
        assert_eq!(uplink.room(8), FIRST / 8);
        uplink.on_sent(FIRST);
        assert_eq!(uplink.room(8), 0);
        uplink.on_ended(1000);
        assert_eq!(uplink.room(1), 1000);
    }
}
