//! The client's fingerprint: its whole state, relative to now and to the numbers of its ids.

use alloc::collections::BTreeMap;
use core::hash::Hasher;

use crate::client::calls::{Class, Exchange, OpOwner};
use crate::client::flows::{Flow, Kind};
use crate::client::relays::{HOLD_THRESHOLD, Relay};
use crate::client::{Client, ClientAction};
use crate::config::ClientOptions;
use crate::fingerprint::Fingerprint;
use crate::id::{ExchangeId, FlowId};
use crate::seq::Seq;
use crate::time::Instant;
use crate::wire::Sid;
use crate::wire::number::AnswerNumber;

impl Client {
    /// Feeds everything that decides what the client will do to `hasher`, relative to `now`.
    ///
    /// Times count from `now`, flows and exchanges by their rank among the live ones, session ids and
    /// statistics not at all. States with equal fingerprints behave alike.
    pub fn fingerprint(&self, now: Instant, hasher: &mut impl Hasher) {
        let streams: BTreeMap<FlowId, usize> = self.flows.keys().copied().zip(0..).collect();
        let exchanges: BTreeMap<ExchangeId, usize> = self.exchanges.keys().copied().zip(0..).collect();
        let mut print = Fingerprint::new(now, hasher);
        print.value((self.stage, self.payload_in_flight, self.probe_wanted, self.settled, self.offered));
        print.each(self.flows.values(), |print, flow| flow.fingerprint(&self.config, print));
        print.each(self.exchanges.values(), |print, exchange| {
            self.exchange_fingerprint(exchange, &streams, print)
        });
        print.each(self.closes.iter(), |print, closing| {
            print.value(closing.tries);
            print.deadline(closing.due);
            print.deadline(closing.until);
        });
        self.ready.fingerprint(|id| streams.get(&id).copied(), &mut print);
        self.relays.fingerprint(&self.config, &mut print);
        self.unreachable.fingerprint(now, &mut print);
        self.out.pool.fingerprint(&mut print);
        if let Some(level_2) = &self.streams {
            level_2.fingerprint(|id| streams.get(&id).copied(), &mut print);
        }
        print.each(self.starved.iter(), |print, id| print.value(streams.get(id)));
        print.each(self.out.actions.iter(), |print, action| {
            action_fingerprint(action, &streams, &exchanges, print);
        });
    }

    /// The sessions at the node that the client knows, in an order that the fingerprint determines: those of
    /// its flows, with the number of the reply that comes next, and those that it is about to close.
    ///
    /// Neither machine's fingerprint has session ids or absolute numbers. Who hashes both needs to know which
    /// session is which, and how far the two sides' numbers are apart: look each up with
    /// [`Node::place_of`](crate::Node::place_of).
    pub fn known_sessions(&self) -> impl Iterator<Item = (Sid, Option<Seq>)> {
        let flows = self.flows.values().filter_map(|flow| {
            let expected = match &flow.kind {
                Kind::Session(session) => session.expected(),
                Kind::Association(_) | Kind::Stream(_) => None,
            };
            Some((flow.sid()?, expected))
        });
        flows.chain(self.closes.iter().map(|closing| (closing.sid, None)))
    }

    /// The newest answer at level 2, which the fingerprint does not have: what counts is which answers on their way are
    /// newer, and in which order.
    pub fn newest_answer(&self) -> Option<AnswerNumber> {
        self.streams.as_ref()?.newest()
    }

    fn exchange_fingerprint(
        &self,
        exchange: &Exchange,
        streams: &BTreeMap<FlowId, usize>,
        print: &mut Fingerprint<'_>,
    ) {
        print.value((exchange.relay, exchange.class, exchange.body_len));
        if let Some(packet) = &exchange.packet {
            print.value(packet.place());
            let counts = |relay: &Relay| relay.health().counts_failure(exchange.sent);
            print.value(self.relays.get(exchange.relay).map(counts));
            print.time(exchange.sent);
            return;
        }
        match exchange.class {
            // Better than no round trip at all.
            Class::Connect if self.relays.get(exchange.relay).is_some_and(Relay::knows_round_trip) => {}
            // The answer tells how long the round trip was.
            Class::Connect | Class::Payload | Class::Control => print.time(exchange.sent),
            // The answer tells whether the relay holds polls.
            Class::IdlePoll => print.deadline(exchange.sent.saturating_add(HOLD_THRESHOLD)),
            Class::BulkPoll => {}
        }
        print.deadline(exchange.sent.saturating_add(self.config.reply_watchdog()));
        print.each(exchange.ops.iter(), |print, sent| match sent.owner {
            OpOwner::Stream(id) => {
                print.value((0_u8, streams.get(&id)));
                match self.flows.get(&id).map(|flow| &flow.kind) {
                    Some(Kind::Session(session)) => session.op_fingerprint(&sent.op, print),
                    Some(Kind::Association(_) | Kind::Stream(_)) | None => {
                        print.value((sent.op.name(), sent.op.payload()))
                    }
                }
            }
            OpOwner::Close { tries, until } => {
                print.value((1_u8, tries));
                print.deadline(until);
            }
            OpOwner::Probe => print.value(2_u8),
        });
    }
}

impl Flow {
    fn fingerprint(&self, config: &ClientOptions, print: &mut Fingerprint<'_>) {
        print.value((self.queued.connect, self.queued.payload, self.queued.poll, self.deficit));
        match &self.kind {
            Kind::Session(session) => {
                print.value(0_u8);
                session.fingerprint(config, print);
            }
            Kind::Association(association) => {
                print.value(1_u8);
                association.fingerprint(print);
            }
            Kind::Stream(number) => print.value((2_u8, number)),
        }
    }
}

fn action_fingerprint(
    action: &ClientAction,
    streams: &BTreeMap<FlowId, usize>,
    exchanges: &BTreeMap<ExchangeId, usize>,
    print: &mut Fingerprint<'_>,
) {
    match action {
        ClientAction::Send { exchange, relay, deadline, .. } => {
            print.value((0_u8, exchanges.get(exchange), relay));
            print.time(*deadline);
        }
        ClientAction::Deliver { flow: stream, bytes } => print.value((1_u8, streams.get(stream), bytes)),
        ClientAction::Credit { flow: stream, bytes } => print.value((2_u8, streams.get(stream), bytes)),
        ClientAction::Opened { flow: stream } => print.value((3_u8, streams.get(stream))),
        ClientAction::Fin { flow: stream } => print.value((4_u8, streams.get(stream))),
        ClientAction::Ended { flow: stream, .. } => print.value((5_u8, streams.get(stream))),
        ClientAction::Event(_) | ClientAction::Idle { .. } => {}
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use core::hash::{BuildHasher, BuildHasherDefault};
    use core::time::Duration;

    use bytes::Bytes;

    use super::*;
    use crate::fingerprint::Fnv;
    use crate::level::Level;
    use crate::{ClientEvent, ClientOptions, FlowKind, LocalEvent, RelayOptions, Secret, Target};

    fn print(client: &Client, now: Instant) -> u64 {
        let mut hasher = BuildHasherDefault::<Fnv>::default().build_hasher();
        client.fingerprint(now, &mut hasher);
        hasher.finish()
    }

    /// A client made at `origin` after `before` flows that were refused, with one flow that wrote `text`, the
    /// call that opens it on its way.
    fn run(origin: Instant, before: usize, text: &'static str) -> (Client, Instant) {
        let relay = RelayOptions::new(Secret::new("k"));
        let options = ClientOptions { max_level: Level::Sequenced, ..ClientOptions::new(vec![relay]) };
        let mut client = Client::new(options.validate().unwrap(), [1; 32], origin);
        for _ in 0..before {
            open(&mut client, origin, "refused");
            refuse_everything(&mut client, origin);
        }
        let now = origin.saturating_add(Duration::from_millis(3));
        open(&mut client, now, text);
        while !matches!(client.poll(), ClientAction::Idle { .. }) {}
        (client, now)
    }

    fn open(client: &mut Client, now: Instant, text: &'static str) {
        let stream = client.open(now, Target::new("h", 443).unwrap(), FlowKind::Tcp).unwrap();
        let event = LocalEvent::Data(Bytes::from_static(text.as_bytes()));
        client.handle(now, ClientEvent::Local { flow: stream, event }).unwrap();
    }

    /// Every call is answered: opens are refused, and `seq` passes.
    fn refuse_everything(client: &mut Client, now: Instant) {
        let refused = r#"{"r":[{"e":"connect failed: Connection refused"}]}"#;
        let passes = r#"{"r":[{"eof":true,"seq":0}]}"#;
        loop {
            match client.poll() {
                ClientAction::Send { exchange, body, .. } => {
                    let opens = body.into_bytes().windows(7).any(|word| word == b"connect");
                    let body = if opens { refused } else { passes }.into();
                    client.handle(now, ClientEvent::Reply { exchange, body }).unwrap();
                }
                ClientAction::Idle { .. } => return,
                _ => {}
            }
        }
    }

    #[test]
    fn neither_the_time_nor_the_numbers_of_ids_matter() {
        let (early, early_now) = run(Instant::from_micros(10), 1, "x");
        let (late, late_now) = run(Instant::from_micros(987_654_321), 5, "x");
        assert_ne!(early.exchanges.keys().next(), late.exchanges.keys().next());
        assert_eq!(print(&early, early_now), print(&late, late_now));
    }

    #[test]
    fn how_long_a_flow_hesitated_before_its_link_does_not_matter() {
        let linked = |hesitation: u64| {
            let origin = Instant::ZERO;
            let relay = RelayOptions::new(Secret::new("k"));
            let options = ClientOptions { max_level: Level::Sequenced, ..ClientOptions::new(vec![relay]) };
            let mut client = Client::new(options.validate().unwrap(), [1; 32], origin);
            let stream = client.open(origin, Target::new("h", 443).unwrap(), FlowKind::Tcp).unwrap();
            let sent = origin.saturating_add(Duration::from_millis(hesitation));
            let event = LocalEvent::Data(Bytes::from_static(b"x"));
            client.handle(sent, ClientEvent::Local { flow: stream, event }).unwrap();
            let exchange = loop {
                if let ClientAction::Send { exchange, .. } = client.poll() {
                    break exchange;
                }
            };
            let now = sent.saturating_add(Duration::from_millis(5));
            let body = Bytes::from_static(br#"{"r":[{"sid":"s","eof":false,"caps":1}]}"#);
            client.handle(now, ClientEvent::Reply { exchange, body }).unwrap();
            while !matches!(client.poll(), ClientAction::Idle { .. }) {}
            print(&client, now)
        };
        assert_eq!(linked(1), linked(9));
    }

    #[test]
    fn what_a_flow_holds_matters() {
        let (one, now) = run(Instant::ZERO, 0, "x");
        let (other, _) = run(Instant::ZERO, 0, "y");
        assert_ne!(print(&one, now), print(&other, now));
    }

    #[test]
    fn how_far_away_a_deadline_is_matters() {
        let (client, now) = run(Instant::ZERO, 0, "x");
        assert_ne!(print(&client, now), print(&client, now.saturating_add(Duration::from_secs(1))));
    }
}
