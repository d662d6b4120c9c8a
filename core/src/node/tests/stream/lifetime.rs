//! Opening and ends of streams and clients (protocol.md 3.2 rules 11 and 13).

use super::*;
use crate::wire::end::EndCode;

#[test]
fn a_stream_opens_once_however_often_it_is_asked_for() {
    let mut pair = Pair::new();
    pair.terms.max_held = 8;
    let first = pair.ask(1, &[open(0), chunk(0, 0, b"hello")]);
    pair.ask(2, &[open(0), chunk(0, 1, b" world")]);
    pair.ask(1, &[open(0), chunk(0, 0, b"hello")]);
    assert_eq!(pair.rig.opens.len(), 1);
    let upstream = pair.rig.last_opened();
    assert!(pair.rig.written(upstream).is_empty());
    pair.rig.opened(upstream);
    assert_eq!(pair.rig.written(upstream), b"hello world");
    assert!(!pair.rig.is_held(first));
}

#[test]
fn a_failed_open_resets_the_stream_with_its_reason() {
    let mut pair = Pair::new();
    let request = pair.ask(1, &[open(0), chunk(0, 0, b"hello")]);
    let upstream = pair.rig.last_opened();
    pair.rig.upstream(upstream, UpstreamEvent::Failed(ConnectFailure::Refused));
    let answer = pair.answer_after(request, 10);
    assert_eq!(answer.frames, [reset(0, ResetCode::Connect(ConnectFailure::Refused))]);
    assert!(pair.rig.ended.is_empty() && pair.rig.shut.is_empty());
    // Nothing opens it again.
    pair.ask(2, &[open(0)]);
    assert_eq!(pair.rig.opens.len(), 1);
}

#[test]
fn an_open_that_takes_too_long_fails() {
    let mut pair = Pair::new();
    let request = pair.ask(1, &[open(0)]);
    let answer = pair.answer_after(request, 10_010);
    assert_eq!(answer.frames, [reset(0, ResetCode::Connect(ConnectFailure::TimedOut))]);
    assert_eq!(pair.rig.shut[&pair.rig.last_opened()], Shut::Reset);
}

#[test]
fn a_reset_that_overtakes_its_open_leaves_nothing_to_open() {
    let mut pair = Pair::new();
    pair.terms.hold = 0;
    pair.ask(2, &[reset(0, ResetCode::Aborted)]);
    let late = pair.ask(1, &[open(0), chunk(0, 0, b"late")]);
    assert!(pair.rig.opens.is_empty());
    assert!(pair.answer(late).frames.is_empty());
}

#[test]
fn a_reset_in_the_packet_of_its_open_cancels_it() {
    let mut pair = Pair::new();
    pair.ask(1, &[open(0), reset(0, ResetCode::Aborted)]);
    assert_eq!(pair.rig.shut[&pair.rig.last_opened()], Shut::Reset);
    assert!(pair.rig.ended.is_empty());
}

#[test]
fn a_client_that_resets_drops_what_is_not_written() {
    let mut pair = Pair::new();
    let upstream = pair.stream(0, 1);
    pair.rig.data(upstream, b"unread");
    pair.terms.hold = 0;
    let request = pair.ask(2, &[reset(0, ResetCode::Aborted)]);
    assert!(pair.answer(request).frames.is_empty());
    assert_eq!(pair.rig.shut[&upstream], Shut::Reset);
    assert_eq!(pair.rig.ended[&upstream], SessionEnd::Closed);
    assert_eq!(pair.rig.node.buffered_bytes(), 0);
}

#[test]
fn both_directions_end_apart_and_the_stream_with_the_second() {
    let mut pair = Pair::new();
    let upstream = pair.stream(0, 1);
    pair.terms.max_held = 8;
    pair.ask(2, &[last(0, 0, b"question")]);
    assert_eq!(pair.rig.written(upstream), b"question");
    assert!(pair.rig.finished.contains(&upstream));
    assert!(!pair.rig.shut.contains_key(&upstream));
    pair.rig.data(upstream, b"answer");
    pair.rig.fin(upstream);
    pair.terms.hold = 0;
    let request = pair.ask(3, &[]);
    assert!(pair.answer(request).has(&last(0, 0, b"answer")));
    pair.ask(4, &[ack(0, 1)]);
    assert_eq!(pair.rig.shut[&upstream], Shut::Close);
    assert_eq!(pair.rig.ended[&upstream], SessionEnd::Finished);
}

#[test]
fn an_end_waits_for_the_bytes_before_it() {
    let mut pair = Pair::new();
    let upstream = pair.stream(0, 1);
    pair.terms.max_held = 8;
    pair.ask(3, &[last(0, 1, b"world")]);
    assert!(pair.rig.written(upstream).is_empty() && pair.rig.finished.is_empty());
    pair.ask(2, &[chunk(0, 0, b"hello ")]);
    assert_eq!(pair.rig.written(upstream), b"hello world");
    assert!(pair.rig.finished.contains(&upstream));
}

#[test]
fn a_stream_that_is_finished_opens_no_more() {
    let mut pair = Pair::new();
    let upstream = pair.stream(0, 1);
    pair.rig.fin(upstream);
    pair.terms.hold = 0;
    pair.ask(2, &[]);
    pair.ask(3, &[ack(0, 1), last(0, 0, b"")]);
    assert_eq!(pair.rig.shut[&upstream], Shut::Close);
    pair.ask(4, &[open(0)]);
    assert_eq!(pair.rig.opens.len(), 1);
}

#[test]
fn data_for_a_stream_that_nobody_knows_is_told_so() {
    let mut pair = Pair::new();
    let request = pair.ask(1, &[chunk(70, 0, b"what")]);
    assert_eq!(pair.answer_after(request, 10).frames, [Frame::Gone { stream: number(70) }]);
    assert!(pair.faults().is_empty());
}

#[test]
fn beyond_the_streams_that_were_granted_an_open_is_refused() {
    let mut pair = Pair::with(|options| options.tuning.streams.max_streams = 1);
    pair.stream(0, 1);
    let request = pair.ask(2, &[open(1)]);
    assert_eq!(pair.answer_after(request, 10).frames, [reset(1, ResetCode::TooManyStreams)]);
    assert_eq!(pair.rig.opens.len(), 1);
}

#[test]
fn streams_and_sessions_share_the_bound_of_the_node() {
    let mut pair = Pair::with(|options| options.max_sessions = 2);
    pair.rig.session();
    pair.stream(0, 1);
    let request = pair.ask(2, &[open(1)]);
    assert_eq!(pair.answer_after(request, 10).frames, [reset(1, ResetCode::TooManyStreams)]);
}

#[test]
fn an_upstream_that_takes_nothing_is_given_up() {
    let mut pair = Pair::new();
    let upstream = pair.stream(0, 1);
    pair.rig.stuck.insert(upstream);
    pair.terms.hold = 50_000;
    let request = pair.ask(2, &[chunk(0, 0, b"stuck")]);
    let answer = pair.answer_after(request, 30_010);
    assert_eq!(answer.frames, [reset(0, ResetCode::Stalled)]);
    assert_eq!(pair.rig.ended[&upstream], SessionEnd::WriteTimedOut);
}

#[test]
fn a_quiet_stream_lives_as_long_as_its_client() {
    let mut pair = Pair::new();
    let upstream = pair.stream(0, 1);
    for exchange in 2..40 {
        pair.terms.done = exchange;
        let request = pair.ask(exchange, &[]);
        pair.answer_after(request, 25_000);
    }
    assert!(!pair.rig.shut.contains_key(&upstream));
}

#[test]
fn no_client_takes_more_than_half_of_the_places_that_are_left() {
    let mut pair = Pair::with(|options| options.max_sessions = 400);
    let open_all = |pair: &mut Pair| {
        let before = pair.rig.opens.len();
        let frames: Vec<Frame> = (0..400).map(open).collect();
        pair.ask(1, &frames);
        pair.rig.opens.len() - before
    };
    assert_eq!(open_all(&mut pair), 200);
    pair.connect(2);
    assert_eq!(open_all(&mut pair), 100);
    pair.connect(3);
    assert_eq!(open_all(&mut pair), 64, "a few are always free");
}

#[test]
fn a_closing_node_resets_every_stream_and_answers_what_is_held() {
    let mut pair = Pair::new();
    let upstream = pair.stream(0, 1);
    let request = pair.ask(2, &[open(1)]);
    pair.rig.event(NodeEvent::Close);
    let answer = pair.answer(request);
    assert!(answer.header.flags.draining);
    assert_eq!(answer.frames, [Frame::End { code: EndCode::Stop, text: "".into() }]);
    assert_eq!(pair.rig.ended[&upstream], SessionEnd::NodeClosed);
    assert_eq!(pair.rig.shut.len(), 2);
    assert_eq!(pair.rig.wake, None);
    let request = pair.ask(3, &[]);
    assert_eq!(pair.rig.response(request).status, 503);
}

#[test]
fn chunks_may_come_in_any_order_and_more_than_once() {
    let mut pair = Pair::new();
    let upstream = pair.stream(0, 1);
    pair.terms.hold = 0;
    for (exchange, seq) in [(5, 3), (4, 2), (5, 3), (2, 0), (3, 1), (2, 0)] {
        let text: &[u8] = [&b"a"[..], b"b", b"c", b"d"][seq];
        let bytes = Bytes::from_static(text);
        let data = Frame::Data { stream: number(0), seq: Seq::new(seq as u64), fin: false, bytes };
        pair.ask(exchange, &[data]);
    }
    assert_eq!(pair.rig.written(upstream), b"abcd");
}
