use std::time::Duration;

use seqlane::{
    Endpoint, ExchangeFailure, ExchangeId, FlowId, FlowKind, LocalEvent, NodeEvent, RequestId, Target,
    UpstreamEvent, UpstreamId, UserOptions,
};

use super::*;
use crate::node::FAILURES;
use crate::{MAGIC, Problem};

fn client_events() -> Vec<ClientEvent> {
    let (flow, exchange) = (FlowId::new(70), ExchangeId::new(1 << 40));
    let target = Target::new("::1", 65_535).expect("a target");
    let local = |event| ClientEvent::Local { flow, event };
    let failed = |why| ClientEvent::ExchangeFailed { exchange, why };
    let wait = Duration::new(3, 999_999_999);
    vec![
        ClientEvent::Open { target: target.clone(), kind: FlowKind::Tcp },
        ClientEvent::Open { target, kind: FlowKind::Udp },
        local(LocalEvent::Data("bytes".into())),
        local(LocalEvent::Data(Bytes::new())),
        local(LocalEvent::Fin),
        local(LocalEvent::Reset),
        local(LocalEvent::Written(1 << 33)),
        ClientEvent::Answering { exchange },
        ClientEvent::Reply { exchange, body: r#"{"r":[]}"#.into() },
        failed(ExchangeFailure::NotSent),
        failed(ExchangeFailure::Unknown),
        failed(ExchangeFailure::Refused { retry_after: None }),
        failed(ExchangeFailure::Refused { retry_after: Some(wait) }),
        failed(ExchangeFailure::TooLarge),
        failed(ExchangeFailure::Garbage),
        ClientEvent::Timeout,
        ClientEvent::Close,
    ]
}

fn node_events() -> Vec<NodeEvent> {
    let (request, upstream) = (RequestId::new(9), UpstreamId::new(300));
    let happened = |event| NodeEvent::Upstream { upstream, event };
    let asked = |endpoint| NodeEvent::Request { request, endpoint, body: r#"{"ops":[]}"#.into() };
    let mut events = vec![
        asked(Endpoint::Batch),
        asked(Endpoint::Single),
        NodeEvent::RequestGone { request },
        happened(UpstreamEvent::Opened),
        happened(UpstreamEvent::Data("bytes".into())),
        happened(UpstreamEvent::Datagram("datagram".into())),
        happened(UpstreamEvent::Fin),
        happened(UpstreamEvent::Reset),
        happened(UpstreamEvent::Written(5)),
        NodeEvent::Timeout,
        NodeEvent::Close,
        NodeEvent::Drain,
        NodeEvent::Users(Vec::new()),
    ];
    events.extend(FAILURES.map(|failure| happened(UpstreamEvent::Failed(failure))));
    events
}

#[test]
fn every_event_of_a_client_is_read_as_it_was_written() {
    assert_eq!(events(client(recorded::<Client>(&client_options(), &client_events()))), client_events());
}

#[test]
fn every_event_of_a_node_is_read_as_it_was_written() {
    assert_eq!(events(node(recorded::<Node>(&node_options(), &node_events()))), node_events());
}

#[test]
fn the_head_has_the_names_the_start_and_every_option() {
    let options = client_options().max_flows(3).request_timeout(Duration::from_millis(15_500));
    let read = client(recorded::<Client>(&options, &[]));
    assert_eq!((read.names, read.start), ([7; 32], Instant::from_micros(5)));
    // The secrets do not show in a debug print.
    assert_eq!(format!("{:?}", read.options), format!("{options:?}"));
}

#[test]
fn users_are_read_with_stand_ins_for_their_secrets_in_the_head_and_in_events() {
    let user = |name: &str, secret: &str| {
        let mut user = UserOptions::new(name, Secret::new(secret));
        user.max_streams = Some(7);
        user
    };
    let (laptop, phone) =
        (user("laptop", "the secret of the laptop"), user("phone", "the secret of the phone"));
    let options = node_options().users(vec![laptop.clone()]);
    let events = [NodeEvent::Users(vec![phone, laptop.clone()]), NodeEvent::Users(vec![laptop])];
    let file = recorded::<Node>(&options, &events);
    assert!(!contains(&file, "the secret of"));
    let read = node(file);
    let [in_head] = &read.options.users[..] else { panic!("a user") };
    let in_head = in_head.clone();
    assert_eq!((&*in_head.name, in_head.max_streams, in_head.max_clients), ("laptop", Some(7), None));
    let events = super::events(read);
    let (NodeEvent::Users(both), NodeEvent::Users(one)) = (&events[0], &events[1]) else { panic!("users") };
    assert_eq!((&both[1], &one[..]), (&in_head, &[in_head.clone()][..]), "who stays is the same");
    assert!(&*both[0].name == "phone" && both[0].secret != in_head.secret);
}

#[test]
fn refusals_and_actions_and_the_ending_are_read_as_they_were_written() {
    let options = node_options();
    let mut machine = Node::start(options.clone(), [7; 32], Instant::ZERO).expect("valid");
    let mut file = Vec::new();
    let mut writer = RecordingWriter::<Node>::begin(&options, [7; 32], Instant::ZERO, &mut file);
    let event = NodeEvent::RequestGone { request: RequestId::new(1) };
    writer.event(Instant::ZERO, &event, &mut file);
    let misuse = machine.handle(Instant::ZERO, event.clone()).expect_err("there was no request");
    writer.refused(misuse, &mut file);
    let action = machine.poll();
    writer.action(&action, &mut file);
    writer.end(Ending::FellBehind, &mut file);

    let entries: Vec<_> = node(file).entries.map(|entry| entry.expect("readable")).collect();
    let told = Node::record_action(&action, &Node::mask(&options));
    assert_eq!(told.to_string(), "Idle { wake: None }");
    assert_eq!(
        entries,
        [
            Entry::Event { now: Instant::ZERO, event },
            Entry::Refused(misuse.to_string().into()),
            Entry::Action(told),
            Entry::End(Ending::FellBehind),
        ]
    );
}

#[test]
fn a_recording_that_is_cut_anywhere_says_so_and_keeps_what_came_before() {
    let file = recorded::<Client>(&client_options(), &client_events());
    let whole = read(&file).0.len();
    for len in 0..file.len() {
        let (entries, error) = read(&file[..len]);
        assert!(entries.len() < whole);
        assert_eq!(error.expect("an error").problem, Problem::Cut, "cut at {len} of {}", file.len());
    }
}

#[test]
fn a_byte_that_is_changed_anywhere_is_noticed() {
    let file = recorded::<Client>(&client_options(), &client_events());
    for place in 0..file.len() {
        for change in [1, 0x80] {
            let mut file = file.clone();
            file[place] ^= change;
            assert!(read(&file).1.is_some(), "byte {place}");
        }
    }
}

#[test]
fn entries_that_are_lost_or_change_places_are_noticed() {
    let events = [ClientEvent::Timeout, ClientEvent::Close];
    let head = recorded::<Client>(&client_options(), &[]).len() - 7;
    let file = recorded::<Client>(&client_options(), &events);
    // Length, kind, time, number, check.
    let entry = 1 + 1 + 1 + 1 + 4;
    let (first, rest) = file[head..].split_at(entry);
    let (second, end) = rest.split_at(entry);
    assert_eq!(read(&[&file[..head], first, second, end].concat()).1, None);
    for wrong in [[second, first, end].concat(), [second, end].concat(), [first, end].concat()] {
        let error = read(&[&file[..head], &wrong].concat()).1.expect("an error");
        assert_eq!(error.problem, Problem::Damaged);
    }
}

#[test]
fn what_is_wrong_is_told_in_words_with_its_place() {
    let file = recorded::<Client>(&client_options(), &[ClientEvent::Timeout]);
    let cut = read(&file[..file.len() - 1]).1.expect("an error");
    let text = cut.to_string();
    assert!(text.starts_with("after 1 entries, at byte ") && text.contains("has no end"), "{text}");
    let other = read(b"{\"format\":\"seqlane-sim-failure\"}").1.expect("an error").to_string();
    assert_eq!(other, "not a recording: its first line is another");
    let older = read(b"seqlane-recording 2\n{}\n").1.expect("an error").to_string();
    assert_eq!(older, "a recording of another version; this program reads version 3");
    let mut trailing = file;
    trailing.push(0);
    assert_eq!(read(&trailing).1.expect("an error").problem, Problem::Trailing);
}

/// A file with this head and no entry.
fn with_head(change: impl FnOnce(&mut serde_json::Value)) -> Vec<u8> {
    let file = recorded::<Client>(&client_options(), &[]);
    let line = file[MAGIC.len()..].split(|byte| *byte == b'\n').next().expect("a line");
    let mut head = serde_json::from_slice(line).expect("JSON");
    change(&mut head);
    format!("{MAGIC}{head}\n").into_bytes()
}

#[test]
fn a_head_that_makes_no_sense_is_told() {
    let problem = |file: Vec<u8>| read(&file).1.expect("an error").problem;
    assert_eq!(problem(with_head(|_| {})), Problem::Cut);
    let options = problem(with_head(|head| head["options"]["max_depth"] = 0.into()));
    assert!(matches!(options, Problem::Options(error) if error.option == "max_depth"));
    for wrong in [
        with_head(|head| head["machine"] = "relay".into()),
        with_head(|head| head["options"]["max_depht"] = 1.into()),
        with_head(|head| head["names"] = "7".into()),
        with_head(|head| head["secret"] = (1_u64 << 40).into()),
        with_head(|head| head["keys"] = vec![3].into()),
        format!("{MAGIC}<html>\n").into_bytes(),
    ] {
        assert!(matches!(problem(wrong), Problem::Head(_)));
    }
}
