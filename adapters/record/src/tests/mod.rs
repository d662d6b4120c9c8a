//! Tests of writing, masking and reading.

mod files;
mod masks;
mod properties;
mod session;

use bytes::Bytes;
use seqlane::{Client, ClientEvent, ClientOptions, Instant, Node, NodeOptions, RelayOptions, Secret};

use crate::{BadRecording, Ending, Entry, Machine, Recorded, Recording, RecordingWriter};

const KEY: &str = "correct \"horse\"\n";
const SECRET: &str = "battery staple, correct";

fn client_options() -> ClientOptions {
    let keys = [KEY, "other"].map(|key| RelayOptions::new(Secret::new(key)));
    ClientOptions::new(keys.to_vec()).secret(Secret::new(SECRET))
}

fn node_options() -> NodeOptions {
    NodeOptions::new(Secret::new(KEY)).secret(Secret::new(SECRET))
}

/// A recording of these events, and nothing else.
fn recorded<M: Machine>(options: &M::Options, events: &[M::Event]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut writer = RecordingWriter::<M>::begin(options, [7; 32], Instant::from_micros(5), &mut file);
    for (micros, event) in (10..).zip(events) {
        writer.event(Instant::from_micros(micros), event, &mut file);
    }
    writer.end(Ending::Stopped, &mut file);
    file
}

fn client(file: Vec<u8>) -> Recorded<Client> {
    match Recording::read(file.into()) {
        Ok(Recording::Client(recorded)) => *recorded,
        other => panic!("{other:?}"),
    }
}

fn node(file: Vec<u8>) -> Recorded<Node> {
    match Recording::read(file.into()) {
        Ok(Recording::Node(recorded)) => *recorded,
        other => panic!("{other:?}"),
    }
}

/// The events of a recording.
fn events<M: Machine>(recorded: Recorded<M>) -> Vec<M::Event> {
    let events = recorded.entries.filter_map(|entry| match entry.expect("readable") {
        Entry::Event { event, .. } => Some(event),
        Entry::Refused(_) | Entry::Action(_) | Entry::End(_) => None,
    });
    events.collect()
}

/// All that is read, and the error that ends it.
fn read(file: &[u8]) -> (Vec<Entry<ClientEvent>>, Option<BadRecording>) {
    match Recording::read(Bytes::copy_from_slice(file)) {
        Ok(Recording::Client(recorded)) => {
            let (good, mut bad): (Vec<_>, Vec<_>) = recorded.entries.partition(Result::is_ok);
            (good.into_iter().flatten().collect(), bad.pop().and_then(Result::err))
        }
        Ok(Recording::Node(_)) => panic!("a client was recorded"),
        Err(error) => (Vec::new(), Some(error)),
    }
}

fn contains(text: &[u8], part: &str) -> bool {
    text.windows(part.len()).any(|window| window == part.as_bytes())
}
