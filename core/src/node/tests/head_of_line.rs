//! Isolation of sessions in one batch (protocol.md 2.4 rule 7).

use super::*;

#[test]
fn an_unready_poll_is_answered_empty() {
    let mut rig = Rig::new();
    let ((a, upstream), (b, _)) = (rig.session(), rig.session());
    let request = rig.batch(&[poll(a, 0), poll(b, 0)]);
    rig.data(upstream, b"ready");
    let replies = rig.replies(request);
    assert_eq!((&*replies[0].data, replies[1].data.len(), replies[1].eof), (&b"ready"[..], 0, false));
}

#[test]
fn a_silent_peer_costs_its_neighbours_350_ms() {
    let mut rig = Rig::new();
    let ((a, upstream), (b, _)) = (rig.session(), rig.session());
    let request = rig.batch(&[data(a, 0, b"x"), data(b, 0, b"x")]);
    rig.data(upstream, b"ready");
    rig.run(350);
    let replies = rig.replies(request);
    assert_eq!((&*replies[0].data, replies[1].data.len()), (&b"ready"[..], 0));
}

#[test]
fn a_peer_that_does_not_read_costs_its_neighbours_350_ms() {
    // Deployed nodes wait for the write, without a deadline.
    let mut rig = Rig::new();
    let ((a, upstream), (b, _)) = (rig.session(), rig.stuck_session());
    let request = rig.batch(&[big(b, 0, 8 << 20), data(a, 0, b"x")]);
    rig.data(upstream, b"ready");
    rig.run(350);
    assert_eq!(rig.replies(request)[1].data, "ready");
}

#[test]
fn a_connect_in_progress_holds_its_batch_until_its_own_deadline() {
    let mut rig = Rig::new();
    let (a, upstream) = rig.session();
    let request = rig.batch(&[connect(), data(a, 0, b"x")]);
    rig.data(upstream, b"kept");
    rig.run(9_999);
    assert!(rig.is_held(request));
    rig.run(1);
    let replies = rig.replies(request);
    assert_eq!(replies[0].error.as_deref(), Some("connect failed: connect timeout"));
    assert_eq!(replies[1].data, "kept");
}

#[test]
fn a_connect_in_progress_does_not_keep_a_write_from_running() {
    // Deployed nodes await every connect of a batch before they run its sequenced ops.
    let mut rig = Rig::new();
    let (a, upstream) = rig.session();
    rig.batch(&[connect(), data(a, 0, b"at once")]);
    assert_eq!(rig.written(upstream), b"at once");
}

#[test]
fn while_a_connect_holds_a_batch_its_sessions_are_served_by_their_later_ops() {
    let mut rig = Rig::new();
    let (a, upstream) = rig.session();
    let held = rig.batch(&[connect(), data(a, 0, b"x")]);
    rig.data(upstream, b"answer");
    let later = rig.batch(&[poll(a, 1)]);
    assert_eq!(rig.reply(later).data, "answer");
    rig.run(10_000);
    let reply = &rig.replies(held)[1];
    assert_eq!((reply.data.len(), reply.eof, reply.seq), (0, false, Some(Seq::ZERO)));
}

#[test]
fn an_op_of_level_0_is_served_by_other_batches_while_a_connect_holds_its_own() {
    let mut rig = Rig::legacy();
    let (a, upstream) = rig.session();
    rig.batch(&[connect(), plain(a, b"x")]);
    let later = rig.batch(&[plain(a, b"")]);
    rig.data(upstream, b"answer");
    assert_eq!(rig.reply(later).data, "answer");
}

#[test]
fn a_missing_seq_holds_its_batch_until_its_own_deadline() {
    let mut rig = Rig::new();
    let ((a, upstream), (b, _)) = (rig.session(), rig.session());
    let request = rig.batch(&[data(a, 0, b"x"), data(b, 1, b"x")]);
    rig.data(upstream, b"kept");
    rig.run(29_999);
    assert!(rig.is_held(request));
    rig.run(1);
    let replies = rig.replies(request);
    assert_eq!(replies[0].data, "kept");
    assert!(replies[1].error.as_deref().unwrap().contains("timed out"));
}

#[test]
fn while_a_missing_seq_holds_a_batch_its_sessions_are_served_by_their_later_ops() {
    let mut rig = Rig::new();
    let ((a, upstream), (b, _)) = (rig.session(), rig.session());
    let held = rig.batch(&[poll(a, 0), data(b, 1, b"x")]);
    let later = rig.batch(&[data(a, 1, b"y")]);
    assert_eq!(rig.written(upstream), b"y");
    rig.data(upstream, b"answer");
    rig.run(10);
    assert_eq!(rig.reply(later).data, "answer");
    assert!(rig.is_held(held));
}

#[test]
fn an_unrelated_session_is_not_delayed_by_a_missing_seq() {
    let mut rig = Rig::new();
    let ((a, upstream), (b, _)) = (rig.session(), rig.session());
    let stuck = rig.batch(&[data(b, 5, b"x")]);
    let request = rig.batch(&[data(a, 0, b"x")]);
    rig.data(upstream, b"ready");
    rig.run(10);
    assert_eq!(rig.reply(request).data, "ready");
    assert!(rig.is_held(stuck));
}

#[test]
fn a_batch_whose_op_was_released_is_answered_as_soon_as_the_rest_is_ready() {
    let mut rig = Rig::new();
    let (a, _) = rig.session();
    let held = rig.batch(&[connect_data(b"x"), poll(a, 0)]);
    rig.batch(&[poll(a, 1)]);
    assert!(rig.is_held(held));
    let upstream = rig.last_opened();
    rig.opened(upstream);
    assert!(!rig.is_held(held), "its client waits for the released op");
}

#[test]
fn nothing_is_taken_by_an_op_whose_batch_still_waits() {
    let mut rig = Rig::new();
    let (a, upstream) = rig.session();
    let held = rig.batch(&[connect(), plain(a, b"")]);
    rig.data(upstream, b"still there");
    assert!(rig.is_held(held));
    assert_eq!(rig.node.buffered_bytes(), 11);
    rig.gone(held);
    let next = rig.batch(&[plain(a, b"")]);
    assert_eq!(rig.reply(next).data, "still there");
}
