//! Level 0: ops without `seq` (protocol.md 2.4).

use super::*;

#[test]
fn a_node_of_level_0_names_no_caps_and_ignores_seq() {
    let mut rig = Rig::legacy();
    let request = rig.batch(&[connect()]);
    let upstream = rig.last_opened();
    rig.opened(upstream);
    assert_eq!(rig.reply(request).caps, None);
    let sid = rig.reply(request).sid.unwrap();
    let request = rig.batch(&[data(sid, 7, b"x")]);
    assert_eq!(rig.written(upstream), b"x");
    rig.run(350);
    assert_eq!(rig.body(request), alloc::format!(r#"{{"r":[{{"sid":"{}","eof":false}}]}}"#, sid.as_str()));
}

#[test]
fn ops_run_as_they_come() {
    let mut rig = Rig::new();
    let (sid, upstream) = rig.session();
    rig.batch(&[plain(sid, b"a"), plain(sid, b"b")]);
    rig.batch(&[plain(sid, b"c")]);
    assert_eq!(rig.written(upstream), b"abc");
}

#[test]
fn all_batches_on_a_session_wake_and_the_first_takes() {
    let mut rig = Rig::new();
    let (sid, upstream) = rig.session();
    let (first, second) = (rig.batch(&[plain(sid, b"")]), rig.batch(&[plain(sid, b"")]));
    rig.data(upstream, b"once");
    assert_eq!((&*rig.reply(first).data, &*rig.reply(second).data), (&b"once"[..], &b""[..]));
}

#[test]
fn several_drains_of_one_session_in_a_batch_end_with_one_push() {
    let mut rig = Rig::new();
    let (sid, upstream) = rig.session();
    let request = rig.batch(&[plain(sid, b""), plain(sid, b""), plain(sid, b"")]);
    rig.data(upstream, b"once");
    let replies = rig.replies(request);
    assert_eq!(replies.iter().map(|reply| reply.data.len()).collect::<Vec<_>>(), [4, 0, 0]);
}

#[test]
fn every_drain_of_an_ended_session_sees_the_end() {
    let mut rig = Rig::new();
    let (sid, upstream) = rig.session();
    let request = rig.batch(&[plain(sid, b""), plain(sid, b"")]);
    let other = rig.batch(&[plain(sid, b"")]);
    rig.fin(upstream);
    assert!(rig.replies(request).iter().all(|reply| reply.eof));
    assert!(rig.reply(other).eof);
    assert_eq!(rig.ended[&upstream], SessionEnd::Finished);
}

#[test]
fn an_undecodable_payload_is_an_error_and_takes_nothing() {
    let mut rig = Rig::new();
    let (sid, upstream) = rig.session();
    rig.data(upstream, b"kept");
    let json = alloc::format!(r#"{{"op":"data","sid":"{}","d":"YQ"}}"#, sid.as_str());
    let request = rig.batch_json(&json);
    assert!(rig.error(request).starts_with("bad base64"), "not ignored, as by deployed nodes");
    let next = rig.batch(&[plain(sid, b"")]);
    assert_eq!(rig.reply(next).data, "kept");
}

#[test]
fn an_unknown_session_is_at_its_end() {
    let mut rig = Rig::new();
    let request = rig.batch(&[plain(Sid::new("nobody").unwrap(), b"x")]);
    assert_eq!(rig.body(request), r#"{"r":[{"sid":"nobody","eof":true}]}"#);
}

#[test]
fn a_single_op_on_an_unknown_session_is_an_error() {
    let mut rig = Rig::new();
    let request = rig.single(r#""op":"data","sid":"nobody""#);
    assert_eq!(rig.body(request), r#"{"e":"unknown session"}"#);
}

#[test]
fn a_data_op_on_a_udp_session_finds_no_session() {
    let mut rig = Rig::new();
    let (sid, _) = rig.udp_session();
    let request = rig.batch(&[plain(sid, b"x")]);
    assert!(rig.reply(request).eof);
}

#[test]
fn ops_that_wait_at_one_session_are_bounded() {
    let mut rig = Rig::with(|options| options.tuning.seq_queue_ops = 3);
    let (sid, _) = rig.session();
    let polls: Vec<RequestId> = (0..5).map(|_| rig.batch(&[plain(sid, b"")])).collect();
    let held: Vec<bool> = polls.iter().map(|request| rig.is_held(*request)).collect();
    assert_eq!(held, [false, false, true, true, true]);
}
