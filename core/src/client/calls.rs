//! Table of the HTTP calls under way, with batches (protocol.md 2) and packets (protocol.md 3).

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use crate::client::action::{ClientAction, ClientNotice};
use crate::client::context::{Context, TimerOwner};
use crate::client::event::ExchangeFailure;
use crate::client::relays::{Fault, Relays};
use crate::client::sessions::batch::SentBatch;
use crate::client::streams::connections::ConnectionKey;
use crate::client::streams::decrypted::DecryptedPacket;
use crate::client::streams::decryptor::Decryptor;
use crate::error::Misuse;
use crate::id::{Counter, ExchangeId, RelayId};
use crate::time::{Instant, share};
use crate::timer::{TimerKind, TimerSlot};
use crate::wire::number::ExchangeNumber;
use crate::wire::packet::ClientId;
use crate::wire::{Body, BodyForm, Reply};

/// All calls that have not ended.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct Calls {
    ids: Counter,
    calls: BTreeMap<ExchangeId, Call>,
}

/// One HTTP request that has not ended.
#[derive(Clone, Debug, Hash)]
struct Call {
    facts: CallFacts,
    payload: Payload,
    timer: TimerSlot,
}

/// The facts of a call, independent of its payload.
#[derive(Clone, Copy, Debug, Hash)]
pub(super) struct CallFacts {
    pub(super) id: ExchangeId,
    pub(super) relay: RelayId,
    pub(super) sent: Instant,
    /// Bytes of the request body.
    pub(super) body_len: usize,
}

/// The payload of a call, which decides the engine that gets the answer.
#[derive(Clone, Debug, Hash)]
pub(super) enum Payload {
    /// Ops of levels 0 and 1.
    Batch(SentBatch),
    /// A packet of level 2.
    Packet(PacketCall),
}

/// Which packet a call carries.
#[derive(Clone, Debug, Hash)]
pub(super) struct PacketCall {
    pub(super) kind: PacketKind,
    pub(super) form: BodyForm,
    pub(super) hold: Duration,
}

/// The kind of a packet that goes up.
#[derive(Clone, Debug, Hash)]
pub(super) enum PacketKind {
    /// A hello under this id.
    Hello(ClientId),
    /// An exchange of a connection.
    Exchange {
        connection: ConnectionKey,
        number: ExchangeNumber,
        /// What opens the answer.
        decryptor: Decryptor,
    },
}

/// How a call has ended.
#[derive(Debug)]
pub(super) enum CallOutcome {
    /// HTTP status 200 with this body; for an engine, a sealed packet.
    Body(Bytes),
    /// An answer in JSON, with a reply for each op.
    Replies(Vec<Reply>),
    /// A packet that is decrypted already.
    Decrypted(Box<DecryptedPacket>),
    /// It failed, which is reported, and counted against the relay.
    Failed(ExchangeFailure),
    /// The driver did not report its end. It counts as [`Failed`](Self::Failed) for an unknown reason.
    Overdue,
}

/// A call to be made for an engine.
#[derive(Debug)]
pub(super) struct NewCall {
    pub(super) relay: RelayId,
    pub(super) body: Body,
    pub(super) form: BodyForm,
    /// When the driver gives up.
    pub(super) deadline: Instant,
    /// When the client gives up on the driver.
    pub(super) overdue: Instant,
    pub(super) payload: Payload,
}

impl CallOutcome {
    /// Why the call failed, if it did.
    pub(super) const fn failure(&self) -> Option<ExchangeFailure> {
        match self {
            Self::Failed(why) => Some(*why),
            Self::Overdue => Some(ExchangeFailure::Unknown),
            Self::Body(_) | Self::Replies(_) | Self::Decrypted(_) => None,
        }
    }
}

impl Payload {
    /// The number of replies in a JSON answer.
    pub(super) fn ops(&self) -> usize {
        match self {
            Self::Batch(batch) => batch.ops().len(),
            Self::Packet(_) => 1,
        }
    }

    /// What decrypts the answer on any thread.
    fn decryptor(&self) -> Option<Decryptor> {
        match self {
            Self::Packet(PacketCall { kind: PacketKind::Exchange { decryptor, .. }, .. }) => {
                Some(decryptor.clone())
            }
            Self::Packet(_) | Self::Batch(_) => None,
        }
    }
}

impl CallFacts {
    /// The call failed: reports it, and counts it against the relay as far as both levels agree. What a lost answer means
    /// for the relay is up to the engines.
    ///
    /// The backoff after a refusal without a time is long. While `streams_in_use` and the relay is the only one left, it
    /// ends before the node forgets the streams.
    pub(super) fn on_failed(
        &self,
        why: ExchangeFailure,
        streams_in_use: bool,
        relays: &mut Relays,
        context: &mut Context,
    ) {
        context.count(|stats| &mut stats.failed);
        context.notice(ClientNotice::ExchangeFailed { exchange: self.id, relay: self.relay, why });
        let (now, config) = (context.now(), context.config());
        let last = streams_in_use && relays.is_last(now, self.relay);
        let Some(relay) = relays.get_mut(self.relay) else { return };
        let notice = match why {
            ExchangeFailure::NotSent => relay.on_fault(Fault::Unreachable, now, config),
            ExchangeFailure::TooLarge => relay.on_too_large(self.body_len),
            ExchangeFailure::Refused { retry_after } => {
                let most = if last { share(config.tuning.streams.idle, 1, 2) } else { Duration::MAX };
                let pause = retry_after.unwrap_or(config.tuning.refused_backoff.min(most));
                relay.on_fault(Fault::Refused { pause }, now, config)
            }
            ExchangeFailure::Unknown | ExchangeFailure::Garbage => None,
        };
        context.notice(notice);
    }
}

impl Calls {
    /// Checks that a call with this id was made, ended or not.
    pub(super) const fn check(&self, id: ExchangeId) -> Result<(), Misuse> {
        if id.number() < self.ids.issued() { Ok(()) } else { Err(Misuse::UnknownExchange(id)) }
    }

    /// How many calls have not ended.
    pub(super) fn len(&self) -> usize {
        self.calls.len()
    }

    /// Makes a call: it counts at its relay, and goes out with the next actions.
    pub(super) fn start(&mut self, call: NewCall, relays: &mut Relays, context: &mut Context) {
        let NewCall { relay, body, form, deadline, overdue, payload } = call;
        let now = context.now();
        context.notice(relays.get_mut(relay).and_then(|relay| relay.on_sent(now)));
        context.count(|stats| &mut stats.calls);
        let id = ExchangeId::new(self.ids.next());
        let mut timer = TimerSlot::default();
        context.set_timer(&mut timer, TimerOwner::Exchange(id), Some((overdue, TimerKind::ReplyWatchdog)));
        let facts = CallFacts { id, relay, sent: now, body_len: body.len() };
        let decryptor = payload.decryptor();
        self.calls.insert(id, Call { facts, payload, timer });
        context.push(ClientAction::Send { exchange: id, relay, body, form, deadline, decryptor });
    }

    /// Removes a call that has ended, in whatever way.
    pub(super) fn end(
        &mut self,
        id: ExchangeId,
        relays: &mut Relays,
        context: &mut Context,
    ) -> Option<(CallFacts, Payload)> {
        let Call { facts, payload, mut timer } = self.calls.remove(&id)?;
        context.set_timer(&mut timer, TimerOwner::Exchange(id), None);
        if let Some(relay) = relays.get_mut(facts.relay) {
            relay.on_ended();
        }
        Some((facts, payload))
    }

    /// The payload of a call that has not ended.
    pub(super) fn payload(&self, id: ExchangeId) -> Option<&Payload> {
        self.calls.get(&id).map(|call| &call.payload)
    }

    /// The relay and the payload of a call that has not ended.
    pub(super) fn get(&self, id: ExchangeId) -> Option<(RelayId, &Payload)> {
        self.calls.get(&id).map(|call| (call.facts.relay, &call.payload))
    }

    /// The batches under way, the oldest first.
    pub(super) fn batches(&self) -> impl Iterator<Item = &SentBatch> {
        self.calls.values().filter_map(|call| match &call.payload {
            Payload::Batch(batch) => Some(batch),
            Payload::Packet(_) => None,
        })
    }

    /// The relay of each call, and when it was sent.
    #[cfg(feature = "model")]
    pub(super) fn sent(&self) -> impl Iterator<Item = (RelayId, Instant)> {
        self.calls.values().map(|call| (call.facts.relay, call.facts.sent))
    }
}
