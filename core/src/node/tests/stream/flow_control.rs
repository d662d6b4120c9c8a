//! Flow control of downlink and uplink (protocol.md 3.2 rule 6).

use super::*;

#[test]
fn the_downlink_stops_at_the_clients_credit_and_goes_on_with_a_window() {
    let mut pair = Pair::new();
    let request = pair.ask(1, &[open_with(0, FlowKind::Tcp, 10)]);
    let upstream = pair.rig.last_opened();
    pair.rig.opened(upstream);
    pair.rig.data(upstream, b"0123456789abcdef");
    let answer = pair.answer_after(request, 10);
    assert_eq!(answer.data(0), b"0123456789");
    assert_eq!(answer.backlog(), None);
    pair.terms.hold = 0;
    let blocked = pair.ask(2, &[]);
    assert!(pair.answer(blocked).header.flags.blocked);
    let more = pair.ask(3, &[window(0, 14), window(0, 12)]);
    assert_eq!(pair.answer(more).data(0), b"abcd");
}

#[test]
fn the_node_reads_no_more_than_the_total_beyond_each_floor() {
    let mut pair = Pair::new();
    pair.terms.total = 128 * 1024;
    let stalled = pair.stream(0, 1);
    let other = pair.stream(1, 2);
    let filled = pair.rig.fill(stalled, 1 << 20);
    assert_eq!(filled, 128 * 1024 + 64 * 1024);
    // The other stream has its floor all the same.
    assert_eq!(pair.rig.fill(other, 1 << 20), 64 * 1024);
    assert_eq!(pair.rig.node.buffered_bytes(), 256 * 1024);
}

#[test]
fn what_is_acknowledged_makes_room_for_every_stream() {
    let mut pair = Pair::new();
    pair.terms.total = 128 * 1024;
    let stalled = pair.stream(0, 1);
    let other = pair.stream(1, 2);
    pair.rig.fill(stalled, 1 << 20);
    pair.rig.fill(other, 1 << 20);
    pair.terms.hold = 0;
    let mut exchange = 3;
    let mut chunks = 0;
    while pair.rig.credit[&other] == 0 {
        let request = pair.ask(exchange, &[ack(0, chunks)]);
        let answer = pair.answer(request);
        let of_first = |frame: &&Frame| matches!(frame, Frame::Data { stream, .. } if stream.get() == 0);
        chunks += answer.frames.iter().filter(of_first).count() as u64;
        exchange += 1;
        assert!(exchange < 20, "the other stream starves");
    }
}

#[test]
fn the_uplink_gets_credit_as_its_bytes_are_taken() {
    let mut pair = Pair::with(|options| options.tuning.streams.uplink_window = 64 * 1024);
    let upstream = pair.stream(0, 1);
    pair.rig.stuck.insert(upstream);
    let data = |seq, len: usize| {
        let bytes = Bytes::from(alloc::vec![b'u'; len]);
        Frame::Data { stream: number(0), seq: Seq::new(seq), fin: false, bytes }
    };
    pair.terms.hold = 0;
    let request = pair.ask(2, &[data(0, 32 * 1024), data(1, 32 * 1024)]);
    assert!(pair.answer(request).frames.is_empty(), "nothing was taken");
    pair.rig.upstream(upstream, UpstreamEvent::Written(32 * 1024));
    let request = pair.ask(3, &[]);
    let answer = pair.answer(request);
    assert!(answer.has(&ack(0, 1)) && answer.has(&window(0, 96 * 1024)), "{answer:?}");
}

#[test]
fn a_chunk_that_is_taken_in_part_is_not_acknowledged() {
    let mut pair = Pair::new();
    let upstream = pair.stream(0, 1);
    pair.rig.stuck.insert(upstream);
    pair.terms.max_held = 2;
    let request = pair.ask(2, &[chunk(0, 0, b"four")]);
    pair.rig.upstream(upstream, UpstreamEvent::Written(3));
    pair.rig.run(1_000);
    assert!(pair.rig.is_held(request));
    pair.rig.upstream(upstream, UpstreamEvent::Written(1));
    assert_eq!(pair.answer_after(request, 50).frames, [ack(0, 1)]);
}

#[test]
fn buffered_bytes_count_what_streams_keep() {
    let mut pair = Pair::new();
    let upstream = pair.stream(0, 1);
    pair.rig.stuck.insert(upstream);
    pair.terms.hold = 0;
    pair.ask(2, &[chunk(0, 0, b"abc"), chunk(0, 2, b"de")]);
    pair.rig.data(upstream, b"1234567");
    assert_eq!(pair.rig.node.buffered_bytes(), 12);
    pair.ask(3, &[reset(0, ResetCode::Aborted)]);
    assert_eq!(pair.rig.node.buffered_bytes(), 0);
}

#[test]
fn small_chunks_do_not_keep_their_packets_alive() {
    let mut pair = Pair::new();
    let upstream = pair.stream(0, 1);
    pair.rig.stuck.insert(upstream);
    let header = pair.header(2);
    let filler = Frame::Data {
        stream: number(0),
        seq: Seq::new(5),
        fin: false,
        bytes: Bytes::from(alloc::vec![0; 60_000]),
    };
    let packet = pair.packet(&header, &[chunk(0, 0, b"small"), filler]);
    let place = packet.as_ptr_range();
    let request = RequestId::new(pair.rig.next_request);
    pair.rig.next_request += 1;
    let endpoint = Endpoint::Streams { key: Secret::new(KEY) };
    let event = NodeEvent::Request { request, endpoint, body: packet };
    pair.rig.node.handle(pair.rig.clock(), event).unwrap();
    let mut seen = false;
    loop {
        match pair.rig.node.poll() {
            NodeAction::WriteUpstream { bytes, .. } => {
                assert_eq!(bytes, "small");
                assert!(!place.contains(&bytes.as_ptr()), "the chunk keeps its packet");
                seen = true;
            }
            NodeAction::Idle { .. } => break,
            _ => {}
        }
    }
    assert!(seen);
}
