//! What the client knows of the way to the node through each relay, as far as level 2 goes (protocol.md 3.2 rule 10).

use core::time::Duration;

use crate::id::RelayId;
use crate::time::{Instant, share};

/// How long a relay is taken for one whose node has no level 2, or is another node; doubled each time up to the
/// longest.
const AGAIN_FIRST: Duration = Duration::from_secs(5);
const AGAIN_LONGEST: Duration = Duration::from_secs(600);

/// The least that a relay is left alone whose calls come to nothing more than once, before the doublings.
const REST_SECOND: Duration = Duration::from_millis(125);

/// The longest that a relay is left alone whose calls come to nothing.
const REST_LONGEST: Duration = Duration::from_secs(30);

/// Lates in a row after which a relay may be down.
const LOSSES: u32 = 3;

/// The first wait between probes of a relay that is down, and the longest.
const PROBE_FIRST: Duration = Duration::from_secs(5);
const PROBE_LONGEST: Duration = Duration::from_secs(60);

/// The longest that a hello waits before another one, while no flow waits for its answer.
pub(in crate::client) const HELLO_LONGEST: Duration = Duration::from_secs(60);

/// A relay that ended a call while the node still held it is not asked for longer holds for this long.
const HOLD_MEMORY: Duration = Duration::from_secs(600);
const LEAST_HOLD: Duration = Duration::from_secs(5);

/// Where a relay leads.
///
/// ```text
///             hello        answered, with the epoch
///   Unknown ────────▶ Asked ─────────────────────▶ Leads
///      ▲                │ answered otherwise         │ unknown, and another relay is believed
///      │                ▼                            ▼
///      └── time ── Elsewhere ◀───────────────────────┘
///
///   any ── its bodies turn out to be too small ──▶ Narrow
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::client) enum Leads {
    /// Nobody has asked.
    Unknown,
    /// A hello went out.
    Asked { at: Instant },
    /// To the node of the connection.
    Here,
    /// To a node without level 2, with another secret, or to another node. Asked again after this time.
    Elsewhere { until: Instant },
    /// Its bodies are too small for a chunk, which is never cut again: nothing of level 2 goes through it.
    Narrow,
}

/// Whether a relay that leads to the node works.
///
/// ```text
///   Up ── late again and again, another relay answers ──▶ Down ── an answer ──▶ Up
///   Up ── does not know the epoch ──────────────────────▶ Down
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::client) enum Health {
    Up,
    /// Probed at this time, and then after this wait.
    Down {
        probe: Instant,
        wait: Duration,
    },
}

/// How long hellos wait for their answers.
#[derive(Clone, Copy, Debug)]
pub(in crate::client) struct Patience {
    /// The first time: what an exchange usually takes.
    pub(in crate::client) usual: Duration,
    /// However often there was none.
    pub(in crate::client) longest: Duration,
}

/// The way through one relay.
#[derive(Clone, Debug)]
pub(in crate::client) struct Route {
    pub(in crate::client) relay: RelayId,
    pub(in crate::client) leads: Leads,
    pub(in crate::client) health: Health,
    /// Exchanges that were called late since one was answered, and when the first of them was sent.
    losses: u32,
    lost_since: Instant,
    /// When the newest exchange that was answered was sent.
    answered: Option<Instant>,
    /// The longest hold that it lets pass, and until when that is believed.
    hold: Option<(Duration, Instant)>,
    /// Since when its answers say that the epoch is unknown.
    pub(in crate::client) unknown: Option<Instant>,
    /// How often in a row calls came to nothing, when that was counted last, and until when it rests for it.
    useless: u32,
    useless_since: Instant,
    rests: Instant,
    /// Hellos through it since one was answered.
    asked: u32,
    /// How often in a row a hello through it led elsewhere.
    astray: u32,
    /// Whether what answered the last hello was no answer.
    garbled: bool,
    /// Whether an observer was told that there is no level 2 through it.
    pub(in crate::client) told: bool,
}

impl Route {
    pub(in crate::client) const fn new(relay: RelayId) -> Self {
        Self {
            relay,
            leads: Leads::Unknown,
            health: Health::Up,
            losses: 0,
            lost_since: Instant::ZERO,
            answered: None,
            hold: None,
            unknown: None,
            useless: 0,
            useless_since: Instant::ZERO,
            rests: Instant::ZERO,
            asked: 0,
            astray: 0,
            garbled: false,
            told: false,
        }
    }

    /// Everything that was known of the node is void.
    pub(in crate::client) fn forget_node(&mut self) {
        self.lead(Leads::Unknown);
        self.unknown = None;
        self.health = Health::Up;
        self.losses = 0;
    }

    /// Whether it leads to the node, and is not down.
    pub(in crate::client) fn is_good(&self) -> bool {
        self.leads == Leads::Here && self.health == Health::Up
    }

    /// It turned out to lead to the node. Whether that is news.
    pub(in crate::client) fn on_here(&mut self) -> bool {
        (self.astray, self.asked) = (0, 0);
        self.told = false;
        self.lead(Leads::Here)
    }

    /// Its bodies are too small. Whether that is news.
    pub(in crate::client) fn on_narrow(&mut self) -> bool {
        self.lead(Leads::Narrow);
        !core::mem::replace(&mut self.told, true)
    }

    /// Whether there is or may be a way through it to the node of the connection.
    pub(in crate::client) fn may_lead(&self) -> bool {
        match self.leads {
            Leads::Unknown | Leads::Asked { .. } | Leads::Here => true,
            Leads::Elsewhere { .. } | Leads::Narrow => false,
        }
    }

    /// Where it leads, unless that does not matter any more. Whether it was otherwise.
    fn lead(&mut self, leads: Leads) -> bool {
        self.leads != Leads::Narrow && core::mem::replace(&mut self.leads, leads) != leads
    }

    /// A call through it that was sent at `sent` came to nothing. It rests for a moment, `short` the first time in a row,
    /// and then longer each time. All the calls that were out then count once: one outage ends them all.
    pub(in crate::client) fn on_useless(&mut self, short: Duration, sent: Instant, now: Instant) {
        if sent < self.useless_since {
            return;
        }
        self.useless_since = now;
        let times = 1_u32.checked_shl(self.useless.min(16)).unwrap_or(u32::MAX);
        let short = if self.useless == 0 { short } else { short.max(REST_SECOND) };
        self.useless = self.useless.saturating_add(1);
        self.rests = now.saturating_add(short.saturating_mul(times).min(REST_LONGEST));
    }

    /// Whether it rests.
    pub(in crate::client) fn is_resting(&self, now: Instant) -> bool {
        self.rests > now
    }

    /// Until when it rests.
    pub(in crate::client) const fn rests_until(&self) -> Instant {
        self.rests
    }

    /// A hello goes out through it.
    pub(in crate::client) fn on_hello(&mut self, now: Instant) {
        self.asked = self.asked.saturating_add(1);
        self.lead(Leads::Asked { at: now });
    }

    /// Whether a hello through it is due.
    pub(in crate::client) fn wants_hello(&self, now: Instant, patience: Patience) -> bool {
        match self.leads {
            Leads::Unknown => true,
            Leads::Asked { .. } | Leads::Elsewhere { .. } => {
                self.hello_at(patience).is_some_and(|at| at <= now)
            }
            Leads::Here | Leads::Narrow => false,
        }
    }

    /// When a hello through it is due next: longer and longer after the last one that was not answered.
    pub(in crate::client) fn hello_at(&self, patience: Patience) -> Option<Instant> {
        match self.leads {
            Leads::Asked { at } => {
                let times = 1_u32.checked_shl(self.asked.saturating_sub(1).min(16)).unwrap_or(u32::MAX);
                let wait = patience.usual.saturating_mul(times).min(patience.longest);
                Some(at.saturating_add(wait))
            }
            Leads::Elsewhere { until } => Some(until),
            Leads::Unknown | Leads::Here | Leads::Narrow => None,
        }
    }

    /// Whether an answer to the first hello may still come in time: a relay that is silent then holds nobody up.
    pub(in crate::client) fn is_pending(&self, now: Instant, patience: Patience) -> bool {
        match self.leads {
            Leads::Unknown => true,
            Leads::Asked { .. } => self.asked <= 1 && self.hello_at(patience).is_some_and(|at| now < at),
            Leads::Here | Leads::Elsewhere { .. } | Leads::Narrow => false,
        }
    }

    /// What answered a hello was no answer. A second time, it is taken for one that says that there is no level 2: then
    /// whether that is news.
    pub(in crate::client) fn on_garbled_hello(&mut self, now: Instant) -> bool {
        if self.garbled {
            self.garbled = false;
            return self.on_elsewhere(now);
        }
        self.garbled = true;
        self.lead(Leads::Unknown);
        false
    }

    /// It does not lead to the node. Whether that is news.
    pub(in crate::client) fn on_elsewhere(&mut self, now: Instant) -> bool {
        let times = 1_u32.checked_shl(self.astray.min(16)).unwrap_or(u32::MAX);
        let wait = AGAIN_FIRST.saturating_mul(times).min(AGAIN_LONGEST);
        self.astray = self.astray.saturating_add(1);
        self.asked = 0;
        self.lead(Leads::Elsewhere { until: now.saturating_add(wait) });
        !core::mem::replace(&mut self.told, true)
    }

    /// An exchange through it that was sent at `sent` was answered: it works, whatever came to nothing before.
    pub(in crate::client) fn on_answer(&mut self, sent: Instant) {
        self.losses = 0;
        self.useless = 0;
        self.rests = Instant::ZERO;
        self.health = Health::Up;
        self.answered = Some(self.answered.map_or(sent, |answered| answered.max(sent)));
    }

    /// An exchange through it that was sent at `sent` is late.
    pub(in crate::client) fn on_loss(&mut self, sent: Instant) {
        self.lost_since = if self.losses == 0 { sent } else { self.lost_since.min(sent) };
        self.losses = self.losses.saturating_add(1);
    }

    /// Whether it is late so often that it is down, if another relay answered what was sent since; `out` exchanges through
    /// it are neither answered nor late. Of many, a few that are lost by chance are late before the next one is answered.
    pub(in crate::client) fn may_be_down(&self, out: usize) -> Option<Instant> {
        let least = u32::try_from(out).unwrap_or(u32::MAX).max(LOSSES);
        (self.health == Health::Up && self.losses >= least).then_some(self.lost_since)
    }

    /// Whether it answered something that was sent after `since`.
    pub(in crate::client) fn answered_since(&self, since: Instant) -> bool {
        self.answered.is_some_and(|answered| answered > since)
    }

    /// It is down.
    pub(in crate::client) fn on_down(&mut self, now: Instant) {
        self.health = Health::Down { probe: now.saturating_add(PROBE_FIRST), wait: PROBE_FIRST };
    }

    /// It does not know the epoch, which another one has yet to confirm. It is as good as down until then, and probed after
    /// `patience`, in case that no other one is heard of.
    pub(in crate::client) fn on_doubt(&mut self, patience: Duration, now: Instant) {
        if self.health == Health::Up {
            self.health = Health::Down { probe: now.saturating_add(patience), wait: patience };
        }
    }

    /// When it is to be probed, if it is down.
    pub(in crate::client) const fn probe_at(&self) -> Option<Instant> {
        match self.health {
            Health::Down { probe, .. } => Some(probe),
            Health::Up => None,
        }
    }

    /// A probe goes out.
    pub(in crate::client) fn on_probe(&mut self, now: Instant) {
        if let Health::Down { probe, wait } = &mut self.health {
            *wait = wait.saturating_mul(2).min(PROBE_LONGEST);
            *probe = now.saturating_add(*wait);
        }
    }

    /// It ended a call after `elapsed`, which the node may have held for `hold`.
    pub(in crate::client) fn on_cut(&mut self, elapsed: Duration, hold: Duration, now: Instant) {
        if elapsed >= LEAST_HOLD && elapsed < hold {
            let limit = share(elapsed, 3, 4).max(LEAST_HOLD);
            self.hold = Some((limit, now.saturating_add(HOLD_MEMORY)));
        }
    }

    /// The longest hold to ask for through it.
    pub(in crate::client) fn hold(&self, now: Instant) -> Duration {
        self.hold.filter(|(_, until)| *until > now).map_or(Duration::MAX, |(limit, _)| limit)
    }

    /// Whether a call that was sent at `sent` counts when it comes to nothing: others did, that were out with it.
    #[cfg(feature = "model")]
    pub(in crate::client) fn counts(&self, sent: Instant) -> bool {
        sent >= self.useless_since
    }

    /// The route's part of a state's fingerprint. Without `rivals` it is never judged by what others do.
    #[cfg(feature = "model")]
    pub(in crate::client) fn fingerprint(
        &self,
        rivals: bool,
        print: &mut crate::fingerprint::Fingerprint<'_>,
    ) {
        print.value((self.relay, self.told, self.garbled, core::mem::discriminant(&self.leads)));
        print.times(self.unknown);
        match self.leads {
            Leads::Asked { at } => print.time(at),
            Leads::Elsewhere { until } => print.deadline(until),
            Leads::Unknown | Leads::Here | Leads::Narrow => {}
        }
        if let Health::Down { probe, wait } = self.health {
            print.deadline(probe);
            print.value(wait);
        }
        if rivals {
            print.value(self.losses);
            print.times(self.answered.into_iter().chain((self.losses > 0).then_some(self.lost_since)));
        }
        print.value((self.useless, self.astray, self.asked));
        print.deadline(self.rests);
        if let Some((limit, until)) = self.hold {
            print.value(limit);
            print.deadline(until);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(seconds: u64) -> Instant {
        Instant::from_micros(seconds * 1_000_000)
    }

    fn route() -> Route {
        Route { leads: Leads::Here, ..Route::new(RelayId::new(0)) }
    }

    #[test]
    fn three_lates_in_a_row_make_a_relay_suspect_and_an_answer_clears_it() {
        let mut route = route();
        for second in 5..7 {
            route.on_loss(at(second));
        }
        assert_eq!(route.may_be_down(0), None);
        route.on_loss(at(4));
        assert_eq!(route.may_be_down(3), Some(at(4)));
        assert_eq!(route.may_be_down(4), None, "so many are lost by chance");
        route.on_answer(at(1));
        assert_eq!(route.may_be_down(0), None);
    }

    #[test]
    fn a_relay_that_is_down_is_probed_less_and_less_often_until_it_answers() {
        let mut route = route();
        route.on_down(at(0));
        assert!(!route.is_good());
        let mut probes = alloc::vec::Vec::new();
        for _ in 0..5 {
            let probe = route.probe_at().unwrap();
            probes.push(probe.as_micros() / 1_000_000);
            route.on_probe(probe);
        }
        assert_eq!(probes, [5, 15, 35, 75, 135]);
        route.on_answer(at(130));
        assert!(route.is_good());
    }

    #[test]
    fn a_relay_whose_calls_come_to_nothing_rests_longer_and_longer() {
        let mut route = route();
        route.on_useless(SECOND, at(0), at(0));
        assert!(route.is_resting(at(0)) && !route.is_resting(at(1)));
        route.on_useless(SECOND, at(1), at(1));
        assert_eq!(route.rests_until(), at(3));
    }

    #[test]
    fn calls_that_one_outage_ends_count_once() {
        let mut route = route();
        for tenth in 0..10 {
            route.on_useless(SECOND, at(tenth), at(30));
        }
        assert_eq!(route.rests_until(), at(31));
        route.on_useless(SECOND, at(31), at(61));
        assert_eq!(route.rests_until(), at(63));
    }

    #[test]
    fn an_answer_ends_a_rest() {
        let mut route = route();
        for second in 0..5 {
            route.on_useless(SECOND, at(second), at(second));
        }
        assert!(route.is_resting(at(5)));
        route.on_answer(at(0));
        assert!(!route.is_resting(at(5)));
        route.on_useless(SECOND, at(6), at(6));
        assert_eq!(route.rests_until(), at(7), "it is the first time in a row again");
    }

    #[test]
    fn a_relay_that_cuts_a_hold_is_asked_for_shorter_ones() {
        let mut route = route();
        route.on_cut(10 * SECOND, 25 * SECOND, at(0));
        assert_eq!(route.hold(at(1)), Duration::from_millis(7_500));
        route.on_cut(SECOND, 25 * SECOND, at(0));
        assert_eq!(route.hold(at(1)), Duration::from_millis(7_500), "too early to be a matter of the hold");
        assert_eq!(route.hold(at(601)), Duration::MAX);
    }

    #[test]
    fn hellos_are_repeated_after_a_time_that_depends_on_the_last_answer() {
        let (mut route, patience) =
            (Route::new(RelayId::new(0)), Patience { usual: SECOND, longest: HELLO_LONGEST });
        assert!(route.wants_hello(at(0), patience) && route.is_pending(at(0), patience));
        route.on_hello(at(0));
        assert!(!route.wants_hello(at(0), patience) && route.is_pending(at(0), patience));
        assert!(route.wants_hello(at(1), patience) && !route.is_pending(at(1), patience));
        route.on_hello(at(1));
        assert!(!route.is_pending(at(1), patience), "only the first hello holds a flow up");
        assert!(
            !route.wants_hello(at(2), patience) && route.wants_hello(at(3), patience),
            "longer and longer"
        );
        assert!(route.on_elsewhere(at(1)));
        assert!(!route.on_elsewhere(at(2)), "no news the second time");
        assert!(!route.wants_hello(at(11), patience) && route.wants_hello(at(12), patience));
        assert!(route.on_here());
        assert!(route.on_elsewhere(at(20)), "news again");
        assert!(route.wants_hello(at(25), patience));
    }

    #[test]
    fn a_hello_holds_a_flow_up_until_the_next_one_is_due_and_no_longer() {
        let mut route = Route::new(RelayId::new(0));
        let patience = Patience { usual: Duration::from_secs(10), longest: Duration::from_secs(2) };
        route.on_hello(at(0));
        assert!(route.is_pending(at(1), patience) && !route.is_pending(at(2), patience));
        assert_eq!(route.hello_at(patience), Some(at(2)));
    }

    #[test]
    fn a_relay_that_is_too_narrow_is_never_asked_again() {
        let (mut route, patience) =
            (Route::new(RelayId::new(0)), Patience { usual: SECOND, longest: HELLO_LONGEST });
        route.on_hello(at(0));
        assert!(route.on_narrow() && !route.on_narrow(), "news once");
        assert!(!route.on_here());
        route.forget_node();
        assert!(!route.wants_hello(at(1_000), patience) && !route.may_lead());
        assert_eq!(route.hello_at(patience), None);
    }
}
