//! Sparse data before bulk (protocol.md 3.2 rule 8).

use super::*;

#[test]
fn sparse_data_goes_before_bulk_in_a_small_packet_of_its_own() {
    let mut pair = Pair::new();
    let bulk = pair.stream(0, 1);
    let sparse = pair.stream(1, 2);
    pair.rig.fill(bulk, 250_000);
    pair.terms.hold = 0;
    pair.ask(3, &[]); // the first bytes of the bulk stream are sparse
    pair.rig.data(sparse, b"key");
    let first = pair.ask(4, &[]);
    let second = pair.ask(5, &[]);
    let (first, second) = (pair.answer(first), pair.answer(second));
    assert_eq!((first.data(1), first.data(0)), (b"key".to_vec(), Vec::new()));
    assert_eq!(first.backlog(), Some(250_000 - 60 * 1024));
    assert_eq!((second.data(1), second.data(0).len()), (Vec::new(), 250_000 - 60 * 1024));
    assert_eq!(second.backlog(), None);
}

#[test]
fn packets_of_sparse_data_are_small() {
    let mut pair = Pair::new();
    let upstreams: Vec<UpstreamId> = (0..8).map(|stream| pair.stream(stream, stream + 1)).collect();
    for upstream in upstreams {
        pair.rig.fill(upstream, 20_000);
    }
    pair.terms.hold = 0;
    let mut total = 0;
    for exchange in 10..13 {
        let request = pair.ask(exchange, &[]);
        let answer = pair.answer(request);
        assert!(answer.len <= 64 * 1024);
        total += (0..8).map(|stream| answer.data(stream).len()).sum::<usize>();
    }
    assert_eq!(total, 160_000);
}

/// Stream 0 has sent what it may as a sparse one and nothing waits; stream 1 is there and silent. Exchange 5 is held.
fn after_a_burst(pair: &mut Pair) -> (UpstreamId, RequestId) {
    let upstream = pair.stream(0, 1);
    pair.stream(1, 2);
    pair.rig.fill(upstream, 100_000);
    pair.terms.hold = 0;
    pair.ask(3, &[]);
    pair.ask(4, &[]);
    pair.terms.hold = 25_000;
    pair.terms.max_held = 2;
    (upstream, pair.ask(5, &[]))
}

#[test]
fn a_stream_that_was_quiet_for_a_second_is_sparse_again() {
    let mut pair = Pair::new();
    let (upstream, held) = after_a_burst(&mut pair);
    pair.rig.run(1_000);
    pair.rig.data(upstream, b"key");
    assert_eq!(pair.answer_after(held, 10).data(0), b"key");
}

#[test]
fn a_stream_whose_bytes_wait_for_a_request_is_not_quiet() {
    let mut pair = Pair::new();
    let (upstream, held) = after_a_burst(&mut pair);
    pair.rig.data(upstream, b"bulk");
    pair.rig.run(2_000);
    pair.rig.data(upstream, b" and more");
    pair.rig.run(2_000);
    assert!(pair.rig.is_held(held), "bulk leaves one of two");
    pair.ask(6, &[]);
    assert_eq!(pair.answer(held).data(0), b"bulk and more");
}

#[test]
fn bulk_takes_every_held_request_where_no_other_stream_is_open() {
    let mut pair = Pair::new();
    let upstream = pair.stream(0, 1);
    pair.rig.fill(upstream, 100_000);
    pair.terms.max_held = 2;
    let (first, second) = (pair.ask(3, &[]), pair.ask(4, &[]));
    assert_eq!(pair.answer_after(first, 10).data(0).len(), 60 * 1024);
    assert_eq!(pair.answer_after(second, 10).data(0).len(), 100_000 - 60 * 1024);
}

#[test]
fn bulk_leaves_a_held_request_for_what_is_sparse() {
    let mut pair = Pair::new();
    let bulk = pair.stream(0, 1);
    let sparse = pair.stream(1, 2);
    pair.rig.fill(bulk, 100_000);
    pair.terms.hold = 0;
    pair.ask(3, &[]);
    pair.terms.hold = 25_000;
    pair.terms.max_held = 2;
    let low = pair.ask(4, &[]);
    pair.rig.run(100);
    assert!(pair.rig.is_held(low));
    let high = pair.ask(5, &[]);
    assert_eq!(pair.answer(low).data(0).len(), 100_000 - 60 * 1024);
    assert!(pair.rig.is_held(high));
    pair.rig.data(sparse, b"key");
    assert_eq!(pair.answer_after(high, 10).data(1), b"key");
}

#[test]
fn streams_in_bulk_share() {
    let mut pair = Pair::new();
    let upstreams: Vec<UpstreamId> = (0..3).map(|stream| pair.stream(stream, stream + 1)).collect();
    for upstream in &upstreams {
        pair.rig.fill(*upstream, 60 * 1024);
    }
    pair.terms.hold = 0;
    for exchange in 4..7 {
        pair.ask(exchange, &[]);
    }
    for upstream in upstreams {
        pair.rig.fill(upstream, 256 * 1024 - 60 * 1024);
    }
    pair.terms.max_response = 300 * 1024;
    let request = pair.ask(7, &[]);
    let answer = pair.answer(request);
    for stream in 0..3 {
        let share = answer.data(stream).len();
        assert!((64 * 1024..=128 * 1024).contains(&share), "{share}");
    }
    assert!(answer.len <= 300 * 1024 && answer.len > 290 * 1024);
}

#[test]
fn bulk_is_spread_over_the_requests_that_are_there_for_it() {
    let mut pair = Pair::new();
    let upstream = pair.stream(0, 1);
    pair.terms.max_response = 8 * MIB;
    pair.terms.hold = 0;
    pair.rig.fill(upstream, 60 * 1024);
    pair.ask(2, &[]);
    pair.terms.hold = 25_000;
    pair.terms.max_held = 4;
    let held: Vec<RequestId> = (3..7).map(|exchange| pair.ask(exchange, &[])).collect();
    pair.rig.fill(upstream, 190 * 1024);
    pair.terms.max_held = 1;
    let more = pair.ask(7, &[]);
    let sizes: Vec<usize> = held.iter().map(|request| pair.answer(*request).data(0).len()).collect();
    assert_eq!(sizes.iter().sum::<usize>(), 190 * 1024);
    assert!(pair.rig.is_held(more));
}

#[test]
fn an_answer_is_no_larger_than_was_asked_for() {
    let mut pair = Pair::new();
    let upstream = pair.stream(0, 1);
    pair.rig.fill(upstream, 250_000);
    pair.terms.hold = 0;
    pair.terms.max_response = 68 * 1024;
    let mut got = 0;
    let mut exchange = 2;
    while got < 250_000 {
        let request = pair.ask(exchange, &[]);
        let answer = pair.answer(request);
        assert!(answer.len <= 68 * 1024 && !answer.data(0).is_empty());
        got += answer.data(0).len();
        exchange += 1;
    }
}

#[test]
fn a_chunk_that_was_cut_fits_into_any_later_answer() {
    let mut pair = Pair::new();
    let upstream = pair.stream(0, 1);
    pair.rig.fill(upstream, 250_000);
    pair.terms.hold = 0;
    pair.ask(2, &[]);
    let large = pair.ask(3, &[]);
    let lost = pair.answer(large);
    let longest = lost.frames.iter().map(|frame| match frame {
        Frame::Data { bytes, .. } => bytes.len(),
        _ => 0,
    });
    assert_eq!(longest.max(), Some(64 * 1024));
    pair.terms.max_response = 68 * 1024;
    let mut again = Vec::new();
    for exchange in 4..9 {
        let request = pair.ask(exchange, &[resend(3)]);
        again.extend(pair.answer(request).data(0));
    }
    assert_eq!(again.len(), lost.data(0).len());
}
