//! Clients that break the rules (protocol.md 3.2 rule 14, 3.4).

use alloc::vec;

use super::*;

/// A packet of these frames fails the client with `fault`, and nobody else.
fn fails(change: impl FnOnce(&mut NodeOptions), frames: &[Frame], fault: ClientFault) {
    let mut pair = Pair::with(change);
    let mine = pair.stream(0, 1);
    let connection = pair.connection.clone();
    pair.connect(8);
    let other = pair.stream(0, 1);
    let innocent = core::mem::replace(&mut pair.connection, connection);
    pair.terms.done = 2;
    pair.terms.max_held = 8;
    let held = pair.ask(2, &[]);
    let request = pair.ask(3, frames);
    assert!(pair.is_bad_packet(request) && pair.is_bad_packet(held));
    assert_eq!(pair.faults(), [fault]);
    assert_eq!(pair.rig.ended[&mine], SessionEnd::ClientLost);
    assert_eq!(pair.rig.shut[&mine], Shut::Reset);
    assert!(pair.is_unknown(4, &[]));

    pair.connection = innocent;
    pair.ask(2, &[chunk(0, 0, b"fine")]);
    assert_eq!(pair.rig.written(other), b"fine");
}

fn large(stream: u64, seq: u64, len: usize) -> Frame {
    Frame::Data { stream: number(stream), seq: Seq::new(seq), fin: false, bytes: alloc::vec![0; len].into() }
}

#[test]
fn bytes_beyond_the_credit_fail_the_client() {
    let fault = ClientFault::from(crate::connection::stream::violation::Violation::CreditExceeded);
    let frames = [large(0, 0, 60_000), large(0, 1, 60_000)];
    fails(|options| options.tuning.streams.uplink_window = 100_000, &frames, fault);
}

#[test]
fn a_sequence_beyond_the_reorder_queue_fails_the_client() {
    let fault = ClientFault::from(crate::connection::stream::violation::Violation::TooFarAhead);
    fails(|_| {}, &[chunk(0, 4097, b"far")], fault);
}

#[test]
fn ends_that_disagree_and_acknowledgements_of_what_was_not_sent_reset_their_stream_alone() {
    let cases = [
        vec![last(0, 3, b"end"), last(0, 4, b"end")],
        vec![last(0, 3, b"end"), chunk(0, 5, b"behind")],
        vec![ack(0, 1)],
    ];
    for frames in cases {
        let mut pair = Pair::new();
        let mine = pair.stream(0, 1);
        let other = pair.stream(1, 2);
        pair.terms.hold = 0;
        let request = pair.ask(3, &[frames, vec![chunk(1, 0, b"fine")]].concat());
        assert!(pair.answer(request).has(&reset(0, ResetCode::Violation)));
        assert_eq!(pair.rig.shut[&mine], Shut::Reset);
        assert_eq!(pair.rig.written(other), b"fine");
        assert!(pair.faults().is_empty());
    }
}

#[test]
fn bytes_beyond_the_total_fail_the_client() {
    let frames = [open(1), large(1, 0, 65_536), large(1, 1, 65_536), large(1, 2, 65_536)];
    fails(|options| options.tuning.streams.uplink_total = 64 * 1024, &frames, ClientFault::TotalExceeded);
}

#[test]
fn reorder_queues_that_are_too_long_together_fail_the_client() {
    let frames = [open(1), open(2), chunk(1, 3000, b"far"), chunk(2, 3000, b"far")];
    fails(|options| options.tuning.streams.reorder_chunks = 4096, &frames, ClientFault::ReorderExceeded);
}

#[test]
fn a_resend_of_the_future_fails_the_client() {
    fails(|_| {}, &[resend(3)], ClientFault::ResendOfFuture);
}

#[test]
fn streams_that_end_with_too_many_gaps_fail_the_client() {
    let frames: Vec<Frame> = (0..9).map(|gap| reset(2 * gap + 2, ResetCode::Aborted)).collect();
    fails(|options| options.tuning.streams.max_streams = 4, &frames, ClientFault::TooManyEnded);
}

#[test]
fn refusals_that_are_never_confirmed_fail_the_client() {
    let frames: Vec<Frame> = (1..1030).map(open).collect();
    fails(|options| options.tuning.streams.max_streams = 1, &frames, ClientFault::TooManyEnded);
}

#[test]
fn a_client_may_open_stream_after_stream_before_it_confirms_an_end() {
    let mut pair = Pair::with(|options| options.tuning.streams.max_streams = 1);
    let frames: Vec<Frame> = (0..12).map(open).collect();
    let request = pair.ask(1, &frames);
    assert!(pair.faults().is_empty());
    assert_eq!(pair.answer_after(request, 100).header.exchange.get(), 1);
}

#[test]
fn an_exchange_too_far_above_done_fails_the_client() {
    let mut pair = Pair::new();
    let request = pair.ask(1 + 4096, &[]);
    assert!(pair.is_bad_packet(request));
    assert_eq!(pair.faults(), [ClientFault::TooManyExchanges]);
}

#[test]
fn a_packet_that_does_not_open_says_nothing_and_changes_nothing() {
    let mut pair = Pair::new();
    let upstream = pair.stream(0, 1);
    let header = pair.header(2);
    let good = pair.packet(&header, &[chunk(0, 0, b"x")]);
    let mut bodies = alloc::vec![Bytes::new(), good.slice(..good.len() - 1), good.slice(..30)];
    for place in [0, 1, 20, 45, good.len() - 1] {
        let mut damaged = good.to_vec();
        damaged[place] ^= 1;
        bodies.push(damaged.into());
    }
    let keys = ConnectionKeys::of_test(pair.connection.client, [5; 32], [6; 32]);
    let other = Seal::new(&keys, Direction::Up);
    bodies.push(Unsealed::request(&header, 0).seal(&other, pair.nonces.next()));
    // A packet of the wrong direction.
    bodies.push(Unsealed::request(&header, 0).seal(&pair.connection.down, pair.nonces.next()));
    for body in bodies {
        let request = pair.rig.batch(&[Op::Streams { packet: body }]);
        assert!(pair.is_bad_packet(request));
    }
    assert!(pair.rig.written(upstream).is_empty());
    assert!(pair.faults().is_empty());
}

#[test]
fn a_frame_that_goes_the_other_way_fails_its_packet_and_nothing_of_it_counts() {
    let mut pair = Pair::new();
    let upstream = pair.stream(0, 1);
    let request = pair.ask(2, &[chunk(0, 0, b"x"), opened(0)]);
    assert!(pair.is_bad_packet(request));
    assert!(pair.rig.written(upstream).is_empty());
    assert!(pair.faults().is_empty());
    // The client lives, and its next packet counts.
    pair.ask(2, &[chunk(0, 0, b"y")]);
    assert_eq!(pair.rig.written(upstream), b"y");
}

#[test]
fn a_packet_larger_than_was_granted_does_not_open() {
    let mut pair = Pair::with(|options| options.tuning.streams.max_packet = 128 * 1024);
    let upstream = pair.stream(0, 1);
    let request = pair.ask(2, &[large(0, 0, 65_536), large(0, 1, 65_536)]);
    assert!(pair.is_bad_packet(request));
    assert!(pair.rig.written(upstream).is_empty());
}

#[test]
fn a_replay_writes_nothing_again() {
    let mut pair = Pair::new();
    let upstream = pair.stream(0, 1);
    let header = pair.header(2);
    let packet = pair.packet(&header, &[open(1), chunk(0, 0, b"once"), chunk(1, 0, b"once")]);
    for _ in 0..3 {
        pair.rig.batch(&[Op::Streams { packet: packet.clone() }]);
    }
    assert_eq!(pair.rig.written(upstream), b"once");
    assert_eq!(pair.rig.opens.len(), 2);
    // And after everything of it has ended.
    pair.terms.done = 4;
    pair.ask(4, &[reset(0, ResetCode::Aborted), reset(1, ResetCode::Aborted)]);
    pair.rig.batch(&[Op::Streams { packet }]);
    assert_eq!(pair.rig.opens.len(), 2);
    assert_eq!(pair.rig.written(upstream), b"once");
}

#[test]
fn a_replay_of_a_whole_connection_that_is_over_opens_and_writes_nothing() {
    let mut pair = Pair::new();
    let header = pair.header(1);
    let packet = pair.packet(&header, &[open(0), chunk(0, 0, b"old")]);
    pair.rig.run(700_000); // the client is forgotten
    let hello = pair.client_hello(1, None).packet();
    pair.rig.batch(&[Op::Streams { packet: hello }]);
    // The node has drawn another key since.
    let request = pair.rig.batch(&[Op::Streams { packet }]);
    assert!(pair.is_bad_packet(request) && pair.rig.opens.is_empty());
}

#[test]
fn neither_notices_nor_debug_texts_show_payload_or_secret() {
    let mut pair = Pair::new();
    let upstream = pair.stream(0, 1);
    pair.rig.data(upstream, b"payload down");
    pair.ask(2, &[chunk(0, 0, b"payload up"), chunk(0, 2, b"payload waits")]);
    let shown = alloc::format!("{:?} {:?}", pair.rig.node, pair.rig.notices);
    assert!(!shown.contains("payload") && !shown.contains(KEY));
    assert!(!shown.contains("112, 97, 121, 108")); // "payl"
}
