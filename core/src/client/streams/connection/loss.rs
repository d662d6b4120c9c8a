//! Loss detection for level 2 exchanges (protocol.md 3.2 rules 4, 5 and 10).

use alloc::vec::Vec;

use crate::client::relays::{Relay, Relays};
use crate::client::streams::connection::NodeConnection;
use crate::client::streams::exchanges::{Progress, Record, RequestPayload};
use crate::client::streams::round_trips::{RttQuantiles, Size};
use crate::connection::pending::Pending;
use crate::id::RelayId;
use crate::time::Instant;
use crate::wire::number::ExchangeNumber;

impl NodeConnection {
    /// When an exchange is lost, if nothing is heard of it before.
    fn lost_at(&self, record: &Record, relays: &Relays) -> Option<Instant> {
        let own = rtt_through(relays, record.relay, record.size);
        self.controllers.loss().lost_at(record, self.awaits_ack(record), own)
    }

    /// Whether another exchange should acknowledge the payload of this one: others are out that can.
    fn awaits_ack(&self, record: &Record) -> bool {
        let payload = matches!(record.payload, RequestPayload::Sparse | RequestPayload::Bulk(_));
        payload && !record.arrived && record.accompanied && self.exchanges.tally().waiting > 1
    }

    /// When the next exchange is lost.
    pub(in crate::client::streams) fn next_loss(&self, relays: &Relays) -> Option<Instant> {
        self.exchanges.iter().filter_map(|(_, record)| self.lost_at(record, relays)).min()
    }

    /// Declares overdue exchanges lost.
    pub(in crate::client::streams) fn on_loss_timeout(&mut self, relays: &mut Relays, now: Instant) {
        while let Some((number, unacknowledged)) = self.overdue(relays, now) {
            self.on_loss(number, relays, now);
            // The oldest answer, which should have carried the acknowledgement, may be lost too.
            let oldest = self.exchanges.iter().find(|(_, record)| record.waits()).map(|(number, _)| number);
            if let Some(oldest) = oldest.filter(|oldest| unacknowledged && *oldest < number) {
                self.on_loss(oldest, relays, now);
            }
        }
    }

    /// An exchange that is lost now, and whether that is because an acknowledgement is missing.
    fn overdue(&self, relays: &Relays, now: Instant) -> Option<(ExchangeNumber, bool)> {
        self.exchanges
            .iter()
            .find(|(_, record)| self.lost_at(record, relays).is_some_and(|at| at <= now))
            .map(|(number, record)| (number, record.progress == Progress::Out && self.awaits_ack(record)))
    }

    /// The answer of an exchange is lost: the relay is judged for it, and silence noticed.
    pub(in crate::client::streams) fn on_loss(
        &mut self,
        number: ExchangeNumber,
        relays: &mut Relays,
        now: Instant,
    ) {
        let Some(record) = self.exchanges.get(number).filter(|record| record.is_out()) else { return };
        let (relay, sent) = (record.relay, record.sent);
        if self.heard < sent {
            self.controllers.on_silence(now);
        }
        self.on_unheard(sent);
        self.declare_lost(number, now);
        if let Some(relay) = relays.get_mut(relay) {
            relay.health_mut().on_exchange_lost(sent);
        }
        self.judge(relay, relays, now);
    }

    /// The node cannot have had the call of an exchange. That says nothing about how long answers take.
    pub(in crate::client::streams) fn declare_unsent_lost(&mut self, number: ExchangeNumber, now: Instant) {
        if self.exchanges.get(number).is_some_and(Record::is_out) {
            self.declare_lost(number, now);
        }
    }

    /// What an exchange carried can be sent again, and a RESEND asks for the contents of its answer.
    pub(in crate::client::streams) fn declare_lost(&mut self, number: ExchangeNumber, now: Instant) {
        let given = self.exchanges.change(number, |record| {
            let size = match record.progress {
                Progress::Reported { size, .. } => size,
                Progress::Out | Progress::Lost { .. } | Progress::Done => 0,
            };
            record.progress = match record.payload {
                RequestPayload::Probe => Progress::Done,
                RequestPayload::Bare | RequestPayload::Sparse | RequestPayload::Bulk(_) => {
                    Progress::Lost { resend: Pending::Queued, size }
                }
            };
            (record.arrived, core::mem::take(&mut record.resends))
        });
        let Some((arrived, resends)) = given else { return };
        if !arrived {
            self.shared.declare_lost(number, now);
            for asked in resends {
                self.exchanges.change(asked, |record| {
                    if let Progress::Lost { resend, .. } = &mut record.progress {
                        resend.lost(number);
                    }
                });
            }
        }
    }

    /// A relay is silent if it loses again and again while another one answered something that was sent later.
    fn judge(&mut self, relay: RelayId, relays: &mut Relays, now: Instant) {
        let out: Vec<ExchangeNumber> = self
            .exchanges
            .iter()
            .filter(|(_, record)| record.relay == relay && record.is_out())
            .map(|(number, _)| number)
            .collect();
        let judged = relays.get(relay).map(Relay::health);
        let Some(since) = judged.and_then(|health| health.suspect_since(out.len())) else { return };
        if !relays.iter().any(|other| other.id() != relay && other.health().has_answered_since(since)) {
            return;
        }
        if let Some(relay) = relays.get_mut(relay) {
            relay.health_mut().on_silent(now);
        }
        for number in out {
            self.declare_lost(number, now);
        }
    }

    /// The node has an exchange.
    pub(in crate::client::streams) fn on_arrived(&mut self, number: ExchangeNumber, now: Instant) {
        let arrived = self.exchanges.change(number, |record| {
            let new = !core::mem::replace(&mut record.arrived, true);
            let resends = core::mem::take(&mut record.resends);
            new.then_some(resends)
        });
        let Some(resends) = arrived.flatten() else { return };
        self.shared.on_acked(number, now);
        for asked in resends {
            self.exchanges.change(asked, |record| {
                if matches!(record.progress, Progress::Lost { .. }) {
                    record.progress = Progress::Done;
                }
            });
        }
    }

    /// The newest answer says that an exchange had not arrived at `written`.
    pub(in crate::client::streams) fn on_missing(
        &mut self,
        number: ExchangeNumber,
        written: Instant,
        relays: &mut Relays,
        now: Instant,
    ) {
        let missing = |record: &&Record| {
            let own = rtt_through(relays, record.relay, Size::Small);
            record.progress == Progress::Out && self.controllers.loss().is_missing(record, own, written)
        };
        if self.exchanges.get(number).filter(missing).is_some() {
            self.on_loss(number, relays, now);
        }
    }
}

/// The round trips of exchanges of a size through a relay, if enough of them are known.
fn rtt_through(relays: &Relays, relay: RelayId, size: Size) -> Option<RttQuantiles> {
    relays.get(relay)?.round_trip().quantiles(size)
}
