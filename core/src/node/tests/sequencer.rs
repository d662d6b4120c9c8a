//! Order of sequenced ops (protocol.md 2.4 rules 1 to 3).

use super::*;

#[test]
fn ops_run_in_seq_order_and_every_reply_echoes_its_seq() {
    let mut rig = Rig::new();
    let (sid, upstream) = rig.session();
    let third = rig.batch(&[data(sid, 2, b"c")]);
    let second = rig.batch(&[data(sid, 1, b"b")]);
    assert_eq!(rig.written(upstream), b"");
    let first = rig.batch(&[data(sid, 0, b"a")]);
    assert_eq!(rig.written(upstream), b"abc");
    rig.run(350);
    for (seq, request) in [first, second, third].into_iter().enumerate() {
        let reply = rig.reply(request);
        assert_eq!((reply.error, reply.eof), (None, false));
        assert_eq!(reply.seq, Some(Seq::new(seq as u64)));
    }
}

#[test]
fn downlink_bytes_are_answered_in_seq_order() {
    let mut rig = Rig::new();
    let (sid, upstream) = rig.session();
    let second = rig.batch(&[poll(sid, 1)]);
    rig.data(upstream, b"AAAA");
    assert!(rig.is_held(second));
    let first = rig.batch(&[poll(sid, 0)]);
    rig.data(upstream, b"BBBB");
    let delivered = [first, second].map(|request| rig.reply(request).data);
    assert_eq!(delivered.concat(), b"AAAABBBB", "the deployed nodes that have no turn answer BBBBAAAA");
}

#[test]
fn an_old_seq_is_refused_and_neither_writes_nor_takes() {
    let mut rig = Rig::new();
    let (sid, upstream) = rig.session();
    rig.batch(&[data(sid, 0, b"a")]);
    rig.run(350);
    rig.data(upstream, b"kept");
    let again = rig.batch(&[data(sid, 0, b"a")]);
    let reply = rig.reply(again);
    assert_eq!(reply.error.as_deref(), Some("seq 0 already processed (expected 1)"));
    assert_eq!(reply.seq, Some(Seq::ZERO));
    assert_eq!(rig.written(upstream), b"a");
    let next = rig.batch(&[poll(sid, 1)]);
    assert_eq!(rig.reply(next).data, "kept");
}

#[test]
fn a_second_op_with_the_seq_that_runs_is_refused() {
    let mut rig = Rig::new();
    let (sid, upstream) = rig.session();
    let first = rig.batch(&[data(sid, 0, b"a")]);
    let copy = rig.batch(&[data(sid, 0, b"a")]);
    assert!(rig.error(copy).contains("already processed"));
    assert!(rig.is_held(first), "a copy is not a later op");
    assert_eq!(rig.written(upstream), b"a");
}

#[test]
fn a_second_copy_of_a_queued_op_is_refused_at_once() {
    let mut rig = Rig::new();
    let (sid, upstream) = rig.session();
    let first = rig.batch(&[data(sid, 1, b"b")]);
    let copy = rig.batch(&[data(sid, 1, b"b")]);
    assert_eq!(rig.error(copy), "seq 1 already waits (expected 0)");
    rig.batch(&[data(sid, 0, b"a")]);
    assert_eq!(rig.written(upstream), b"ab");
    rig.run(350);
    assert_eq!(rig.reply(first).error, None);
}

#[test]
fn a_missing_seq_times_out_after_30_s_and_changes_nothing() {
    let mut rig = Rig::new();
    let (sid, upstream) = rig.session();
    let early = rig.batch(&[data(sid, 2, b"c")]);
    rig.run(29_999);
    assert!(rig.is_held(early));
    rig.run(1);
    let reply = rig.reply(early);
    assert_eq!(reply.error.as_deref(), Some("seq 2 timed out waiting for 0 (waited 30.0s)"));
    assert_eq!(reply.seq, Some(Seq::new(2)));
    let zero = rig.batch(&[data(sid, 0, b"a")]);
    rig.run(350);
    assert_eq!(rig.reply(zero).error, None, "expected did not move");
    assert_eq!(rig.written(upstream), b"a");
}

#[test]
fn an_op_waits_30_s_for_missing_ones_however_its_session_moves_on() {
    // Its client gives the exchange up after 60 s, and with it every session of the batch.
    let mut rig = Rig::new();
    let (sid, _) = rig.session();
    let late = rig.batch(&[data(sid, 2, b"c")]);
    rig.run(20_000);
    rig.batch(&[data(sid, 0, b"a")]);
    rig.run(9_999);
    assert!(rig.is_held(late));
    rig.run(1);
    assert_eq!(rig.error(late), "seq 2 timed out waiting for 1 (waited 30.0s)");
}

#[test]
fn an_undecodable_payload_uses_its_seq_up() {
    let mut rig = Rig::new();
    let (sid, upstream) = rig.session();
    let bad =
        rig.batch_json(&alloc::format!(r#"{{"op":"data","sid":"{}","seq":0,"d":"%%%"}}"#, sid.as_str()));
    let reply = rig.reply(bad);
    assert!(reply.error.unwrap().starts_with("bad base64"));
    assert_eq!(reply.seq, Some(Seq::ZERO));
    let next = rig.batch(&[data(sid, 1, b"b")]);
    assert_eq!(rig.written(upstream), b"b", "deployed nodes leave the place stuck for 30 s");
    rig.run(350);
    assert_eq!(rig.reply(next).error, None);
}

#[test]
fn an_undecodable_payload_waits_for_its_turn() {
    let mut rig = Rig::new();
    let (sid, upstream) = rig.session();
    let json = alloc::format!(r#"{{"op":"data","sid":"{}","seq":1,"d":"%%%"}}"#, sid.as_str());
    let bad = rig.batch_json(&json);
    assert!(rig.is_held(bad));
    rig.batch(&[data(sid, 0, b"a"), data(sid, 2, b"c")]);
    assert!(rig.error(bad).starts_with("bad base64"));
    assert_eq!(rig.written(upstream), b"ac");
}

#[test]
fn a_gone_upstream_passes_the_turn_on() {
    let mut rig = Rig::new();
    let (sid, upstream) = rig.session();
    let queued = rig.batch(&[data(sid, 1, b"b"), data(sid, 2, b"c")]);
    rig.upstream(upstream, UpstreamEvent::Reset);
    let first = rig.batch(&[data(sid, 0, b"a")]);
    assert_eq!(rig.error(first), "upstream was reset", "deployed nodes show a cut as an end");
    let replies = rig.replies(queued);
    assert_eq!(
        replies.iter().map(|reply| (reply.error.is_some(), reply.seq)).collect::<Vec<_>>(),
        [(true, Some(Seq::new(1))), (true, Some(Seq::new(2)))]
    );
    assert_eq!(rig.written(upstream), b"");
}

#[test]
fn ops_of_a_session_that_ended_see_its_end_with_their_seq() {
    let mut rig = Rig::new();
    let (sid, upstream) = rig.session();
    rig.fin(upstream);
    let last = rig.batch(&[poll(sid, 0)]);
    assert!(rig.reply(last).eof);
    assert_eq!(rig.ended[&upstream], SessionEnd::Finished);
    let late = rig.batch(&[data(sid, 1, b"x")]);
    let reply = rig.reply(late);
    assert_eq!((reply.eof, reply.error, reply.seq), (true, None, Some(Seq::new(1))));
    assert_eq!(reply.sid, Some(sid));
}

#[test]
fn the_reorder_queue_is_bounded_and_takes_the_expected_op_always() {
    let mut rig = Rig::with(|options| options.tuning.seq_queue_ops = 2);
    let (sid, upstream) = rig.session();
    rig.batch(&[data(sid, 1, b"b")]);
    rig.batch(&[data(sid, 2, b"c")]);
    let refused = rig.batch(&[data(sid, 3, b"d")]);
    assert_eq!(rig.error(refused), "seq 3 refused: too much waits for 0 already");
    rig.batch(&[data(sid, 0, b"a")]);
    assert_eq!(rig.written(upstream), b"abc");
}

#[test]
fn the_bytes_of_queued_payloads_are_bounded() {
    let mut rig = Rig::with(|options| options.tuning.seq_queue_bytes = 100);
    let (sid, _) = rig.session();
    rig.batch(&[big(sid, 1, 100)]);
    let refused = rig.batch(&[big(sid, 2, 1)]);
    assert!(rig.error(refused).contains("refused"));
    assert_eq!(rig.node.buffered_bytes(), 100);
}

#[test]
fn a_session_without_seq_is_served_beside_one_with_it() {
    // A deployed client without level 1 uses no seq, whatever the node named.
    let mut rig = Rig::new();
    let (sid, upstream) = rig.session();
    let request = rig.batch(&[plain(sid, b"hello")]);
    rig.data(upstream, b"world");
    rig.run(10);
    let reply = rig.reply(request);
    assert_eq!((&*reply.data, reply.seq), (&b"world"[..], None));
}

#[test]
fn a_client_that_numbers_ops_without_reading_caps_is_served_in_order() {
    // Such clients add `wseq` to payload; here `seq` alone gives the order, of writes too.
    let mut rig = Rig::new();
    let (sid, upstream) = rig.session();
    let sid = sid.as_str();
    let late =
        rig.batch_json(&alloc::format!(r#"{{"op":"data","sid":"{sid}","seq":1,"wseq":0,"d":"Yg=="}}"#));
    let first = rig.batch_json(&alloc::format!(r#"{{"op":"data","sid":"{sid}","seq":0}}"#));
    assert_eq!(rig.reply(first).seq, Some(Seq::ZERO));
    assert_eq!(rig.written(upstream), b"b");
    rig.run(350);
    assert_eq!(rig.reply(late).seq, Some(Seq::new(1)));
}

#[test]
fn no_op_is_forgotten_between_the_check_and_the_wait() {
    // The deployed node must guard against a wake-up between a check and the wait that follows it; here one
    // event is handled at a time, so whatever the order of arrival, the last event lets all of them run.
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let mut rig = Rig::new();
        let (sid, upstream) = rig.session();
        for seq in order {
            rig.batch(&[data(sid, seq, [b"a", b"b", b"c"][seq as usize])]);
        }
        assert_eq!(rig.written(upstream), b"abc", "{order:?}");
        assert_eq!(
            rig.node.stats().reordered,
            order
                .iter()
                .enumerate()
                .filter(|(place, seq)| {
                    order[..*place].iter().filter(|before| *before < *seq).count() as u64 != **seq
                })
                .count() as u64
        );
    }
}

#[test]
fn an_unusable_seq_is_an_error_of_its_op() {
    let mut rig = Rig::new();
    let (sid, _) = rig.session();
    let request = rig.batch_json(&alloc::format!(r#"{{"op":"data","sid":"{}","seq":-1}}"#, sid.as_str()));
    assert!(rig.error(request).starts_with("bad seq"));
}
