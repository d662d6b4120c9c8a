//! UDP sessions (protocol.md 2.6).

use super::*;

#[test]
fn udp_open_sends_the_first_datagram_and_brings_the_answer() {
    let mut rig = Rig::new();
    let request = rig.batch(&[udp_open(b"query")]);
    let upstream = rig.last_opened();
    assert_eq!(rig.opens[0].2, FlowKind::Udp);
    rig.opened(upstream);
    assert_eq!(rig.written(upstream), b"query");
    rig.datagram(upstream, b"answer");
    rig.run(10);
    let reply = rig.reply(request);
    assert_eq!((reply.packets, reply.eof, reply.caps), (alloc::vec![Bytes::from("answer")], false, None));
}

#[test]
fn udp_open_without_a_datagram_is_answered_at_once() {
    let mut rig = Rig::new();
    let request = rig.batch(&[udp_open(b"")]);
    let upstream = rig.last_opened();
    rig.opened(upstream);
    assert!(rig.reply(request).packets.is_empty());
    assert_eq!(rig.written(upstream), b"");
}

#[test]
fn datagrams_stay_whole_and_in_order() {
    let mut rig = Rig::new();
    let (sid, upstream) = rig.udp_session();
    for datagram in [&b"one"[..], b"", b"three"] {
        rig.datagram(upstream, datagram);
    }
    let request = rig.batch(&[udp_data(sid, b"")]);
    assert_eq!(rig.reply(request).packets, ["one", "", "three"]);
}

#[test]
fn a_datagram_goes_at_once_beside_a_held_poll() {
    let mut rig = Rig::new();
    let (sid, upstream) = rig.udp_session();
    let held = rig.batch(&[udp_data(sid, b"")]);
    let sender = rig.batch(&[udp_data(sid, b"now")]);
    assert_eq!(rig.written(upstream), b"now");
    assert!(rig.is_held(held) && rig.is_held(sender));
    rig.datagram(upstream, b"reply");
    assert_eq!(rig.reply(held).packets, ["reply"]);
    rig.run(10);
    assert!(rig.reply(sender).packets.is_empty());
}

#[test]
fn a_datagram_to_a_silent_peer_is_answered_after_350_ms() {
    let mut rig = Rig::new();
    let (sid, _) = rig.udp_session();
    let request = rig.batch(&[udp_data(sid, b"x")]);
    rig.run(349);
    assert!(rig.is_held(request));
    rig.run(1);
    assert!(rig.reply(request).packets.is_empty());
}

#[test]
fn a_full_queue_drops_the_oldest_and_counts() {
    let mut rig = Rig::with(|options| options.tuning.udp_queue = 2);
    let (sid, upstream) = rig.udp_session();
    for number in 0..=201_u8 {
        rig.datagram(upstream, &[number]);
    }
    let dropped: Vec<u64> = rig
        .notices
        .iter()
        .filter_map(|notice| match notice {
            NodeNotice::DatagramsDropped { dropped, .. } => Some(*dropped),
            _ => None,
        })
        .collect();
    assert_eq!(dropped, [1, 100, 200], "the first, and then each 100th");
    assert_eq!(rig.node.stats().datagrams_dropped, 200);
    let request = rig.batch(&[udp_data(sid, b"")]);
    assert_eq!(rig.reply(request).packets, [&[200_u8][..], &[201]]);
}

#[test]
fn large_datagrams_beyond_the_total_make_room_for_themselves() {
    let mut rig = Rig::with(|options| options.total_buffer = 0);
    let (_, upstream) = rig.udp_session();
    for _ in 0..10 {
        rig.datagram(upstream, &[7; 40_000]);
    }
    assert_eq!(rig.node.buffered_bytes(), 40_000);
    rig.datagram(upstream, &[7; 65_535]);
    assert_eq!(rig.node.buffered_bytes(), 65_535);
}

#[test]
fn a_dead_upstream_is_at_its_end() {
    let mut rig = Rig::new();
    let (sid, upstream) = rig.udp_session();
    let request = rig.batch(&[udp_data(sid, b"")]);
    rig.upstream(upstream, UpstreamEvent::Reset);
    assert!(rig.reply(request).eof);
    assert_eq!(rig.ended[&upstream], SessionEnd::Reset);
}

#[test]
fn an_unknown_session_is_at_its_end() {
    let mut rig = Rig::new();
    let request = rig.batch(&[udp_data(Sid::new("x").unwrap(), b"x")]);
    assert_eq!(rig.body(request), r#"{"r":[{"sid":"x","eof":true}]}"#);
}

#[test]
fn a_udp_session_is_reaped_after_120_s() {
    let mut rig = Rig::new();
    let (sid, upstream) = rig.udp_session();
    rig.run(100_000);
    rig.batch(&[udp_data(sid, b"x")]);
    rig.run(350);
    rig.run(119_999);
    assert!(rig.ended.is_empty());
    rig.run(1);
    assert_eq!(rig.ended[&upstream], SessionEnd::Idle);
}

#[test]
fn tcp_bytes_do_not_pay_for_an_idle_udp_session() {
    let mut rig = Rig::new();
    let ((tcp, upstream), (udp, _)) = (rig.session(), rig.udp_session());
    let request = rig.batch(&[poll(tcp, 0), udp_data(udp, b"")]);
    rig.data(upstream, b"ready");
    let replies = rig.replies(request);
    assert_eq!((&*replies[0].data, replies[1].packets.len()), (&b"ready"[..], 0));
}

#[test]
fn a_tcp_answer_that_comes_late_is_still_in_a_batch_with_udp() {
    let mut rig = Rig::new();
    let ((tcp, stream), (udp, datagrams)) = (rig.session(), rig.udp_session());
    let request = rig.batch(&[data(tcp, 0, b"x"), udp_data(udp, b"y")]);
    rig.datagram(datagrams, b"fast");
    rig.run(200);
    rig.data(stream, b"slow");
    rig.run(10);
    let replies = rig.replies(request);
    assert_eq!((&*replies[0].data, replies[1].packets.len()), (&b"slow"[..], 1));
}
