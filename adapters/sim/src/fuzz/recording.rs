//! Arbitrary recordings, and recordings of arbitrary events.

use std::time::Duration;

use bytes::Bytes;
use seqlane::{Client, ClientOptions, Form, Instant, Level, Node, NodeOptions, RelayOptions, Secret};
use seqlane_record::{Ending, Machine, RecordingWriter};

use crate::playback::{End, is_recording, play};

const SEED: [u8; 32] = [7; 32];

/// A recording that starts as one is read to its end or to the first thing that is wrong. Any other input is a list of
/// events: a machine that takes them is recorded, and does the same when it is replayed, with stand-ins for its keys.
///
/// # Panics
/// When a machine panics, or a replay differs or cannot be read.
pub fn recording(data: &[u8]) {
    if is_recording(data) {
        // A damaged recording must only be reported.
        drop(play(Bytes::copy_from_slice(data)));
        return;
    }
    let Some((kind, events)) = data.split_first() else { return };
    let key = Secret::new("a \"key\"");
    let secret = (kind & 2 > 0).then(|| Secret::new("a secret that is long enough"));
    if kind & 1 > 0 {
        let max_level = Level::Streams;
        let options = NodeOptions::new(key).max_level(max_level).min_level(Level::Legacy).secret(secret);
        replayed::<Node>(&options, events);
    } else {
        let relay = RelayOptions::new(key).form(Form::Node);
        replayed::<Client>(&ClientOptions::new(vec![relay]).min_level(Level::Legacy).secret(secret), events);
    }
}

/// Each event has its length (two bytes), the milliseconds since the one before (one byte), and what the recording
/// would have of it.
fn replayed<M: Machine>(options: &M::Options, mut data: &[u8]) {
    let mut mask = M::mask(options);
    let mut machine = M::start(options.clone(), SEED, Instant::ZERO).expect("valid");
    let mut now = Instant::ZERO;
    let mut file = Vec::new();
    let mut writer = RecordingWriter::<M>::begin(options, SEED, now, &mut file);
    while let Some(([high, low, millis], rest)) = data.split_first_chunk() {
        let (event, rest) = rest.split_at(rest.len().min(usize::from(u16::from_be_bytes([*high, *low]))));
        data = rest;
        let Ok(event) = M::read_event(Bytes::copy_from_slice(event), &mut mask) else { continue };
        now = now.saturating_add(Duration::from_millis((*millis).into()));
        writer.event(now, &machine.opened(event.clone()), &mut file);
        if let Err(misuse) = machine.handle(now, event) {
            writer.refused(misuse, &mut file);
        }
        loop {
            let action = machine.poll();
            writer.action(&action, &mut file);
            if M::record_action(&action, &mask).text.starts_with("Idle") {
                break;
            }
        }
    }
    writer.end(Ending::Stopped, &mut file);
    let playback = play(file.into()).expect("it was written here");
    assert_eq!(playback.end, End::Same(Ending::Stopped), "{playback:?}");
}
