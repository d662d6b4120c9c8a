//! Recordings: what is written is read again, keys are nowhere in it, and what is not a recording is told apart.

mod files;
mod masks;
mod properties;

use alloc::vec;
use alloc::vec::Vec;

use bytes::Bytes;

use super::{BadRecording, Ending, Entry, Machine, Recorded, Recording, Scribe};
use crate::client::{Client, ClientEvent};
use crate::config::{ClientOptions, NodeOptions, RelayOptions};
use crate::node::Node;
use crate::secret::Secret;
use crate::time::Instant;

const KEY: &str = "correct \"horse\"\n";
const SECRET: &str = "battery staple";

fn client_options() -> ClientOptions {
    ClientOptions {
        secret: Some(Secret::new(SECRET)),
        ..ClientOptions::new(vec![
            RelayOptions::new(Secret::new(KEY)),
            RelayOptions::new(Secret::new("other")),
        ])
    }
}

fn node_options() -> NodeOptions {
    NodeOptions { secret: Some(Secret::new(SECRET)), ..NodeOptions::new(Secret::new(KEY)) }
}

/// A recording of these events, and nothing else.
fn recorded<M: Machine>(options: &M::Options, events: &[M::Event]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut scribe = Scribe::<M>::begin(options, [7; 32], Instant::from_micros(5), &mut file);
    for (micros, event) in (10..).zip(events) {
        scribe.event(Instant::from_micros(micros), event, &mut file);
    }
    scribe.end(Ending::Stopped, &mut file);
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
