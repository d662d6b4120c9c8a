//! Bounded writes and reads, and upstreams that do not move (protocol.md 2.4 rule 8).

use super::*;

const MIB: usize = 1024 * 1024;

#[test]
fn a_payload_to_an_upstream_that_does_not_read_is_answered() {
    let mut rig = Rig::new();
    let (sid, upstream) = rig.stuck_session();
    let request = rig.batch(&[data(sid, 0, b"x")]);
    rig.run(350);
    assert_eq!(rig.reply(request).error, None);
    assert_eq!(rig.written(upstream), b"x", "handed out, not written");
}

#[test]
fn the_next_payload_waits_while_too_much_is_unwritten() {
    let mut rig = Rig::with(|options| options.tuning.write_queue = 4 * MIB);
    let (sid, upstream) = rig.stuck_session();
    let first = rig.batch(&[big(sid, 0, 4 * MIB + 1)]);
    let second = rig.batch(&[big(sid, 1, MIB)]);
    assert!(!rig.is_held(first), "a later op waits");
    rig.run(20_000);
    assert!(rig.is_held(second));
    assert_eq!(rig.written(upstream).len(), 4 * MIB + 1);
    rig.upstream(upstream, UpstreamEvent::Written(1));
    assert_eq!(rig.written(upstream).len(), 5 * MIB + 1);
    rig.run(350);
    assert_eq!(rig.reply(second).error, None);
}

#[test]
fn a_poll_runs_although_too_much_is_unwritten() {
    let mut rig = Rig::new();
    let (sid, upstream) = rig.stuck_session();
    rig.batch(&[big(sid, 0, 5 * MIB)]);
    let request = rig.batch(&[poll(sid, 1)]);
    rig.data(upstream, b"downlink");
    assert_eq!(rig.reply(request).data, "downlink");
}

#[test]
fn an_op_that_waits_for_its_upstream_does_not_time_out_as_missing() {
    let mut rig = Rig::new();
    let (sid, upstream) = rig.stuck_session();
    rig.batch(&[big(sid, 0, 5 * MIB)]);
    let (next, later) = (rig.batch(&[big(sid, 1, 1)]), rig.batch(&[poll(sid, 2)]));
    for _ in 0..10 {
        rig.run(20_000);
        rig.upstream(upstream, UpstreamEvent::Written(1));
    }
    assert!(rig.is_held(next) && rig.is_held(later));
}

#[test]
fn an_upstream_that_takes_nothing_for_30_s_is_given_up() {
    let mut rig = Rig::new();
    let (sid, upstream) = rig.stuck_session();
    rig.batch(&[big(sid, 0, 5 * MIB)]);
    let (payload, queued) = (rig.batch(&[data(sid, 1, b"x")]), rig.batch(&[poll(sid, 2)]));
    assert_eq!(rig.wake.unwrap().timer, TimerKind::Write);
    rig.run(29_999);
    assert!(rig.ended.is_empty());
    rig.run(1);
    assert_eq!((rig.ended[&upstream], rig.shut[&upstream]), (SessionEnd::WriteTimedOut, Shut::Reset));
    for (request, seq) in [(payload, 1), (queued, 2)] {
        let reply = rig.reply(request);
        assert_eq!(reply.error.as_deref(), Some("write failed: upstream takes no bytes"));
        assert_eq!(reply.seq, Some(Seq::new(seq)));
    }
    assert_eq!(rig.node.buffered_bytes(), 0);
}

#[test]
fn every_byte_that_is_taken_extends_the_write_deadline() {
    let mut rig = Rig::new();
    let (sid, upstream) = rig.stuck_session();
    rig.batch(&[data(sid, 0, b"abc")]);
    rig.run(29_000);
    rig.upstream(upstream, UpstreamEvent::Written(1));
    rig.run(29_999);
    assert!(rig.ended.is_empty());
    rig.run(1);
    assert_eq!(rig.ended[&upstream], SessionEnd::WriteTimedOut);
}

#[test]
fn a_held_poll_is_told_of_a_write_that_failed() {
    let mut rig = Rig::new();
    let (sid, upstream) = rig.stuck_session();
    rig.batch(&[data(sid, 0, b"x")]);
    rig.run(20_000);
    let request = rig.batch(&[poll(sid, 1)]);
    rig.run(10_000);
    assert!(rig.error(request).starts_with("write failed"), "a cut does not look like an end");
    assert_eq!(rig.ended[&upstream], SessionEnd::WriteTimedOut);
}

#[test]
fn at_level_0_one_payload_waits_for_the_upstream_and_a_second_is_refused() {
    let mut rig = Rig::legacy();
    let (sid, upstream) = rig.stuck_session();
    rig.batch(&[Op::Data { sid, seq: None, payload: alloc::vec![1; 5 * MIB].into() }]);
    let waits = rig.batch(&[plain(sid, b"waits")]);
    let refused = rig.batch(&[plain(sid, b"refused")]);
    assert_eq!(rig.error(refused), "write refused: an earlier op waits for the upstream");
    rig.run(5_000);
    assert!(rig.is_held(waits));
    assert_eq!(rig.node.buffered_bytes(), 5 * MIB + 5);
    rig.unstick(upstream, 5 * MIB);
    assert!(rig.written(upstream).ends_with(b"waits"));
    rig.run(350);
    assert_eq!(rig.reply(waits).error, None);
}

#[test]
fn uplink_memory_of_a_stuck_session_is_bounded() {
    let mut rig = Rig::with(|options| {
        options.tuning.write_queue = 40_000;
        options.tuning.seq_queue_bytes = 160_000;
    });
    let (sid, _) = rig.stuck_session();
    for seq in 0..100 {
        rig.batch(&[big(sid, seq, 10_000)]);
    }
    // The write queue and an op, the reorder queue, and the op that is expected.
    assert!(rig.node.buffered_bytes() <= 40_000 + 10_000 + 160_000 + 10_000);
}

#[test]
fn reading_stops_at_the_session_buffer_and_resumes_after_a_drain() {
    let mut rig = Rig::with(|options| options.session_buffer = MIB);
    let (sid, upstream) = rig.session();
    assert_eq!(rig.fill(upstream, 3 * MIB), MIB);
    assert_eq!(rig.node.buffered_bytes(), MIB);
    let request = rig.batch(&[poll(sid, 0)]);
    assert_eq!(rig.reply(request).data.len(), MIB);
    assert!(rig.credit[&upstream] > 0);
    assert_eq!(rig.fill(upstream, 3 * MIB), MIB);
}

#[test]
fn a_payload_runs_when_the_node_itself_keeps_the_upstream_from_moving() {
    // The upstream takes nothing because it cannot send, and it cannot send because nobody fetches: only
    // the op that would have to wait for it can.
    let mut rig = Rig::with(|options| options.session_buffer = MIB);
    let (sid, upstream) = rig.stuck_session();
    rig.batch(&[big(sid, 0, 5 * MIB)]);
    let next = rig.batch(&[big(sid, 1, MIB)]);
    rig.fill(upstream, MIB - 1);
    assert!(rig.is_held(next));
    rig.fill(upstream, 1);
    rig.run(10);
    assert_eq!(rig.reply(next).data.len(), MIB);
}

#[test]
fn a_stalled_session_leaves_the_others_their_floor() {
    let mut rig = Rig::with(|options| options.total_buffer = MIB);
    let ((_, stalled), (b, other)) = (rig.session(), rig.session());
    rig.fill(stalled, 16 * MIB);
    let got = rig.fill(other, 16 * MIB);
    assert!(got >= 64 * 1024, "{got}");
    assert!(rig.node.buffered_bytes() <= MIB + 2 * 64 * 1024);
    let request = rig.batch(&[poll(b, 0)]);
    assert_eq!(rig.reply(request).data.len(), got);
}

#[test]
fn a_blocked_session_reads_on_when_another_was_drained() {
    let mut rig = Rig::with(|options| options.total_buffer = MIB);
    let ((a, greedy), (_, blocked)) = (rig.session(), rig.session());
    rig.fill(greedy, 16 * MIB);
    rig.fill(blocked, 16 * MIB);
    assert_eq!(rig.credit[&blocked], 0);
    rig.batch(&[poll(a, 0)]);
    assert!(rig.credit[&blocked] > 0);
}

#[test]
fn a_session_that_ends_gives_its_memory_back() {
    let mut rig = Rig::with(|options| options.total_buffer = MIB);
    let ((a, greedy), (_, blocked)) = (rig.session(), rig.session());
    rig.fill(greedy, 16 * MIB);
    rig.fill(blocked, 16 * MIB);
    rig.batch(&[close(a)]);
    assert!(rig.credit[&blocked] > 0);
}
