//! Fingerprints: what of a client's state counts.

use alloc::vec;
use core::hash::Hasher;
use core::time::Duration;

use bytes::Bytes;

use crate::fingerprint::Fnv;
use crate::level::Level;
use crate::{
    Client, ClientAction, ClientEvent, ClientOptions, FlowKind, Instant, LocalEvent, RelayOptions, Secret,
    Target,
};

fn print(client: &Client, now: Instant) -> u64 {
    let mut hasher = Fnv::default();
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
    assert_ne!(early.stats().calls, late.stats().calls);
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
