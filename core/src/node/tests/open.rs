//! Opening of upstreams by `connect` and `connect_data` (protocol.md 2.1).

use super::*;

#[test]
fn a_connect_is_answered_as_soon_as_it_is_open() {
    let mut rig = Rig::new();
    let request = rig.batch(&[connect()]);
    assert!(rig.is_held(request));
    assert_eq!(rig.opens[0].1, target());
    let upstream = rig.last_opened();
    rig.opened(upstream);
    let sid = rig.reply(request).sid.unwrap();
    assert_eq!(
        rig.body(request),
        alloc::format!(r#"{{"r":[{{"sid":"{}","eof":false,"caps":1}}]}}"#, sid.as_str())
    );
    assert_eq!(rig.node.stats().sessions_opened, 1);
}

#[test]
fn host_and_port_are_checked() {
    let mut rig = Rig::new();
    for (op, error) in [
        (r#"{"op":"connect","port":1}"#, "missing host"),
        (r#"{"op":"connect","host":"","port":1}"#, "missing host"),
        (r#"{"op":"connect","host":"h"}"#, "missing or invalid port"),
        (r#"{"op":"connect","host":"h","port":0}"#, "missing or invalid port"),
        (r#"{"op":"connect_data","port":1,"d":""}"#, "missing host"),
        (r#"{"op":"udp_open","host":"h","port":0}"#, "missing or invalid port"),
        (r#"{"op":"data"}"#, "missing sid"),
        (r#"{"op":"close"}"#, "missing sid"),
    ] {
        let request = rig.batch_json(op);
        assert_eq!(rig.error(request), error, "{op}");
    }
    assert!(rig.opens.is_empty());
}

#[test]
fn an_unknown_op_carries_the_code() {
    let mut rig = Rig::new();
    let request = rig.batch_json(r#"{"op":"teleport"}"#);
    assert_eq!(rig.body(request), r#"{"r":[{"e":"unknown op: teleport","code":"UNSUPPORTED_OP"}]}"#);
}

#[test]
fn udp_has_no_single_op() {
    let mut rig = Rig::new();
    let request = rig.single(r#""op":"udp_open","host":"h","port":53"#);
    assert_eq!(rig.body(request), r#"{"e":"unknown op: udp_open","code":"UNSUPPORTED_OP"}"#);
}

#[test]
fn connect_data_writes_its_first_bytes_and_brings_the_answer() {
    let mut rig = Rig::new();
    let request = rig.batch(&[connect_data(b"hello")]);
    let upstream = rig.last_opened();
    assert_eq!(rig.written(upstream), b"");
    rig.opened(upstream);
    assert_eq!(rig.written(upstream), b"hello");
    rig.run(100);
    rig.data(upstream, b"world");
    rig.run(10);
    let reply = rig.reply(request);
    assert_eq!((&*reply.data, reply.eof, reply.seq), (&b"world"[..], false, None));
    assert_eq!(reply.caps, Some(crate::level::Caps::PIPELINE_SEQ));
    let next = rig.batch(&[data(reply.sid.unwrap(), 0, b"more")]);
    assert!(rig.is_held(next), "the first data op has seq 0");
}

#[test]
fn connect_data_waits_350_ms_from_the_connect() {
    let mut rig = Rig::new();
    let request = rig.batch(&[connect_data(b"hello")]);
    rig.run(2_000);
    let upstream = rig.last_opened();
    rig.opened(upstream);
    rig.run(349);
    assert!(rig.is_held(request));
    rig.run(1);
    assert_eq!(rig.reply(request).data, "");
}

#[test]
fn a_single_connect_data_brings_the_answer() {
    let mut rig = Rig::new();
    let request = rig.single(r#""op":"connect_data","host":"h","port":1,"data":"aGk=""#);
    let upstream = rig.last_opened();
    rig.opened(upstream);
    assert_eq!(rig.written(upstream), b"hi");
    rig.data(upstream, b"yo");
    rig.run(100);
    let body = rig.body(request);
    assert!(body.contains(r#""d":"eW8=","eof":false,"caps":1"#), "{body}");
}

#[test]
fn a_single_connect_is_answered_as_soon_as_it_is_open() {
    let mut rig = Rig::new();
    let request = rig.single(r#""op":"connect","host":"h","port":1"#);
    let upstream = rig.last_opened();
    rig.opened(upstream);
    assert!(rig.body(request).starts_with(r#"{"sid":""#));
}

#[test]
fn connect_data_with_a_bad_payload_opens_nothing() {
    let mut rig = Rig::new();
    let request = rig.batch_json(r#"{"op":"connect_data","host":"h","port":1,"d":"?"}"#);
    assert!(rig.error(request).starts_with("bad base64"));
    assert!(rig.opens.is_empty());
    assert_eq!(rig.node.stats().sessions_opened, 0);
}

#[test]
fn a_failed_connect_says_why() {
    let mut rig = Rig::new();
    for (op, failure, error) in [
        (connect(), ConnectFailure::Refused, "connect failed: Connection refused (os error 111)"),
        (connect_data(b"x"), ConnectFailure::NotAllowed, "connect failed: target not allowed"),
        (udp_open(b"x"), ConnectFailure::NotAllowed, "udp connect failed: target not allowed"),
    ] {
        let request = rig.batch(&[op]);
        let upstream = rig.last_opened();
        rig.upstream(upstream, UpstreamEvent::Failed(failure));
        assert_eq!(rig.error(request), error);
        assert!(rig.notices.contains(&NodeNotice::ConnectFailed { upstream, target: target(), failure }));
    }
    assert!(rig.shut.is_empty(), "nothing is left to shut");
    assert_eq!(rig.node.stats().sessions_opened, 0);
}

#[test]
fn a_connect_fails_after_10_s() {
    let mut rig = Rig::new();
    let request = rig.batch(&[connect()]);
    assert_eq!(rig.wake.unwrap().timer, TimerKind::Connect);
    rig.run(9_999);
    assert!(rig.is_held(request));
    rig.run(1);
    assert_eq!(rig.error(request), "connect failed: connect timeout");
    assert_eq!(rig.shut[&rig.last_opened()], Shut::Reset);
    rig.opened(rig.last_opened());
    assert_eq!(rig.node.stats().sessions_opened, 0, "too late: ignored");
}

#[test]
fn sessions_are_limited_connects_in_progress_included() {
    let mut rig = Rig::with(|options| options.max_sessions = 2);
    rig.session();
    rig.batch(&[connect()]);
    let refused = rig.batch(&[connect()]);
    assert_eq!(rig.error(refused), "connect failed: too many sessions");
    assert!(rig.notices.contains(&NodeNotice::LimitReached { limit: "max_sessions" }));
    let udp = rig.batch(&[udp_open(b"")]);
    assert_eq!(rig.error(udp), "udp connect failed: too many sessions");
}

#[test]
fn a_new_session_reads_with_credit() {
    let mut rig = Rig::new();
    let (_, upstream) = rig.session();
    assert!(rig.credit[&upstream] >= 64 * 1024);
}

#[test]
fn a_plain_connect_leaves_early_bytes_to_the_first_poll() {
    let mut rig = Rig::new();
    let request = rig.batch(&[connect(), connect()]);
    let (first, second) = (rig.opens[0].0, rig.opens[1].0);
    rig.opened(first);
    rig.data(first, b"220 ready");
    rig.fin(first);
    rig.opened(second);
    let reply = &rig.replies(request)[0];
    assert_eq!((reply.data.len(), reply.eof), (0, false));
    let poll = rig.batch(&[poll(reply.sid.unwrap(), 0)]);
    let reply = rig.reply(poll);
    assert_eq!((&*reply.data, reply.eof), (&b"220 ready"[..], true));
}

#[test]
fn bytes_of_an_upstream_that_ends_before_the_answer_are_delivered() {
    let mut rig = Rig::new();
    let request = rig.batch(&[connect_data(b"x")]);
    let upstream = rig.last_opened();
    rig.opened(upstream);
    rig.data(upstream, b"all");
    rig.fin(upstream);
    let reply = rig.reply(request);
    assert_eq!((&*reply.data, reply.eof), (&b"all"[..], true));
    assert_eq!(rig.ended[&upstream], SessionEnd::Finished);
    assert_eq!(rig.shut[&upstream], Shut::Close);
}

#[test]
fn session_ids_come_from_the_seed_and_differ() {
    let mut rig = Rig::new();
    let ((a, _), (b, _)) = (rig.session(), rig.session());
    assert_ne!(a, b);
    assert_eq!(Rig::new().session().0, a);
}
