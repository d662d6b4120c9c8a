//! The client's fingerprint: its whole state, relative to now and to the numbers of its ids.

use alloc::collections::BTreeMap;
use core::hash::{Hash, Hasher};

use crate::client::ClientAction;
use crate::client::calls::{CallFacts, Calls, Payload};
use crate::client::context::Context;
use crate::client::flows::{Carrier, Flows};
use crate::client::relays::{Relay, Relays};
use crate::client::sessions::Sessions;
use crate::client::streams::Streams;
use crate::fingerprint::Fingerprint;
use crate::id::{ExchangeId, FlowId};
use crate::time::Instant;

/// The parts of a client.
pub(super) struct Engines<'a> {
    pub(super) context: &'a Context,
    pub(super) flows: &'a Flows,
    pub(super) calls: &'a Calls,
    pub(super) relays: &'a Relays,
    pub(super) sessions: &'a Sessions,
    pub(super) streams: Option<&'a Streams>,
}

impl Engines<'_> {
    /// Feeds all parts to `hasher`, and what else the client is.
    pub(super) fn fingerprint(&self, client: impl Hash, now: Instant, hasher: &mut impl Hasher) {
        let flows: BTreeMap<FlowId, usize> = self.flows.iter().map(|(id, _)| id).zip(0..).collect();
        let calls: BTreeMap<ExchangeId, usize> =
            self.calls.iter().map(|(call, _)| call.id).zip(0..).collect();
        let rank = |id: FlowId| flows.get(&id).copied();
        let mut print = Fingerprint::new(now, hasher);
        print.value(client);
        print.each(self.flows.iter(), |print, (_, carrier)| print.value(carrier == Carrier::Streams));
        self.sessions.fingerprint(rank, self.context, &mut print);
        print.each(self.calls.iter(), |print, (call, payload)| self.call(call, payload, rank, print));
        self.relays.fingerprint(self.context.config(), &mut print);
        self.context.fingerprint(now, &mut print);
        if let Some(streams) = self.streams {
            streams.fingerprint(rank, &mut print);
        }
        print.each(self.context.actions(), |print, action| action_fingerprint(action, &flows, &calls, print));
    }

    fn call(
        &self,
        call: &CallFacts,
        payload: &Payload,
        rank: impl Fn(FlowId) -> Option<usize>,
        print: &mut Fingerprint<'_>,
    ) {
        print.value((call.relay, call.body_len));
        match payload {
            Payload::Batch(batch) => {
                let Self { relays, context, .. } = self;
                self.sessions.batch_fingerprint(call, batch, rank, relays, context, print);
            }
            Payload::Packet(packet) => {
                print.value(packet.place());
                let counts = |relay: &Relay| relay.health().counts_failure(call.sent);
                print.value(self.relays.get(call.relay).map(counts));
                print.time(call.sent);
            }
        }
    }
}

fn action_fingerprint(
    action: &ClientAction,
    flows: &BTreeMap<FlowId, usize>,
    exchanges: &BTreeMap<ExchangeId, usize>,
    print: &mut Fingerprint<'_>,
) {
    match action {
        ClientAction::Send { exchange, relay, deadline, .. } => {
            print.value((0_u8, exchanges.get(exchange), relay));
            print.time(*deadline);
        }
        ClientAction::Deliver { flow, bytes } => print.value((1_u8, flows.get(flow), bytes)),
        ClientAction::Credit { flow, bytes } => print.value((2_u8, flows.get(flow), bytes)),
        ClientAction::Opened { flow } => print.value((3_u8, flows.get(flow))),
        ClientAction::Fin { flow } => print.value((4_u8, flows.get(flow))),
        ClientAction::Ended { flow, .. } => print.value((5_u8, flows.get(flow))),
        ClientAction::Closed | ClientAction::Event(_) | ClientAction::Idle { .. } => {}
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use core::hash::{BuildHasher, BuildHasherDefault};
    use core::time::Duration;

    use bytes::Bytes;

    use super::*;
    use crate::client::Client;
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

    fn first_call(client: &Client) -> Option<ExchangeId> {
        client.calls.iter().next().map(|(call, _)| call.id)
    }

    fn open(client: &mut Client, now: Instant, text: &'static str) {
        let flow = client.open(now, Target::new("h", 443).unwrap(), FlowKind::Tcp).unwrap();
        let event = LocalEvent::Data(Bytes::from_static(text.as_bytes()));
        client.handle(now, ClientEvent::Local { flow, event }).unwrap();
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
        assert_ne!(first_call(&early), first_call(&late));
        assert_eq!(print(&early, early_now), print(&late, late_now));
    }

    #[test]
    fn how_long_a_flow_hesitated_before_its_link_does_not_matter() {
        let linked = |hesitation: u64| {
            let origin = Instant::ZERO;
            let relay = RelayOptions::new(Secret::new("k"));
            let options = ClientOptions { max_level: Level::Sequenced, ..ClientOptions::new(vec![relay]) };
            let mut client = Client::new(options.validate().unwrap(), [1; 32], origin);
            let flow = client.open(origin, Target::new("h", 443).unwrap(), FlowKind::Tcp).unwrap();
            let sent = origin.saturating_add(Duration::from_millis(hesitation));
            let event = LocalEvent::Data(Bytes::from_static(b"x"));
            client.handle(sent, ClientEvent::Local { flow, event }).unwrap();
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
