//! What calls cost, and how relays are treated (R3, R4, L7).

use std::time::Duration;

use seqlane::{ClientEvent, ExchangeFailure, ExchangeId, Instant, RelayId};

use crate::chooser::Chooser;
use crate::coverage::CoveragePoint;
use crate::host::ClientHost;
use crate::property::Property;
use crate::time::Time;
use crate::trace::Sink;
use crate::world::World;
use crate::world::oracle::ledger::{Note, Role};
use crate::world::oracle::packets::answers;

/// A relay is left alone for no longer than this, or than configured.
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// The shortest pause that a relay is given, and the first one when it cannot be reached.
const SHORTEST_PAUSE: Duration = Duration::from_millis(250);
/// Polls that a flow may send while nothing moves, and how many more a minute.
const IDLE_POLLS: u64 = 60;

impl<H: ClientHost, C: Chooser, S: Sink> World<H, C, S> {
    /// R3: a call goes out through a relay.
    pub(in crate::world) fn note_call(&mut self, client: usize, relay: RelayId) {
        self.renew(client, relay.index());
        let now = self.client_now(client);
        let limit = self.daily_calls(client, relay.index());
        let book = self.ledger.relays.entry((client, relay.index())).or_default();
        book.spent += 1;
        let spent = book.spent;
        let early = book.alone_until.filter(|until| *until > now);
        if limit.is_some_and(|limit| spent > limit) {
            self.violated(
                Property::R3,
                format!("client{client} makes call {spent} through relay{relay} in a day"),
            );
        }
        if let Some(until) = early {
            let early = until.saturating_since(now);
            let what = format!("client{client} calls relay{relay}, which refused, {early:?} too early");
            self.violated(Property::R3, what);
        }
    }

    pub(in crate::world) fn daily_calls(&self, client: usize, relay: u32) -> Option<u64> {
        self.clients[client].config.options().relays.get(relay as usize).and_then(|relay| relay.daily_calls)
    }

    /// A day of a budget may be over.
    pub(in crate::world) fn renew(&mut self, client: usize, relay: u32) {
        let now = self.client_now(client);
        let Some(options) = self.clients[client].config.options().relays.get(relay as usize) else { return };
        let leapt = self.clients[client].clock.since();
        let first = self.clients[client].began.saturating_add(options.budget_resets_in);
        let limit = options.daily_calls;
        let book = self.ledger.relays.entry((client, relay)).or_default();
        let due = *book.renews.get_or_insert(first);
        if now >= due {
            if limit.is_some_and(|limit| book.spent >= limit) {
                let ago = crate::time::nanos(now.saturating_since(due));
                let then = Time::from_nanos(self.now.as_nanos().saturating_sub(ago));
                // A day that a leap of the clock ended was not over before.
                book.renewed = Some(then.max(leapt));
                self.coverage.set(CoveragePoint::BudgetRenewed);
            }
            book.spent = 0;
            book.renews = Some(now.saturating_add(DAY));
        }
    }

    /// An exchange ends: what its relay has shown.
    pub(in crate::world) fn note_relay(&mut self, client: usize, exchange: ExchangeId, event: &ClientEvent) {
        let Some(relay) = self.clients[client].exchanges.get(&exchange).map(|(relay, _)| *relay) else {
            return;
        };
        let sent = self.ledger.exchanges.get(&(client, exchange));
        let config = self.clients[client].config.options();
        // The only way to the node of streams is asked again before that forgets them.
        let (usual, pause) = (
            config.tuning.refused_backoff,
            config.tuning.refused_backoff.min(config.tuning.streams.idle / 2),
        );
        let now = self.client_now(client);
        let Some(book) = self.ledger.relays.get_mut(&(client, relay.index())) else { return };
        book.refused = false;
        book.ended = self.now;
        match event {
            ClientEvent::ExchangeFailed { why: ExchangeFailure::Refused { retry_after }, .. } => {
                let until = |pause: Duration| {
                    let pause = retry_after.unwrap_or(pause).clamp(SHORTEST_PAUSE, pause.max(HOUR));
                    Some(now.saturating_add(pause))
                };
                book.refused = true;
                book.alone_until = book.alone_until.max(until(pause));
                book.refused_until = book.refused_until.max(until(usual));
            }
            ClientEvent::Reply { body, .. } if book.setbacks > 0 || book.alone_until.is_some() => {
                // An answer to an earlier call does not take a refusal back.
                let refusing = book.alone_until.is_some_and(|until| until > now);
                if !refusing && sent.is_some_and(|sent| answers(sent, body)) {
                    book.setbacks = 0;
                    book.alone_until = None;
                }
            }
            _ => {}
        }
    }

    /// L7: the pauses of a relay grow from one answer to the next, and start anew then.
    pub(in crate::world) fn check_pause(&mut self, client: usize, relay: RelayId, until: Instant) {
        let pause = until.saturating_since(self.client_now(client));
        let config = self.clients[client].config.options();
        let first = config.tuning.relay_backoff.max(SHORTEST_PAUSE);
        let longest = config.tuning.relay_backoff_max;
        let Some(book) = self.ledger.relays.get_mut(&(client, relay.index())) else { return };
        let most = first.saturating_mul(1 << book.setbacks.min(20)).min(longest);
        let (refused, setbacks) = (book.refused, book.setbacks);
        book.setbacks += 1;
        if !refused && pause > most {
            let what =
                format!("client{client} leaves relay{relay} alone for {pause:?} after {setbacks} setbacks");
            self.violated(Property::L7, what);
        }
    }

    /// R4: calls that nothing but idle flows need are few.
    pub(in crate::world) fn check_polls(&mut self, notes: &[Note]) {
        let mut idle = true;
        for flow in notes.iter().filter_map(|note| note.flow) {
            let (now, moved) = (self.now, self.flows[flow].moved);
            let others = self.moved_beside(flow);
            let book = &mut self.ledger.flows[flow];
            // What came for one flow lets the whole batch be answered in which others were polled.
            book.hurried |= std::mem::replace(&mut book.in_company, notes.len() > 1) && others > book.polled;
            if moved > book.polled {
                (book.polls, book.polls_since) = (0, moved);
                idle = false;
            }
            book.polled = now;
        }
        let poll = |note: &Note| note.payload == 0 && matches!(note.role, Role::Data { .. });
        if !idle || !notes.iter().all(poll) {
            return;
        }
        for flow in notes.iter().filter_map(|note| note.flow) {
            let book = &mut self.ledger.flows[flow];
            if std::mem::take(&mut book.hurried) {
                continue;
            }
            book.polls += 1;
            let time = self.now.since(book.polls_since);
            let most = IDLE_POLLS * (1 + time.as_secs() / 60);
            if u64::from(book.polls) > most {
                let what = format!("flow {flow} has polled {} times in {time:?} for nothing", book.polls);
                return self.violated(Property::R4, what);
            }
        }
    }

    /// When another flow of the same client last moved.
    fn moved_beside(&self, flow: usize) -> Time {
        let client = self.flows[flow].client;
        let others =
            self.flows.iter().enumerate().filter(|(other, state)| *other != flow && state.client == client);
        others.map(|(_, state)| state.moved).max().unwrap_or(Time::ZERO)
    }

    /// A later op of one flow lets the whole batch be answered that holds an earlier one (protocol.md 2.4 rule 4).
    pub(in crate::world) fn note_company(&mut self, sent: Time, notes: &[Note]) {
        let later = |note: &Note| note.flow.is_some_and(|flow| self.ledger.flows[flow].polled > sent);
        if notes.len() > 1 && notes.iter().any(later) {
            for flow in notes.iter().filter_map(|note| note.flow) {
                self.ledger.flows[flow].hurried = true;
            }
        }
    }

    /// Whether the healed relay has asked to be left alone for longer yet.
    pub(in crate::world) fn is_left_alone(&self, client: usize, core: usize) -> bool {
        let now = self.client_now(client);
        let book = self.ledger.relays.get(&(client, core as u32));
        book.and_then(|book| book.alone_until).is_some_and(|until| until > now)
    }

    /// When the budget of the healed relay starts anew, if it is spent.
    pub(in crate::world) fn budget_pause(&mut self, client: usize, core: usize) -> Option<Time> {
        let core = core as u32;
        let limit = self.daily_calls(client, core)?;
        self.renew(client, core);
        let book = self.ledger.relays.get(&(client, core))?;
        let renews = book.renews.filter(|_| book.spent >= limit)?;
        self.clients[client].clock.when(self.now, renews)
    }
}
