//! Datagrams of streams (protocol.md 3.1, 3.2 rule 5).

use super::*;

fn association(pair: &mut Pair) -> UpstreamId {
    let request = pair.ask(1, &[open_with(0, FlowKind::Udp, 0)]);
    let upstream = pair.rig.last_opened();
    pair.rig.opened(upstream);
    assert!(pair.answer_after(request, 10).has(&opened(0)));
    pair.terms.done = 2;
    upstream
}

#[test]
fn datagrams_go_both_ways() {
    let mut pair = Pair::new();
    let upstream = association(&mut pair);
    let request = pair.ask(2, &[datagram(0, b"query")]);
    assert_eq!(pair.rig.written(upstream), b"query");
    pair.rig.datagram(upstream, b"");
    pair.rig.datagram(upstream, b"reply");
    assert_eq!(pair.answer_after(request, 10).frames, [datagram(0, b""), datagram(0, b"reply")]);
}

#[test]
fn a_datagram_is_taken_once() {
    let mut pair = Pair::new();
    let upstream = association(&mut pair);
    pair.ask(2, &[datagram(0, b"once")]);
    pair.ask(2, &[datagram(0, b"once")]);
    assert_eq!(pair.rig.written(upstream), b"once");
}

#[test]
fn a_datagram_of_a_request_below_done_is_not_taken() {
    let mut pair = Pair::new();
    let upstream = association(&mut pair);
    pair.terms.hold = 0;
    pair.terms.done = 4;
    pair.ask(4, &[]);
    pair.ask(2, &[datagram(0, b"late")]);
    assert!(pair.rig.written(upstream).is_empty());
}

#[test]
fn a_datagram_of_an_exchange_that_was_named_before_it_came_is_taken() {
    let mut pair = Pair::new();
    let upstream = association(&mut pair);
    pair.terms.hold = 0;
    pair.ask(3, &[resend(2)]);
    pair.ask(2, &[datagram(0, b"first")]);
    assert_eq!(pair.rig.written(upstream), b"first");
}

#[test]
fn datagrams_are_not_repeated() {
    let mut pair = Pair::new();
    let upstream = association(&mut pair);
    pair.rig.datagram(upstream, b"reply");
    pair.terms.hold = 0;
    let lost = pair.ask(2, &[]);
    assert_eq!(pair.answer(lost).frames, [datagram(0, b"reply")]);
    let next = pair.ask(3, &[resend(2)]);
    assert!(pair.answer(next).frames.is_empty());
}

#[test]
fn datagrams_wait_for_their_upstream_and_the_oldest_make_room() {
    let mut pair = Pair::with(|options| options.tuning.udp_queue = 2);
    pair.ask(1, &[open_with(0, FlowKind::Udp, 0), datagram(0, b"a"), datagram(0, b"b"), datagram(0, b"c")]);
    let upstream = pair.rig.last_opened();
    assert!(pair.rig.written(upstream).is_empty());
    pair.rig.opened(upstream);
    assert_eq!(pair.rig.written(upstream), b"bc");
}

#[test]
fn only_so_many_datagrams_wait_for_the_client() {
    let mut pair = Pair::with(|options| options.tuning.udp_queue = 2);
    let upstream = association(&mut pair);
    for text in [&b"a"[..], b"b", b"c"] {
        pair.rig.datagram(upstream, text);
    }
    let request = pair.ask(2, &[]);
    assert_eq!(pair.answer_after(request, 10).frames, [datagram(0, b"b"), datagram(0, b"c")]);
    assert!(pair.rig.notices.contains(&NodeNotice::DatagramsDropped { upstream, dropped: 1 }));
}

#[test]
fn a_large_datagram_fits_into_an_answer() {
    let mut pair = Pair::new();
    let upstream = association(&mut pair);
    let large = alloc::vec![7; 65_535];
    pair.rig.datagram(upstream, &large);
    pair.terms.max_response = 68 * 1024;
    pair.terms.hold = 0;
    let request = pair.ask(2, &[]);
    let answer = pair.answer(request);
    assert_eq!(answer.frames, [Frame::Datagram { stream: number(0), bytes: large.into() }]);
}

#[test]
fn an_idle_association_is_reset() {
    let mut pair = Pair::new();
    let upstream = association(&mut pair);
    pair.rig.run(119_000);
    let request = pair.ask(2, &[]);
    let answer = pair.answer_after(request, 1_100);
    assert_eq!(answer.frames, [reset(0, ResetCode::Idle)]);
    assert_eq!(pair.rig.ended[&upstream], SessionEnd::Idle);
}

#[test]
fn data_on_an_association_fails_the_client() {
    let mut pair = Pair::new();
    association(&mut pair);
    let request = pair.ask(2, &[chunk(0, 0, b"no")]);
    assert!(pair.is_bad_packet(request));
    assert_eq!(pair.faults(), [ClientFault::DataOnDatagrams]);
}
