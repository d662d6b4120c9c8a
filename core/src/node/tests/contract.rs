//! Clauses of the contract of [`Node`], one test each.

use super::*;

/// Everything there is to see of a node.
fn state(rig: &Rig) -> String {
    alloc::format!("{:?}", rig.node)
}

#[test]
fn events_may_come_in_any_number_before_a_drain() {
    let mut rig = Rig::new();
    let (sid, upstream) = rig.session();
    let body = wire::encode_request(Form::Node, &Secret::new(KEY), [data(sid, 0, b"x")].iter());
    let node = &mut rig.node;
    for (request, event) in [
        (Some(10), None),
        (None, Some(UpstreamEvent::Written(1))),
        (None, Some(UpstreamEvent::Data(Bytes::from_static(b"a")))),
        (None, Some(UpstreamEvent::Fin)),
    ] {
        let event = match (request, event) {
            (Some(number), _) => NodeEvent::Request {
                request: RequestId::new(number),
                endpoint: Endpoint::Batch,
                body: body.clone(),
            },
            (None, Some(event)) => NodeEvent::Upstream { upstream, event },
            (None, None) => NodeEvent::Timeout,
        };
        node.handle(Instant::ZERO, event).unwrap();
    }
    rig.stuck.insert(upstream);
    rig.drain();
    assert!(!rig.is_held(RequestId::new(10)));
    assert_eq!(rig.ended[&upstream], SessionEnd::Finished);
}

#[test]
fn nothing_appears_because_time_passed_unnoticed() {
    let mut rig = Rig::new();
    let (sid, _) = rig.session();
    let request = rig.batch(&[poll(sid, 0)]);
    rig.now = Duration::from_secs(100);
    rig.drain();
    assert!(rig.is_held(request));
    rig.event(NodeEvent::Timeout);
    assert!(!rig.is_held(request));
}

#[test]
fn an_older_now_counts_as_the_newest() {
    let mut rig = Rig::new();
    let (sid, _) = rig.session();
    rig.now = Duration::from_secs(50);
    rig.event(NodeEvent::Timeout);
    rig.now = Duration::from_secs(1);
    rig.batch(&[poll(sid, 0)]);
    assert_eq!(rig.wake.unwrap().at, Instant::from_micros(65_000_000));
}

#[test]
fn idle_comes_when_and_only_when_nothing_else_is_queued() {
    let mut rig = Rig::new();
    assert_eq!(rig.node.poll(), NodeAction::Idle { wake: None });
    let body = format(r#"{"op":"connect","host":"h","port":1}"#);
    let request = RequestId::new(0);
    let event = NodeEvent::Request { request, endpoint: Endpoint::Batch, body: body.into() };
    rig.node.handle(Instant::ZERO, event).unwrap();
    assert!(matches!(rig.node.poll(), NodeAction::OpenUpstream { .. }));
    for _ in 0..2 {
        assert!(matches!(rig.node.poll(), NodeAction::Idle { wake: Some(_) }));
    }
}

#[test]
fn after_a_timeout_at_the_wake_time_the_next_wake_is_later() {
    let mut rig = Rig::new();
    // Deadlines of every kind, several at the same instant; the harness checks each wake.
    let ((a, first), (b, _), (c, _)) = (rig.session(), rig.stuck_session(), rig.udp_session());
    rig.batch(&[poll(a, 0), udp_data(c, b"")]);
    rig.batch(&[data(b, 0, b"x")]);
    rig.run(1);
    rig.batch(&[data(a, 5, b"x")]);
    rig.batch(&[connect()]);
    rig.batch(&[connect_data(b"x")]);
    rig.opened(rig.last_opened());
    rig.data(first, b"x");
    let mut kinds = BTreeSet::new();
    while let Some(wake) = rig.wake {
        kinds.insert(wake.timer);
        rig.run_until(wake.at.as_micros().div_ceil(1_000));
    }
    let all =
        [TimerKind::Hold, TimerKind::Connect, TimerKind::SeqWait, TimerKind::Write, TimerKind::IdleFlow];
    assert!(all.iter().all(|kind| kinds.contains(kind)), "{kinds:?}");
    assert_eq!(rig.ended.len(), 4);
}

#[test]
fn the_end_of_time_is_no_busy_loop() {
    let mut rig = Rig::new();
    let (sid, _) = rig.session();
    rig.batch(&[poll(sid, 0), data(sid, 5, b"x")]);
    let end = Instant::from_micros(u64::MAX);
    for event in [NodeEvent::Timeout, NodeEvent::Timeout] {
        rig.node.handle(end, event).unwrap();
    }
    rig.drain();
    assert_eq!(rig.wake, None);
    assert_eq!(rig.ended.len(), 1);
}

#[test]
fn misuse_changes_nothing() {
    let mut rig = Rig::new();
    let (sid, upstream) = rig.stuck_session();
    let (_, udp) = rig.udp_session();
    let (_, finished) = rig.session();
    rig.fin(finished);
    let request = rig.batch(&[data(sid, 0, b"abc"), connect()]);
    let connecting = rig.last_opened();
    let lingering = {
        let (sid, upstream) = rig.stuck_session();
        rig.batch(&[data(sid, 0, b"abc"), close(sid)]);
        rig.run(350);
        upstream
    };
    let too_much = Bytes::from(alloc::vec![0; rig.credit[&upstream] + 1]);
    let (byte, unknown) = (Bytes::from_static(b"x"), UpstreamId::new(99));
    let before = state(&rig);
    for (upstream, event, misuse) in [
        (unknown, UpstreamEvent::Fin, Misuse::UnknownUpstream(unknown)),
        (upstream, UpstreamEvent::Opened, Misuse::WrongKind),
        (upstream, UpstreamEvent::Failed(ConnectFailure::Refused), Misuse::WrongKind),
        (upstream, UpstreamEvent::Data(too_much), Misuse::CreditExceeded),
        (upstream, UpstreamEvent::Datagram(byte.clone()), Misuse::WrongKind),
        (upstream, UpstreamEvent::Written(4), Misuse::WrittenTooMuch),
        (udp, UpstreamEvent::Data(byte.clone()), Misuse::WrongKind),
        (udp, UpstreamEvent::Written(1), Misuse::WrongKind),
        (udp, UpstreamEvent::Datagram(alloc::vec![0; 65_536].into()), Misuse::DatagramTooLarge),
        (finished, UpstreamEvent::Data(byte.clone()), Misuse::AfterFin),
        (finished, UpstreamEvent::Fin, Misuse::AfterFin),
        (connecting, UpstreamEvent::Data(byte.clone()), Misuse::CreditExceeded),
        (connecting, UpstreamEvent::Written(1), Misuse::WrittenTooMuch),
        (connecting, UpstreamEvent::Reset, Misuse::WrongKind),
        (lingering, UpstreamEvent::Opened, Misuse::WrongKind),
        (lingering, UpstreamEvent::Written(4), Misuse::WrittenTooMuch),
    ] {
        let event = NodeEvent::Upstream { upstream, event };
        assert_eq!(rig.try_event(event.clone()), Err(misuse), "{event:?}");
    }
    let again = NodeEvent::Request { request, endpoint: Endpoint::Batch, body: byte };
    assert_eq!(rig.try_event(again), Err(Misuse::RequestIdReused(request)));
    let never = RequestId::new(1_000);
    assert_eq!(rig.try_event(NodeEvent::RequestGone { request: never }), Err(Misuse::UnknownRequest(never)));
    assert_eq!(state(&rig), before);
}

#[test]
fn events_about_what_has_ended_are_ignored() {
    let mut rig = Rig::new();
    let (sid, upstream) = rig.session();
    rig.batch(&[close(sid)]);
    let failed = {
        rig.batch(&[connect()]);
        let upstream = rig.last_opened();
        rig.upstream(upstream, UpstreamEvent::Failed(ConnectFailure::Refused));
        upstream
    };
    let (_, reset) = rig.session();
    rig.upstream(reset, UpstreamEvent::Reset);
    let before = state(&rig);
    for upstream in [upstream, failed] {
        rig.opened(upstream);
    }
    for upstream in [upstream, failed, reset] {
        for event in [
            UpstreamEvent::Data(Bytes::from_static(b"x")),
            UpstreamEvent::Written(7),
            UpstreamEvent::Fin,
            UpstreamEvent::Reset,
        ] {
            rig.upstream(upstream, event);
        }
    }
    assert_eq!(state(&rig), before);
}

#[test]
fn every_request_is_answered_once_and_every_session_ends_once() {
    // The harness refuses a second answer and a second end; here nothing may lack its first.
    let mut rig = Rig::new();
    let ((a, _), (b, second), (c, third)) = (rig.session(), rig.session(), rig.udp_session());
    rig.batch(&[poll(a, 0), poll(b, 0), udp_data(c, b"x")]);
    rig.batch(&[data(a, 2, b"x"), data(b, 1, b"x")]);
    rig.fin(second);
    rig.upstream(third, UpstreamEvent::Reset);
    rig.batch(&[udp_data(c, b""), close(a), connect_data(b"y")]);
    rig.run(1_000_000);
    assert_eq!(rig.responses.len() as u64, rig.next_request);
    let stats = rig.node.stats();
    assert_eq!((stats.requests, stats.responses), (rig.next_request, rig.next_request));
    assert_eq!((stats.sessions_opened, stats.sessions_ended, rig.ended.len()), (3, 3, 3));
}

#[test]
fn the_same_events_give_the_same_actions() {
    let mut rig = Rig::new();
    let (sid, upstream) = rig.session();
    let mut twin = rig.node.clone();
    let body = wire::encode_request(Form::Node, &Secret::new(KEY), [connect(), data(sid, 0, b"x")].iter());
    for event in [
        NodeEvent::Request { request: RequestId::new(50), endpoint: Endpoint::Batch, body },
        NodeEvent::Upstream { upstream, event: UpstreamEvent::Data(Bytes::from_static(b"y")) },
        NodeEvent::Upstream { upstream: UpstreamId::new(1), event: UpstreamEvent::Opened },
        NodeEvent::Timeout,
        NodeEvent::Close,
    ] {
        rig.node.handle(Instant::from_micros(9), event.clone()).unwrap();
        twin.handle(Instant::from_micros(9), event).unwrap();
    }
    loop {
        let (ours, theirs) = (rig.node.poll(), twin.poll());
        assert_eq!(ours, theirs);
        if matches!(ours, NodeAction::Idle { .. }) {
            break;
        }
    }
}

#[test]
fn neither_key_nor_payload_is_printed() {
    let mut rig = Rig::with(|options| options.key = Secret::new("sesame"));
    let request = RequestId::new(0);
    let op = connect_data(b"attack at dawn");
    let body = wire::encode_request(Form::Node, &Secret::new("sesame"), [op].iter());
    let event = NodeEvent::Request { request, endpoint: Endpoint::Batch, body };
    let mut seen = alloc::format!("{event:?}");
    rig.node.handle(Instant::ZERO, event).unwrap();
    let upstream = UpstreamId::new(0);
    for event in [
        UpstreamEvent::Opened,
        UpstreamEvent::Data(Bytes::from_static(b"attack at dusk")),
        UpstreamEvent::Reset,
    ] {
        seen += &alloc::format!("{event:?}");
        seen += &state(&rig);
        rig.node.handle(Instant::ZERO, NodeEvent::Upstream { upstream, event }).unwrap();
    }
    seen += &state(&rig);
    print_actions(&mut rig.node, &mut seen);
    for secret in ["sesame", "attack", "97, 116, 116", "YXR0YWNr"] {
        assert!(!seen.contains(secret), "{secret} in {seen}");
    }
}

/// Prints every action that is queued.
fn print_actions(node: &mut Node, seen: &mut String) {
    loop {
        let action = node.poll();
        *seen += &alloc::format!("{action:?}");
        if matches!(action, NodeAction::Idle { .. }) {
            break;
        }
    }
}
