//! Exchanges, their copies and their statuses (protocol.md 3.2 rule 2).

use super::*;

#[test]
fn an_answer_echoes_its_request_and_counts() {
    let mut pair = Pair::new();
    pair.terms.hold = 0;
    let first = pair.ask(1, &[]);
    let second = pair.ask(2, &[]);
    let (first, second) = (pair.answer(first), pair.answer(second));
    assert_eq!(first.header.exchange.get(), 1);
    assert_eq!(first.header.answer.next(), second.header.answer);
}

#[test]
fn statuses_tell_what_became_of_each_exchange() {
    let mut pair = Pair::new();
    pair.terms.max_held = 2;
    let first = pair.ask(2, &[]);
    pair.terms.hold = 0;
    let second = pair.ask(4, &[]);
    let answer = pair.answer(second);
    assert!(pair.rig.is_held(first));
    assert_eq!(answer.header.seen.get(), 4);
    let statuses: Vec<Status> = answer.header.statuses.clone();
    assert_eq!(statuses, [Status::Missing, Status::Held, Status::Missing, Status::Answered { size: 0 }]);
}

#[test]
fn a_status_tells_the_size_of_an_answer() {
    let mut pair = Pair::new();
    let upstream = pair.stream(0, 1);
    assert_eq!(pair.rig.fill(upstream, 200_000), 200_000);
    pair.terms.hold = 0;
    pair.terms.done = 2;
    let sparse = pair.ask(2, &[]);
    let bulk = pair.ask(3, &[]);
    let size = pair.answer(bulk).len / 65_536;
    assert!(size >= 2 && pair.answer(sparse).len <= 65_536);
    let third = pair.ask(4, &[]);
    let told = Status::Answered { size: u32::try_from(size).unwrap() };
    assert_eq!(pair.answer(third).status(3), Some(told));
}

#[test]
fn held_tells_how_long_this_copy_was_held() {
    let mut pair = Pair::new();
    let request = pair.ask(1, &[]);
    pair.rig.run(7_000);
    pair.terms.hold = 100;
    let copy = pair.ask(1, &[]);
    assert_eq!(pair.answer(request).header.held, Duration::from_millis(7_000));
    assert_eq!(pair.answer(copy).header.held, Duration::ZERO);
}

#[test]
fn both_copies_of_a_held_request_get_the_same_at_once() {
    let mut pair = Pair::new();
    let upstream = pair.stream(0, 1);
    let first = pair.ask(2, &[]);
    pair.rig.data(upstream, b"news");
    assert!(pair.rig.is_held(first));
    let second = pair.ask(2, &[]);
    let (first, second) = (pair.answer(first), pair.answer(second));
    assert_eq!(first.data(0), b"news");
    assert_eq!(first.frames, second.frames);
}

#[test]
fn the_content_of_an_exchange_is_fixed_when_its_second_copy_comes() {
    let mut pair = Pair::new();
    let upstream = pair.stream(0, 1);
    let first = pair.ask(2, &[]);
    let second = pair.ask(2, &[]);
    pair.rig.data(upstream, b"later");
    pair.rig.run(1_000);
    let third = pair.ask(2, &[]);
    for request in [first, second, third] {
        assert!(pair.answer(request).data(0).is_empty());
    }
}

#[test]
fn a_request_that_was_answered_is_answered_with_the_same() {
    let mut pair = Pair::new();
    let upstream = pair.stream(0, 1);
    let first = pair.ask(2, &[chunk(0, 0, b"up")]);
    pair.rig.data(upstream, b"news");
    pair.rig.run(60);
    let first = pair.answer(first);
    assert_eq!(first.data(0), b"news");
    pair.rig.data(upstream, b"more");
    let second = pair.ask(2, &[chunk(0, 0, b"up")]);
    assert_eq!(
        pair.answer(second).frames,
        [first.frames.clone(), alloc::vec![Frame::Backlog { bytes: 4 }]].concat()
    );
    assert_eq!(pair.rig.written(upstream), b"up");
}

#[test]
fn what_the_client_took_is_left_out_of_another_copy() {
    let mut pair = Pair::new();
    let upstream = pair.stream(0, 1);
    pair.rig.data(upstream, b"news");
    pair.terms.hold = 0;
    let first = pair.ask(2, &[]);
    assert_eq!(pair.answer(first).data(0), b"news");
    pair.ask(3, &[ack(0, 1)]);
    let copy = pair.ask(2, &[]);
    assert!(pair.answer(copy).data(0).is_empty());
}

#[test]
fn a_request_below_done_is_answered_by_a_header_and_its_frames_count() {
    let mut pair = Pair::new();
    let upstream = pair.stream(0, 1);
    pair.terms.hold = 0;
    pair.terms.done = 5;
    pair.ask(5, &[]);
    pair.rig.data(upstream, b"news");
    pair.terms.done = 2;
    let late = pair.ask(3, &[chunk(0, 0, b"late")]);
    assert!(pair.answer(late).frames.is_empty());
    assert_eq!(pair.rig.written(upstream), b"late");
    // Nothing is lost with it.
    pair.terms.done = 5;
    let next = pair.ask(6, &[]);
    assert_eq!(pair.answer(next).data(0), b"news");
}

#[test]
fn a_held_request_below_done_is_answered() {
    let mut pair = Pair::new();
    let held = pair.ask(1, &[]);
    pair.terms.done = 2;
    pair.terms.max_held = 2;
    let other = pair.ask(2, &[]);
    assert!(pair.answer(held).frames.is_empty());
    assert!(pair.rig.is_held(other));
}

#[test]
fn a_probe_is_answered_at_once_by_a_header() {
    let mut pair = Pair::new();
    let upstream = pair.stream(0, 1);
    let held = pair.ask(2, &[]);
    pair.rig.data(upstream, b"news");
    pair.terms.max_response = 0;
    let probe = pair.ask(3, &[]);
    assert!(pair.answer(probe).frames.is_empty());
    assert!(pair.rig.is_held(held));
    pair.rig.run(10);
    assert_eq!(pair.answer(held).data(0), b"news");
}

#[test]
fn a_caller_that_goes_leaves_its_bytes_to_others() {
    let mut pair = Pair::new();
    let upstream = pair.stream(0, 1);
    let gone = pair.ask(2, &[]);
    pair.rig.gone(gone);
    pair.rig.data(upstream, b"news");
    pair.rig.run(100);
    let next = pair.ask(3, &[]);
    pair.rig.run(10);
    let answer = pair.answer(next);
    assert_eq!(answer.data(0), b"news");
    assert_eq!(answer.status(2), Some(Status::Answered { size: 0 }));
}

#[test]
fn a_packet_may_come_as_the_body_itself() {
    let mut pair = Pair::new();
    pair.terms.hold = 0;
    let header = pair.header(1);
    let packet = pair.packet(&header, &[]);
    let request = pair.rig.request(Endpoint::Streams { key: Secret::new(KEY) }, packet.clone());
    let response = pair.rig.response(request);
    assert_eq!((response.status, response.content_type), (200, "application/octet-stream"));
    assert_eq!(pair.read(response.body.clone().into_bytes()).header.exchange.get(), 1);
    let request = pair.rig.request(Endpoint::Streams { key: Secret::new("other") }, packet);
    assert_eq!(pair.rig.response(request).status, 404);
    let request = pair.rig.request(Endpoint::Streams { key: Secret::new(KEY) }, "rubbish");
    assert_eq!(pair.rig.response(request).status, 400);
    assert_eq!(pair.rig.body(request), "bad packet");
}

#[test]
fn a_packet_beside_other_ops_does_not_hold_them_up() {
    let mut pair = Pair::new();
    let header = pair.header(1);
    let packet = pair.packet(&header, &[]);
    let request = pair.rig.batch(&[Op::Streams { packet }, close(Sid::new("x").unwrap())]);
    assert_eq!(pair.rig.replies(request).len(), 2);
}

#[test]
fn a_node_below_level_2_does_not_know_the_op() {
    let mut pair = Pair::strangers(|options| options.max_level = Level::Sequenced);
    let packet = pair.client_hello(1, None).packet();
    let request = pair.rig.batch(&[Op::Streams { packet: packet.clone() }]);
    assert!(pair.rig.reply(request).is_unsupported("streams"));
    let request = pair.rig.request(Endpoint::Streams { key: Secret::new(KEY) }, packet);
    assert_eq!(pair.rig.response(request).status, 404);
}

#[test]
fn what_finds_no_room_in_another_copy_goes_with_another_answer() {
    let mut pair = Pair::new();
    let upstream = pair.stream(0, 1);
    pair.terms.hold = 0;
    pair.terms.max_response = 100 * 1024;
    pair.rig.fill(upstream, 300 * 1024);
    pair.ask(2, &[]); // the beginning of a burst goes as sparse data
    let first = pair.ask(3, &[]);
    let seqs = |answer: &Answer| -> Vec<u64> {
        let chunk = |frame: &Frame| match frame {
            Frame::Data { seq, .. } => Some(seq.number()),
            _ => None,
        };
        answer.frames.iter().filter_map(chunk).collect()
    };
    let sent = seqs(&pair.answer(first));
    // Its header tells of more exchanges now.
    pair.terms.max_response = MIB;
    for exchange in (4..200).step_by(2) {
        pair.ask(exchange, &[]);
    }
    pair.terms.max_response = 100 * 1024;
    let copy = pair.ask(3, &[]);
    let mut came = seqs(&pair.answer(copy));
    assert!(came.len() < sent.len(), "{came:?} of {sent:?}");
    // The client has the copy's answer, and is done with that exchange.
    pair.terms.max_response = MIB;
    pair.terms.done = 100;
    let next = pair.ask(200, &[]);
    came.extend(seqs(&pair.answer(next)));
    assert!(sent.iter().all(|seq| came.contains(seq)), "{came:?} of {sent:?}");
}
