//! Holds of requests and what ends them (protocol.md 2.4 rule 4).

use super::*;

#[test]
fn a_poll_is_held_for_15_s() {
    let mut rig = Rig::new();
    let (sid, _) = rig.session();
    let request = rig.batch(&[poll(sid, 0)]);
    assert_eq!(rig.wake.unwrap().timer, TimerKind::Hold);
    rig.run(14_999);
    assert!(rig.is_held(request));
    rig.run(1);
    let reply = rig.reply(request);
    assert_eq!((reply.data.len(), reply.eof, reply.error), (0, false, None));
}

#[test]
fn a_push_ends_a_poll_at_once() {
    let mut rig = Rig::new();
    let (sid, upstream) = rig.session();
    let request = rig.batch(&[poll(sid, 0)]);
    rig.run(150);
    rig.data(upstream, b"push");
    assert_eq!(rig.reply(request).data, "push");
}

#[test]
fn a_poll_is_answered_at_once_when_bytes_wait() {
    let mut rig = Rig::new();
    let (sid, upstream) = rig.session();
    rig.data(upstream, b"ready");
    let request = rig.batch(&[poll(sid, 0)]);
    assert_eq!(rig.reply(request).data, "ready");
}

#[test]
fn a_poll_is_answered_at_once_when_the_upstream_has_ended() {
    let mut rig = Rig::new();
    let (sid, upstream) = rig.session();
    rig.fin(upstream);
    let request = rig.batch(&[poll(sid, 0)]);
    assert!(rig.reply(request).eof);
}

#[test]
fn an_end_ends_a_poll() {
    let mut rig = Rig::new();
    let (sid, upstream) = rig.session();
    let request = rig.batch(&[poll(sid, 0)]);
    rig.fin(upstream);
    assert!(rig.reply(request).eof);
}

#[test]
fn an_empty_batch_is_answered_at_once() {
    let mut rig = Rig::new();
    let request = rig.batch(&[]);
    assert_eq!(rig.body(request), r#"{"r":[]}"#);
}

#[test]
fn any_session_of_a_batch_of_polls_ends_the_hold() {
    let mut rig = Rig::new();
    let sessions = [rig.session(), rig.session(), rig.session()];
    let request = rig.batch(&sessions.map(|(sid, _)| poll(sid, 0)));
    rig.data(sessions[1].1, b"mine");
    let replies = rig.replies(request);
    assert_eq!(replies.iter().map(|reply| reply.data.len()).collect::<Vec<_>>(), [0, 4, 0]);
}

#[test]
fn a_session_that_is_gone_ends_the_hold_of_its_batch() {
    let mut rig = Rig::new();
    let (sid, _) = rig.session();
    let request = rig.batch(&[poll(sid, 0), poll(Sid::new("gone").unwrap(), 0)]);
    assert!(rig.replies(request)[1].eof);
}

#[test]
fn a_stale_wake_ends_no_hold() {
    let mut rig = Rig::new();
    let (sid, upstream) = rig.session();
    let request = rig.batch(&[poll(sid, 0)]);
    rig.event(NodeEvent::Timeout);
    rig.upstream(upstream, UpstreamEvent::Data(Bytes::new()));
    rig.upstream(upstream, UpstreamEvent::Written(0));
    assert!(rig.is_held(request));
}

#[test]
fn a_payload_to_a_silent_peer_is_answered_after_350_ms() {
    let mut rig = Rig::new();
    let (sid, _) = rig.session();
    let request = rig.batch(&[data(sid, 0, b"x")]);
    rig.run(349);
    assert!(rig.is_held(request));
    rig.run(1);
    assert_eq!(rig.reply(request).data, "");
}

#[test]
fn an_empty_payload_is_a_poll() {
    let mut rig = Rig::new();
    let (sid, _) = rig.session();
    let json = alloc::format!(r#"{{"op":"data","sid":"{}","seq":0,"d":""}}"#, sid.as_str());
    let request = rig.batch_json(&json);
    rig.run(14_999);
    assert!(rig.is_held(request));
}

#[test]
fn a_payload_settles_while_bytes_still_come() {
    let mut rig = Rig::new();
    let (sid, upstream) = rig.session();
    let request = rig.batch(&[data(sid, 0, b"x")]);
    rig.run(5);
    for piece in [b"a", b"b", b"c"] {
        rig.data(upstream, piece);
        assert_eq!(rig.wake.unwrap().timer, TimerKind::Settle);
        rig.run(9);
        assert!(rig.is_held(request));
    }
    rig.run(1);
    assert_eq!(rig.reply(request).data, "abc");
}

#[test]
fn the_settle_ends_after_1_s() {
    let mut rig = Rig::new();
    let (sid, upstream) = rig.session();
    let start = rig.millis();
    let request = rig.batch(&[data(sid, 0, b"x")]);
    while rig.is_held(request) {
        rig.data(upstream, b"y");
        rig.run(5);
        assert!(rig.millis() < start + 2_000);
    }
    assert_eq!(rig.millis() - start, 1_000);
}

#[test]
fn a_payload_is_answered_at_once_when_its_session_ends() {
    let mut rig = Rig::new();
    let (sid, upstream) = rig.session();
    let request = rig.batch(&[data(sid, 0, b"x")]);
    rig.data(upstream, b"bye");
    rig.fin(upstream);
    let reply = rig.reply(request);
    assert_eq!((&*reply.data, reply.eof), (&b"bye"[..], true));
}

#[test]
fn a_payload_waits_for_its_own_session_and_not_for_a_sibling() {
    let mut rig = Rig::new();
    let ((a, _), (b, other)) = (rig.session(), rig.session());
    let request = rig.batch(&[data(a, 0, b"x"), poll(b, 0)]);
    rig.data(other, b"sibling");
    rig.run(100);
    assert!(rig.is_held(request));
    rig.run(250);
    let replies = rig.replies(request);
    assert_eq!((&*replies[0].data, &*replies[1].data), (&b""[..], &b"sibling"[..]));
}

#[test]
fn a_poll_beside_a_payload_prolongs_nothing() {
    let mut rig = Rig::new();
    let ((a, upstream), (b, bulk)) = (rig.session(), rig.session());
    let request = rig.batch(&[data(a, 0, b"x"), poll(b, 0)]);
    rig.data(upstream, b"answer");
    for _ in 0..9 {
        rig.run(1);
        rig.data(bulk, b"more");
    }
    assert!(rig.is_held(request));
    rig.run(1);
    assert_eq!(rig.replies(request)[0].data, "answer");
}

#[test]
fn two_payloads_each_wait_for_their_own_answer() {
    let mut rig = Rig::new();
    let ((a, first), (b, second)) = (rig.session(), rig.session());
    let request = rig.batch(&[data(a, 0, b"x"), data(b, 0, b"y")]);
    rig.data(first, b"early");
    rig.run(200);
    assert!(rig.is_held(request));
    rig.data(second, b"late");
    rig.run(10);
    let replies = rig.replies(request);
    assert_eq!((&*replies[0].data, &*replies[1].data), (&b"early"[..], &b"late"[..]));
}

#[test]
fn a_payload_never_waits_behind_a_held_poll() {
    // Deployed nodes let it wait for up to 15 s: the think-time stall.
    let mut rig = Rig::new();
    let (sid, upstream) = rig.session();
    let held = rig.batch(&[poll(sid, 0)]);
    rig.run(300);
    let request = rig.batch(&[data(sid, 1, b"typed")]);
    assert_eq!(rig.written(upstream), b"typed");
    assert_eq!(rig.reply(held).data, "");
    assert!(rig.is_held(request));
}

#[test]
fn a_payload_is_answered_at_once_when_a_later_op_waits_behind_it() {
    // Deployed nodes hold every write for 350 ms: 64 KiB a round trip and 350 ms.
    let mut rig = Rig::new();
    let (sid, upstream) = rig.session();
    let burst: Vec<RequestId> = (0..8).map(|seq| rig.batch(&[data(sid, seq, b"x")])).collect();
    assert_eq!(rig.written(upstream), b"xxxxxxxx");
    assert!(burst[..7].iter().all(|request| !rig.is_held(*request)));
    assert!(rig.is_held(burst[7]));
}

#[test]
fn a_later_op_that_is_not_the_next_one_ends_the_wait_too() {
    let mut rig = Rig::new();
    let (sid, _) = rig.session();
    let running = rig.batch(&[poll(sid, 0)]);
    let later = rig.batch(&[poll(sid, 2)]);
    assert!(!rig.is_held(running));
    assert!(rig.is_held(later));
}

#[test]
fn an_op_that_runs_when_later_ones_wait_already_is_answered_at_once() {
    let mut rig = Rig::new();
    let (sid, _) = rig.session();
    let last = rig.batch(&[poll(sid, 2)]);
    let middle = rig.batch(&[poll(sid, 1)]);
    let first = rig.batch(&[poll(sid, 0)]);
    assert!(!rig.is_held(first) && !rig.is_held(middle));
    assert!(rig.is_held(last));
}

#[test]
fn a_released_op_takes_what_there_is() {
    let mut rig = Rig::new();
    let (sid, upstream) = rig.session();
    let first = rig.batch(&[data(sid, 0, b"x")]);
    rig.data(upstream, b"part");
    assert!(rig.is_held(first), "settling");
    let second = rig.batch(&[data(sid, 1, b"y")]);
    assert_eq!(rig.reply(first).data, "part");
    assert!(rig.is_held(second));
}

#[test]
fn the_whole_batch_of_a_released_op_is_answered() {
    let mut rig = Rig::new();
    let ((a, _), (b, _)) = (rig.session(), rig.session());
    let held = rig.batch(&[poll(a, 0), poll(b, 0)]);
    let newer = rig.batch(&[poll(a, 1)]);
    let replies = rig.replies(held);
    assert_eq!(replies[1].seq, Some(Seq::ZERO));
    assert_eq!((replies[1].data.len(), replies[1].eof), (0, false), "the poll beside it comes back empty");
    assert!(rig.is_held(newer));
    let next = rig.batch(&[poll(b, 1)]);
    assert!(rig.is_held(next), "the turn of the poll beside it has passed");
}

#[test]
fn a_client_that_counts_its_writes_gets_the_answer_to_each_although_other_sessions_go_on() {
    let mut rig = Rig::new();
    let ((a, _), (b, upstream)) = (rig.session(), rig.session());
    let write = |sid: Sid, seq: u64| {
        let sid = sid.as_str();
        alloc::format!(r#"{{"op":"data","sid":"{sid}","seq":{seq},"wseq":{seq},"d":"eA=="}}"#)
    };
    let held = rig.batch_json(&[write(a, 0), write(b, 0)].join(","));
    let newer = rig.batch_json(&write(a, 1));
    assert!(rig.is_held(held) && rig.is_held(newer), "the newer one has its turn");
    rig.data(upstream, b"answer");
    rig.run(10);
    let replies = rig.replies(held);
    assert_eq!((&*replies[0].data, &*replies[1].data), (&b""[..], &b"answer"[..]));
    rig.run(340);
    assert!(!rig.is_held(newer));
}

#[test]
fn of_two_ops_of_one_session_in_a_batch_the_earlier_leaves_everything_to_the_later() {
    let mut rig = Rig::new();
    let (sid, upstream) = rig.session();
    let request = rig.batch(&[data(sid, 0, b"a"), data(sid, 1, b"b")]);
    assert_eq!(rig.written(upstream), b"ab");
    assert!(rig.is_held(request), "the later one waits in the earlier one's stead");
    rig.data(upstream, b"both");
    rig.run(10);
    let replies = rig.replies(request);
    assert_eq!((&*replies[0].data, &*replies[1].data), (&b""[..], &b"both"[..]));
    assert_eq!((replies[0].seq, replies[1].seq), (Some(Seq::ZERO), Some(Seq::new(1))));
}

#[test]
fn an_op_whose_turn_came_late_waits_from_then_on() {
    let mut rig = Rig::new();
    let (sid, _) = rig.session();
    let late = rig.batch(&[data(sid, 1, b"b")]);
    rig.run(5_000);
    rig.batch(&[data(sid, 0, b"a")]);
    rig.run(349);
    assert!(rig.is_held(late));
    rig.run(1);
    assert!(!rig.is_held(late));
}

#[test]
fn an_error_is_not_held_back_by_polls() {
    let mut rig = Rig::new();
    let (sid, _) = rig.session();
    let request = rig.batch_json(&alloc::format!(
        r#"{{"op":"data","sid":"{}","seq":0}},{{"op":"nonsense"}}"#,
        sid.as_str()
    ));
    assert_eq!(rig.replies(request)[1].error.as_deref(), Some("unknown op: nonsense"));
}

#[test]
fn polls_beside_a_close_of_another_session_are_held_all_the_same() {
    // Deployed clients append closes to whatever batch goes next, and take a poll that comes back empty at
    // once for the sign of an older node.
    let mut rig = Rig::new();
    let ((a, _), (b, upstream)) = (rig.session(), rig.session());
    let request = rig.batch(&[poll(a, 0), close(b)]);
    assert_eq!(rig.ended[&upstream], SessionEnd::Closed);
    rig.run(14_999);
    assert!(rig.is_held(request));
}

#[test]
fn an_idle_poll_wakes_for_a_sibling() {
    let mut rig = Rig::new();
    let ((a, _), (b, upstream)) = (rig.session(), rig.session());
    let request = rig.batch(&[poll(a, 0), poll(b, 0)]);
    rig.run(1_000);
    rig.data(upstream, b"x");
    assert!(!rig.is_held(request));
}

#[test]
fn a_single_data_op_waits_5_s_for_bytes() {
    let mut rig = Rig::new();
    let (sid, _) = rig.session();
    let request = rig.single(&alloc::format!(r#""op":"data","sid":"{}""#, sid.as_str()));
    rig.run(4_999);
    assert!(rig.is_held(request));
    rig.run(1);
    assert_eq!(rig.body(request), alloc::format!(r#"{{"sid":"{}","eof":false}}"#, sid.as_str()));
}

#[test]
fn a_single_data_op_ends_100_ms_after_the_last_byte() {
    let mut rig = Rig::new();
    let (sid, upstream) = rig.session();
    let request = rig.single(&alloc::format!(r#""op":"data","sid":"{}","data":"aGk=""#, sid.as_str()));
    assert_eq!(rig.written(upstream), b"hi");
    rig.run(50);
    rig.data(upstream, b"a");
    rig.run(60);
    rig.data(upstream, b"b");
    rig.run(99);
    assert!(rig.is_held(request));
    rig.run(1);
    assert!(rig.body(request).contains(r#""d":"YWI=""#));
}
