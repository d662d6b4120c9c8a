//! Requests as a whole: keys, envelopes, limits (protocol.md 1.5).

use super::*;

#[test]
fn a_wrong_key_sees_a_web_server_with_nothing_to_show() {
    let mut rig = Rig::new();
    for (endpoint, body) in [
        (Endpoint::Batch, r#"{"k":"wrong","ops":[]}"#),
        (Endpoint::Single, r#"{"k":"wrong","op":"close","sid":"x"}"#),
    ] {
        let request = rig.request(endpoint, body);
        let response = rig.response(request);
        assert_eq!((response.status, response.content_type), (404, "text/html"));
        assert!(rig.body(request).contains("<h1>404 Not Found</h1>"));
        assert!(rig.notices.contains(&NodeNotice::Unauthorized { request }));
    }
    assert_eq!(rig.node.stats().unauthorized, 2);
}

#[test]
fn a_wrong_key_is_named_in_diagnostic_mode() {
    let mut rig = Rig::with(|options| options.diagnostic = true);
    let request = rig.request(Endpoint::Batch, r#"{"k":"wrong","ops":[]}"#);
    assert_eq!(rig.body(request), r#"{"r":[{"e":"unauthorized"}]}"#);
    let request = rig.request(Endpoint::Single, r#"{"k":"wrong","op":"close"}"#);
    assert_eq!((rig.response(request).status, rig.body(request)), (200, r#"{"e":"unauthorized"}"#.into()));
}

#[test]
fn nothing_runs_under_a_wrong_key() {
    let mut rig = Rig::new();
    rig.request(Endpoint::Batch, r#"{"k":"wrong","ops":[{"op":"connect","host":"h","port":1}]}"#);
    assert!(rig.opens.is_empty());
}

#[test]
fn a_batch_that_is_no_json_is_told_so() {
    let mut rig = Rig::new();
    for body in ["", "<html>", "{\"k\":\"the key\"", "[]", r#"{"k":"the key"}"#] {
        let request = rig.request(Endpoint::Batch, body);
        assert!(rig.body(request).starts_with(r#"{"r":[{"e":"bad json: "#), "{body}");
        assert_eq!(rig.response(request).status, 200);
        assert!(rig.notices.contains(&NodeNotice::BadRequest { request }));
    }
}

#[test]
fn a_single_request_that_cannot_be_read_has_a_status() {
    let mut rig = Rig::new();
    for (body, status) in [("{", 400), (r#"{"op":"close"}"#, 422), (r#"{"k":"the key"}"#, 422)] {
        let request = rig.request(Endpoint::Single, body);
        assert_eq!(rig.response(request).status, status, "{body}");
        assert!(rig.response(request).content_type.starts_with("text/plain"));
    }
}

#[test]
fn a_body_of_more_than_2_mib_is_taken() {
    // Deployed nodes answer 413.
    let mut rig = Rig::new();
    let (sid, upstream) = rig.session();
    rig.batch(&[big(sid, 0, 5 << 20)]);
    assert_eq!(rig.written(upstream).len(), 5 << 20);
}

#[test]
fn a_body_beyond_the_limit_is_refused() {
    let mut rig = Rig::with(|options| options.max_body = 64 * 1024);
    for endpoint in [Endpoint::Batch, Endpoint::Single] {
        let request = rig.request(endpoint, alloc::vec![b' '; 64 * 1024 + 1]);
        assert_eq!(rig.response(request).status, 413);
    }
}

#[test]
fn a_batch_of_too_many_ops_is_bad_as_a_whole() {
    let mut rig = Rig::with(|options| options.tuning.max_batch_ops = 2);
    let ops = [r#"{"op":"close","sid":"x"}"#; 3].join(",");
    let request = rig.request(Endpoint::Batch, format(&ops));
    assert_eq!(rig.body(request), r#"{"r":[{"e":"too many ops in one batch"}]}"#);
}

#[test]
fn held_requests_are_limited() {
    let mut rig = Rig::with(|options| options.max_requests = 1);
    let (sid, upstream) = rig.session();
    let held = rig.batch(&[poll(sid, 0)]);
    let refused = rig.batch(&[poll(sid, 1)]);
    assert_eq!(rig.body(refused), r#"{"e":"node is busy: too many held requests"}"#);
    assert!(rig.notices.contains(&NodeNotice::LimitReached { limit: "max_requests" }));
    assert!(rig.is_held(held));
    rig.data(upstream, b"x");
    let admitted = rig.batch(&[poll(sid, 1)]);
    assert!(rig.is_held(admitted));
}

#[test]
fn a_bad_op_fails_alone() {
    let mut rig = Rig::new();
    let (sid, upstream) = rig.session();
    let request = rig.batch_json(&alloc::format!(
        r#"17,{{}},{{"op":5}},{{"op":"data","sid":5}},{{"op":"data","sid":"{}","seq":0,"d":"aGk="}},null"#,
        sid.as_str()
    ));
    assert_eq!(rig.written(upstream), b"hi");
    rig.run(350);
    let failed: Vec<bool> = rig.replies(request).iter().map(|reply| reply.error.is_some()).collect();
    assert_eq!(failed, [true, true, true, true, false, true]);
    assert_eq!((rig.node.stats().ops, rig.node.stats().failed_ops), (7, 5));
}

#[test]
fn replies_stand_in_the_order_of_their_ops() {
    let mut rig = Rig::new();
    let ((a, _), (b, _)) = (rig.session(), rig.session());
    let request = rig.batch(&[connect(), data(b, 0, b"x"), close(Sid::new("z").unwrap()), data(a, 0, b"y")]);
    rig.run(10_000);
    let replies = rig.replies(request);
    assert!(replies[0].error.is_some());
    assert_eq!([replies[1].sid, replies[3].sid], [Some(b), Some(a)]);
    assert_eq!(replies[2].sid.unwrap().as_str(), "z");
}

#[test]
fn unknown_keys_are_ignored() {
    let mut rig = Rig::new();
    let request = rig.request(
        Endpoint::Batch,
        r#"{"zc":3,"k":"the key","_pad":"AAAA","ops":[{"op":"close","sid":"x","wseq":4}],"new":{"a":[1]}}"#,
    );
    assert_eq!(rig.body(request), r#"{"r":[{"sid":"x","eof":true}]}"#);
}
