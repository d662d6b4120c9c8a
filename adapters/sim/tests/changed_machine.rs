//! A recording of one machine, replayed on another that has a bug. A planted bug is in the whole process: one test.
#![cfg(feature = "planted")]

use seqlane::planted::Bug;
use seqlane::wire::{Op, encode_request};
use seqlane::{
    Endpoint, Form, Instant, Level, Node, NodeAction, NodeEvent, NodeOptions, RequestId, Secret, Target,
    UpstreamEvent, UpstreamId,
};
use seqlane_record::{Ending, Machine, RecordingWriter};
use seqlane_sim::playback::{End, play};

/// A node of level 0 that opens a target for a client.
fn recorded() -> Vec<u8> {
    let key = Secret::new("key");
    let options = NodeOptions::new(key.clone()).max_level(Level::Legacy);
    let mut node = Node::start(options.clone(), [1; 32], Instant::ZERO).expect("valid");
    let mut file = Vec::new();
    let mut writer = RecordingWriter::<Node>::begin(&options, [1; 32], Instant::ZERO, &mut file);
    let op = Op::Connect { target: Target::new("example.org", 80).expect("a target") };
    let body = encode_request(Form::Node, &key, [&op].into_iter());
    let (request, upstream) = (RequestId::new(0), UpstreamId::new(0));
    for event in [
        NodeEvent::Request { request, endpoint: Endpoint::Batch, body },
        NodeEvent::Upstream { upstream, event: UpstreamEvent::Opened },
    ] {
        writer.event(Instant::ZERO, &event, &mut file);
        node.handle(Instant::ZERO, event).expect("within the contract");
        loop {
            let action = node.poll();
            writer.action(&action, &mut file);
            if matches!(action, NodeAction::Idle { .. }) {
                break;
            }
        }
    }
    writer.end(Ending::Stopped, &mut file);
    file
}

#[test]
fn a_machine_that_has_changed_is_told_by_its_first_other_action() {
    let file = recorded();
    let end = || play(file.clone().into()).expect("a recording").end;
    assert_eq!(end(), End::Same(Ending::Stopped));
    Bug::CapsBoasted.plant();
    let End::Differs(difference) = end() else { panic!("the node offers what it has not") };
    Bug::weed();
    assert_eq!(difference.event, 2);
    assert!(
        difference.expected.starts_with("Respond") && difference.got.starts_with("Respond"),
        "{difference:?}"
    );
    assert_ne!(difference.expected, difference.got);
}
