//! Sizes of drains and answers (protocol.md 2.4 rule 5).

use super::*;

const MIB: usize = 1024 * 1024;

/// A session whose upstream has sent `bytes`.
fn full(rig: &mut Rig, bytes: usize) -> (Sid, UpstreamId) {
    let (sid, upstream) = rig.session();
    assert_eq!(rig.fill(upstream, bytes), bytes);
    (sid, upstream)
}

#[test]
fn a_drain_takes_at_most_16_mib_and_keeps_the_tail() {
    let mut rig = Rig::with(|options| options.session_buffer = 20 * MIB);
    let (sid, _) = full(&mut rig, 20 * MIB);
    for (seq, bytes) in [(0, 16 * MIB), (1, 4 * MIB)] {
        let request = rig.batch(&[poll(sid, seq)]);
        assert_eq!(rig.reply(request).data.len(), bytes);
    }
}

#[test]
fn a_small_drain_passes_whole() {
    let mut rig = Rig::new();
    let (sid, _) = full(&mut rig, 100_000);
    let request = rig.batch(&[poll(sid, 0)]);
    assert_eq!(rig.reply(request).data.len(), 100_000);
}

#[test]
fn a_batch_takes_at_most_its_budget_over_all_sessions() {
    let mut rig = Rig::with(|options| {
        assert_eq!(
            (options.tuning.max_drain, options.tuning.max_batch_drain),
            (16 * MIB, 32 * MIB),
            "the defaults"
        );
        options.tuning.max_drain = 16 * 1024;
        options.tuning.max_batch_drain = 32 * 1024;
    });
    let sessions = [(); 3].map(|()| full(&mut rig, 15 * 1024).0);
    let request = rig.batch(&sessions.map(|sid| poll(sid, 0)));
    let taken: Vec<usize> = rig.replies(request).iter().map(|reply| reply.data.len()).collect();
    assert_eq!(taken, [15 * 1024, 15 * 1024, 2 * 1024]);
    let rest = rig.batch(&[poll(sessions[2], 1)]);
    assert_eq!(rig.reply(rest).data.len(), 13 * 1024);
}

#[test]
fn what_a_drain_does_not_need_is_left_to_the_next() {
    let mut rig = Rig::with(|options| {
        options.tuning.max_drain = 100;
        options.tuning.max_batch_drain = 150;
    });
    let sessions = [full(&mut rig, 10).0, full(&mut rig, 90).0, full(&mut rig, 90).0];
    let request = rig.batch(&sessions.map(|sid| poll(sid, 0)));
    let taken: Vec<usize> = rig.replies(request).iter().map(|reply| reply.data.len()).collect();
    assert_eq!(taken, [10, 90, 50]);
}

#[test]
fn with_no_budget_left_a_reply_is_empty_and_withholds_the_end() {
    let mut rig = Rig::with(|options| {
        options.tuning.max_drain = 100;
        options.tuning.max_batch_drain = 100;
    });
    let ((a, _), (b, upstream)) = (full(&mut rig, 100), full(&mut rig, 10));
    rig.fin(upstream);
    let request = rig.batch(&[poll(a, 0), poll(b, 0)]);
    let replies = rig.replies(request);
    assert_eq!((replies[1].data.len(), replies[1].eof), (0, false));
    let next = rig.batch(&[poll(b, 1)]);
    let reply = rig.reply(next);
    assert_eq!((reply.data.len(), reply.eof), (10, true));
}

#[test]
fn an_ended_session_without_bytes_needs_no_budget() {
    let mut rig = Rig::with(|options| {
        options.tuning.max_drain = 100;
        options.tuning.max_batch_drain = 100;
    });
    let ((a, _), (b, upstream)) = (full(&mut rig, 100), rig.session());
    rig.fin(upstream);
    let request = rig.batch(&[poll(a, 0), poll(b, 0)]);
    assert!(rig.replies(request)[1].eof);
}

#[test]
fn a_download_whose_server_closes_early_arrives_whole() {
    // v1.9.1 ends the session when its server does, and cuts what the drains so far did not reach.
    let mut rig = Rig::with(|options| options.tuning.max_drain = 16 * 1024);
    let (sid, upstream) = full(&mut rig, 200_000);
    rig.fin(upstream);
    let mut got = 0;
    for seq in 0.. {
        let request = rig.batch(&[poll(sid, seq)]);
        got += rig.reply(request).data.len();
        if rig.reply(request).eof {
            break;
        }
    }
    assert_eq!(got, 200_000);
    assert_eq!(rig.node.stats().downlink_bytes, 200_000);
}
