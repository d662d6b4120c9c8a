//! Callers that go away, and requests and replies that are lost.

use super::*;

#[test]
fn a_request_whose_caller_has_gone_is_not_answered() {
    let mut rig = Rig::new();
    let (sid, upstream) = rig.session();
    let request = rig.batch(&[poll(sid, 0)]);
    rig.gone(request);
    rig.data(upstream, b"x");
    rig.run(20_000);
    assert!(rig.is_held(request));
    assert_eq!(rig.node.stats().requests_gone, 1);
}

#[test]
fn bytes_stay_for_the_next_op_and_the_turn_passes() {
    let mut rig = Rig::new();
    let (sid, upstream) = rig.session();
    let request = rig.batch(&[data(sid, 0, b"x")]);
    rig.data(upstream, b"kept");
    rig.gone(request);
    let next = rig.batch(&[poll(sid, 1)]);
    assert_eq!(rig.reply(next).data, "kept");
}

#[test]
fn a_queued_op_that_is_gone_makes_room_for_its_copy() {
    let mut rig = Rig::new();
    let (sid, upstream) = rig.session();
    let first = rig.batch(&[data(sid, 1, b"b")]);
    rig.gone(first);
    let copy = rig.batch(&[data(sid, 1, b"b")]);
    rig.batch(&[data(sid, 0, b"a")]);
    assert_eq!(rig.written(upstream), b"ab");
    rig.run(350);
    assert_eq!(rig.reply(copy).error, None);
}

#[test]
fn a_blocked_op_of_level_0_that_is_gone_writes_nothing() {
    let mut rig = Rig::legacy();
    let (sid, upstream) = rig.stuck_session();
    rig.batch(&[Op::Data { sid, seq: None, payload: alloc::vec![1; 5 << 20].into() }]);
    let blocked = rig.batch(&[plain(sid, b"never")]);
    rig.gone(blocked);
    rig.unstick(upstream, 5 << 20);
    assert_eq!(rig.written(upstream).len(), 5 << 20);
}

#[test]
fn a_connect_in_progress_is_given_up() {
    let mut rig = Rig::new();
    let request = rig.batch(&[connect()]);
    rig.gone(request);
    let upstream = rig.last_opened();
    assert_eq!(rig.shut[&upstream], Shut::Reset);
    rig.opened(upstream);
    assert_eq!((rig.node.stats().sessions_opened, rig.wake), (0, None));
}

#[test]
fn a_session_that_no_reply_named_is_closed() {
    let mut rig = Rig::new();
    let request = rig.batch(&[connect(), connect_data(b"x"), connect()]);
    let opens: Vec<UpstreamId> = rig.opens.iter().map(|open| open.0).collect();
    rig.opened(opens[0]);
    rig.opened(opens[1]);
    rig.gone(request);
    for upstream in &opens[..2] {
        assert_eq!((rig.ended[upstream], rig.shut[upstream]), (SessionEnd::Abandoned, Shut::Close));
    }
    assert_eq!(rig.shut[&opens[2]], Shut::Reset);
    assert_eq!(rig.wake, None);
}

#[test]
fn a_close_takes_effect_although_its_caller_has_gone() {
    let mut rig = Rig::new();
    let (sid, upstream) = rig.session();
    let request = rig.batch(&[data(sid, 0, b"x"), close(sid)]);
    rig.gone(request);
    assert_eq!(rig.ended[&upstream], SessionEnd::Closed);
}

#[test]
fn going_after_the_answer_changes_nothing() {
    let mut rig = Rig::new();
    let request = rig.batch(&[connect()]);
    let upstream = rig.last_opened();
    rig.opened(upstream);
    rig.gone(request);
    rig.gone(request);
    assert!(rig.ended.is_empty());
    assert_eq!(rig.node.stats().requests_gone, 0);
}

#[test]
fn a_repeated_op_after_a_lost_reply_neither_writes_twice_nor_shifts_bytes() {
    // The bytes of the lost reply are gone: level 1 cannot do better. The client learns it for certain.
    let mut rig = Rig::new();
    let (sid, upstream) = rig.session();
    let lost = rig.batch(&[data(sid, 0, b"once")]);
    rig.data(upstream, b"lost");
    rig.run(10);
    assert_eq!(rig.reply(lost).data, "lost");
    let again = rig.batch(&[data(sid, 0, b"once")]);
    assert!(rig.error(again).contains("already processed"));
    assert_eq!(rig.written(upstream), b"once");
}

#[test]
fn after_a_lost_request_the_later_ops_fail_and_write_nothing() {
    let mut rig = Rig::new();
    let (sid, upstream) = rig.session();
    let later: Vec<RequestId> = (1..4).map(|seq| rig.batch(&[data(sid, seq, b"x")])).collect();
    rig.run(30_000);
    for request in later {
        assert!(rig.error(request).contains("timed out waiting for 0"));
    }
    assert_eq!(rig.written(upstream), b"", "no silent gap");
}
