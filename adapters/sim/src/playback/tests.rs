use seqlane::{
    Client, ClientAction, ClientEvent, ClientOptions, FlowId, FlowKind, Level, LocalEvent, RelayOptions,
    Secret, Target,
};
use seqlane_record::RecordingWriter;

use super::*;

fn options() -> ClientOptions {
    let relay = RelayOptions::new(Secret::new("key"));
    ClientOptions::new(vec![relay]).max_level(Level::Sequenced)
}

/// A client that opens a flow and sends four bytes, recorded by somebody who may see actions as they are not.
fn recorded(see: impl Fn(ClientAction) -> ClientAction) -> Vec<u8> {
    let (start, mut file) = (Instant::from_micros(1_000_000), Vec::new());
    let mut client = Client::start(options(), [7; 32], start).expect("valid");
    let mut writer = RecordingWriter::<Client>::begin(&options(), [7; 32], start, &mut file);
    let (flow, target) = (FlowId::new(0), Target::new("example.org", 80).expect("a target"));
    let events = [
        ClientEvent::Open { target, kind: FlowKind::Tcp },
        ClientEvent::Local { flow, event: LocalEvent::Data("ping".into()) },
        ClientEvent::Local { flow, event: LocalEvent::Written(9) },
        ClientEvent::Close,
    ];
    for (seconds, event) in (2..).zip(events) {
        let now = Instant::from_micros(seconds * 1_000_000);
        writer.event(now, &event, &mut file);
        if let Err(misuse) = client.handle(now, event) {
            writer.refused(misuse, &mut file);
        }
        loop {
            let action = client.poll();
            writer.action(&see(action.clone()), &mut file);
            if matches!(action, ClientAction::Idle { .. }) {
                break;
            }
        }
    }
    writer.end(Ending::Stopped, &mut file);
    file
}

fn difference(file: Vec<u8>) -> Difference {
    match play(file.into()).expect("a recording").end {
        End::Differs(difference) => difference,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_machine_that_does_the_same_is_replayed_to_the_end() {
    let playback = play(recorded(|action| action).into()).expect("a recording");
    assert_eq!(playback.end, End::Same(Ending::Stopped));
    assert_eq!((playback.machine, playback.events, playback.time), ("client", 4, Duration::from_secs(4)));
    assert!(playback.actions > 6);
}

#[test]
fn another_action_is_told_with_its_event_its_time_and_both() {
    let flow = FlowId::new(0);
    let difference = difference(recorded(|action| match action {
        ClientAction::Send { .. } => ClientAction::Fin { flow },
        other => other,
    }));
    assert_eq!((difference.event, difference.time), (2, Duration::from_secs(2)));
    assert_eq!(difference.after, "Local { flow: FlowId(0), event: Data(4 bytes) }");
    assert_eq!(difference.expected, "Fin { flow: FlowId(0) }");
    assert!(difference.got.starts_with("Send { exchange: ExchangeId(0)"), "{difference:?}");
}

#[test]
fn an_action_with_other_bytes_differs() {
    let difference = difference(recorded(|action| match action {
        ClientAction::Send { exchange, relay, body, form, deadline, decryptor } => {
            let body =
                body.into_bytes().iter().map(|byte| if *byte == b'c' { b'C' } else { *byte }).collect();
            let body = Bytes::into(body);
            ClientAction::Send { exchange, relay, body, form, deadline, decryptor }
        }
        other => other,
    }));
    assert_ne!(difference.expected, difference.got);
    let text = |told: &str| told.split_once(" with bytes #").expect("a body").0.to_owned();
    assert_eq!(text(&difference.expected), text(&difference.got));
}

#[test]
fn every_entry_is_told_before_it_is_compared() {
    let mut steps = Vec::new();
    play_to(recorded(|action| action).into(), |step| steps.push(format!("{} {}", step.kind, step.text)))
        .expect("a recording");
    assert_eq!(steps[0], r#"event Open { target: Target { host: "example.org", port: 80 }, kind: Tcp }"#);
    assert!(
        steps.iter().any(|step| step.starts_with("refused more bytes were reported written")),
        "{steps:?}"
    );
    assert_eq!(steps.last().expect("an end"), "end the machine was stopped");
}

#[test]
fn a_recording_that_breaks_off_is_replayed_as_far_as_it_goes() {
    let mut file = recorded(|action| action);
    file.truncate(file.len() - 3);
    let playback = play(file.into()).expect("a recording");
    assert!(matches!(&playback.end, End::Broken(error) if error.problem == Problem::Cut));
    assert_eq!(playback.events, 4);
}
