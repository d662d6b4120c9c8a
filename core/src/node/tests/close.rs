//! Closes (protocol.md 2.4 rule 6) and the other ends of sessions.

use super::*;

#[test]
fn data_before_close_is_written_and_answered_first() {
    let mut rig = Rig::new();
    let (sid, upstream) = rig.session();
    let request = rig.batch(&[data(sid, 0, b"bye"), close(sid)]);
    assert_eq!(rig.written(upstream), b"bye");
    assert!(rig.ended.is_empty());
    rig.data(upstream, b"farewell");
    rig.run(10);
    let replies = rig.replies(request);
    assert_eq!((&*replies[0].data, replies[0].eof), (&b"farewell"[..], false));
    assert!(replies[1].eof);
    assert_eq!((rig.ended[&upstream], rig.shut[&upstream]), (SessionEnd::Closed, Shut::Close));
}

#[test]
fn close_before_data_closes_first() {
    let mut rig = Rig::new();
    let (sid, upstream) = rig.session();
    let request = rig.batch(&[close(sid), data(sid, 0, b"late")]);
    let replies = rig.replies(request);
    assert!(replies[0].eof && replies[1].eof);
    assert_eq!(replies[1].seq, Some(Seq::ZERO));
    assert_eq!(rig.written(upstream), b"");
}

#[test]
fn a_poll_before_close_is_not_held() {
    let mut rig = Rig::new();
    let (sid, upstream) = rig.session();
    let request = rig.batch(&[poll(sid, 0), close(sid)]);
    assert!(rig.replies(request)[1].eof);
    assert_eq!(rig.ended[&upstream], SessionEnd::Closed);
}

#[test]
fn a_data_op_that_waits_for_its_turn_runs_before_the_close() {
    let mut rig = Rig::new();
    let (sid, upstream) = rig.session();
    let request = rig.batch(&[data(sid, 1, b"b"), close(sid)]);
    rig.run(1_000);
    rig.batch(&[data(sid, 0, b"a")]);
    rig.run(350);
    assert_eq!(rig.written(upstream), b"ab");
    assert_eq!(rig.replies(request)[0].error, None);
    assert_eq!(rig.ended[&upstream], SessionEnd::Closed);
}

#[test]
fn close_answers_the_ops_of_other_batches() {
    let mut rig = Rig::new();
    let (sid, _) = rig.session();
    let (held, queued) = (rig.batch(&[plain(sid, b"")]), rig.batch(&[poll(sid, 1)]));
    rig.batch(&[close(sid)]);
    for request in [held, queued] {
        assert!(rig.reply(request).eof);
    }
}

#[test]
fn close_of_an_unknown_session_is_answered_alike() {
    let mut rig = Rig::new();
    let request = rig.batch(&[close(Sid::new("x").unwrap())]);
    assert_eq!(rig.body(request), r#"{"r":[{"sid":"x","eof":true}]}"#);
    let request = rig.single(r#""op":"close","sid":"x""#);
    assert_eq!(rig.body(request), r#"{"sid":"x","eof":true}"#);
}

#[test]
fn close_serves_udp_sessions_too() {
    let mut rig = Rig::new();
    let (sid, upstream) = rig.udp_session();
    rig.batch(&[close(sid)]);
    assert_eq!(rig.ended[&upstream], SessionEnd::Closed);
}

#[test]
fn eof_comes_only_after_the_tail() {
    let mut rig = Rig::with(|options| options.tuning.max_drain = 4);
    let (sid, upstream) = rig.session();
    rig.data(upstream, b"0123456789");
    rig.fin(upstream);
    for (seq, bytes, eof) in [(0, "0123", false), (1, "4567", false), (2, "89", true)] {
        assert!(rig.ended.is_empty(), "ended before its tail was taken");
        let request = rig.batch(&[poll(sid, seq)]);
        let reply = rig.reply(request);
        assert_eq!((reply.data, reply.eof), (Bytes::from(bytes), eof));
    }
    assert_eq!(rig.ended[&upstream], SessionEnd::Finished);
}

#[test]
fn a_reset_upstream_delivers_what_came_before_and_never_looks_like_an_end() {
    let mut rig = Rig::new();
    let (sid, upstream) = rig.session();
    rig.data(upstream, b"rest");
    rig.upstream(upstream, UpstreamEvent::Reset);
    let request = rig.batch(&[data(sid, 0, b"into the void")]);
    let reply = rig.reply(request);
    assert_eq!((&*reply.data, reply.eof), (&b"rest"[..], false));
    let request = rig.batch(&[poll(sid, 1)]);
    assert_eq!(rig.error(request), "upstream was reset");
    assert_eq!(rig.ended[&upstream], SessionEnd::Reset);
    let request = rig.batch(&[poll(sid, 2)]);
    assert_eq!(rig.error(request), "upstream was reset", "later ops get the error too");
    assert!(rig.shut.is_empty(), "it shut itself");
}

#[test]
fn a_second_copy_of_the_op_that_took_the_tail_does_not_see_an_end() {
    let mut rig = Rig::new();
    let (sid, upstream) = rig.session();
    rig.data(upstream, b"tail");
    rig.fin(upstream);
    let request = rig.batch(&[poll(sid, 0)]);
    assert!(rig.reply(request).eof);
    let copy = rig.batch(&[poll(sid, 0)]);
    assert_eq!(rig.error(copy), "seq 0 already processed (expected 1)");
    let next = rig.batch(&[poll(sid, 1)]);
    assert!(rig.reply(next).eof);
}

#[test]
fn a_tcp_session_is_reaped_after_300_s_without_anything() {
    let mut rig = Rig::new();
    let (sid, upstream) = rig.session();
    assert_eq!(rig.wake.unwrap().timer, TimerKind::IdleFlow);
    rig.run(299_000);
    let refresh = rig.batch(&[poll(sid, 0)]);
    rig.run(15_000);
    assert!(!rig.reply(refresh).eof, "an empty poll keeps it alive");
    rig.run(299_999);
    assert!(rig.ended.is_empty());
    rig.run(1);
    assert_eq!((rig.ended[&upstream], rig.shut[&upstream]), (SessionEnd::Idle, Shut::Close));
    assert_eq!(rig.wake, None);
}

#[test]
fn a_late_op_of_a_session_that_was_idle_does_not_see_an_end_even_where_few_sessions_are_allowed() {
    let mut rig = Rig::with(|options| options.max_sessions = 1);
    let (idle, _) = rig.session();
    rig.run(300_000);
    let (_, other) = rig.session();
    rig.fin(other);
    rig.run(400_000);
    let late = rig.batch(&[poll(idle, 0)]);
    assert_eq!(rig.error(late), "session was idle for too long");
}

#[test]
fn a_session_with_an_op_that_waits_is_not_idle() {
    let mut rig = Rig::with(|options| options.tcp_idle = Duration::from_secs(5));
    let (sid, _) = rig.session();
    let request = rig.batch(&[poll(sid, 0)]);
    rig.run(14_999);
    assert!(rig.ended.is_empty());
    rig.run(1);
    assert!(!rig.reply(request).eof);
}

#[test]
fn traffic_keeps_a_session_alive() {
    let mut rig = Rig::new();
    let (_, upstream) = rig.session();
    rig.run(200_000);
    rig.data(upstream, b"x");
    rig.run(299_999);
    assert!(rig.ended.is_empty());
}

#[test]
fn a_closed_session_is_shut_when_its_last_byte_is_written() {
    let mut rig = Rig::new();
    let (sid, upstream) = rig.stuck_session();
    rig.batch(&[data(sid, 0, b"slowly"), close(sid)]);
    rig.run(350);
    assert_eq!(rig.ended[&upstream], SessionEnd::Closed);
    assert!(rig.shut.is_empty());
    rig.upstream(upstream, UpstreamEvent::Written(4));
    rig.data(upstream, b"ignored");
    rig.fin(upstream);
    assert!(rig.shut.is_empty());
    assert_eq!(rig.node.buffered_bytes(), 2);
    rig.upstream(upstream, UpstreamEvent::Written(2));
    assert_eq!(rig.shut[&upstream], Shut::Close);
    assert_eq!(rig.wake, None);
}

#[test]
fn an_end_that_two_ops_of_a_batch_see_leaves_the_upstream_to_write_its_last_bytes() {
    let mut rig = Rig::legacy();
    let (sid, upstream) = rig.stuck_session();
    rig.batch(&[plain(sid, b"slowly"), plain(sid, b"and more")]);
    rig.fin(upstream);
    assert_eq!(rig.ended[&upstream], SessionEnd::Finished);
    assert_eq!(rig.node.buffered_bytes(), 14);
    rig.upstream(upstream, UpstreamEvent::Written(14));
    assert_eq!(rig.shut[&upstream], Shut::Close);
}

#[test]
fn a_closed_session_whose_upstream_takes_nothing_is_reset_in_the_end() {
    let mut rig = Rig::new();
    let (sid, upstream) = rig.stuck_session();
    rig.batch(&[data(sid, 0, b"never"), close(sid)]);
    rig.run(29_999);
    assert!(rig.shut.is_empty());
    rig.run(1);
    assert_eq!(rig.shut[&upstream], Shut::Reset);
}

#[test]
fn a_lingering_upstream_that_resets_is_forgotten() {
    let mut rig = Rig::new();
    let (sid, upstream) = rig.stuck_session();
    rig.batch(&[data(sid, 0, b"never"), close(sid)]);
    rig.run(350);
    rig.upstream(upstream, UpstreamEvent::Reset);
    assert_eq!((rig.wake, rig.node.buffered_bytes()), (None, 0));
    assert!(rig.shut.is_empty());
}

#[test]
fn closing_the_node_answers_everything_and_ends_everything() {
    let mut rig = Rig::new();
    let ((a, first), (b, second)) = (rig.session(), rig.stuck_session());
    let held = rig.batch(&[poll(a, 0)]);
    let queued = rig.batch(&[poll(b, 1)]);
    let connecting = rig.batch(&[connect(), data(b, 0, b"x")]);
    rig.event(NodeEvent::Close);
    assert_eq!((rig.reply(held).data.len(), rig.reply(held).error), (0, None));
    assert!(!rig.is_held(queued));
    let replies = rig.replies(connecting);
    assert_eq!(replies[0].error.as_deref(), Some("connect failed: node is shutting down"));
    for upstream in [first, second] {
        assert_eq!(rig.ended[&upstream], SessionEnd::NodeClosed);
    }
    assert_eq!(rig.shut.len(), 3);
    assert_eq!((rig.wake, rig.node.buffered_bytes()), (None, 0));
}

#[test]
fn a_closed_node_refuses_requests_and_ignores_upstreams() {
    let mut rig = Rig::new();
    let (_, upstream) = rig.session();
    rig.event(NodeEvent::Close);
    rig.event(NodeEvent::Close);
    rig.upstream(upstream, UpstreamEvent::Fin);
    let request = rig.batch(&[connect()]);
    assert_eq!(rig.response(request).status, 503);
    assert_eq!(rig.body(request), r#"{"e":"node is shutting down"}"#);
    assert_eq!(rig.opens.len(), 1);
}
