//! Hellos and the states of a connection, row by row (protocol.md 3.1 Node).

use alloc::vec;

use super::*;
use crate::config::UserOptions;
use crate::wire::end::EndCode;

/// The hello under a number comes again, all 256 bytes.
fn again(pair: &mut Pair, number: u8) -> RequestId {
    let packet = pair.client_hello(number, None).packet();
    pair.rig.batch(&[Op::Streams { packet }])
}

/// The end that answers a request.
fn end(pair: &Pair, request: RequestId) -> Option<EndCode> {
    pair.answer(request).frames.iter().find_map(|frame| match frame {
        Frame::End { code, .. } => Some(*code),
        _ => None,
    })
}

#[test]
fn a_hello_is_answered_at_once_with_what_is_granted() {
    let mut pair = Pair::strangers(|_| {});
    let grants = pair.hello(1);
    assert_eq!((grants.uplink_total, grants.uplink_window), (128 * MIB, 256 << 10));
    assert_eq!(grants.max_hold, Duration::from_secs(50));
    // What fits into a body of 16 MiB as base64.
    assert!(grants.max_packet <= 12 * MIB && grants.max_packet > 11 * MIB);
    assert_eq!(pair.rig.node.stats().clients, 0, "half open");
}

#[test]
fn an_id_that_fits_nobody_is_a_bad_packet_and_one_that_fits_is_unknown() {
    let mut pair = Pair::strangers(|_| {});
    assert!(pair.is_unknown(0, &[open(0)]));
    let other = SecretKeys::new(&Secret::new("another secret of somebody"));
    pair.connection.up =
        Seal::new(&ConnectionKeys::of_test(other.client_id([1; 8]), [0; 32], [0; 32]), Direction::Up);
    let request = pair.ask(0, &[open(0)]);
    assert!(pair.is_bad_packet(request) && pair.rig.opens.is_empty());
}

#[test]
fn half_open_the_same_hello_has_the_same_answer_and_another_one_is_a_bad_packet() {
    let mut pair = Pair::strangers(|_| {});
    let first = again(&mut pair, 1);
    let second = again(&mut pair, 1);
    assert_eq!(pair.rig.reply(first).data, pair.rig.reply(second).data);
    let client = pair.keys.client_id([1; 8]);
    let other = ClientHello::new(&pair.keys, client, [7; 32], HelloPayload { token: None });
    let request = pair.rig.batch(&[Op::Streams { packet: other.packet() }]);
    assert!(pair.is_bad_packet(request));
}

#[test]
fn half_open_a_packet_that_does_not_open_changes_nothing_and_one_that_opens_takes_a_place() {
    let mut pair = Pair::strangers(|_| {});
    pair.hello(1);
    let foreign = ConnectionKeys::of_test(pair.connection.client, [0; 32], [0; 32]);
    let good = core::mem::replace(&mut pair.connection.up, Seal::new(&foreign, Direction::Up));
    let request = pair.ask(0, &[open(0)]);
    assert!(pair.is_bad_packet(request));
    pair.connection.up = good;
    pair.ask(0, &[open(0)]);
    assert_eq!((pair.rig.opens.len(), pair.rig.node.stats().clients), (1, 1));
}

#[test]
fn half_open_for_60_seconds_it_is_erased_however_often_the_hello_comes() {
    let mut pair = Pair::strangers(|_| {});
    pair.hello(1);
    for _ in 0..5 {
        pair.rig.run(10_000);
        again(&mut pair, 1);
    }
    pair.rig.run(10_000);
    assert!(pair.is_unknown(0, &[]));
}

#[test]
fn up_the_same_hello_has_the_same_answer_for_60_seconds_and_ends_nothing() {
    let mut pair = Pair::strangers(|_| {});
    let first = again(&mut pair, 1);
    pair.connect(1);
    let upstream = pair.stream(0, 1);
    let copy = again(&mut pair, 1);
    assert_eq!(pair.rig.reply(first).data, pair.rig.reply(copy).data);
    pair.rig.run(60_000);
    let late = again(&mut pair, 1);
    assert!(pair.is_bad_packet(late));
    pair.terms.hold = 0;
    pair.ask(2, &[chunk(0, 0, b"alive")]);
    assert_eq!(pair.rig.written(upstream), b"alive");
}

#[test]
fn up_goodbye_is_answered_by_headers_and_erases_the_connection() {
    let mut pair = Pair::new();
    let upstream = pair.stream(0, 1);
    let held = pair.ask(2, &[]);
    let request = pair.ask(3, &[Frame::Goodbye]);
    for request in [held, request] {
        assert!(pair.answer(request).frames.is_empty());
    }
    assert_eq!(pair.rig.shut[&upstream], Shut::Reset);
    let ended = NodeNotice::ClientEnded { client: pair.connection.client, why: ClientEnd::Goodbye };
    assert!(pair.rig.notices.contains(&ended));
    assert!(pair.is_unknown(4, &[]));
}

#[test]
fn up_a_user_that_is_removed_hears_of_it_at_once_and_for_60_seconds() {
    let laptop = || UserOptions::new("laptop", Secret::new("the secret of a laptop"));
    let phone = || UserOptions::new("phone", Secret::new("the secret of a phone!"));
    let mut pair = Pair::strangers(|options| options.users = vec![laptop(), phone()]);
    pair.keys = SecretKeys::new(&phone().secret);
    pair.connect(1);
    let theirs = (pair.keys.clone(), pair.connection.clone(), pair.terms);
    pair.keys = SecretKeys::new(&laptop().secret);
    pair.terms.done = 0;
    pair.connect(2);
    let upstream = pair.stream(0, 1);
    let held = pair.ask(2, &[]);
    pair.rig.event(NodeEvent::Users(vec![phone()]));
    assert_eq!(end(&pair, held), Some(EndCode::User));
    assert_eq!(pair.rig.shut[&upstream], Shut::Reset);
    let later = pair.ask(3, &[open(1)]);
    assert_eq!(end(&pair, later), Some(EndCode::User));
    let hello = again(&mut pair, 3);
    assert!(pair.is_bad_packet(hello), "nobody has that secret");
    pair.rig.run(60_000);
    let request = pair.ask(4, &[]);
    assert!(pair.is_bad_packet(request));
    // Whoever stayed the same notices nothing.
    (pair.keys, pair.connection, pair.terms) = theirs;
    pair.stream(0, 1);
}

#[test]
fn a_user_whose_secret_changed_is_another_one() {
    let user = |secret| UserOptions::new("laptop", Secret::new(secret));
    let mut pair = Pair::strangers(|options| options.users = vec![user("the first of two secrets")]);
    pair.keys = SecretKeys::new(&Secret::new("the first of two secrets"));
    pair.connect(1);
    pair.rig.event(NodeEvent::Users(vec![user("the other of two secrets")]));
    let request = pair.ask(1, &[]);
    assert_eq!(end(&pair, request), Some(EndCode::User));
    pair.keys = SecretKeys::new(&Secret::new("the other of two secrets"));
    pair.connect(2);
}

#[test]
fn a_node_that_closes_tells_its_clients() {
    let mut pair = Pair::new();
    let held = pair.ask(1, &[]);
    pair.rig.event(NodeEvent::Close);
    assert_eq!(end(&pair, held), Some(EndCode::Stop));
}

#[test]
fn a_node_that_drains_lets_nobody_in_and_serves_who_is_there() {
    let mut pair = Pair::new();
    pair.rig.event(NodeEvent::Drain);
    let upstream = pair.stream(0, 1);
    pair.terms.hold = 0;
    let request = pair.ask(2, &[chunk(0, 0, b"on")]);
    assert!(pair.answer(request).header.flags.draining);
    assert_eq!(pair.rig.written(upstream), b"on");
    assert_eq!(pair.refusal(2, None).unwrap().kind, NoticeKind::Draining);
}

#[test]
fn a_client_without_a_secret_is_told_that_the_node_wants_one() {
    let mut pair = Pair::strangers(|options| options.secret = Some(Secret::new("a secret of the node")));
    pair.keys = SecretKeys::new(&Secret::new(""));
    let notice = pair.refusal(1, None).unwrap();
    assert_eq!((notice.kind, &*notice.text), (NoticeKind::NotAllowed, "this node wants a secret"));
    let keys = ConnectionKeys::of_test(pair.keys.client_id([1; 8]), [0; 32], [0; 32]);
    pair.connection = Connection::new(&keys);
    let request = pair.ask(0, &[]);
    assert!(pair.is_bad_packet(request));
}

#[test]
fn without_a_place_a_hello_is_told_so_and_a_client_in_between_is_ended() {
    let mut pair = Pair::strangers(|options| options.tuning.streams.max_clients = 1);
    pair.hello(2);
    let second = pair.connection.clone();
    pair.connect(1);
    assert_eq!(pair.refusal(3, None).unwrap().kind, NoticeKind::Busy);
    let limit = NodeNotice::LimitReached { limit: "streams.max_clients" };
    assert_eq!(pair.rig.notices.iter().filter(|notice| **notice == limit).count(), 1);
    pair.connection = second;
    let request = pair.ask(0, &[]);
    assert_eq!(end(&pair, request), Some(EndCode::Quota));
}

#[test]
fn a_client_that_was_silent_for_2_minutes_gives_its_place_to_a_new_one_of_its_user() {
    let mut pair = Pair::strangers(|options| options.tuning.streams.max_clients = 4);
    for number in 0..4 {
        pair.terms.done = 0;
        pair.connect(number);
    }
    pair.rig.run(119_000);
    assert_eq!(pair.refusal(9, None).unwrap().kind, NoticeKind::Busy);
    pair.rig.run(1_000);
    for number in 10..110 {
        pair.terms.done = 0;
        pair.connect(number);
        pair.rig.run(120_000);
    }
}

#[test]
fn a_user_has_as_many_connections_as_the_user_may_have() {
    let mut user = UserOptions::new("laptop", Secret::new("the secret of a laptop"));
    user.max_clients = Some(1);
    user.max_streams = Some(2);
    let secret = user.secret.clone();
    let mut pair = Pair::strangers(|options| options.users = vec![user]);
    pair.keys = SecretKeys::new(&secret);
    assert_eq!(pair.connect(1).max_streams, 2);
    assert_eq!(pair.refusal(2, None).unwrap().kind, NoticeKind::Busy);
}

#[test]
fn ten_thousand_hellos_of_a_user_keep_none_of_them_out_who_has_a_token() {
    let mut pair = Pair::new();
    let upstream = pair.stream(0, 1);
    let mut invited = 0;
    for number in 0..10_000_u32 {
        let mut random = [7; 8];
        random[..4].copy_from_slice(&number.to_be_bytes());
        let client = pair.keys.client_id(random);
        let hello = ClientHello::new(&pair.keys, client, [3; 32], HelloPayload { token: None });
        let packet = hello.packet();
        let request = pair.rig.batch(&[Op::Streams { packet: packet.clone() }]);
        if let Some(notice) = pair.notice(&packet, request) {
            assert_eq!(notice.kind, NoticeKind::Busy);
            invited += usize::from(notice.token.is_some());
        }
        pair.rig.run(20);
    }
    assert!(invited > 5_000, "{invited} are sent a token, and nothing is kept of them");
    let notice = pair.refusal(99, None).expect("a token is wanted");
    assert_eq!((notice.kind, notice.wait), (NoticeKind::Busy, Duration::ZERO));
    assert_eq!(pair.refusal(98, notice.token), None, "two round trips");
    pair.terms.hold = 0;
    pair.ask(2, &[chunk(0, 0, b"fine")]);
    assert_eq!(pair.rig.written(upstream), b"fine");
}

#[test]
fn hellos_that_are_replayed_are_answered_alike_and_cost_nothing() {
    let mut pair = Pair::strangers(|_| {});
    for _ in 0..1_000 {
        for number in 0..10 {
            again(&mut pair, number);
        }
    }
    pair.connect(20);
    assert_eq!(pair.rig.node.stats().clients, 1);
}

#[test]
fn what_is_promised_to_clients_is_bounded_together() {
    let mut pair = Pair::strangers(|options| options.tuning.streams.uplink_memory = 8 * MIB);
    let mut promised = 0;
    for number in 0..200 {
        if pair.refusal(number, None).is_some() {
            break;
        }
        pair.terms.done = 0;
        promised += pair.connect(number).uplink_total;
    }
    assert!(promised > 7 * MIB && promised <= 8 * MIB, "{promised}");
}

#[test]
fn a_client_that_is_not_heard_of_is_dropped_with_its_streams() {
    let mut pair = Pair::new();
    let upstream = pair.stream(0, 1);
    pair.rig.run(600_000);
    assert_eq!(pair.rig.shut[&upstream], Shut::Reset);
    assert_eq!(pair.rig.ended[&upstream], SessionEnd::ClientLost);
    let ended = NodeNotice::ClientEnded { client: pair.connection.client, why: ClientEnd::Idle };
    assert!(pair.rig.notices.contains(&ended));
    assert!(pair.is_unknown(2, &[]));
    assert_eq!(pair.rig.wake, None);
}

#[test]
fn old_requests_that_come_again_keep_nobody_alive() {
    let mut pair = Pair::new();
    let upstream = pair.stream(0, 1);
    let header = pair.header(2);
    let packet = pair.packet(&header, &[]);
    for _ in 0..66 {
        pair.rig.batch(&[Op::Streams { packet: packet.clone() }]);
        pair.rig.run(10_000);
    }
    assert_eq!(pair.rig.ended[&upstream], SessionEnd::ClientLost);
}

#[test]
fn a_client_that_asks_lives_on() {
    let mut pair = Pair::new();
    let upstream = pair.stream(0, 1);
    for exchange in 2..60 {
        let request = pair.ask(exchange, &[]);
        pair.answer_after(request, 25_000);
        pair.terms.done = exchange + 1;
    }
    assert!(!pair.rig.shut.contains_key(&upstream));
}

#[test]
fn what_a_user_does_is_counted_under_its_name_also_after_a_new_secret() {
    let user = |secret| UserOptions::new("laptop", Secret::new(secret));
    let mut pair = Pair::strangers(|options| options.users = vec![user("the first of two secrets")]);
    pair.keys = SecretKeys::new(&Secret::new("the first of two secrets"));
    pair.connect(1);
    let upstream = pair.stream(0, 1);
    pair.ask(2, &[chunk(0, 0, b"four")]);
    pair.rig.data(upstream, b"answer");
    pair.rig.run(20);
    let stats = |pair: &Pair| {
        pair.rig
            .node
            .user_stats()
            .map(|(name, stats)| (String::from(name), stats.clone()))
            .collect::<Vec<_>>()
    };
    let before = stats(&pair);
    let [(name, counted)] = &before[..] else { panic!("{before:?}") };
    assert_eq!((&**name, counted.opened, counted.uplink_bytes, counted.downlink_bytes), ("laptop", 1, 4, 6));
    pair.rig.event(NodeEvent::Users(vec![user("the other of two secrets")]));
    assert_eq!(stats(&pair), before);
    assert_eq!(pair.rig.ended[&upstream], SessionEnd::UserGone);
    pair.rig.event(NodeEvent::Users(vec![]));
    assert!(stats(&pair).is_empty());
}

#[test]
fn a_target_that_is_not_allowed_counts_as_refused() {
    let mut pair = Pair::new();
    pair.ask(1, &[open(0)]);
    let upstream = pair.rig.last_opened();
    pair.rig.upstream(upstream, UpstreamEvent::Failed(ConnectFailure::NotAllowed));
    let refused: Vec<u64> = pair.rig.node.user_stats().map(|(_, stats)| stats.refused).collect();
    assert_eq!(refused, [1]);
}
