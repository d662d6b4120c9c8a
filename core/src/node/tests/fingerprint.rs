//! Fingerprints: what of a node's state counts.

use core::hash::Hasher;
use core::time::Duration;

use bytes::Bytes;

use crate::fingerprint::Fnv;
use crate::level::Level;
use crate::node::{Endpoint, Node, NodeAction, NodeEvent, UpstreamEvent};
use crate::time::Instant;
use crate::wire::Sid;
use crate::{NodeOptions, RequestId, Secret, Seq, UpstreamId};

fn print(node: &Node, now: Instant) -> u64 {
    let mut hasher = Fnv::default();
    node.fingerprint(now, &mut hasher);
    hasher.finish()
}

/// A node made at `origin` that answered `before` requests, and then opened a session and read `text`.
fn run(origin: Instant, before: u64, text: &'static str) -> (Node, Instant) {
    let level = Level::Sequenced;
    let options = NodeOptions { max_level: level, ..NodeOptions::new(Secret::new("k")) };
    let config = options.validate().unwrap();
    let mut node = Node::new(config, [1; 32], origin);
    let drain = |node: &mut Node| while !matches!(node.poll(), NodeAction::Idle { .. }) {};
    let connect = br#"{"k":"k","ops":[{"op":"connect","host":"h","port":1}]}"#;
    for number in 0..=before {
        let body = Bytes::from_static(connect);
        let event = NodeEvent::Request { request: RequestId::new(number), endpoint: Endpoint::Batch, body };
        node.handle(origin, event).unwrap();
        if number < before {
            node.handle(origin, NodeEvent::RequestGone { request: RequestId::new(number) }).unwrap();
        }
        drain(&mut node);
    }
    let now = origin.saturating_add(Duration::from_millis(3));
    let upstream = UpstreamId::new(before);
    for event in [UpstreamEvent::Opened, UpstreamEvent::Data(Bytes::from_static(text.as_bytes()))] {
        node.handle(now, NodeEvent::Upstream { upstream, event }).unwrap();
        drain(&mut node);
    }
    (node, now)
}

#[test]
fn neither_the_time_nor_the_numbers_of_ids_matter() {
    let (early, early_now) = run(Instant::from_micros(10), 0, "x");
    let (late, late_now) = run(Instant::from_micros(987_654_321), 5, "x");
    assert_eq!(print(&early, early_now), print(&late, late_now));
}

/// A session that was polled `polls` times, each until the end of the hold.
fn polled(polls: u64) -> (Node, Sid, Instant) {
    let (mut node, mut now) = run(Instant::ZERO, 0, "x");
    let sid = node.known_sessions().next().unwrap().0;
    for seq in 0..polls {
        let op = alloc::format!(r#"{{"op":"data","sid":"{}","seq":{seq}}}"#, sid.as_str());
        let body = alloc::format!(r#"{{"k":"k","ops":[{op}]}}"#).into();
        let request = RequestId::new(100 + seq);
        node.handle(now, NodeEvent::Request { request, endpoint: Endpoint::Batch, body }).unwrap();
        while !matches!(node.poll(), NodeAction::Idle { .. }) {}
        now = node
            .context
            .wake()
            .map_or(now, |wake| wake.at.min(now.saturating_add(node.context.config().longpoll)));
        node.handle(now, NodeEvent::Timeout).unwrap();
        while !matches!(node.poll(), NodeAction::Idle { .. }) {}
    }
    (node, sid, now)
}

#[test]
fn how_many_ops_a_session_has_had_does_not_matter() {
    // The first one fetches the byte; from then on there is nothing to fetch.
    let ((two, sid, two_now), (five, _, five_now)) = (polled(2), polled(5));
    let expected = |node: &Node| node.known_sessions().find(|(known, _)| *known == sid).unwrap().1;
    assert_eq!((expected(&two), expected(&five)), (Seq::new(2), Seq::new(5)));
    assert_eq!(print(&two, two_now), print(&five, five_now));
}

#[test]
fn what_a_session_keeps_matters() {
    let (one, now) = run(Instant::ZERO, 0, "x");
    let (other, _) = run(Instant::ZERO, 0, "y");
    assert_ne!(print(&one, now), print(&other, now));
}

#[test]
fn how_far_away_a_deadline_is_matters() {
    let (node, now) = run(Instant::ZERO, 0, "x");
    assert_ne!(print(&node, now), print(&node, now.saturating_add(Duration::from_secs(1))));
}
